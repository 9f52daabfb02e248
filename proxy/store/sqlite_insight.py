"""Insights in SQLite: answered from sums of hours and days; the tasks of the hours in which a time begins and ends are added."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

from collections.abc import Sequence

from proxy.store import keys, questions, rows
from proxy.store.counting import stretch
from proxy.store.insight import (
    POSITION_MOST,
    WEEK,
    Activity,
    Cohort,
    FacetSum,
    Group,
    Grouping,
    Heard,
    Present,
    Range,
    Ranking,
    Rated,
    Span,
    floor,
)
from proxy.store.measures import DAY, PICODOLLARS, Measures
from proxy.store.record import loads
from proxy.store.rows import Row
from proxy.store.segment import Members, Segment, Tops
from proxy.store.sqlite_groups import SqliteGroups
from proxy.store.sqlite_ranges import HIGHEST, LOWEST, days, ended, key_span
from proxy.store.sqlite_reader import Readers
from proxy.store.sqlite_segments import SqliteSegments
from proxy.task import Filter

ACTIVE_DAYS = 400
"""Days of a user that are looked up one by one; more are found by going through all."""


class SqliteInsights:
    """See `Insights`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._groups = SqliteGroups(readers)
        self._segments = SqliteSegments(readers)

    async def groups(self, filter: Filter, grouping: Grouping) -> list[Group]:
        return await self._groups.of(filter, grouping)

    async def ranked(self, range: Range, by: str, sort: str, limit: int) -> Ranking:
        source, values = _each(range, by)
        names = ", ".join(_EACH_SUMS)
        first = f"SELECT id, {names} FROM ({source}) ORDER BY {_RANKS[sort]} DESC, id LIMIT {int(limit)}"
        shown = [Group(None, (id,), _measured(tuple(sums))) for id, *sums in await self._readers.rows(first, values)]
        whole = f"SELECT count(*), {', '.join(f'coalesce(sum({name}), 0)' for name in _EACH_SUMS)} FROM ({source})"
        [(count, *sums)] = await self._readers.rows(whole, values)
        return Ranking(shown, _measured(tuple(sums)), count)

    async def facets(self, range: Range, silent_since: int | None = None) -> list[FacetSum]:
        first, end = days(range.since, range.until)
        project, values = ("", ()) if range.project_id is None else (" AND project_id = ?", (range.project_id,))
        counts = "sum(tasks), sum(lasts), sum(errors), sum(success), sum(failure)"
        select = f"SELECT name, value, {counts} FROM facet WHERE day >= ? AND day < ?{project} GROUP BY name, value"
        every: tuple[str | int, ...] = (first, end, *values)
        if silent_since is not None:  # in the same statement, so that no save comes between
            select += f" UNION ALL {_LAST_OF_RUNNING}{project}"
            every += (silent_since, first, end, *values)
        found = await self._readers.rows(select, every)
        sums = {row[:2]: FacetSum(*row) for row in found if row[0] is not None}
        for _, facets, *less in (row for row in found if row[0] is None):
            for name, value in loads(facets):  # not by SQLite, for which a text ends with a NUL in it
                if (sum := sums.get((name, value))) is not None:
                    sum.leave_out(*less)
        return [sum for _, sum in sorted(sums.items()) if any((sum.tasks, sum.lasts, sum.errors, sum.success, sum.failure))]

    async def spans(self, range: Range) -> list[Span]:
        where, values = ended(range)
        bad = "last_ending <> 'completed' OR last_flag IS 'failure' OR last_refusal"
        select = f"SELECT ended_at, ended_at - started_at, tasks, turns, {_IMPLICIT}, {bad}, {_OVER} FROM session WHERE {where}"
        found = await self._readers.rows(f"{select} ORDER BY ended_at, key", values)
        return [Span(*row[:4], *map(bool, row[4:])) for row in found]

    async def rated(self, range: Range, limit: int) -> list[Rated]:
        first, last = key_span(range)
        project, values = ("", ()) if range.project_id is None else (" AND +t.project_id = ?", (range.project_id,))
        found = await self._readers.rows(
            f"SELECT CASE WHEN (SELECT count(*) FROM session WHERE id = t.session_id) = 1 THEN {_POSITION.format('')}"
            f" ELSE {_POSITION.format(_OF_PROJECT)} END, t.flag = 'success' FROM task AS t WHERE t.flag IS NOT NULL"
            f" AND t.key BETWEEN ? AND ? AND t.session_id IS NOT NULL{project} ORDER BY t.key DESC LIMIT {int(limit)}",
            (first, last, *values),
        )
        return [Rated(position, bool(success)) for position, success in found]

    async def heard(self, range: Range, limit: int, silent_since: int | None = None) -> Heard:
        where, values = ended(range)
        if silent_since is not None:
            where, values = f"{where} AND (ended_at < ? OR {_OVER})", (*values, silent_since)
        said = "last IS NOT NULL AND last NOT LIKE '[tool]%'"
        lasts = await self._readers.rows(
            f"SELECT {rows.LAST_INPUT} AS last FROM session WHERE {where} AND {said} ORDER BY ended_at DESC LIMIT {int(limit)}",
            values,
        )
        first, last = key_span(range)
        project, more = ("", ()) if range.project_id is None else (" AND +t.project_id = ?", (range.project_id,))
        others = await self._readers.rows(
            "SELECT substr(json_extract(told(t.facts), '$.input'), 1, 300) AS said FROM task AS t WHERE t.key BETWEEN ? AND ?"
            f" AND said IS NOT NULL AND said NOT LIKE '[tool]%'{project}"
            " AND NOT EXISTS (SELECT 1 FROM session AS s WHERE s.id = t.session_id"
            f" AND s.project_id = t.project_id AND s.last_id = t.id) ORDER BY t.key DESC LIMIT {2 * int(limit)}",
            (first, last, *more),
        )
        return Heard(tuple(text for (text,) in lasts), tuple(text for (text,) in others))

    async def present(self, range: Range) -> Present:
        where, values = ended(range)
        [(sessions,)] = await self._readers.rows(f"SELECT count(*) FROM session WHERE {where}", values)
        project, more = ("", ()) if range.project_id is None else ("user.project_id = ? AND ", (range.project_id,))
        lowest = LOWEST if range.since is None else range.since
        if range.until is None:
            users = await self._readers.rows(f"SELECT count(*) FROM user WHERE {project}last_seen >= ?", (*more, lowest))
        else:
            first, end = days(range.since, range.until)
            users = await self._readers.rows(
                f"SELECT count(*) FROM user WHERE {project}last_seen >= ? AND first_seen < ? AND (last_seen < ?"
                " OR user.key IN (SELECT user FROM user_day WHERE day >= ? AND day < ?))",
                (*more, lowest, range.until, range.until, first, end),
            )
        return Present(sessions, users[0][0])

    async def among(self, filter: Filter, most: int) -> Present | None:
        of = "task.project_id, task.session_id, task.user_id"
        question = questions.tasks(filter, limit=most + 1, after=None, oldest_first=False, select=of)
        found = await self._readers.rows(question.sql, question.values) if question else []
        if len(found) > most:
            return None
        sessions = {(project_id, id) for project_id, id, _ in found if id is not None}
        users = {(project_id, id) for project_id, _, id in found if id is not None}
        return Present(len(sessions), len(users))

    async def cohorts(self, range: Range) -> list[Cohort]:
        lowest = LOWEST if range.since is None else range.since
        highest = HIGHEST if range.until is None else range.until
        project, more = ("", ()) if range.project_id is None else (" AND user.project_id = ?", (range.project_id,))
        began, came = stretch("user.first_seen", WEEK), stretch("user_day.day", WEEK)
        found = await self._readers.rows(
            f"SELECT began, (came - began) / {WEEK}, count(*) FROM (SELECT DISTINCT user.key, {began} AS began, {came} AS came"
            " FROM user_day JOIN user ON user.key = user_day.user"
            f" WHERE user.first_seen >= ? AND user.first_seen < ? AND user_day.day >= ?{project}) GROUP BY 1, 2 ORDER BY 1, 2",
            (lowest, highest, floor(lowest, DAY), *more),
        )
        return [Cohort(*row) for row in found]

    async def activity(self, users: Sequence[tuple[str, str]], since: int) -> Activity:
        found: Activity = {}
        [(newest,)] = await self._readers.rows("SELECT max(day) FROM user_day")
        days = range(floor(since, DAY), (newest if newest is not None else since) + DAY, DAY)
        if len(days) <= ACTIVE_DAYS:  # each of these days is looked up: they are kept by day, and then by user
            of_days = f"CROSS JOIN (VALUES {', '.join(f'({day})' for day in days) or '(NULL)'}) AS t"
            at = f"{of_days} CROSS JOIN user_day AS d ON d.day = t.column1 AND d.user = u.key"
        else:
            at = f"CROSS JOIN user_day AS d ON d.user = u.key AND d.day >= {days.start}"
        for start in range(0, len(users), 200):
            some = users[start : start + 200]
            select = (
                "SELECT w.column1, w.column2, d.day, d.tasks, d.errors"
                f" FROM (VALUES {', '.join(['(?, ?)'] * len(some))}) AS w"
                f" CROSS JOIN user AS u ON u.id = w.column2 AND u.project_id = w.column1 {at}"
            )
            for project_id, id, day, *counts in await self._readers.rows(select, [value for user in some for value in user]):
                found.setdefault((project_id, id), {})[day] = (counts[0], counts[1])
        return found

    async def tops(self, range: Range, share: float) -> Tops:
        return await self._segments.tops(range, share)

    async def members(self, range: Range, segments: Sequence[Segment], limit: int) -> list[Members]:
        return await self._segments.members(range, segments, limit)

    async def seen(self, range: Range) -> int:
        return await self._segments.seen(range)


_EACH_SUMS = ("tasks", "errors", "success", "failure", "input_tokens", "output_tokens", "priced", "cost")
"""What rollups of users, their days and sessions have of `Measures`."""

_RANKS = {
    **{name: name for name in ("tasks", "errors", "input_tokens", "output_tokens")},
    "error_rate": "CASE WHEN tasks THEN CAST(errors AS REAL) / tasks ELSE -1 END",
    "success_rate": "CASE WHEN success + failure THEN CAST(success AS REAL) / (success + failure) ELSE -1 END",
    "rated": "success + failure",
    "cost": f"CASE WHEN priced THEN CAST(cost AS REAL) / {PICODOLLARS} ELSE -1 END",
}
"""`measures.rank` in SQL."""


def _measured(sums: Row) -> Measures:
    return Measures(**dict(zip(_EACH_SUMS, sums, strict=True)))


def _each(range: Range, by: str) -> tuple[str, tuple[str | int, ...]]:
    """The sums of each user or session, by its id: several projects may have it."""
    sums = ", ".join(f"sum(coalesce({name}, 0)) AS {name}" for name in _EACH_SUMS)
    if by == "session_id":
        where, values = ended(range)
        return f"SELECT id, {sums} FROM session WHERE {where} GROUP BY id", values
    project, of = ("", ()) if range.project_id is None else (" WHERE user.project_id = ?", (range.project_id,))
    if range.since is range.until is None:
        return f"SELECT id, {sums} FROM user{project} GROUP BY id", of
    by_day = f"SELECT user AS whose, {sums} FROM user_day WHERE day >= ? AND day < ? GROUP BY user"
    return f"SELECT id, {_OF_DAYS} FROM ({by_day}) AS d JOIN user ON user.key = d.whose{project} GROUP BY id", (
        *days(range.since, range.until),
        *of,
    )


_OF_DAYS = ", ".join(f"sum(d.{name}) AS {name}" for name in _EACH_SUMS)
_POSITION = (
    "(SELECT count(*) FROM (SELECT 1 FROM task AS e WHERE e.session_id = t.session_id AND e.key <= t.key{}"
    f" LIMIT {POSITION_MOST}))"
)
_OF_PROJECT = (
    " AND +e.project_id = t.project_id AND e.key >="
    f" {keys.TIES} * (SELECT started_at FROM session WHERE id = t.session_id AND project_id = t.project_id)"
)
"""Where only one project has a session of the name, it is counted in the index alone."""

_OVER = "final AND last_ending = 'completed'"
"""See `Span.over`."""

_LAST_OF_RUNNING = (
    "SELECT NULL, last_facets, 1, 1, last_ending <> 'completed', last_flag IS 'success', last_flag IS 'failure' FROM session"
    f" WHERE ended_at >= ? AND NOT ({_OVER}) AND last_at >= ? AND last_at < ?"
)
"""What the last tasks of sessions tell that are not over, to be taken out."""

_IMPLICIT = "tasks = 1 AND NOT explicit"
