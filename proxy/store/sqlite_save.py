"""One transaction that keeps a batch of tasks: what is new, under which id and key, and what it adds to the rollups."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from proxy.store import keys, rows, sqlite_traces
from proxy.store.naming import epoch_of, named
from proxy.store.rollup import Key, SessionSum, UserSum, sums
from proxy.store.shelf import Shelf
from proxy.task import Task

Value = TypeVar("Value", str, int)

_AT_ONCE = 500  # values in one list


def _insert(table: str, columns: Sequence[str], verb: str = "INSERT") -> str:
    return f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _upsert(table: str, columns: Sequence[str]) -> str:
    values = ", ".join(f"{column} = excluded.{column}" for column in columns[2:])
    return f"{_insert(table, columns)} ON CONFLICT (id, project_id) DO UPDATE SET {values}"


_TASK = _insert("task", rows.TASK_COLUMNS)
_SEARCH = _insert("search", ("rowid", "input", "output"))
_PROMPT = (
    "INSERT INTO prompt (digest, uses, text) VALUES (?, ?, ?)"
    " ON CONFLICT (digest) DO UPDATE SET uses = uses + excluded.uses RETURNING key"
)
_LAST_KEY = "SELECT max(key) FROM task WHERE key BETWEEN ? AND ?"
_FEEDBACK = _insert("feedback", rows.FEEDBACK_COLUMNS)
_STILL_THERE = "UPDATE attendance SET ended_at = ? WHERE session = (SELECT key FROM session WHERE project_id = ? AND id = ?)"
_ATTEND = (
    "INSERT INTO attendance (session, user_id, project_id, ended_at)"
    " SELECT key, ?, project_id, ended_at FROM session WHERE project_id = ? AND id = ?"
)
_SESSION = _upsert("session", rows.SESSION_COLUMNS)
_USER = _upsert("user", rows.USER_COLUMNS)


def save(db: sqlite3.Connection, shelf: Shelf, tasks: Sequence[Task]) -> int:
    """Keep `tasks` inside the transaction that is open on `db`; return how many were new.

    Raises StoreRejected, and whatever SQLite and `Shelf.put` raise; then the transaction is to be rolled back.
    """
    new = named(
        tasks,
        _known(db, "origin", (task.origin for task in tasks)),
        _known(db, "id", (id for task in tasks for id in (task.id, task.own_id) if id is not None)),
    )
    new.sort(key=lambda task: task.created_at)  # full-text search flushes what it has at every step backwards
    keyed = list(zip(_keys(db, new), new, strict=True))
    _keep(db, keyed)
    shelf.put(db, keyed, continued=_roll_up(db, new))
    epochs = Counter(epoch_of(task.origin) for task in new)
    db.executemany(
        "INSERT INTO epoch VALUES (?, ?) ON CONFLICT (epoch) DO UPDATE SET tasks = tasks + excluded.tasks", epochs.items()
    )
    return len(new)


def _keep(db: sqlite3.Connection, new: Sequence[tuple[int, Task]]) -> None:
    prompts = _prompts(db, Counter(task.system_prompt for _, task in new if task.system_prompt is not None))
    db.executemany(_TASK, [rows.task_row(key, prompts.get(task.system_prompt), task) for key, task in new])
    db.executemany(
        "UPDATE task SET flag = ? WHERE key = ?", [(task.flag.value, key) for key, task in new if task.flag is not None]
    )
    db.executemany(_SEARCH, [(key, task.input, task.output) for key, task in new if task.input or task.output])
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


def _roll_up(db: sqlite3.Connection, new: Sequence[Task]) -> set[Key]:
    """Bring the rollups up to date; return the sessions that were there before."""
    sessions, users = sums(new)
    known = _add_sessions(db, sessions)
    _attend(db, new, users)
    for row in _matching(db, "user", rows.USER_COLUMNS, list(users)):
        before = rows.user(row)
        users[before.project_id, before.id].take(before)
    db.executemany(_USER, [rows.user_row(user) for user in users.values()])
    return known


def _add_sessions(db: sqlite3.Connection, sessions: dict[Key, SessionSum]) -> set[Key]:
    known: set[Key] = set()
    later: list[tuple[int, str, str]] = []
    for row in _matching(db, "session", rows.SESSION_COLUMNS, list(sessions)):
        before = rows.session(row)
        key = (before.project_id, before.id)
        known.add(key)
        session = sessions[key]
        session.take(before)
        if session.ended_at != before.ended_at:
            later.append((session.ended_at, *key))
    db.executemany(_STILL_THERE, later)
    db.executemany(_SESSION, [rows.session_row(session) for session in sessions.values()])
    return known


def _attend(db: sqlite3.Connection, new: Sequence[Task], users: dict[Key, UserSum]) -> None:
    """Note who took part in which session, and count each such pair once. The sessions are there already."""
    pairs = {(t.project_id, t.session_id, t.user_id) for t in new if t.session_id is not None and t.user_id is not None}
    for project_id, session_id, user_id in pairs - _attended(db, list(pairs)):
        db.execute(_ATTEND, (user_id, project_id, session_id))
        users[project_id, user_id].sessions += 1


def _attended(db: sqlite3.Connection, pairs: Sequence[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    found: set[tuple[str, str, str]] = set()
    for some, marks in _some(pairs, 3):
        found.update(
            db.execute(
                f"WITH pair (p, s, u) AS (VALUES {marks}) SELECT p, s, u FROM pair"
                " CROSS JOIN session ON session.id = s AND session.project_id = p"
                " CROSS JOIN attendance ON attendance.session = session.key AND attendance.user_id = u",
                some,
            )
        )
    return found


def _matching(db: sqlite3.Connection, table: str, columns: Sequence[str], wanted: Sequence[Key]) -> Iterator[rows.Row]:
    """The rows of a rollup whose keys are `wanted`."""
    for some, marks in _some(wanted, 2):
        yield from db.execute(
            f"WITH pair (p, i) AS (VALUES {marks}) SELECT {', '.join(f'{table}.{column}' for column in columns)} FROM pair"
            f" CROSS JOIN {table} ON {table}.id = i AND {table}.project_id = p",
            some,
        ).fetchall()


def _some(tuples: Sequence[tuple[str, ...]], width: int) -> Iterator[tuple[list[str], str]]:
    """So many of `tuples` as one statement takes, flat, with the marks that stand for them."""
    for start in range(0, len(tuples), _AT_ONCE):
        some = tuples[start : start + _AT_ONCE]
        yield [value for each in some for value in each], ", ".join([f"({', '.join('?' * width)})"] * len(some))
