"""The full-text index of an SQLite file: which blocks of tasks have a word in them; their own text says which of them, and where.

Full positions would take as much room as the text itself, and a row for each task nearly as much: tasks that began in the same
`2 ** SHIFT / 2048` microseconds are one row, with small numbers for a name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Final

from proxy.store import told, words
from proxy.store.sqlite_writing import Writing

SHIFT: Final = 27
"""Bits of a task's key that do not say which block it is in: 65 ms."""

OF_BLOCK: Final = f"({{0}} << {SHIFT}) AND ({{0}} << {SHIFT}) + {2**SHIFT - 1}"
"""The keys of a block, as the bounds of BETWEEN."""

Texts = tuple[str | None, str | None]
"""Input and output of a task."""

_ADD = "INSERT INTO search (rowid, text) VALUES (?, ?)"
_TAKE = "INSERT INTO search (search, rowid, text) VALUES ('delete', ?, ?)"
_HELD = "SELECT key, facts FROM task WHERE key BETWEEN ? AND ?"


def add(db: Writing, new: Iterable[tuple[int, Texts]]) -> None:
    """Let new tasks be found by what they say; they are in the order of their keys, and their rows not there yet."""
    for block, some in _blocks(new):
        held = db.texts[1] if db.texts is not None and db.texts[0] == block else _held(db, block)
        _put(db, block, held.values(), [*held.values(), *some.values()])
        db.hold_texts(block, held | some)


def change(db: Writing, old: Mapping[int, Texts]) -> None:
    """Let tasks no longer be found by what they said. Their rows say already what they say now, or are gone."""
    db.texts = None
    for block, some in _blocks(sorted(old.items())):
        held = _held(db, block)
        _put(db, block, [*some.values(), *(texts for key, texts in held.items() if key not in some)], held.values())


def _put(db: sqlite3.Connection, block: int, was: Iterable[Texts], now: Iterable[Texts]) -> None:
    """A whole row in the place of a whole row: where FTS5 is told less, words that are gone come back when it merges."""
    said, says = _joined(was), _joined(now)
    if said == says:
        return
    if said:
        db.execute(_TAKE, (block, said))
    if says:
        db.execute(_ADD, (block, says))


def _held(db: sqlite3.Connection, block: int) -> dict[int, Texts]:
    first = block << SHIFT
    return {key: _texts(facts) for key, facts in db.execute(_HELD, (first, first + 2**SHIFT - 1)).fetchall()}


def wanted(sought: Iterable[str]) -> str:
    """The second value of `says`."""
    return json.dumps(list(sought))


def says(facts: str | bytes, sought: str) -> bool:
    """Whether a task says what is looked for: for SQL, in which connections that read have it as a function."""
    return words.holds(_sought(sought), _texts(facts))


@lru_cache(16)
def _sought(sought: str) -> tuple[str, ...]:
    return words.wanted(json.loads(sought))


def _texts(facts: str | bytes) -> Texts:
    values = told.unpack(facts)
    return values.get("input"), values.get("output")


def _blocks(keyed: Iterable[tuple[int, Texts]]) -> Iterator[tuple[int, dict[int, Texts]]]:
    for block, some in groupby(keyed, key=lambda each: each[0] >> SHIFT):
        yield block, dict(some)


def _joined(texts: Iterable[Texts]) -> str:
    """Each text once: a word is in a row or not, however often it is said."""
    return "\n".join(dict.fromkeys([text for pair in texts for text in pair if text]))
