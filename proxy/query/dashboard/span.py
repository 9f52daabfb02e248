"""The span of time that a page is about: from where to where, the one before it, and how finely it is drawn."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from proxy.query.dashboard.figures import moment
from proxy.query.dashboard.plot import Slot
from proxy.query.dashboard.view import PERIODS, View
from proxy.query.insights import STEPS as STEP_LENGTHS
from proxy.query.insights import added_up
from proxy.query.measured import of_measures
from proxy.query.parameters import Asked
from proxy.store import Store
from proxy.store.insight import Grouping, floor
from proxy.store.measures import Measures
from proxy.task import JSON

SECOND = 1_000_000
MINUTE, HOUR, DAY, WEEK = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND, 604_800 * SECOND
DEFAULT = "7d"
STEPS = ((3 * HOUR, MINUTE), (2 * DAY, HOUR), (10 * DAY, 6 * HOUR), (200 * DAY, DAY))
"""Up to how long a span is drawn in which steps; longer ones by weeks."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` to before `until`, microseconds, drawn in steps of `step`."""

    since: int
    until: int
    step: int  # microseconds
    name: str

    @property
    def summed_by(self) -> str:
        """The step of which sums are kept that its own is made of, as `insights.STEPS` names it."""
        return "day" if self.step >= DAY else "hour" if self.step >= HOUR else "minute"

    def asked(self, view: View) -> Asked:
        """What the view asks, of this span."""
        return replace(view.asked, filter=replace(view.asked.filter, since=self.since, until=self.until))

    def before(self) -> Span:
        """The one before, as long."""
        return replace(self, since=2 * self.since - self.until, until=self.since)

    def points(self) -> list[int]:
        """Where each step begins."""
        return list(range(floor(self.since, self.step), self.until, self.step))

    def slots(self) -> list[Slot]:
        """The steps as places of an axis, each with its own span for who looks closer."""
        long = "%a %-d %b, %H:%M" if self.step < DAY else "%a %-d %b" if self.step == DAY else "week of %-d %b"
        found = []
        for at in self.points():
            label = f"{moment(at):%H:%M}" if self.step <= HOUR else f"{moment(at):%-d %b}"
            if self.step == MINUTE:
                label = label if at % (10 * MINUTE) == 0 else ""
            if HOUR < self.step < DAY:
                label = f"{moment(at):%a %-d}" if at % DAY == 0 else ""
            found.append(Slot(label, f"{moment(at):{long}}", _iso(at), _iso(at + self.step)))
        return found


async def series(store: Store, asked: Asked, over: Span) -> list[JSON | None]:
    """What tasks add up to in each step of the span, as the API writes it; None where there is none."""
    sums: dict[int, Measures] = defaultdict(Measures)
    for group in await added_up(store, asked.filter, Grouping((), STEP_LENGTHS[over.summed_by])):
        if group.at is not None:
            sums[floor(group.at, over.step)].take(group.measures)
    return [of_measures(sums[at]) if at in sums else None for at in over.points()]


def _iso(at: int) -> str:
    return f"{moment(at):%Y-%m-%dT%H:%M}Z"


def of(view: View, now: int) -> Span:
    """The span that a view asks for: its `from` and `to`, else its period, else the last seven days."""
    period = view.get("period") or DEFAULT
    since, until = view.asked.filter.since, view.asked.filter.until
    name = PERIODS[period][0]
    if view.get("from") or view.get("to"):
        until = min(until, now) if until is not None else now
        since = since if since is not None else until - PERIODS[DEFAULT][1] * SECOND
        name = f"{moment(since):%-d %b %H:%M} to {moment(until):%-d %b %H:%M}"
        until = _whole(since, until, now)
    else:
        length = PERIODS[period][1] * SECOND
        until = _whole(now - length, now, now)
        since = until - length
    since = min(since, until - 60 * SECOND)
    length = until - since
    step = next((step for most, step in STEPS if length <= most), WEEK)
    return Span(since, until, step, name)


def _whole(since: int, until: int, now: int) -> int:
    """Where a span ends: one that goes on until now, at the end of this hour, or of this minute if it is shorter than a day.

    So it is one question for as long, whose answer is kept, and a period begins at a full hour or minute, too: of sums alone.
    """
    if until < now:
        return until
    step = HOUR if until - since >= DAY else MINUTE
    return floor(now, step) + step


def weekday_hours(counts: dict[datetime, int]) -> list[list[float]]:
    """Counts by hour as a field: seven days from Monday, 24 hours each."""
    field = [[0.0] * 24 for _ in range(7)]
    for at, count in counts.items():
        field[at.weekday()][at.hour] += count
    return field


def parsed(text: str) -> datetime:
    """A moment as the API writes it."""
    return datetime.fromisoformat(text)


def micros(text: str) -> int:
    """The same in microseconds."""
    return (parsed(text) - moment(0)) // timedelta(microseconds=1)
