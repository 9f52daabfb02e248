"""Takes what tasks were out of the sums they are part of, and puts in what they are now: the one place that corrects rollups."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from proxy.store import chain, keys, rows
from proxy.store.additions import Additions
from proxy.store.measures import indexed
from proxy.store.rollup import Key, SessionSum
from proxy.store.sqlite_cells import add_cells, add_facets, sweep_cells
from proxy.store.sqlite_long import correct, is_long
from proxy.store.sqlite_rollups import KEEP_SESSION, MOVE, by_session, index, sessions_of, tasks_of_session
from proxy.store.sqlite_users import add_users, correct_seen, full_users, recount
from proxy.store.sqlite_writing import Writing
from proxy.task import Summary

Pair = tuple[Summary | None, Summary | None]
"""What a task was and what it is now; `None`: it was not there, or is there no more."""

_ATTENDED = "SELECT user_id FROM attendance WHERE session = (SELECT key FROM session WHERE project_id = ? AND id = ?)"
_LEAVE = "DELETE FROM attendance WHERE session = (SELECT key FROM session WHERE project_id = ? AND id = ?) AND user_id = ?"
_PRESENT = "SELECT 1 FROM task WHERE session_id = ? AND +project_id = ? AND +user_id = ? LIMIT 1"


def swap(db: Writing, pairs: Sequence[Pair]) -> None:
    """Correct cells, facets, sessions, users, who took part in what, and what is found by metadata.

    The rows of the tasks are already as they are now, or gone. What is a sum is corrected by difference; a session is added up
    anew from its tasks, and a long one corrected where they are.
    """
    before = [old for old, _ in pairs if old is not None]
    after = [new for _, new in pairs if new is not None]
    full = full_users(db, {(task.project_id, task.user_id) for task in (*before, *after) if task.user_id is not None})
    less, more = Additions(), Additions()
    for task in before:
        less.measure(task)
    for task in after:
        more.measure(task)
    _sessions(db, more, before, after)
    _unindex(db, pairs)
    index(db, [(key, task) for task in after if task.metadata for (key,) in db.execute(_KEY, (task.id,))])
    add_cells(db, less, sign=-1)
    add_cells(db, more)
    add_facets(db, more)
    sweep_cells(db, [*less.minutes, *less.labels], {day for tallies in (more.facets_gone, more.lasts_gone) for day, _ in tallies})
    moved = [(old, new) for old, new in pairs if old is None or new is None or _when(old) != _when(new)]
    add_users(db, more, [new for _, new in moved if new is not None])
    correct_seen(db, more, [old for old, _ in moved if old is not None])
    recount(db, full)


def _when(task: Summary) -> tuple[str, str | None, int, int]:
    """Who was seen when: where that is as it was, none of the user's other tasks has to be read."""
    return task.project_id, task.user_id, task.created_at, task.ended_at


_KEY = "SELECT key FROM task WHERE id = ?"
_UNINDEX = "DELETE FROM metadatum WHERE name = ? AND value = ? AND task = ?"
_UNINDEX_GONE = (
    "DELETE FROM metadatum WHERE name = ? AND value = ? AND task BETWEEN ? AND ?"
    " AND NOT EXISTS (SELECT 1 FROM task WHERE task.key = metadatum.task)"
)


def _unindex(db: sqlite3.Connection, pairs: Sequence[Pair]) -> None:
    for old, new in pairs:
        if old is None or not (found := indexed(old)):
            continue
        if new is not None:
            [(key,)] = db.execute(_KEY, (new.id,)).fetchall()
            db.executemany(_UNINDEX, [(name, value, key) for name, value in found])
        else:  # its key went with it: it is one of that moment, or of the next ones where the moment was full
            first = keys.bound(old.created_at)
            db.executemany(_UNINDEX_GONE, [(name, value, first, first + 4 * keys.TIES) for name, value in found])


def _sessions(db: Writing, adds: Additions, before: Sequence[Summary], after: Sequence[Summary]) -> None:
    gone = by_session(adds, before, -1)
    come = by_session(adds, after)
    touched = gone.keys() | come.keys()
    db.let_sessions_go(touched)
    have = sessions_of(db, touched)
    for key in touched:
        adds.attend(come.get(key, ()), key)
        if (long := have.get(key)) is not None and is_long(long, len(gone.get(key, ())) + len(come.get(key, ()))):
            adds.end(long, -1)
            correct(db, adds, long, gone.get(key, ()), come.get(key, ()))
            adds.end(long)
            _keep(db, long)
            _leave(db, key, _left(db, key, gone.get(key, ()), come.get(key, ())))
            continue
        every = tasks_of_session(db, key)
        new = {task.id for task in come.get(key, ())}
        old = sorted([*(task for task in every if task.id not in new), *gone.get(key, ())], key=chain.place)
        if key in have:
            adds.end(have[key], -1)
        if old:
            for told in chain.follow(chain.begun(old[0]), old):
                adds.tell(*told, -1)
        if not every:
            _leave(db, key, _attending(db, key))
            db.execute("DELETE FROM session WHERE project_id = ? AND id = ?", key)
            continue
        session = chain.begun(every[0])
        for told in chain.follow(session, every):
            adds.tell(*told)
        adds.end(session)
        _keep(db, session)
        _leave(db, key, _attending(db, key) - {task.user_id for task in every})


def _keep(db: sqlite3.Connection, session: SessionSum) -> None:
    db.execute(KEEP_SESSION, rows.session_row(session))
    db.execute(MOVE, (session.ended_at, session.project_id, session.id))


def _attending(db: sqlite3.Connection, key: Key) -> set[str | None]:
    return {user_id for (user_id,) in db.execute(_ATTENDED, key)}


def _left(db: sqlite3.Connection, key: Key, gone: Iterable[Summary], come: Iterable[Summary]) -> set[str | None]:
    """Those of whom a task is gone from a session, and who have no other in it."""
    maybe = {task.user_id for task in gone} - {task.user_id for task in come} - {None}
    return {user_id for user_id in maybe if db.execute(_PRESENT, (*reversed(key), user_id)).fetchone() is None}


def _leave(db: sqlite3.Connection, key: Key, users: set[str | None]) -> None:
    """Take out those who are in a session no more; whoever came is put in with the other users."""
    for user_id in users:
        db.execute(_LEAVE, (*key, user_id))
        db.execute("UPDATE user SET sessions = sessions - 1 WHERE project_id = ? AND id = ?", (key[0], user_id))
