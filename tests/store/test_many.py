"""Rows that are put many at a time are those that would have been put one by one."""

import sqlite3
from contextlib import closing

import pytest

from proxy.store.sqlite_many import AT_ONCE, put

INSERT = "INSERT INTO t (a, b, c, d) VALUES (?, ?, ?, ?)"
KINDS = "SELECT a, b, c, d, typeof(b), typeof(c), typeof(d) FROM t ORDER BY rowid"


def rows(count: int, empty: int = 0) -> list[tuple[object, ...]]:
    """Whose second value is not known in the first `empty`, the third is bytes or text, the last nearly never known."""
    return [
        (n, None if n < empty else float(n), b"\0" * n if n % 3 else "text", b"x" if n == 2 * AT_ONCE + 1 else None)
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 4 * AT_ONCE + 7])
@pytest.mark.parametrize("empty", [0, 1, AT_ONCE, AT_ONCE + 3, 1000])
def test_as_one_by_one(count, empty):
    found = []
    for many in (True, False):
        with closing(sqlite3.connect(":memory:")) as db:
            db.execute("CREATE TABLE t (a, b, c TEXT, d BLOB)")
            if many:
                put(db, INSERT, rows(count, empty))
            else:
                db.executemany(INSERT, rows(count, empty))
            found.append(db.execute(KINDS).fetchall())
    assert found[0] == found[1]


def test_a_value_that_is_ignored_takes_no_other_row_with_it():
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE t (a PRIMARY KEY, b)")
        put(db, "INSERT OR IGNORE INTO t VALUES (?, ?)", [(n // 2, n) for n in range(2 * AT_ONCE)])
        assert db.execute("SELECT a, b FROM t").fetchall() == [(n, 2 * n) for n in range(AT_ONCE)]
