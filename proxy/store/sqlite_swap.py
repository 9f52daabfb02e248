"""Takes what tasks were out of the sums they are part of, and puts in what they are now: the one place that corrects rollups."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from proxy.store import rows
from proxy.store.rollup import Figures, Key, SessionSum, UserSum, shifted, told
from proxy.task import Summary

Pair = tuple[Summary | None, Summary | None]
"""What a task was and what it is now; `None`: it was not there, or is there no more."""

_OF_SESSION = f"SELECT {rows.SUMMARY_SELECT} FROM task WHERE session_id = ? AND +project_id = ?"
_OF_USER = f"SELECT {rows.SUMMARY_SELECT} FROM task WHERE user_id = ? AND +project_id = ?"


def swap(db: sqlite3.Connection, pairs: Sequence[Pair]) -> None:
    """Correct sessions, users and who took part in what. The rows of the tasks are already as they are now.

    Sums are corrected by difference. What a difference cannot tell (whose input is the first one, when the last one was)
    is asked of the session's tasks anew, or of the user's, by their indexes.
    """
    _sessions(db, pairs)
    _attendance(db, pairs)
    _users(db, pairs)


def _sessions(db: sqlite3.Connection, pairs: Sequence[Pair]) -> None:
    anew: set[Key] = set()
    moved: dict[Key, list[Pair]] = defaultdict(list)
    for old, new in pairs:
        before, after = _session(old), _session(new)
        if before is not None and before == after and old and new and told(old) == told(new):
            moved[before].append((old, new))
        else:
            anew.update(key for key in (before, after) if key is not None)
    for key in moved.keys() - anew:
        select = f"SELECT {', '.join(rows.SESSION_COLUMNS)} FROM session WHERE project_id = ? AND id = ?"
        sum = rows.session(db.execute(select, key).fetchone())
        figures = shifted(sum.figures, moved[key])
        if figures is None:
            anew.add(key)
        else:
            _set_figures(db, "session", key, figures)
    for key in anew:
        _session_anew(db, key)


def _session_anew(db: sqlite3.Connection, key: Key) -> None:
    sum: SessionSum | None = None
    for row in db.execute(_OF_SESSION, (key[1], key[0])):
        task = rows.summary(row)
        if sum is None:
            sum = SessionSum(*key, task.created_at, task.ended_at)
        sum.count(task)
    found = db.execute("SELECT key FROM session WHERE project_id = ? AND id = ?", key).fetchone()
    if sum is None:
        if found is not None:
            db.execute("DELETE FROM attendance WHERE session = ?", found)
            db.execute("DELETE FROM session WHERE key = ?", found)
        return
    _put(db, "session", rows.SESSION_COLUMNS, rows.session_row(sum))
    if found is not None:
        db.execute("UPDATE attendance SET ended_at = ? WHERE session = ?", (sum.ended_at, *found))


def _attendance(db: sqlite3.Connection, pairs: Sequence[Pair]) -> None:
    """Who took part in which session, where that has changed."""
    gone, come = set[tuple[str, str, str]](), set[tuple[str, str, str]]()
    for old, new in pairs:
        before, after = _pair(old), _pair(new)
        if before != after:
            gone |= {before} if before else set()
            come |= {after} if after else set()
    for project_id, session_id, user_id in gone:
        db.execute(
            "DELETE FROM attendance WHERE user_id = ?3 AND session = (SELECT key FROM session WHERE project_id = ?1 AND id = ?2)"
            " AND NOT EXISTS (SELECT 1 FROM task WHERE session_id = ?2 AND +user_id = ?3 AND +project_id = ?1)",
            (project_id, session_id, user_id),
        )
    for project_id, session_id, user_id in come:
        db.execute(
            "INSERT OR IGNORE INTO attendance (session, user_id, project_id, ended_at)"
            " SELECT key, ?, project_id, ended_at FROM session WHERE project_id = ? AND id = ?",
            (user_id, project_id, session_id),
        )


def _users(db: sqlite3.Connection, pairs: Sequence[Pair]) -> None:
    of: dict[Key, list[Pair]] = defaultdict(list)
    for old, new in pairs:
        before, after = _user(old), _user(new)
        if before == after and before is not None:
            of[before].append((old, new))
        else:
            if before is not None:
                of[before].append((old, None))
            if after is not None:
                of[after].append((None, new))
    for key, changes in of.items():
        _one_user(db, key, changes)


def _one_user(db: sqlite3.Connection, key: Key, changes: list[Pair]) -> None:
    select = f"SELECT {', '.join(rows.USER_COLUMNS)} FROM user WHERE project_id = ? AND id = ?"
    have = db.execute(select, key).fetchone()
    figures = shifted(rows.user(have).figures, changes) if have is not None else None
    if figures is None:
        _user_anew(db, key)
    elif figures.tasks == 0:
        db.execute("DELETE FROM user WHERE project_id = ? AND id = ?", key)
    else:
        sum = rows.user(have)
        sum.figures = figures
        was = [old for old, new in changes if old is not None and (new is None or new.ended_at != old.ended_at)]
        first, last = min((old.created_at for old in was), default=None), max((old.ended_at for old in was), default=None)
        if first == sum.first_seen or last == sum.last_seen:  # the one that it was of has gone
            seen = "SELECT min(created_at), max(ended_at) FROM task WHERE user_id = ? AND +project_id = ?"
            sum.first_seen, sum.last_seen = db.execute(seen, (key[1], key[0])).fetchone()
        for _, new in changes:
            if new is not None:
                sum.first_seen, sum.last_seen = min(sum.first_seen, new.created_at), max(sum.last_seen, new.ended_at)
        _put(db, "user", rows.USER_COLUMNS, rows.user_row(sum))
    db.execute(
        "UPDATE user SET sessions = (SELECT count(*) FROM attendance WHERE user_id = ?2 AND project_id = ?1)"
        " WHERE project_id = ?1 AND id = ?2",
        key,
    )


def _user_anew(db: sqlite3.Connection, key: Key) -> None:
    sum: UserSum | None = None
    for row in db.execute(_OF_USER, (key[1], key[0])):
        task = rows.summary(row)
        if sum is None:
            sum = UserSum(*key, task.created_at, task.ended_at)
        sum.count(task)
    if sum is None:
        db.execute("DELETE FROM user WHERE project_id = ? AND id = ?", key)
    else:
        _put(db, "user", rows.USER_COLUMNS, rows.user_row(sum))


def _put(db: sqlite3.Connection, table: str, columns: Sequence[str], row: rows.Row) -> None:
    values = ", ".join(f"{column} = excluded.{column}" for column in columns[2:])
    marks = ", ".join("?" * len(columns))
    db.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT (id, project_id) DO UPDATE SET {values}", row
    )


def _set_figures(db: sqlite3.Connection, table: str, key: Key, figures: Figures) -> None:
    columns: Iterable[str] = ("tasks", "errors", "input_tokens", "output_tokens", "cost")
    values = (figures.tasks, figures.errors, figures.input_tokens, figures.output_tokens, figures.cost)
    db.execute(f"UPDATE {table} SET {', '.join(f'{c} = ?' for c in columns)} WHERE project_id = ? AND id = ?", (*values, *key))


def _session(task: Summary | None) -> Key | None:
    return None if task is None or task.session_id is None else (task.project_id, task.session_id)


def _user(task: Summary | None) -> Key | None:
    return None if task is None or task.user_id is None else (task.project_id, task.user_id)


def _pair(task: Summary | None) -> tuple[str, str, str] | None:
    if task is None or task.session_id is None or task.user_id is None:
        return None
    return task.project_id, task.session_id, task.user_id
