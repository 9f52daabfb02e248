"""SQL for experts: a connection that can read four views and nothing else, whatever the tables behind them become."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.store import StoreUnavailable, rows, told
from proxy.store.sqlite_file import must_be_readable, must_exist, reader_uri, unavailable

PICO = "1000000000000.0"
SECONDS = 60.0
"""How long one statement may take."""

_STEPS = 50_000


def _fact(name: str, path: str | None = None) -> str:
    return f"json_extract(told(task.facts), '$.{path or name}') AS {name}"


def _time(column: str, name: str) -> str:
    """`2026-11-22T15:04:05.123456Z`"""
    return (
        f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch')"
        f" || printf('.%06dZ', (({column} % 1000000) + 1000000) % 1000000) AS {name}"
    )


_SIGNS = "success, failure, refusals, moderated, limited, repeated, rephrased, frustrated, loops"

VIEWS = {
    "tasks": "SELECT task.id AS id, task.project_id AS project_id, "
    + ", ".join(
        (
            *(_time("task.created_at", "created_at"), _time("task.ended_at", "ended_at"), "task.kind AS kind", _fact("name")),
            *("task.session_id AS session_id", _fact("session_source"), "task.user_id AS user_id", _fact("user_source")),
            *("task.parent_task_id AS parent_task_id", _fact("retry_of"), _fact("input"), _fact("output")),
            "(SELECT text FROM prompt WHERE prompt.key = task.prompt) AS system_prompt",
            *("task.model AS model", "task.model_requested AS model_requested", "task.ending AS ending", "task.flag AS flag"),
            *(
                _fact(f"{name}_tokens", f"usage.{name}_tokens")
                for name in ("input", "output", "total", "cached_input", "reasoning")
            ),
            *(
                _fact(name)
                for name in ("cost", "upstream", "method", "path", "http_status", "error_code", "caller_key", "stream")
            ),
            *(_fact(name) for name in ("seconds_to_first_byte", "seconds_to_first_token", "seconds_total", "longest_stall")),
            *(_fact("version_id", "metadata.version_id"), _fact("metadata")),
            *(
                _fact(name)
                for name in ("events", "finish_reasons", "problems", "session_final", "tokens_per_second", "response_id")
            ),
        )
    )
    + " FROM task",
    "sessions": (
        f"SELECT id, project_id, user_id, {_time('started_at', 'started_at')}, {_time('ended_at', 'ended_at')},"
        " (ended_at - started_at) / 1e6 AS seconds, tasks AS task_count, errors AS error_count,"
        " turns, input_tokens, output_tokens,"
        f" CASE WHEN priced THEN cost / {PICO} END AS cost, {_SIGNS}, silence / 1e6 AS silence_seconds, model, models,"
        f" first_input, {rows.LAST_INPUT} AS last_input, last_output, last_ending, last_flag, final,"
        " tasks = 1 AND NOT explicit AS implicit,"
        " (last_ending <> 'completed' OR last_flag IS 'failure' OR last_refusal) AS ended_badly FROM session"
    ),
    "users": (
        f"SELECT id, project_id, {_time('first_seen', 'first_seen')}, {_time('last_seen', 'last_seen')}, tasks AS task_count,"
        " sessions AS session_count, errors AS error_count, input_tokens, output_tokens,"
        f" CASE WHEN priced THEN cost / {PICO} END AS cost, {_SIGNS}, active_days, busiest_minute, ended_badly,"
        " CASE WHEN owned THEN owned_micros / 1e6 / owned END AS session_seconds FROM user"
    ),
    "feedback": (
        f"SELECT feedback.id AS id, task.id AS task_id, {_time('feedback.created_at', 'created_at')}, feedback.flag AS flag,"
        " feedback.score AS score, feedback.comment AS comment, feedback.source AS source, feedback.user_id AS user_id"
        " FROM main.feedback AS feedback JOIN task ON task.key = feedback.task"
    ),
}
"""Their names and columns are part of the interface: what is here stays."""

_ALWAYS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})
_NO_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})


class BadStatement(ValueError):
    """SQLite cannot make sense of the statement, or it may not do what it wants to do."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection with the views. Raises StoreMissing, StoreUnavailable."""
    must_exist(path)
    try:
        db = sqlite3.connect(reader_uri(path), uri=True, isolation_level=None, timeout=5)
    except sqlite3.Error as error:
        raise unavailable(path, error) from error
    try:
        [(application_id,)] = db.execute("PRAGMA application_id")
        [(version,)] = db.execute("SELECT max(version) FROM schema_version")
        must_be_readable(path, application_id, version)
        told.teach(db)
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        for name, select in VIEWS.items():
            db.execute(f"CREATE TEMP VIEW {name} AS {select}")
        db.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").fetchall()  # made now: to make them needs more than to read
        db.execute("PRAGMA query_only = 1")
        db.set_authorizer(_allowed)
        yield db
    except sqlite3.DatabaseError as error:
        raise unavailable(path, error) from error
    finally:
        db.close()


def answer(db: sqlite3.Connection, statement: str) -> tuple[tuple[str, ...], Iterator[tuple[object, ...]]]:
    """The names of the columns, and the rows as they are found. Raises BadStatement, StoreUnavailable."""
    deadline = time.monotonic() + SECONDS
    db.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        cursor = db.execute(statement)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _bad(error) from None
    if cursor.description is None:
        raise BadStatement("This is no question: it has no columns.")
    return tuple(column[0] for column in cursor.description), _rows(cursor)


def _rows(cursor: sqlite3.Cursor) -> Iterator[tuple[object, ...]]:
    try:
        yield from cursor
    except sqlite3.Error as error:
        raise _bad(error) from None


def _bad(error: Exception) -> Exception:
    if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
        return StoreUnavailable(f"The answer took longer than {SECONDS:g} s.")
    if getattr(error, "sqlite_errorname", "") == "SQLITE_AUTH":
        return BadStatement(f"Only the views {', '.join(VIEWS)} can be read, and nothing can be changed. ({error})")
    return BadStatement(str(error))


def _readable(table: str | None, column: str | None, database: str | None, view: str | None) -> bool:
    """A view, what is read through one, and what a table-valued function gives; of no column (`count(*)`) anything."""
    return not column or view in VIEWS or (table in VIEWS and database != "main") or table in ("json_each", "json_tree")


def _allowed(action: int, first: str | None, second: str | None, database: str | None, view: str | None) -> int:
    if action in _ALWAYS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ and _readable(first, second, database, view):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second not in _NO_FUNCTIONS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
