"""One transaction that forgets tasks: rows, records, words, prompts, feedback, and their part in every sum."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from proxy.store import keys, rows, sqlite_words
from proxy.store.entries import is_of, unpack
from proxy.store.questions import Question
from proxy.store.shelf import Shelf
from proxy.store.sqlite_swap import swap
from proxy.store.sqlite_writing import Writing
from proxy.task import Flag, Forget, Forgotten, Summary

_LEFT = "SELECT count(*) FROM {} WHERE id = ? AND project_id = ?"


def doomed(what: Forget, *, limit: int) -> Question:
    """The ids of the first tasks that are to be forgotten."""
    where, values = _where(what)
    return Question(f"SELECT id FROM task WHERE {where} ORDER BY key LIMIT {int(limit)}", values)


def doomed_count(what: Forget) -> Question:
    """How many are to be forgotten."""
    where, values = _where(what)
    return Question(f"SELECT count(*) FROM task WHERE {where}", values)


def _where(what: Forget) -> tuple[str, tuple[str | int, ...]]:
    """The conditions: the first of the columns that is asked for is walked, the plus sign keeps SQLite from another index."""
    parts: list[str] = []
    values: list[str | int] = []
    for column, value in (("id", what.task_id), ("session_id", what.session_id), ("user_id", what.user_id)):
        if value is not None:
            parts.append(f"{'+' if parts else ''}{column} = ?")
            values.append(value)
    lowest = keys.LOWEST if what.since is None else keys.bound(what.since)
    highest = keys.HIGHEST if what.before is None else keys.bound(what.before) - 1
    parts.append("key BETWEEN ? AND ?")
    values += [lowest, highest]
    if what.project_id is not None:
        parts.append("+project_id = ?")
        values.append(what.project_id)
    if what.other_projects:
        parts.append(f"+project_id NOT IN ({', '.join('?' * len(what.other_projects))})")
        values += what.other_projects
    if what.ended_by is not None:
        parts.append("ended_at <= ?")
        values.append(what.ended_by)
    return " AND ".join(parts), tuple(values)


def forget(db: Writing, shelf: Shelf, ids: Sequence[str]) -> Forgotten:
    """See `Store.forget`; inside the transaction that is open on `db`."""
    gone: list[tuple[int, Summary]] = []
    prompts: Counter[int] = Counter()
    for id in ids:
        found = db.execute(f"SELECT task.prompt, {rows.SUMMARY_SELECT} FROM task WHERE id = ?", (id,)).fetchone()
        if found is not None:
            gone.append((found[1], rows.summary(found[1:])))
            prompts.update(key for key in found[:1] if key is not None)
    only_keys = [(key,) for key, _ in gone]
    feedback = db.executemany("DELETE FROM feedback WHERE task = ?", only_keys).rowcount if gone else 0
    db.executemany("UPDATE prompt SET uses = uses - ? WHERE key = ?", [(count, key) for key, count in prompts.items()])
    db.executemany("DELETE FROM prompt WHERE key = ? AND uses <= 0", [(key,) for key in prompts])
    size = shelf.drop(db, [key for key, _ in gone])
    db.executemany("DELETE FROM task WHERE key = ?", only_keys)
    sqlite_words.change(db, {key: (task.input, task.output) for key, task in gone})
    swap(db, [(task, None) for _, task in gone])
    tasks = [task for _, task in gone]
    return Forgotten(
        tasks=len(gone),
        sessions=_gone(db, "session", {(task.session_id, task.project_id) for task in tasks if task.session_id is not None}),
        users=_gone(db, "user", {(task.user_id, task.project_id) for task in tasks if task.user_id is not None}),
        feedback=feedback,
        bytes=size,
        through=max((task.created_at for task in tasks), default=None),
    )


def forget_feedback(db: Writing, user_id: str, project_id: str | None) -> int:
    """See `Store.forget_feedback`; inside the transaction that is open on `db`."""
    said = "FROM feedback JOIN task ON task.key = feedback.task WHERE feedback.user_id = ?"
    select = f"SELECT feedback.key, {rows.SUMMARY_SELECT} {said}"
    found = [
        (key, row[0], rows.summary(tuple(row)))
        for key, *row in db.execute(select, (user_id,)).fetchall()
        if project_id is None or rows.summary(tuple(row)).project_id == project_id
    ]
    db.executemany("DELETE FROM feedback WHERE key = ?", [(key,) for key, _, _ in found])
    pairs = []
    for key, task in {key: task for _, key, task in found}.items():
        latest = "SELECT flag FROM feedback WHERE task = ? AND flag IS NOT NULL ORDER BY created_at DESC, key DESC LIMIT 1"
        flag = db.execute(latest, (key,)).fetchone()
        db.execute("UPDATE task SET flag = ? WHERE key = ?", (flag and flag[0], key))
        pairs.append((task, replace(task, flag=Flag(flag[0]) if flag else None)))
    swap(db, pairs)
    return len(found)


def forget_parked(db: sqlite3.Connection, what: Forget) -> int:
    """See `Store.forget_parked`; inside the transaction that is open on `db`."""
    gone = [(key,) for key, entry in db.execute("SELECT key, entry FROM parked") if is_of(unpack(entry), what)]
    db.executemany("DELETE FROM parked WHERE key = ?", gone)
    return len(gone)


def _gone(db: sqlite3.Connection, table: str, keys: set[tuple[str, str]]) -> int:
    """How many of these sessions, or users, are there no more."""
    return sum(not db.execute(_LEFT.format(table), key).fetchone()[0] for key in keys)
