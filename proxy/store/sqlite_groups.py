"""Tasks added up in SQLite: from sums of days, hours and minutes, and what is left of a time from its tasks."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from proxy.store import counting, measures, questions, rows
from proxy.store.counting import stretch
from proxy.store.histogram import unpack
from proxy.store.insight import CUBE, METADATA, PART_MOST, SCANNED_MOST, Group, Grouping, Groups, Range, TooMuch, floor
from proxy.store.measures import HOUR, Measures
from proxy.store.rows import Row
from proxy.store.sqlite_minutes import SINCE
from proxy.store.sqlite_ranges import DAYS, LENGTHS, MINUTES, Part, days, ended, parts, spans
from proxy.store.sqlite_reader import Readers
from proxy.task import Filter

_CELL = ", ".join(measures.COLUMNS)
_CUBE_FILTERS = frozenset({"project_id", "model", "kind", "ending", "version_id", "since", "until"})
_PLACE_FILTERS = frozenset({"project_id", "since", "until"})
_MANY = 500  # rows: adding up more is left to a thread, so that other questions are answered meanwhile


class SqliteGroups:
    """See `Insights.groups`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def of(self, filter: Filter, grouping: Grouping) -> list[Group]:
        """Raises TooMuch."""
        asked = {name for name in Filter.__slots__ if getattr(filter, name) not in (None, ())}
        groups = Groups(grouping)
        if asked <= _CUBE_FILTERS and set(grouping.by) <= set(CUBE):
            groups = await self._cells(groups, filter)
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
        if not await self._added(groups, filter):
            raise TooMuch(str(TooMuch.__doc__))

    async def _added(self, groups: Groups, filter: Filter) -> bool:
        """Add the tasks that a filter leaves, one by one; or none of them, where they are more than are read at once."""
        grouping = groups.grouping
        headed = counting.countable(grouping)
        select = counting.select(grouping) if headed else rows.MEASURED_SELECT
        question = questions.tasks(filter, limit=SCANNED_MOST + 1, after=None, oldest_first=False, select=select)
        found = await self._readers.rows(question.sql, question.values) if question else []
        if len(found) > SCANNED_MOST:
            return False
        add = counting.count if headed else _count_each
        if len(found) > _MANY:
            await asyncio.to_thread(add, groups, found)
        else:
            add(groups, found)
        return True

    async def _cells(self, groups: Groups, filter: Filter) -> Groups:
        """What sums there are of the time, and the tasks of the rest of it; in `groups`, or in others that are as empty."""
        while True:
            [(since,)] = await self._readers.rows(SINCE, ())
            for part in parts(filter.since, filter.until, groups.grouping.step, since):
                if part.span is not None:
                    await self._add_cells(groups, filter, (part.span, part.first, part.end))
                elif not await self._alone(groups, filter, part, since):
                    await self._part(groups, filter, part)
            if [(since,)] == await self._readers.rows(SINCE, ()):
                return groups
            groups = Groups(groups.grouping)  # meanwhile an hour's minutes went

    async def _alone(self, groups: Groups, filter: Filter, part: Part, minutes_since: int) -> bool:
        """Add the hour or the minute that a part is in, if nothing else is in that, as in this one's that goes on until now."""
        for span in spans(groups.grouping.step):
            at, length = floor(part.first, LENGTHS[span]), LENGTHS[span]
            if span == DAYS or part.end > at + length or (span == MINUTES and at < minutes_since):
                continue
            if not await self._any(at, part.first) and not await self._any(part.end, at + length):
                await self._add_cells(groups, filter, (span, at, at + length))
                return True
        return False

    async def _part(self, groups: Groups, filter: Filter, part: Part) -> None:
        """Add the tasks of a part: of a busy hour one half after the other, of a longer time no more than are read at once."""
        least = max(2, HOUR * SCANNED_MOST // PART_MOST) if part.end - part.first <= HOUR else part.end - part.first + 1
        rest = [(part.first, part.end)]
        while rest:
            first, end = rest.pop()
            if not await self._added(groups, replace(filter, since=first, until=end)):
                if end - first < least:
                    raise TooMuch(str(TooMuch.__doc__))
                middle = (first + end) // 2
                rest += (first, middle), (middle, end)

    async def _any(self, since: int, until: int) -> bool:
        """Whether any task began in that time."""
        if since >= until:
            return False
        found = questions.tasks(Filter(since=since, until=until), limit=1, after=None, oldest_first=False, select="1")
        return bool(found and await self._readers.rows(found.sql, found.values))

    async def _add_cells(self, groups: Groups, filter: Filter, place: tuple[int, int, int]) -> None:
        """Add cells of a span that begin between two times. Counts are added up by SQLite, histograms here."""
        by, step = groups.grouping.by, groups.grouping.step
        at = "cell.at" if step == LENGTHS[place[0]] else stretch("cell.at", step)  # which SQLite knows to come in order
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
        first, end = days(filter.since, filter.until)
        project, values = ("", ()) if filter.project_id is None else (" AND slice.project_id = ?", (filter.project_id,))
        select = (
            f"SELECT cell.at, slice.value, {_CELL} FROM slice CROSS JOIN cell ON cell.slice = slice.key AND cell.span = {DAYS}"
            f" WHERE slice.label = ?{project} AND cell.at >= ? AND cell.at < ?"
        )
        for at, value, *row in await self._readers.rows(select, (label, *values, first, end)):
            groups.of(at, (value,)).take(measures.of_row(tuple(row)))

    async def _users(self, groups: Groups, filter: Filter) -> None:
        first, end = days(filter.since, filter.until)
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
        where, values = ended(Range(project_id=filter.project_id, since=filter.since, until=filter.until))
        select = f"SELECT id, coalesce(cost, 0), {', '.join(summed)} FROM session WHERE {where} LIMIT {SCANNED_MOST + 1}"
        found = await self._readers.rows(select, values)
        if len(found) > SCANNED_MOST:
            raise TooMuch(str(TooMuch.__doc__))
        for id, cost, *sums in found:
            groups.of(0, (id,)).take(Measures(**dict(zip(summed, sums, strict=True)), cost=cost))


def _count_each(groups: Groups, found: Sequence[Row]) -> None:
    for row in found:
        groups.count(rows.measurable(row))


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
