"""The questions that insights put to a store: sums by anything, never a list of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from proxy.store.measures import DAY, Measured, Measures, slice_of
from proxy.store.segment import Members, Segment, Tops
from proxy.task import Filter

WEEK = 7 * DAY
_MONDAY = 4 * DAY  # the first one since the epoch

CUBE = ("project_id", "kind", "model", "ending", "version_id")
"""What sums are kept by, together."""

METADATA = "metadata."
"""What a key of the metadata is called by, e.g. `metadata.tier`."""

USER_SORTS = (
    *("last_seen", "first_seen", "tasks", "sessions", "errors", "input_tokens", "output_tokens", "cost", "active_days"),
    *("session_seconds", "success_rate", "ended_badly", "busiest_minute"),
)
"""What users can be listed by, most first; what is not known comes last. They are read from sums of users, never from tasks."""

SCANNED_MOST = 100_000
"""Tasks that are added up one by one where no sums are kept for a question; more are refused."""

PART_MOST = 800_000
"""Tasks an hour up to which, if they come evenly, an hour that is asked for in part is added up one by one."""

POSITION_MOST = 10
"""Tasks of a session up to which they are counted to say the how-manieth one is: a session may have any number of them."""


class TooMuch(ValueError):
    """Too many tasks to add up one by one, and no sums are kept for this. Ask for a shorter time, or one of full hours."""


@dataclass(frozen=True, slots=True)
class Group:
    """Tasks of one stretch of time (`at`: where it begins, `None` where it was not asked) and of these `values`, added up."""

    at: int | None
    values: tuple[str | None, ...]
    measures: Measures


class Ranking(NamedTuple):
    """Users or sessions, added up: the first ones, all of them together, and how many there are."""

    first: list[Group]
    total: Measures
    size: int


@dataclass(slots=True)
class FacetSum:
    """Tasks that tell the same. `lasts`: of them, those that are the last of their session."""

    name: str
    value: str
    tasks: int = 0
    lasts: int = 0
    errors: int = 0
    success: int = 0
    failure: int = 0

    def leave_out(self, tasks: int, lasts: int, errors: int, success: int, failure: int) -> None:
        """Count these no more."""
        self.tasks -= tasks
        self.lasts -= lasts
        self.errors -= errors
        self.success -= success
        self.failure -= failure


class Span(NamedTuple):
    """One session, as far as distributions need it."""

    ended_at: int
    micros: int
    tasks: int
    turns: int
    implicit: bool
    ended_badly: bool
    over: bool  # it was said to be, by `X-Session-Final`, and its last task was completed


class Rated(NamedTuple):
    """One task with a flag: the how-manieth of its session it is, from 1; `POSITION_MOST`: that or a later one."""

    position: int
    success: bool


class Cohort(NamedTuple):
    """Users first seen in one week who were there in another. Weeks by their Monday, microseconds."""

    week: int
    later: int  # weeks after it
    users: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What people said: in the last messages of sessions, and in others."""

    lasts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Of which project, and between which times. `None`: of all, from the first, to the last."""

    project_id: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """Who and what there was in a stretch of time."""

    sessions: int = 0
    users: int = 0


@dataclass(frozen=True, slots=True)
class Grouping:
    """How tasks are put into groups: by stretches of `step` microseconds (a minute, an hour, a day or a week), and by names."""

    by: tuple[str, ...] = ()
    step: int | None = None

    def at(self, moment: int) -> int | None:
        """Where the stretch begins that `moment` is in."""
        return None if self.step is None else floor(moment, self.step)

    def values(self, task: Measured) -> tuple[str | None, ...]:
        """What a task is grouped by."""
        return tuple(value_of(task, name) for name in self.by)


def floor(moment: int, step: int) -> int:
    """Where the hour, day (UTC) or week (from Monday) begins that `moment` is in."""
    return moment - (moment - _MONDAY) % WEEK if step == WEEK else moment - moment % step


def value_of(task: Measured, name: str) -> str | None:
    """What a task has under a name of `CUBE`, `user_id`, `session_id`, or a key of its metadata."""
    if name.startswith(METADATA):
        value = task.metadata.get(name.removeprefix(METADATA))
        if isinstance(value, bool):
            return "true" if value else "false"
        return None if value is None or isinstance(value, dict | list) else str(value)
    if name in ("user_id", "session_id"):
        found: str | None = getattr(task, name)
        return found
    kept: str | None = getattr(slice_of(task), name)
    return kept


@dataclass(slots=True)
class Groups:
    """Groups while they grow."""

    grouping: Grouping
    found: dict[tuple[int | None, tuple[str | None, ...]], Measures] = field(default_factory=dict)

    def of(self, at: int, values: tuple[str | None, ...]) -> Measures:
        """The sums of one group, to add to."""
        key = (self.grouping.at(at), values)
        if (measures := self.found.get(key)) is None:
            measures = self.found[key] = Measures()
        return measures

    def count(self, task: Measured) -> None:
        """Add one task."""
        self.of(task.created_at, self.grouping.values(task)).count(task)

    def done(self) -> list[Group]:
        """All of them, in the order of time and then of values."""
        groups = [Group(at, values, measures) for (at, values), measures in self.found.items()]
        return sorted(
            groups, key=lambda group: (group.at or 0, tuple((value is not None, value or "") for value in group.values))
        )


Activity = dict[tuple[str, str], dict[int, tuple[int, int]]]
"""By user (project, id), and by where a day begins: tasks and errors. Days without a task are left out."""


class Insights(Protocol):
    """Held by `tests/store/insight_contract.py` to the same answers whatever the adapter."""

    async def groups(self, filter: Filter, grouping: Grouping) -> list[Group]:
        """Tasks that `filter` leaves, added up by `grouping`. Raises TooMuch.

        By `user_id` or a metadata key, and a filter of no more than project and time: whole days (UTC) that lie, or begin, in it;
        without percentiles by user. By `session_id`: sessions that ended in that time, whole.
        """
        ...

    async def ranked(self, range: Range, by: str, sort: str, limit: int) -> Ranking:
        """What `groups` says by `user_id` or `session_id`, of the first by `sort` (of `SORTS`, no percentile) and of all.

        Equals come in the order of their ids. Durations may be left out.
        """
        ...

    async def facets(self, range: Range, silent_since: int | None = None) -> list[FacetSum]:
        """What tasks of the days (UTC) of `range` tell, and so the last ones of sessions; see `marks.facets`.

        Of sessions that are not over, and ended at `silent_since` or later, the last tasks are left out: who knows what follows.
        """
        ...

    async def spans(self, range: Range) -> list[Span]:
        """The sessions that ended in `range`, the first end first."""
        ...

    async def rated(self, range: Range, limit: int) -> list[Rated]:
        """The newest tasks with a flag and a session."""
        ...

    async def heard(self, range: Range, limit: int, silent_since: int | None = None) -> Heard:
        """The inputs, in their first words, that sessions ended with, and inputs of other tasks; the newest of each.

        `silent_since`: as for `facets`.
        """
        ...

    async def present(self, range: Range) -> Present: ...

    async def among(self, filter: Filter, most: int) -> Present | None:
        """Of whom the tasks are that `filter` leaves; `None` where these are more than `most`."""
        ...

    async def cohorts(self, range: Range) -> list[Cohort]:
        """Users by the week in which they were first seen, if that is in `range`, and the weeks in which they came again."""
        ...

    async def tops(self, range: Range, share: float) -> Tops:
        """Where the top `share` of the users begins who were last seen in `range`. It may be some moments old."""
        ...

    async def members(self, range: Range, segments: Sequence[Segment], limit: int) -> list[Members]:
        """Of the users who were last seen in `range`, who is in each segment; of each the `limit` with the most tasks."""
        ...

    async def seen(self, range: Range) -> int:
        """How many users were last seen in `range`."""
        ...

    async def activity(self, users: Sequence[tuple[str, str]], since: int) -> Activity:
        """Of each of `users` (project, id), tasks and errors by day (UTC), from the day of `since` on."""
        ...
