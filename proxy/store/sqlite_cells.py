"""Cells and facets in SQLite: what tasks of a minute, an hour or a day add up to, by what they are counted under."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from proxy.store import measures as measured
from proxy.store.additions import Additions, tally
from proxy.store.measures import DAY, HOUR, Measures, Slice
from proxy.store.sqlite_minutes import let_minutes_go, minutes_since
from proxy.store.sqlite_ranges import DAYS, HOURS, LENGTHS, MINUTES
from proxy.store.sqlite_writing import Writing

VALUES_MOST = 100
"""Values of one metadata key that are counted apart; what comes after them is counted together."""

_SUMS = ", ".join(f"{name} = {name} + excluded.{name}" for name in measured.SUMS)
_ADD = (
    f"INSERT INTO cell (span, at, slice, {', '.join(measured.COLUMNS)}) VALUES ({', '.join('?' * (3 + len(measured.COLUMNS)))})"
    f" ON CONFLICT (span, at, slice) DO UPDATE SET {_SUMS}, seconds = lanes_added(seconds, excluded.seconds),"
    " first_token = lanes_added(first_token, excluded.first_token)"
)
_TAKE = (
    f"UPDATE cell SET {', '.join(f'{name} = {name} - ?' for name in measured.SUMS)}, seconds = lanes_taken(seconds, ?),"
    " first_token = lanes_taken(first_token, ?) WHERE span = ? AND at = ? AND slice = ?"
)
_COLUMNS = ", ".join(Slice._fields)
_FIND = "SELECT key FROM slice WHERE " + " AND ".join(f"{name} IS ?" for name in Slice._fields)
_MAKE = f"INSERT INTO slice ({_COLUMNS}) VALUES ({', '.join('?' * len(Slice._fields))}) RETURNING key"
_KNOWN = (
    "INSERT INTO label (project_id, name, known) VALUES (?, ?, 1)"
    " ON CONFLICT (project_id, name) DO UPDATE SET known = known + 1 WHERE known < ? RETURNING known"
)
_FACET = (
    "INSERT INTO facet (day, project_id, name, value, tasks, lasts, errors, success, failure) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (day, project_id, name, value) DO UPDATE SET tasks = tasks + excluded.tasks, lasts = lasts + excluded.lasts,"
    " errors = errors + excluded.errors, success = success + excluded.success, failure = failure + excluded.failure"
)


def add_cells(db: Writing, adds: Additions, sign: int = 1) -> None:
    """Add, or with a `sign` of -1 take, what tasks measure."""
    cells: dict[tuple[int, int, int], Measures] = {}
    since = minutes_since(db)
    for groups, by_minute in ((adds.minutes, True), (adds.labels, False)):
        for (at, slice), sums in groups.items():
            if (key := db.slices.get(slice)) is None:
                key = _slice(db, slice)
                db.hold_slice(slice, key)
            if by_minute:
                if at >= since:
                    _take(cells, (MINUTES, at, key), sums)
                _take(cells, (HOURS, at - at % HOUR, key), sums)
            _take(cells, (DAYS, at - at % DAY, key), sums)
    if sign > 0:
        db.executemany(_ADD, [(*place, *measured.row(sums)) for place, sums in cells.items()])
        let_minutes_go(db)
    else:
        db.executemany(_TAKE, [(*measured.row(sums), *place) for place, sums in cells.items()])


def add_facets(db: sqlite3.Connection, adds: Additions) -> None:
    """Add what tasks tell; counts below nothing take it out."""
    counters = (tally(adds.facets, adds.facets_gone), tally(adds.lasts, adds.lasts_gone), adds.errors, adds.success, adds.failure)
    found = counters[0].keys() | counters[1].keys()
    new = ((*facet, *(counter[facet] for counter in counters)) for facet in sorted(found))
    db.executemany(_FACET, [row for row in new if any(row[4:])])


def sweep_cells(db: Writing, touched: Iterable[tuple[int, Slice]], days: Iterable[int]) -> None:
    """Delete what has nothing in it any more, and names that nothing is counted under."""
    cells = list(touched)
    for place in {(span, at - at % length) for span, length in LENGTHS.items() for at, _ in cells}:
        db.execute("DELETE FROM cell WHERE span = ? AND at = ? AND tasks = 0", place)
    for day in days:
        db.execute("DELETE FROM facet WHERE day = ? AND tasks = 0 AND lasts = 0", (day,))
    for slice in {slice for _, slice in cells}:
        found = db.execute(_FIND, slice).fetchone()
        if found and db.execute("SELECT 1 FROM cell WHERE slice = ? LIMIT 1", found).fetchone() is None:
            db.execute("DELETE FROM slice WHERE key = ?", found)
            db.slices.pop(slice, None)


def _take(cells: dict[tuple[int, int, int], Measures], place: tuple[int, int, int], sums: Measures) -> None:
    if (held := cells.get(place)) is None:
        held = cells[place] = Measures()
    held.take(sums)


def _slice(db: Writing, slice: Slice) -> int:
    """Its key, made where it is new; of a metadata value that is one too many, that of the values counted together."""
    if (found := db.execute(_FIND, slice).fetchone()) is not None:
        return int(found[0])
    if slice.label is not None and slice.value is not None:
        known = db.execute(_KNOWN, (slice.project_id, slice.label, VALUES_MOST)).fetchall()
        if not known:
            return _slice(db, slice._replace(value=None))
    [(key,)] = db.execute(_MAKE, slice).fetchall()
    return int(key)
