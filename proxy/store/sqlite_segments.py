"""Segments of users in SQLite: one pass over the sums of users says who is in which, and where the top ones begin."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Final

from proxy.store import keys, rows
from proxy.store.insight import Range
from proxy.store.measures import PICODOLLARS
from proxy.store.segment import Members, Rule, Segment, Tops, tops
from proxy.store.sqlite_reader import Readers

_SPARED: Final = 50
"""What took a while to find is good for so many times as long: it takes a fiftieth of the time at most."""

_COST: Final = f"(CASE WHEN priced THEN cost / {PICODOLLARS}.0 ELSE 0 END)"
Value = str | int | float


class SqliteSegments:
    """See `Insights.tops` and what follows it."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._tops: dict[tuple[Range, float], tuple[float, Tops]] = {}  # with the moment until which they are good

    async def tops(self, range: Range, share: float) -> Tops:
        began = time.monotonic()
        until, found = self._tops.get((range, share), (0.0, Tops()))
        if began >= until:
            where, values = _seen(range)
            found = tops(await self._readers.rows(f"SELECT active_days, tasks, {_COST} FROM user WHERE {where}", values), share)
            ended = time.monotonic()
            self._tops = {key: kept for key, kept in self._tops.items() if kept[0] > ended}
            self._tops[range, share] = ended + _SPARED * (ended - began), found
        return found

    async def seen(self, range: Range) -> int:
        where, values = _seen(range)
        return int((await self._readers.rows(f"SELECT count(*) FROM user WHERE {where}", values))[0][0])

    async def members(self, range: Range, segments: Sequence[Segment], limit: int) -> list[Members]:
        where, values = _seen(range)
        told = [_holds(each) for each in segments]
        names = [f"in_{number}" for number, _ in enumerate(told)]
        flags = ", ".join(f"{sql} AS {name}" for name, (sql, _) in zip(names, told, strict=True))
        found = await self._readers.rows(
            f"SELECT * FROM (SELECT key, -tasks, project_id, id, {flags} FROM user WHERE {where}) WHERE {' OR '.join(names)}",
            (*(value for _, more in told for value in more), *values),
        )
        found.sort(key=lambda row: row[1:4])
        picked = [[row[0] for row in found if row[place]] for place, _ in enumerate(told, 4)]
        shown = json.dumps([key for each in picked for key in each[:limit]])
        select = f"SELECT key, {', '.join(rows.USER_COLUMNS)} FROM user WHERE key IN (SELECT value FROM json_each(?))"
        users = {key: rows.user(tuple(row)) for key, *row in await self._readers.rows(select, (shown,))}
        return [Members(len(each), tuple(users[key] for key in each[:limit] if key in users)) for each in picked]


def _seen(range: Range) -> tuple[str, tuple[Value, ...]]:
    project, values = ("", ()) if range.project_id is None else ("project_id = ? AND ", (range.project_id,))
    lowest = keys.EARLIEST if range.since is None else range.since
    highest = keys.LARGEST if range.until is None else range.until
    return f"{project}last_seen >= ? AND last_seen < ?", (*values, lowest, highest)


def _holds(segment: Segment) -> tuple[str, tuple[Value, ...]]:
    """Whether a row of `user` is in a segment."""
    rules, must = [_rule(each) for each in segment.rules], [_rule(each) for each in segment.must]
    enough = f"({' + '.join(sql for sql, _ in rules) or '0'}) >= {int(segment.needed)}"
    sql = " AND ".join((enough, *(each for each, _ in must)))
    return f"({sql})", tuple(value for _, values in (*rules, *must) for value in values)


def _rule(rule: Rule) -> tuple[str, tuple[Value, ...]]:
    found = f"({' + '.join(map(_column, rule.of))})"
    sql, values = f"{found} >= ?", tuple[Value, ...]((rule.least,))
    if rule.whole is not None:
        sql, values = f"{sql} AND {found} >= ? * {_column(rule.whole)}", (*values, rule.share)
    if rule.with_some:
        sql = f"{sql} AND ({' OR '.join(f'{_column(name)} > 0' for name in rule.with_some)})"
    return f"({sql})", values


def _column(name: str) -> str:
    return _COST if name == "cost" else name
