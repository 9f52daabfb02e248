"""One transaction that puts tasks in the place of what was kept of them: rows, full text and the sums they are part of."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import NamedTuple

from proxy.store import rows, sqlite_words
from proxy.store.shelf import Shelf
from proxy.store.sqlite_swap import swap
from proxy.store.sqlite_writing import Writing
from proxy.task import Summary, Task

_AT_ONCE = 500  # values in one IN list
_SET = ", ".join(f"{column} = ?" for column in rows.TASK_COLUMNS[1:])
_UPDATE = f"UPDATE task SET {_SET} WHERE key = ?"
_KEEP_PROMPT = (
    "INSERT INTO prompt (digest, uses, text) VALUES (?, 1, ?) ON CONFLICT (digest) DO UPDATE SET uses = uses + 1 RETURNING key"
)


_TAKEN = frozenset(field.name for field in fields(Summary)) - {"id", "origin", "created_at", "flag"}


class _Change(NamedTuple):
    """One task: its key, that of its system prompt, what was kept of it, and what is kept now."""

    key: int
    prompt: int | None
    old: Summary
    new: Summary
    whole: Task | None  # where its record is to be written, too


def rewrite(db: Writing, shelf: Shelf, tasks: Sequence[Summary], only: Collection[str] | None) -> int:
    """See `Store.rewrite`; inside the transaction that is open on `db`. Raises what SQLite and `Shelf.change` raise."""
    changes = _changes(db, {task.origin: task for task in tasks}, only)
    said: dict[int, sqlite_words.Texts] = {}
    for change in changes:
        key, old, new = change.key, change.old, change.new
        row = rows.task_row(key, _prompt(db, change), new)
        if change.whole is not None:
            shelf.change(db, key, change.whole, new)
        elif (old.input, old.output) != (new.input, new.output):
            shelf.retell(db, key, new)
        db.execute(_UPDATE, (*row[1:], key))
        if (old.input, old.output) != (new.input, new.output):
            said[key] = old.input, old.output
    sqlite_words.change(db, said)
    swap(db, [(change.old, change.new) for change in changes])
    return len(changes)


def _changes(db: sqlite3.Connection, wanted: dict[str, Summary], only: Collection[str] | None) -> list[_Change]:
    """What is kept under these origins; nothing for those that are not there."""
    origins = list(wanted)
    found: list[_Change] = []
    for start in range(0, len(origins), _AT_ONCE):
        some = origins[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        select = f"SELECT task.prompt, {rows.SUMMARY_SELECT} FROM task WHERE origin IN ({marks}) ORDER BY key"
        for prompt, *row in db.execute(select, some).fetchall():
            old = rows.summary(tuple(row))
            given = wanted[old.origin]
            names = _TAKEN if only is None else _TAKEN.intersection(only)
            new = replace(old, **{name: getattr(given, name) for name in names})
            found.append(_Change(row[0], prompt, old, new, given if isinstance(given, Task) else None))
    return found


def _prompt(db: sqlite3.Connection, change: _Change) -> int | None:
    """The key of the system prompt; one that nothing uses any more goes."""
    text = change.new.system_prompt
    if text == change.old.system_prompt:
        return change.prompt
    if change.prompt is not None:
        db.execute("UPDATE prompt SET uses = uses - 1 WHERE key = ?", (change.prompt,))
        db.execute("DELETE FROM prompt WHERE key = ? AND uses <= 0", (change.prompt,))
    if text is None:
        return None
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    [(key,)] = db.execute(_KEEP_PROMPT, (digest, text)).fetchall()
    return int(key)
