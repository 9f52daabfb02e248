"""One transaction that keeps a batch of tasks: what is new, under which id and key, and what it adds to the rollups."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from proxy.store import keys, rows
from proxy.store.naming import epoch_of, named
from proxy.store.record import Packer
from proxy.store.rollup import Key, SessionSum, UserSum, sums
from proxy.task import Task

Value = TypeVar("Value", str, int)

_AT_ONCE = 500  # values in one IN list


def _insert(table: str, columns: Sequence[str], verb: str = "INSERT") -> str:
    return f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _upsert(table: str, columns: Sequence[str]) -> str:
    values = ", ".join(f"{column} = excluded.{column}" for column in columns[2:])
    return f"{_insert(table, columns)} ON CONFLICT (id, project_id) DO UPDATE SET {values}"


_TASK = _insert("task", rows.TASK_COLUMNS)
_RECORD = _insert("record", ("key", "data"))
_SEARCH = _insert("search", ("rowid", "input", "output"))
_PROMPT = (
    "INSERT INTO prompt (digest, uses, text) VALUES (?, ?, ?)"
    " ON CONFLICT (digest) DO UPDATE SET uses = uses + excluded.uses RETURNING key"
)
_LAST_KEY = "SELECT max(key) FROM task WHERE key BETWEEN ? AND ?"
_FEEDBACK = _insert("feedback", rows.FEEDBACK_COLUMNS)
_SESSION = _upsert("session", rows.SESSION_COLUMNS)
_USER = _upsert("user", rows.USER_COLUMNS)


def save(db: sqlite3.Connection, packer: Packer, tasks: Sequence[Task]) -> int:
    """Keep `tasks` inside the transaction that is open on `db`; return how many were new.

    Raises StoreRejected, and whatever SQLite and `Packer.pack` raise; then the transaction is to be rolled back.
    """
    new = named(
        tasks,
        _known(db, "origin", (task.origin for task in tasks)),
        _known(db, "id", (id for task in tasks for id in (task.id, task.own_id) if id is not None)),
    )
    new.sort(key=lambda task: task.created_at)  # full-text search flushes what it has at every step backwards
    _keep(db, packer, list(zip(_keys(db, new), new, strict=True)))
    _roll_up(db, new)
    epochs = Counter(epoch_of(task.origin) for task in new)
    db.executemany(
        "INSERT INTO epoch VALUES (?, ?) ON CONFLICT (epoch) DO UPDATE SET tasks = tasks + excluded.tasks", epochs.items()
    )
    return len(new)


def _keep(db: sqlite3.Connection, packer: Packer, new: Sequence[tuple[int, Task]]) -> None:
    prompts = _prompts(db, Counter(task.system_prompt for _, task in new if task.system_prompt is not None))
    db.executemany(_TASK, [rows.task_row(key, prompts.get(task.system_prompt), task) for key, task in new])
    db.executemany(
        "UPDATE task SET flag = ? WHERE key = ?", [(task.flag.value, key) for key, task in new if task.flag is not None]
    )
    db.executemany(_RECORD, [(key, packer.pack(task)) for key, task in new])
    db.executemany(_SEARCH, [(key, task.input, task.output) for key, task in new if task.input or task.output])
    db.executemany(_FEEDBACK, [rows.feedback_row(key, said) for key, task in new for said in task.feedback])


def _known(db: sqlite3.Connection, column: str, wanted: Iterable[Value]) -> set[Value]:
    values = list(wanted)
    found: set[Value] = set()
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        found.update(value for (value,) in db.execute(f"SELECT {column} FROM task WHERE {column} IN ({marks})", some))
    return found


def _keys(db: sqlite3.Connection, new: Sequence[Task]) -> list[int]:
    """A free key for each of `new`, which are in the order of `created_at`: the next one of its microsecond."""
    taken = _known(db, "key", {keys.first(task.created_at) for task in new})
    found: list[int] = []
    last = keys.LOWEST - 1
    for task in new:
        key = keys.first(task.created_at)
        if last >= key or key in taken:
            key = _after(db, max(last + 1, key))
        last = key
        found.append(key)
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


def _roll_up(db: sqlite3.Connection, new: Sequence[Task]) -> None:
    sessions, users = sums(new)
    for key, session in sessions.items():
        _add_session(db, key, session)
    _attend(db, new, users)
    for key, user in users.items():
        _add_user(db, key, user)


def _add_session(db: sqlite3.Connection, key: Key, session: SessionSum) -> None:
    have = db.execute(f"SELECT {', '.join(rows.SESSION_COLUMNS)} FROM session WHERE project_id = ? AND id = ?", key).fetchone()
    if have is not None:
        before = rows.session(have)
        session.take(before)
        if session.ended_at != before.ended_at:
            db.execute(
                "UPDATE attendance SET ended_at = ? WHERE session = (SELECT key FROM session WHERE project_id = ? AND id = ?)",
                (session.ended_at, *key),
            )
    db.execute(_SESSION, rows.session_row(session))


def _attend(db: sqlite3.Connection, new: Sequence[Task], users: dict[Key, UserSum]) -> None:
    """Note who took part in which session, and count each such pair once. The sessions are there already."""
    pairs = {(t.project_id, t.session_id, t.user_id) for t in new if t.session_id is not None and t.user_id is not None}
    for project_id, session_id, user_id in pairs:
        done = db.execute(
            "INSERT OR IGNORE INTO attendance (session, user_id, project_id, ended_at)"
            " SELECT key, ?, project_id, ended_at FROM session WHERE project_id = ? AND id = ?",
            (user_id, project_id, session_id),
        )
        users[project_id, user_id].sessions += done.rowcount


def _add_user(db: sqlite3.Connection, key: Key, user: UserSum) -> None:
    have = db.execute(f"SELECT {', '.join(rows.USER_COLUMNS)} FROM user WHERE project_id = ? AND id = ?", key).fetchone()
    if have is not None:
        user.take(rows.user(have))
    db.execute(_USER, rows.user_row(user))
