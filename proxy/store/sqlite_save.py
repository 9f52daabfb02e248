"""One transaction that keeps a batch of tasks: what is new, under which id and key, and what it adds to the rollups."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from proxy.store import keys, rows, sqlite_story, sqlite_traces, sqlite_words
from proxy.store.naming import epoch_of, named
from proxy.store.shelf import Shelf
from proxy.store.sqlite_join import join, unpark
from proxy.store.sqlite_many import put
from proxy.store.sqlite_rollups import put_in
from proxy.store.sqlite_writing import Writing
from proxy.task import Task

Value = TypeVar("Value")

_AT_ONCE = 500  # values in one list


def _insert(table: str, columns: Sequence[str], verb: str = "INSERT") -> str:
    return f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


_TASK = _insert("task", rows.TASK_COLUMNS)
_PROMPT = (
    "INSERT INTO prompt (digest, uses, text) VALUES (?, ?, ?)"
    " ON CONFLICT (digest) DO UPDATE SET uses = uses + excluded.uses RETURNING key"
)
_LAST_KEY = "SELECT max(key) FROM task WHERE key BETWEEN ? AND ?"
_FEEDBACK = _insert("feedback", rows.FEEDBACK_COLUMNS)


def save(db: Writing, shelf: Shelf, tasks: Sequence[Task]) -> int:
    """Keep `tasks` inside the transaction that is open on `db`; return how many were new.

    Raises StoreRejected, and whatever SQLite and `Shelf.put` raise; then the transaction is to be rolled back.
    """
    origins = _known(db, "origin", (task.origin for task in tasks))
    ids = _taken(db, (id for task in tasks for id in (task.id, task.own_id) if id is not None))
    new = unpark(db, named(join(db, shelf, tasks, ids), origins, ids))
    new, others = sqlite_story.placed(db, new)
    new.sort(key=lambda task: task.created_at)  # full-text search flushes what it has at every step backwards
    keyed = list(zip(_keys(db, new), new, strict=True))
    _keep(db, keyed)
    shelf.put(db, keyed, continued=put_in(db, keyed))
    sqlite_story.write(db, shelf, others)
    epochs = Counter(epoch_of(task.origin) for task in new)
    db.executemany(
        "INSERT INTO epoch VALUES (?, ?) ON CONFLICT (epoch) DO UPDATE SET tasks = tasks + excluded.tasks", epochs.items()
    )
    return len(new)


def _keep(db: Writing, new: Sequence[tuple[int, Task]]) -> None:
    prompts = _prompts(db, Counter(task.system_prompt for _, task in new if task.system_prompt is not None))
    sqlite_words.add(db, ((key, (task.input, task.output)) for key, task in new))
    put(db, _TASK, [rows.task_row(key, prompts.get(task.system_prompt), task) for key, task in new])
    db.executemany(
        "UPDATE task SET flag = ? WHERE key = ?", [(task.flag.value, key) for key, task in new if task.flag is not None]
    )
    db.executemany(_FEEDBACK, [rows.feedback_row(key, said) for key, task in new for said in task.feedback])
    sqlite_traces.keep(db, new)


def _known(db: sqlite3.Connection, column: str, wanted: Iterable[Value]) -> set[Value]:
    values = list(wanted)
    found: set[Value] = set()
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        found.update(value for (value,) in db.execute(f"SELECT {column} FROM task WHERE {column} IN ({marks})", some))
    return found


def _taken(db: sqlite3.Connection, wanted: Iterable[str]) -> dict[str, str]:
    """The ids that are taken, each with its task's origin."""
    latest = db.execute("SELECT max(id) FROM task").fetchone()[0]
    # Past the last one all are free: most are, since ours begin with the time.
    values = [] if latest is None else [id for id in wanted if id <= latest]
    found: dict[str, str] = {}
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        found.update(db.execute(f"SELECT id, origin FROM task WHERE id IN ({marks})", some).fetchall())
    return found


def _keys(db: sqlite3.Connection, new: Sequence[Task]) -> list[int]:
    """A free key for each of `new`, which are in the order of `created_at`: the next one of its microsecond."""
    firsts = [keys.first(task.created_at) for task in new]
    latest = db.execute("SELECT max(key) FROM task").fetchone()[0]
    taken = set[int]() if latest is None else _known(db, "key", {first for first in firsts if first <= latest})
    found: list[int] = []
    last = keys.LOWEST - 1
    for first in firsts:
        last = _after(db, max(last + 1, first)) if last >= first or first in taken else first
        found.append(last)
    return found


def _after(db: sqlite3.Connection, key: int) -> int:
    """The first free key from `key` on that is past every taken one of its microsecond."""
    while (taken := db.execute(_LAST_KEY, (key, key | (keys.TIES - 1))).fetchone()[0]) is not None:
        key = taken + 1
    return key


def _prompts(db: sqlite3.Connection, uses: Counter[str]) -> dict[str | None, int]:
    """The key of each system prompt, made where it is new."""
    found: dict[str | None, int] = {}
    for text, count in uses.items():
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        [(found[text],)] = db.execute(_PROMPT, (digest, count, text)).fetchall()
    return found
