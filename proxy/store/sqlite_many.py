"""Puts rows into a table many at a time: a statement for each one opens all indexes of the table anew, a third of its time."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from proxy.store.rows import Row

AT_ONCE: Final = 25
"""Rows of one statement: more would hardly be quicker, and fewer batches would have so many."""


def put(db: sqlite3.Connection, insert: str, rows: Sequence[Row]) -> None:
    """Put `rows`; `insert` is the statement for one, with its values last."""
    whole = len(rows) - len(rows) % AT_ONCE
    for start in range(0, whole, AT_ONCE):
        columns = list(zip(*rows[start : start + AT_ONCE], strict=True))
        given = tuple([column[0] is not None or any(each is not None for each in column) for column in columns])
        values = [_quick(column) for column, is_given in zip(columns, given, strict=True) if is_given]
        db.execute(_many(insert, given), list(chain.from_iterable(zip(*values, strict=True))))
    db.executemany(insert, rows[whole:])


def _quick(column: Row) -> Sequence[Any]:
    """The values, so that `sqlite3` does not look for an adapter of each, as it does of bytes and of None: it takes 0.3 us."""
    return [bytearray(each) if type(each) is bytes else each for each in column] if type(column[0]) is bytes else column


@lru_cache(256)
def _many(insert: str, given: tuple[bool, ...]) -> str:
    """The statement for many rows; columns that are not `given` are NULL in all of them."""
    before, _, _ = insert.rpartition(" VALUES ")
    row = ", ".join("?" if is_given else "NULL" for is_given in given)
    return f"{before} VALUES {', '.join([f'({row})'] * AT_ONCE)}"
