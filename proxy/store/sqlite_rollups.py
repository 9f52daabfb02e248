"""Adds tasks that were kept just now to every rollup, a batch at a time; `sqlite_swap` corrects them when tasks change or go."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from proxy.store import chain, rows
from proxy.store.additions import Additions
from proxy.store.measures import indexed
from proxy.store.rollup import Key, SessionSum
from proxy.store.sqlite_cells import add_cells, add_facets
from proxy.store.sqlite_long import correct, is_long
from proxy.store.sqlite_many import put
from proxy.store.sqlite_users import add_users
from proxy.store.sqlite_writing import Writing
from proxy.task import Summary

Keyed = tuple[int, Summary]
"""A task with its key in the table `task`."""

_BACKFILL_TASKS = 2000

_SESSIONS = (
    "SELECT s.key, (SELECT count(*) FROM attendance WHERE session = s.key),"
    f" {', '.join(f's.{column}' for column in rows.SESSION_COLUMNS)} FROM (VALUES {{}}) AS w"
    " CROSS JOIN session AS s ON s.id = w.column2 AND s.project_id = w.column1"
)
_NEW_SESSION = (
    f"INSERT INTO session (key, {', '.join(rows.SESSION_COLUMNS)}) VALUES ({', '.join('?' * (1 + len(rows.SESSION_COLUMNS)))})"
)
_NEWEST_SESSION = "SELECT coalesce(max(key), 0) FROM session"
_MAKE_SESSION = f"INSERT INTO session ({', '.join(rows.SESSION_COLUMNS)}) VALUES ({', '.join('?' * len(rows.SESSION_COLUMNS))})"
KEEP_SESSION = f"{_MAKE_SESSION} ON CONFLICT (id, project_id) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in rows.SESSION_COLUMNS[2:]
)
_GROW_SESSION = f"UPDATE session SET {', '.join(f'{column} = ?' for column in rows.SESSION_COLUMNS[2:])} WHERE key = ?"
_GROW_ATTENDANCE = "UPDATE attendance SET ended_at = ? WHERE session = ?"
_GROW_ONE = f"{_GROW_ATTENDANCE} AND user_id = ?"
"""SQLite changes what is known to be one row in a quarter of the time."""

_ATTEND = "INSERT INTO attendance (session, user_id, project_id, ended_at) VALUES (?, ?, ?, ?)"
_OF_SESSION = f"SELECT task.key, {rows.SUMMARY_SELECT} FROM task WHERE session_id = ? AND +project_id = ?"
MOVE = "UPDATE attendance SET ended_at = ? WHERE session = (SELECT key FROM session WHERE project_id = ? AND id = ?)"


def put_in(db: Writing, new: Sequence[Keyed]) -> set[Key]:
    """Add tasks that were kept just now; return the sessions that were there before. Raises sqlite3.Error."""
    adds = Additions()
    for _, task in new:
        adds.measure(task)
    known = _add_to_sessions(db, adds, [task for _, task in new])
    index(db, new)
    add_cells(db, adds)
    add_facets(db, adds)
    add_users(db, adds, [task for _, task in new])
    return known


def backfill(db: Writing) -> bool:
    """Add up the next of the tasks that were there before there were these rollups; whether there may be more."""
    found = db.execute("SELECT after FROM backfill").fetchone()
    if found is None:
        return False
    select = f"SELECT task.key, {rows.SUMMARY_SELECT} FROM task WHERE task.key > ? ORDER BY task.key LIMIT {_BACKFILL_TASKS}"
    some = [(key, rows.summary(tuple(row))) for key, *row in db.execute(select, found)]
    if not some:
        db.execute("DELETE FROM backfill")
        return False
    put_in(db, some)
    db.execute("UPDATE backfill SET after = ?", (some[-1][0],))
    return True


def index(db: sqlite3.Connection, tasks: Sequence[Keyed]) -> None:
    """Let tasks be found by their metadata."""
    if found := [(name, value, key) for key, task in tasks if task.metadata for name, value in indexed(task)]:
        put(db, "INSERT OR IGNORE INTO metadatum VALUES (?, ?, ?)", found)


def by_session(adds: Additions, tasks: Iterable[Summary], sign: int = 1) -> dict[Key, list[Summary]]:
    """The tasks of each session in their order; those of none are told to `adds`."""
    groups: dict[Key, list[Summary]] = defaultdict(list)
    for task in tasks:
        if task.session_id is None:
            adds.tell(*chain.alone(task), sign)
        else:
            groups[task.project_id, task.session_id].append(task)
    for group in groups.values():
        group.sort(key=chain.place)
    return groups


def _add_to_sessions(db: Writing, adds: Additions, new: Sequence[Summary]) -> set[Key]:
    groups = by_session(adds, new)
    have = _standing(db, groups)
    made: list[SessionSum] = []
    grown: list[SessionSum] = []
    for key, group in groups.items():
        there = have.get(key)
        if there is None:
            session = chain.begun(group[0])
            session.alone = len(users := {task.user_id for task in group if task.user_id is not None}) <= 1
            adds.arriving += [(session, user_id) for user_id in users]
            made.append(session)
        else:
            session = there
            if others := {task.user_id for task in group} - {session.user_id, None}:
                session.alone = False
                adds.attending.update((user_id, *key) for user_id in others if user_id is not None)
            adds.end(session, -1)
            late = [] if (last := session.place) is None else [task for task in group if chain.place(task) <= last]
            if late and is_long(session, len(late)):
                group = group[len(late) :]  # noqa: PLW2901  the others come after all that it has
                correct(db, adds, session, (), late, unseen={task.id for task in group})
            elif late:
                session = _anew(db, adds, key, group)
                session.key, session.alone, group = there.key, there.alone, []  # noqa: PLW2901  they are in it
            grown.append(session)
        for told in chain.follow(session, group):
            adds.tell(*told)
        adds.end(session)
    if made:
        [(newest,)] = db.execute(_NEWEST_SESSION).fetchall()
        for number, session in enumerate(made, newest + 1):
            session.key = number
        put(db, _NEW_SESSION, [(session.key, *rows.session_row(session)) for session in made])
    put(db, _ATTEND, [(one.key, user_id, one.project_id, one.ended_at) for one, user_id in adds.arriving])
    db.executemany(_GROW_SESSION, [(*rows.session_row(session)[2:], session.key) for session in grown])
    alone = [(one.ended_at, one.key, one.user_id) for one in grown if one.alone and one.user_id is not None]
    db.executemany(_GROW_ONE, alone)
    db.executemany(_GROW_ATTENDANCE, [(session.ended_at, session.key) for session in grown if not session.alone])
    for session in (*made, *grown):
        db.hold_session((session.project_id, session.id), session)
    return set(have)


def _standing(db: Writing, wanted: Iterable[Key]) -> dict[Key, SessionSum]:
    """See `sessions_of`; those that are held are not read."""
    found: dict[Key, SessionSum] = {}
    unknown: list[Key] = []
    for key in wanted:
        if (session := db.sessions.get(key)) is None:
            unknown.append(key)
        else:
            found[key] = session
    return found | sessions_of(db, unknown) if unknown else found


def _anew(db: sqlite3.Connection, adds: Additions, key: Key, late: Sequence[Summary]) -> SessionSum:
    """The session added up from all its tasks, since some of them come `late`: what others tell may change by them."""
    fresh = {task.id for task in late}
    every = tasks_of_session(db, key)
    earlier = [task for task in every if task.id not in fresh]
    for told in chain.follow(chain.begun(earlier[0]), earlier):
        adds.tell(*told, -1)
    session = chain.begun(every[0])
    for told in chain.follow(session, every):
        adds.tell(*told)
    return session


def sessions_of(db: sqlite3.Connection, wanted: Iterable[Key]) -> dict[Key, SessionSum]:
    """The rollups of those sessions that have one."""
    keys = list(wanted)
    found: dict[Key, SessionSum] = {}
    for start in range(0, len(keys), 250):
        some = keys[start : start + 250]
        marks = ", ".join(["(?, ?)"] * len(some))
        for row in db.execute(_SESSIONS.format(marks), [value for key in some for value in key]):
            session = rows.session(row[2:])
            session.key, session.alone = row[0], row[1] <= 1
            found[session.project_id, session.id] = session
    return found


def tasks_of_session(db: sqlite3.Connection, key: Key) -> list[Summary]:
    """In their order."""
    found = [rows.summary(tuple(row)) for _, *row in db.execute(_OF_SESSION, (key[1], key[0]))]
    return sorted(found, key=chain.place)
