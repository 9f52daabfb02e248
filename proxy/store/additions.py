"""Pure: what a batch of tasks adds to every rollup, or takes from it: cells of a minute and a day, facets, days of users, users.

All of it is sums, so one place adds and takes (`sign`), and a batch touches each row once however many tasks it has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxy.store.marks import Facet as Named
from proxy.store.marks import Facets, Marks
from proxy.store.measures import DAY, MINUTE, Measures, Slice, labels_of, slice_of
from proxy.store.rollup import Figures, Key, SessionSum
from proxy.task import Ending, Flag, Summary

_COMPLETED: Final = Ending.COMPLETED


class Facet(NamedTuple):
    """What tasks of one day are counted by: see `marks.facets`."""

    day: int  # microseconds at which it begins, UTC
    project_id: str
    name: str
    value: str


Tallies = dict[tuple[int, str], list[Facets]]
"""Of a day and a project, what each task is counted by: they are counted once a batch, which is quicker."""


class Day(NamedTuple):
    """One user's day."""

    project_id: str
    user_id: str
    day: int


@dataclass(slots=True)
class Owned:
    """What sessions add to their user, who is the last one seen in them."""

    sessions: int = 0
    micros: int = 0  # from first start to last end
    ended_badly: int = 0


@dataclass(slots=True)
class Additions:
    """Mutable: it grows inside one save."""

    minutes: dict[tuple[int, Slice], Measures] = field(default_factory=dict)
    labels: dict[tuple[int, Slice], Measures] = field(default_factory=dict)  # by the day
    facets: Tallies = field(default_factory=lambda: defaultdict(list))
    facets_gone: Tallies = field(default_factory=lambda: defaultdict(list))
    lasts: Tallies = field(default_factory=lambda: defaultdict(list))
    lasts_gone: Tallies = field(default_factory=lambda: defaultdict(list))
    errors: Counter[Facet] = field(default_factory=Counter)
    success: Counter[Facet] = field(default_factory=Counter)
    failure: Counter[Facet] = field(default_factory=Counter)
    days: dict[Day, Figures] = field(default_factory=dict)
    owned: dict[Key, Owned] = field(default_factory=dict)
    attending: set[tuple[str, str, str]] = field(default_factory=set)  # (user, project, session) that may be new
    arriving: list[tuple[SessionSum, str]] = field(default_factory=list)  # with users, that are new

    def measure(self, task: Summary) -> None:
        """Add what is measured of a task, whichever session it is in."""
        at = task.created_at
        cell = (at - at % MINUTE, slice_of(task))
        if (measures := self.minutes.get(cell)) is None:
            measures = self.minutes[cell] = Measures()
        measures.count(task)
        if task.metadata:
            for label, value in labels_of(task):
                cell = (at - at % DAY, Slice(task.project_id, label=label, value=value))
                if (measures := self.labels.get(cell)) is None:
                    measures = self.labels[cell] = Measures()
                measures.count(task)

    def tell(self, task: Summary, marks: Marks, facets: Facets, sign: int = 1) -> None:
        """Add what a task tells in its place in its session, or take it out."""
        day, project_id = task.created_at - task.created_at % DAY, task.project_id
        tallies = self.facets if sign > 0 else self.facets_gone
        tallies[day, project_id].append(facets)
        if task.ending is not _COMPLETED:
            _count(self.errors, day, project_id, facets, sign)
        if task.flag is not None:
            _count(self.success if task.flag is Flag.SUCCESS else self.failure, day, project_id, facets, sign)
        if task.user_id is not None:
            whose = tuple.__new__(Day, (project_id, task.user_id, day))
            if (figures := self.days.get(whose)) is None:
                figures = self.days[whose] = Figures()
            if sign > 0:
                figures.count(task, marks)
            else:
                less = Figures()
                less.count(task, marks)
                figures.take(less, -1)

    def attend(self, tasks: Iterable[Summary], session: Key) -> None:
        """Note who takes part in a session."""
        for task in tasks:
            if task.user_id is not None:
                self.attending.add((task.user_id, *session))

    def end(self, session: SessionSum | None, sign: int = 1) -> None:
        """Add how a session stands, or take out how it stood."""
        if session is None or session.last_at is None:
            return
        day = session.last_at - session.last_at % DAY
        (self.lasts if sign > 0 else self.lasts_gone)[day, session.project_id].append(session.last_facets)
        if session.user_id is not None:
            if (owned := self.owned.get(key := (session.project_id, session.user_id))) is None:
                owned = self.owned[key] = Owned()
            owned.sessions += sign
            owned.micros += sign * session.micros
            owned.ended_badly += sign * session.ended_badly


def tally(come: Tallies, gone: Tallies) -> Counter[Facet]:
    """How many more of each facet there are."""
    found: Counter[Facet] = Counter()
    for sign, tallies in ((1, come), (-1, gone)):
        for (day, project_id), all_of_it in tallies.items():
            for (name, value), count in _counted(all_of_it).items():
                found[Facet(day, project_id, name, value)] += sign * count
    return found


def _counted(tallied: Sequence[Facets]) -> dict[Named, int]:
    """How often there is each facet: what is the same value, as it mostly is (see `marks.facets`), is looked into once."""
    by_id = {id(facets): facets for facets in tallied}
    found: dict[Named, int] = {}
    for each, count in Counter(map(id, tallied)).items():
        for facet in by_id[each]:
            found[facet] = found.get(facet, 0) + count
    return found


def _count(counter: Counter[Facet], day: int, project_id: str, facets: Facets, sign: int) -> None:
    for name, value in facets:
        counter[Facet(day, project_id, name, value)] += sign
