"""Traces in SQLite: kept with their tasks, and asked for by many keys at once, each of which walks one index."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from proxy.store.rows import Row
from proxy.store.sqlite_many import put
from proxy.task import Task, Traced

_TRACE = "INSERT OR IGNORE INTO trace (key, task, mark) VALUES (?, ?, ?)"  # two choices may say the same

FOUND = """
SELECT trace.key, trace.mark, task.id, task.session_id, session.explicit, task.created_at,
  CASE WHEN session.final AND session.last_ending = 'completed' THEN 0 ELSE session.ended_at END
FROM json_each(?) AS wanted
CROSS JOIN trace ON trace.key = wanted.value
  AND trace.task IN (SELECT task FROM trace WHERE key = wanted.value ORDER BY task DESC LIMIT ?)
CROSS JOIN task ON task.key = trace.task
CROSS JOIN session ON session.id = task.session_id AND session.project_id = task.project_id
"""
"""The latest tasks of each key; the joins are in the order written, so that none is a scan."""


def keep(db: sqlite3.Connection, new: Sequence[tuple[int, Task]]) -> None:
    """Keep the traces of new tasks, inside the transaction that is open on `db`."""
    put(db, _TRACE, [(trace.key, key, trace.mark) for key, task in new for trace in task.traces])


def wanted(keys: Sequence[int], most: int) -> tuple[str, int]:
    """The values of `FOUND`."""
    return json.dumps(keys), most


def traced(row: Row) -> Traced:
    """A row of `FOUND`."""
    key, mark, task_id, session_id, explicit, created_at, last_at = row
    return Traced(
        key=key,
        mark=mark,
        task_id=task_id,
        session_id=session_id,
        explicit=bool(explicit),
        created_at=created_at,
        last_at=last_at,
    )
