"""Insights in SQLite: answered from sums of hours and days; the tasks of the hours in which a time begins and ends are added."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from proxy.store import counting, keys, measures, questions, rows
from proxy.store.counting import stretch
from proxy.store.histogram import unpack
from proxy.store.insight import (
    CUBE,
    METADATA,
    POSITION_MOST,
    SCANNED_MOST,
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
    TooMuch,
    floor,
)
from proxy.store.measures import DAY, HOUR, PICODOLLARS, Measures
from proxy.store.record import loads
from proxy.store.rows import Row
from proxy.store.segment import Members, Segment, Tops
from proxy.store.sqlite_cells import DAYS, HOURS
from proxy.store.sqlite_reader import Readers
from proxy.store.sqlite_segments import SqliteSegments
from proxy.task import Filter

_CELL = ", ".join(measures.COLUMNS)
_CUBE_FILTERS = frozenset({"project_id", "model", "kind", "ending", "version_id", "since", "until"})
_PLACE_FILTERS = frozenset({"project_id", "since", "until"})
_LENGTHS = {HOURS: HOUR, DAYS: DAY}
_MANY = 500  # rows: adding up more is left to a thread, so that other questions are answered meanwhile
ACTIVE_DAYS = 400
"""Days of a user that are looked up one by one; more are found by going through all."""

_LOWEST, _HIGHEST = keys.EARLIEST, keys.LATEST


class SqliteInsights:
    """See `Insights`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._segments = SqliteSegments(readers)

    async def groups(self, filter: Filter, grouping: Grouping) -> list[Group]:
        asked = {name for name in Filter.__slots__ if getattr(filter, name) not in (None, ())}
        groups = Groups(grouping)
        if asked <= _CUBE_FILTERS and set(grouping.by) <= set(CUBE):
            await self._cells(groups, filter)
        elif asked <= _PLACE_FILTERS and len(grouping.by) == 1 and grouping.by[0].startswith(METADATA):
            await self._labels(groups, filter, grouping.by[0].removeprefix(METADATA))
        elif asked <= _PLACE_FILTERS and grouping.by == ("user_id",):
            await self._users(groups, filter)
        elif asked <= _PLACE_FILTERS and grouping.by == ("session_id",) and grouping.step is None:
            await self._sessions(groups, filter)
        else:
            await self._scan(groups, filter)
        return groups.done()

    async def _scan(self, groups: Groups, filter: Filter) -> None:
        grouping = groups.grouping
        headed = counting.countable(grouping)
        select = counting.select(grouping) if headed else rows.MEASURED_SELECT
        question = questions.tasks(filter, limit=SCANNED_MOST + 1, after=None, oldest_first=False, select=select)
        found = await self._readers.rows(question.sql, question.values) if question else []
        if len(found) > SCANNED_MOST:
            raise TooMuch(str(TooMuch.__doc__))
        add = counting.count if headed else _count_each
        if len(found) > _MANY:
            await asyncio.to_thread(add, groups, found)
        else:
            add(groups, found)

    async def _cells(self, groups: Groups, filter: Filter) -> None:
        for first, end, span in _parts(filter, groups.grouping.step):
            if span is None:
                await self._scan(groups, replace(filter, since=first, until=end))
            else:
                await self._add_cells(groups, filter, (span, first, end))

    async def _add_cells(self, groups: Groups, filter: Filter, place: tuple[int, int, int]) -> None:
        """Add cells of a span that begin between two times. Counts are added up by SQLite, histograms here."""
        by, step = groups.grouping.by, groups.grouping.step
        at = "cell.at" if step == _LENGTHS[place[0]] else stretch("cell.at", step)  # which SQLite knows to come in order
        named = f"{at}{''.join(f', slice.{name}' for name in by)}"
        where, values = _sliced(filter)
        source = f"FROM cell CROSS JOIN slice ON slice.key = cell.slice WHERE span = ? AND at >= ? AND at < ? AND {where}"
        summed = ", ".join(f"sum({name})" for name in measures.SUMS)
        grouped = ", ".join(str(number + 1) for number in range(len(by) + 1))
        of = 1 + len(by)
        for row in await self._readers.rows(f"SELECT {named}, {summed} {source} GROUP BY {grouped}", (*place, *values)):
            groups.of(row[0], row[1:of]).take(Measures(*row[of:]))
        spreads: dict[Row, list[int]] = {}
        for row in await self._readers.rows(f"SELECT {named}, seconds, first_token {source}", (*place, *values)):
            if (spread := spreads.get(place_of := row[:of])) is None:
                spread = spreads[place_of] = [0, 0]
            spread[0] += unpack(row[-2])
            spread[1] += unpack(row[-1])
        for (moment, *names), (took, first) in spreads.items():
            sums = groups.of(moment, tuple(names))
            sums.seconds += took
            sums.first_token += first

    async def _labels(self, groups: Groups, filter: Filter, label: str) -> None:
        first, end = _days(filter.since, filter.until)
        project, values = ("", ()) if filter.project_id is None else (" AND slice.project_id = ?", (filter.project_id,))
        select = (
            f"SELECT cell.at, slice.value, {_CELL} FROM slice CROSS JOIN cell ON cell.slice = slice.key AND cell.span = {DAYS}"
            f" WHERE slice.label = ?{project} AND cell.at >= ? AND cell.at < ?"
        )
        for at, value, *row in await self._readers.rows(select, (label, *values, first, end)):
            groups.of(at, (value,)).take(measures.of_row(tuple(row)))

    async def _users(self, groups: Groups, filter: Filter) -> None:
        first, end = _days(filter.since, filter.until)
        project, values = ("", ()) if filter.project_id is None else (" WHERE user.project_id = ?", (filter.project_id,))
        summed = ("tasks", "errors", "success", "failure", "input_tokens", "output_tokens", "priced", "cost")
        step = stretch("day", groups.grouping.step)
        if filter.since is filter.until is None and groups.grouping.step is None:
            whole = f"SELECT id, coalesce(cost, 0), {', '.join(summed[:-1])} FROM user{project}"
            for id, cost, *sums in await self._readers.rows(whole, values):
                groups.of(0, (id,)).take(Measures(**dict(zip(summed, (*sums, cost), strict=True))))
            return
        select = (
            f"SELECT d.at, user.id, {', '.join(f'd.{name}' for name in summed)} FROM ("
            f"SELECT user, {step} AS at, {', '.join(f'sum({name}) AS {name}' for name in summed)} FROM user_day"
            f" WHERE day >= ? AND day < ? GROUP BY user, at) AS d JOIN user ON user.key = d.user{project}"
        )
        for at, id, *sums in await self._readers.rows(select, (first, end, *values)):
            groups.of(at, (id,)).take(Measures(**dict(zip(summed, sums, strict=True))))

    async def _sessions(self, groups: Groups, filter: Filter) -> None:
        summed = ("tasks", "errors", "success", "failure", "input_tokens", "output_tokens", "priced")
        where, values = _ended(Range(project_id=filter.project_id, since=filter.since, until=filter.until))
        select = f"SELECT id, coalesce(cost, 0), {', '.join(summed)} FROM session WHERE {where} LIMIT {SCANNED_MOST + 1}"
        found = await self._readers.rows(select, values)
        if len(found) > SCANNED_MOST:
            raise TooMuch(str(TooMuch.__doc__))
        for id, cost, *sums in found:
            groups.of(0, (id,)).take(Measures(**dict(zip(summed, sums, strict=True)), cost=cost))

    async def ranked(self, range: Range, by: str, sort: str, limit: int) -> Ranking:
        source, values = _each(range, by)
        names = ", ".join(_EACH_SUMS)
        first = f"SELECT id, {names} FROM ({source}) ORDER BY {_RANKS[sort]} DESC, id LIMIT {int(limit)}"
        shown = [Group(None, (id,), _measured(tuple(sums))) for id, *sums in await self._readers.rows(first, values)]
        whole = f"SELECT count(*), {', '.join(f'coalesce(sum({name}), 0)' for name in _EACH_SUMS)} FROM ({source})"
        [(count, *sums)] = await self._readers.rows(whole, values)
        return Ranking(shown, _measured(tuple(sums)), count)

    async def facets(self, range: Range, silent_since: int | None = None) -> list[FacetSum]:
        first, end = _days(range.since, range.until)
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
        where, values = _ended(range)
        bad = "last_ending <> 'completed' OR last_flag IS 'failure' OR last_refusal"
        select = f"SELECT ended_at, ended_at - started_at, tasks, turns, {_IMPLICIT}, {bad}, {_OVER} FROM session WHERE {where}"
        found = await self._readers.rows(f"{select} ORDER BY ended_at, key", values)
        return [Span(*row[:4], *map(bool, row[4:])) for row in found]

    async def rated(self, range: Range, limit: int) -> list[Rated]:
        first, last = _key_span(range)
        project, values = ("", ()) if range.project_id is None else (" AND +t.project_id = ?", (range.project_id,))
        found = await self._readers.rows(
            f"SELECT CASE WHEN (SELECT count(*) FROM session WHERE id = t.session_id) = 1 THEN {_POSITION.format('')}"
            f" ELSE {_POSITION.format(_OF_PROJECT)} END, t.flag = 'success' FROM task AS t WHERE t.flag IS NOT NULL"
            f" AND t.key BETWEEN ? AND ? AND t.session_id IS NOT NULL{project} ORDER BY t.key DESC LIMIT {int(limit)}",
            (first, last, *values),
        )
        return [Rated(position, bool(success)) for position, success in found]

    async def heard(self, range: Range, limit: int, silent_since: int | None = None) -> Heard:
        where, values = _ended(range)
        if silent_since is not None:
            where, values = f"{where} AND (ended_at < ? OR {_OVER})", (*values, silent_since)
        said = "last IS NOT NULL AND last NOT LIKE '[tool]%'"
        lasts = await self._readers.rows(
            f"SELECT {rows.LAST_INPUT} AS last FROM session WHERE {where} AND {said} ORDER BY ended_at DESC LIMIT {int(limit)}",
            values,
        )
        first, last = _key_span(range)
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
        where, values = _ended(range)
        [(sessions,)] = await self._readers.rows(f"SELECT count(*) FROM session WHERE {where}", values)
        project, more = ("", ()) if range.project_id is None else ("user.project_id = ? AND ", (range.project_id,))
        lowest = _LOWEST if range.since is None else range.since
        if range.until is None:
            users = await self._readers.rows(f"SELECT count(*) FROM user WHERE {project}last_seen >= ?", (*more, lowest))
        else:
            first, end = _days(range.since, range.until)
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
        lowest = _LOWEST if range.since is None else range.since
        highest = _HIGHEST if range.until is None else range.until
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


def _count_each(groups: Groups, found: Sequence[Row]) -> None:
    for row in found:
        groups.count(rows.measurable(row))


def _measured(sums: Row) -> Measures:
    return Measures(**dict(zip(_EACH_SUMS, sums, strict=True)))


def _each(range: Range, by: str) -> tuple[str, tuple[str | int, ...]]:
    """The sums of each user or session, by its id: several projects may have it."""
    sums = ", ".join(f"sum(coalesce({name}, 0)) AS {name}" for name in _EACH_SUMS)
    if by == "session_id":
        where, values = _ended(range)
        return f"SELECT id, {sums} FROM session WHERE {where} GROUP BY id", values
    project, of = ("", ()) if range.project_id is None else (" WHERE user.project_id = ?", (range.project_id,))
    if range.since is range.until is None:
        return f"SELECT id, {sums} FROM user{project} GROUP BY id", of
    days = f"SELECT user AS whose, {sums} FROM user_day WHERE day >= ? AND day < ? GROUP BY user"
    return f"SELECT id, {_OF_DAYS} FROM ({days}) AS d JOIN user ON user.key = d.whose{project} GROUP BY id", (
        *_days(range.since, range.until),
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


def _sliced(filter: Filter) -> tuple[str, tuple[str, ...]]:
    """Which slices a filter leaves."""
    where = "slice.label IS NULL"
    values: tuple[str, ...] = ()
    for name in ("project_id", "kind", "ending", "version_id"):
        if (asked := getattr(filter, name)) is not None:
            where, values = f"{where} AND slice.{name} = ?", (*values, str(asked))
    if filter.model is not None:
        where, values = f"{where} AND (slice.model = ? OR slice.model_requested = ?)", (*values, filter.model, filter.model)
    return where, values


def _ended(range: Range) -> tuple[str, tuple[str | int, ...]]:
    project, values = ("", ()) if range.project_id is None else ("project_id = ? AND ", (range.project_id,))
    lowest = _LOWEST if range.since is None else range.since
    highest = keys.LARGEST if range.until is None else range.until
    return f"{project}ended_at >= ? AND ended_at < ?", (*values, lowest, highest)


def _days(since: int | None, until: int | None) -> tuple[int, int]:
    """The days that `since` and `until` are in, from the first to past the last."""
    first = _LOWEST * 2 if since is None else floor(since, DAY)
    return first, _HIGHEST if until is None else floor(until - 1, DAY) + DAY


def _key_span(range: Range) -> tuple[int, int]:
    lowest = keys.LOWEST if range.since is None else keys.bound(range.since)
    return lowest, keys.HIGHEST if range.until is None else keys.bound(range.until) - 1


def _parts(filter: Filter, step: int | None) -> Iterator[tuple[int, int, int | None]]:
    """A time as parts: (from, to, span of the cells that it is made of; `None`: no cells, an hour that is not whole)."""
    first = _LOWEST * 2 if filter.since is None else filter.since
    end = _HIGHEST * 2 if filter.until is None else filter.until
    hours = -(-first // HOUR) * HOUR, end // HOUR * HOUR
    if hours[0] >= hours[1]:
        if first < end:
            yield first, end, None
        return
    days = -(-first // DAY) * DAY, end // DAY * DAY
    if step == HOUR or days[0] >= days[1]:
        days = hours[1], hours[1]
    for part in (
        (first, hours[0], None),
        (hours[0], days[0], HOURS),
        (*days, DAYS),
        (days[1], hours[1], HOURS),
        (hours[1], end, None),
    ):
        if part[0] < part[1]:
            yield part
