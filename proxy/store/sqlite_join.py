"""What a save finds said already of its tasks: a task that the app logged under the same id, feedback that came first."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from proxy.store import rows, sqlite_words
from proxy.store.difference import unpacked
from proxy.store.entries import is_logged, unpack
from proxy.store.merging import joined, told, with_feedback
from proxy.store.record import read
from proxy.store.shelf import CHAIN, Shelf
from proxy.store.sqlite_swap import swap
from proxy.store.sqlite_writing import Writing
from proxy.task import Task

_TASK = f"SELECT {rows.SUMMARY_SELECT} FROM task WHERE task.id = ?"
_SAID = f"SELECT {', '.join(rows.FEEDBACK_COLUMNS)} FROM feedback WHERE task = ? ORDER BY created_at, key"
_PARKED = "SELECT key, entry FROM parked WHERE task_id = ? UNION SELECT key, entry FROM parked WHERE response_id = ? ORDER BY key"


def load(db: sqlite3.Connection, id: str) -> tuple[int, Task] | None:
    """The task of this id with its key, as it is inside the transaction."""
    row = db.execute(_TASK, (id,)).fetchone()
    if row is None:
        return None
    key = int(row[0])
    record = read(unpacked(db.execute(CHAIN, (key,)).fetchall()))
    return key, rows.task(row, record, tuple(map(rows.feedback, db.execute(_SAID, (key,)).fetchall())))


def join(db: Writing, shelf: Shelf, tasks: Sequence[Task], ids: dict[str, str]) -> list[Task]:
    """`tasks` that are about to be kept, those joined with what the app had logged under the same id, which goes.

    `ids` are the ids that are taken, each with its task's origin; those that are free now are taken out of it.
    """
    found: list[Task] = []
    for task in tasks:
        if task.id in ids and is_logged(ids[task.id]) and not is_logged(task.origin):
            kept = load(db, task.id)
            if kept is not None:
                key, logged = kept
                _remove(db, shelf, key, logged)
                del ids[task.id]
                task = joined(task, logged)  # noqa: PLW2901  the same task, knowing more
        found.append(task)
    return found


def unpark(db: sqlite3.Connection, tasks: Sequence[Task]) -> list[Task]:
    """`tasks`, which are new, with what had been said of them before they were there."""
    if db.execute("SELECT 1 FROM parked LIMIT 1").fetchone() is None:
        return list(tasks)
    return [_with_parked(db, task) for task in tasks]


def _with_parked(db: sqlite3.Connection, task: Task) -> Task:
    parked = db.execute(_PARKED, (task.id, task.response_id)).fetchall()
    if not parked:
        return task
    own = task.feedback
    task = replace(task, feedback=())  # what waited came first
    for key, entry in parked:
        task = told(task, unpack(entry))
        db.execute("DELETE FROM parked WHERE key = ?", (key,))
    return with_feedback(task, own)


def _remove(db: Writing, shelf: Shelf, key: int, task: Task) -> None:
    """Take a task out, with all that is kept of it."""
    [(prompt,)] = db.execute("SELECT prompt FROM task WHERE key = ?", (key,)).fetchall()
    db.execute("UPDATE prompt SET uses = uses - 1 WHERE key = ?", (prompt,))
    db.execute("DELETE FROM prompt WHERE key = ? AND uses <= 0", (prompt,))
    shelf.drop(db, (key,))
    db.execute("DELETE FROM feedback WHERE task = ?", (key,))
    db.execute("DELETE FROM task WHERE key = ?", (key,))
    sqlite_words.change(db, {key: (task.input, task.output)})
    swap(db, [(task, None)])
