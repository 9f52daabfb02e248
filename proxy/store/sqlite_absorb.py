"""One transaction that takes in what apps and people said of tasks: new ones, later versions, amendments, feedback."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Final

from proxy.store import rows
from proxy.store.entries import Amended, Entry, Said, heard, pack
from proxy.store.merging import Change, relabelled, settled
from proxy.store.shelf import Shelf
from proxy.store.sqlite_join import load
from proxy.store.sqlite_rewrite import rewrite
from proxy.store.sqlite_save import save
from proxy.store.sqlite_story import follow
from proxy.store.sqlite_swap import swap
from proxy.store.sqlite_writing import Writing
from proxy.task import Summary, Task

MOST_PARKED: Final = 100_000
"""Entries about tasks that are not there: past this the oldest go."""

_SUMMARY = tuple(field.name for field in fields(Summary))
_SAY = f"INSERT INTO feedback ({', '.join(rows.FEEDBACK_COLUMNS)}) VALUES ({', '.join('?' * len(rows.FEEDBACK_COLUMNS))})"
_HEARD = "INSERT INTO epoch VALUES (?, ?) ON CONFLICT (epoch) DO UPDATE SET tasks = max(tasks, excluded.tasks)"
ANSWERED: Final = "SELECT id FROM task WHERE answer = ? AND json_extract(told(facts), '$.response_id') = ? ORDER BY key LIMIT 1"
"""The task that a provider's answer is in, the first one where several have it."""


def absorb(db: Writing, shelf: Shelf, entries: Sequence[Entry], through: str | None) -> int:
    """See `Store.absorb`; inside the transaction that is open on `db`. Raises what SQLite and `Shelf.put` raise."""
    keys: dict[str, int] = {}

    def kept(id: str) -> Task | None:
        found = load(db, id)
        if found is None:
            return None
        keys[id], task = found
        return task

    changes, waiting = settled(entries, kept, partial(answered, db))
    rewrite(db, shelf, [_as_far_as_changed(change) for change in changes if change.old is not None], None)
    for change in changes:
        if change.old is not None and change.new.feedback != change.old.feedback:
            _say(db, keys[change.new.id], change.old, change.new)
    save(db, shelf, [change.new for change in changes if change.old is None])
    follow(db, shelf, [change.new for change in changes if relabelled(change)])
    if waiting:
        _park(db, waiting)
    if through is not None:
        epoch, _, number = through.rpartition(".")
        db.execute(_HEARD, (heard(epoch), int(number)))
    return len(changes)


def answered(db: sqlite3.Connection, response_id: str) -> str | None:
    """The id of the task that has this response id."""
    found = db.execute(ANSWERED, (rows.answer(response_id), response_id)).fetchone()
    return None if found is None else str(found[0])


def _park(db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    for entry in entries:
        if isinstance(entry, Said | Amended):
            task_id = entry.id if isinstance(entry, Amended) else entry.task_id
            response_id = None if isinstance(entry, Amended) else entry.response_id
            data = pack(entry)
            same = "SELECT 1 FROM parked WHERE (task_id = ? OR response_id = ?) AND entry = ?"
            if db.execute(same, (task_id, response_id, data)).fetchone() is None:  # a replay of the journal
                db.execute("INSERT INTO parked (task_id, response_id, entry) VALUES (?, ?, ?)", (task_id, response_id, data))
    db.execute("DELETE FROM parked WHERE key <= (SELECT key FROM parked ORDER BY key DESC LIMIT 1 OFFSET ?)", (MOST_PARKED,))


def _as_far_as_changed(change: Change) -> Summary:
    """What is to be written again: of a carried call the record of its bytes stays as it is."""
    return change.new if change.new.upstream is None else Summary(**{name: getattr(change.new, name) for name in _SUMMARY})


def _say(db: Writing, key: int, old: Task, new: Task) -> None:
    known = {one.id for one in old.feedback}
    db.executemany(_SAY, [rows.feedback_row(key, one) for one in new.feedback if one.id not in known])
    if new.flag != old.flag:
        db.execute("UPDATE task SET flag = ? WHERE key = ?", (new.flag and new.flag.value, key))
        swap(db, [(replace(new, flag=old.flag), new)])
