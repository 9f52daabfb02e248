"""Looks up the parents and parts of tasks that are kept or changed, and puts parts where their parents are."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence

from proxy.store import rows
from proxy.store.shelf import Shelf
from proxy.store.sqlite_rewrite import rewrite
from proxy.store.sqlite_writing import Writing
from proxy.store.story import LABELS, Kept, settled
from proxy.task import Summary, Task

_AT_ONCE = 500  # values in one list
_BY_ID = f"SELECT {rows.SUMMARY_SELECT} FROM task WHERE task.id IN ({{}})"
_PARTS = f"SELECT {rows.SUMMARY_SELECT} FROM task WHERE task.parent_task_id IN ({{}})"
_ANY_PART = "SELECT 1 FROM task WHERE parent_task_id IS NOT NULL LIMIT 1"
_OF_SESSION = f"SELECT {rows.SUMMARY_SELECT} FROM task WHERE task.session_id = ? AND +task.project_id = ?"


def placed(db: sqlite3.Connection, new: Sequence[Task]) -> tuple[list[Task], list[Summary]]:
    """`new`, which are about to be kept, in their places; and what is kept already and is to be written again by that."""
    if all(task.parent_task_id is None for task in new) and db.execute(_ANY_PART).fetchone() is None:
        return list(new), []
    places = {task.id: place for place, task in enumerate(new)}
    found, others = list(new), list[Summary]()
    for task in settled(new, _kept(db)):
        if task.id in places and isinstance(task, Task):
            found[places[task.id]] = task
        else:
            others.append(task)
    return found, others


def follow(db: Writing, shelf: Shelf, those: Sequence[Summary]) -> None:
    """Put into their places what is kept, once `those`, which are kept too, have changed."""
    if those:
        write(db, shelf, settled(those, _kept(db)))


def write(db: Writing, shelf: Shelf, tasks: Sequence[Summary]) -> None:
    """Write the labels of kept tasks again."""
    if tasks:
        rewrite(db, shelf, [task if type(task) is Summary else _summary(task) for task in tasks], LABELS)


def _summary(task: Summary) -> Summary:
    return Summary(**{name: getattr(task, name) for name in Summary.__slots__})


def _kept(db: sqlite3.Connection) -> Kept:
    def of_session(project_id: str, session_id: str) -> Iterator[Summary]:
        return map(rows.summary, db.execute(_OF_SESSION, (session_id, project_id)).fetchall())

    return Kept(lambda ids: _some(db, _BY_ID, ids), lambda ids: _some(db, _PARTS, ids), of_session)


def _some(db: sqlite3.Connection, select: str, values: Collection[str]) -> Iterator[Summary]:
    wanted = list(values)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        yield from map(rows.summary, db.execute(select.format(", ".join("?" * len(some))), some).fetchall())
