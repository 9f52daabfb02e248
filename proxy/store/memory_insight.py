"""Insights of tasks that are all at hand: every answer is counted from them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from proxy.store.insight import (
    METADATA,
    POSITION_MOST,
    WEEK,
    Activity,
    Cohort,
    FacetSum,
    Group,
    Grouping,
    Groups,
    Heard,
    Present,
    Range,
    Ranking,
    Rated,
    Span,
    floor,
)
from proxy.store.measures import DAY, Measures, labels_of, rank
from proxy.store.memory_sums import Added, add_up
from proxy.store.metadata import left_by
from proxy.store.segment import Members, Segment, Tops, tops
from proxy.task import Ending, Filter, Flag, Session, Summary, User

_PLACE_FILTERS = frozenset({"project_id", "since", "until"})


def insights_of(tasks: Iterable[Summary]) -> MemoryInsights:
    """What a store would tell that had these tasks and no others."""
    added = add_up(tasks)
    return MemoryInsights(lambda: added, left_by)


class MemoryInsights:
    """See `Insights`."""

    def __init__(self, added: Callable[[], Added], holds: Callable[[Filter, Summary], bool]) -> None:
        self._added = added
        self._holds = holds

    def _tasks(self, filter: Filter) -> Iterable[Summary]:
        return (task for task, _, _ in self._added().told if self._holds(filter, task))

    def _sessions(self, range: Range) -> list[Session]:
        """In the order in which they ended."""
        found = [session for session in self._added().sessions.values() if _within(session.project_id, session.ended_at, range)]
        return sorted(found, key=lambda session: session.ended_at)

    async def groups(self, filter: Filter, grouping: Grouping) -> list[Group]:
        groups = Groups(grouping)
        asked = {name for name in Filter.__slots__ if getattr(filter, name) not in (None, ())}
        alone = grouping.by[0] if len(grouping.by) == 1 and asked <= _PLACE_FILTERS else ""
        if alone == "session_id" and grouping.step is None:
            for session in self._sessions(Range(project_id=filter.project_id, since=filter.since, until=filter.until)):
                for task in self._tasks(Filter(session_id=session.id, project_id=session.project_id)):
                    groups.count(task)
        elif alone == "user_id":
            for task in self._tasks(_whole_days(filter)):
                if task.user_id is not None:
                    groups.count(task)
        elif alone.startswith(METADATA):
            for task in self._tasks(_whole_days(filter)):
                if alone.removeprefix(METADATA) in dict(labels_of(task)):
                    groups.count(task)
        else:
            for task in self._tasks(filter):
                groups.count(task)
        return groups.done()

    async def ranked(self, range: Range, by: str, sort: str, limit: int) -> Ranking:
        filter = Filter(project_id=range.project_id, since=range.since, until=range.until)
        found = await self.groups(filter, Grouping((by,)))
        total = Measures()
        for group in found:
            total.take(group.measures)
        found.sort(key=lambda group: (-rank(group.measures, sort), group.values[0] or ""))
        return Ranking(found[:limit], total, len(found))

    async def facets(self, range: Range, silent_since: int | None = None) -> list[FacetSum]:
        found: dict[tuple[str, str], FacetSum] = {}
        whole = _whole_days(Filter(project_id=range.project_id, since=range.since, until=range.until))
        sessions = self._added().sessions
        told = sorted(self._added().told, key=lambda each: (each[0].created_at, each[0].id))
        last_of = {(task.project_id, task.session_id): task.id for task, _, _ in told}
        for task, _, facets in told:
            if not self._holds(whole, task):
                continue
            session = None if task.session_id is None else sessions.get((task.project_id, task.session_id))
            last = session is not None and last_of[task.project_id, task.session_id] == task.id
            if last and session is not None and _runs(session, silent_since):
                continue
            for name, value in facets:
                sum = found.setdefault((name, value), FacetSum(name, value))
                sum.tasks += 1
                sum.lasts += last
                sum.errors += task.ending != "completed"
                sum.success += task.flag is Flag.SUCCESS
                sum.failure += task.flag is Flag.FAILURE
        return [found[key] for key in sorted(found)]

    async def spans(self, range: Range) -> list[Span]:
        return [
            Span(s.ended_at, s.ended_at - s.started_at, s.tasks, s.turns, s.implicit, s.ended_badly, _is_over(s))
            for s in self._sessions(range)
        ]

    async def rated(self, range: Range, limit: int) -> list[Rated]:
        filter = Filter(project_id=range.project_id, since=range.since, until=range.until)
        found = [task for task in self._tasks(filter) if task.flag is not None and task.session_id is not None]
        found.sort(key=lambda task: task.created_at, reverse=True)
        begun: dict[tuple[str, str | None], list[int]] = {}
        for task in self._tasks(Filter()):
            begun.setdefault((task.project_id, task.session_id), []).append(task.created_at)
        for moments in begun.values():
            moments.sort()
        return [
            Rated(
                min(bisect_right(begun[task.project_id, task.session_id], task.created_at), POSITION_MOST),
                task.flag is Flag.SUCCESS,
            )
            for task in found[:limit]
        ]

    async def heard(self, range: Range, limit: int, silent_since: int | None = None) -> Heard:
        ended_ones = [s for s in reversed(self._sessions(range)) if not _runs(s, silent_since)]
        said = [s.last_input for s in ended_ones if s.last_input is not None]
        ended = [text for text in said if not text.startswith("[tool]")]
        told = sorted(self._added().told, key=lambda each: (each[0].created_at, each[0].id))
        lasts: dict[tuple[str, str | None], str] = {(task.project_id, task.session_id): task.id for task, _, _ in told}
        others = [
            task.input[:300]
            for task, _, _ in reversed(told)
            if task.input is not None
            and not task.input.startswith("[tool]")
            and _within(task.project_id, task.created_at, range)
            and (task.session_id is None or lasts[task.project_id, task.session_id] != task.id)
        ]
        return Heard(tuple(ended[:limit]), tuple(others[: 2 * limit]))

    async def present(self, range: Range) -> Present:
        days = _whole_days(Filter(since=range.since, until=range.until))
        here = {(task.project_id, task.user_id) for task in self._tasks(days)}
        users = [
            user
            for key, user in self._added().users.items()
            if range.project_id in (None, user.project_id)
            and (range.since is None or user.last_seen >= range.since)
            and (range.until is None or (user.first_seen < range.until and (user.last_seen < range.until or key in here)))
        ]
        return Present(len(self._sessions(range)), len(users))

    async def among(self, filter: Filter, most: int) -> Present | None:
        found = list(self._tasks(filter))
        sessions = {(task.project_id, task.session_id) for task in found if task.session_id is not None}
        users = {(task.project_id, task.user_id) for task in found if task.user_id is not None}
        return Present(len(sessions), len(users)) if len(found) <= most else None

    async def cohorts(self, range: Range) -> list[Cohort]:
        found: dict[tuple[int, int], set[tuple[str, str]]] = {}
        for task in self._tasks(Filter()):
            if task.user_id is not None:
                user = self._added().users[task.project_id, task.user_id]
                if _within(user.project_id, user.first_seen, range):
                    began = floor(user.first_seen, WEEK)
                    later = (floor(task.created_at, WEEK) - began) // WEEK
                    found.setdefault((began, later), set()).add((user.project_id, user.id))
        return [Cohort(*key, len(users)) for key, users in sorted(found.items())]

    async def activity(self, users: Sequence[tuple[str, str]], since: int) -> Activity:
        found: Activity = {}
        for task in self._tasks(Filter(since=floor(since, DAY))):
            if task.user_id is not None and (task.project_id, task.user_id) in users:
                days = found.setdefault((task.project_id, task.user_id), {})
                tasks, errors = days.get(day := floor(task.created_at, DAY), (0, 0))
                days[day] = (tasks + 1, errors + (task.ending is not Ending.COMPLETED))
        return found

    async def tops(self, range: Range, share: float) -> Tops:
        return tops([(user.active_days, user.tasks, user.cost or 0.0) for user in self._last_seen(range)], share)

    async def members(self, range: Range, segments: Sequence[Segment], limit: int) -> list[Members]:
        everyone = sorted(self._last_seen(range), key=lambda user: (-user.tasks, user.project_id, user.id))
        found = [tuple(user for user in everyone if each.shown(user)) for each in segments]
        return [Members(len(users), users[:limit]) for users in found]

    async def seen(self, range: Range) -> int:
        return len(self._last_seen(range))

    def _last_seen(self, range: Range) -> list[User]:
        return [user for user in self._added().users.values() if _within(user.project_id, user.last_seen, range)]


def _is_over(session: Session) -> bool:
    return session.final and session.last_ending is Ending.COMPLETED


def _runs(session: Session, silent_since: int | None) -> bool:
    return silent_since is not None and session.ended_at >= silent_since and not _is_over(session)


def _within(project_id: str, at: int, range: Range) -> bool:
    return (
        range.project_id in (None, project_id)
        and (range.since is None or at >= range.since)
        and (range.until is None or at < range.until)
    )


def _whole_days(filter: Filter) -> Filter:
    since = None if filter.since is None else floor(filter.since, DAY)
    return replace(filter, since=since, until=None if filter.until is None else floor(filter.until - 1, DAY) + DAY)
