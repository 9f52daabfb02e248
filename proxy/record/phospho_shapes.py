"""Tasks and sessions as phospho's client reads them: its own field names, whole seconds, nothing null that may not be. Pure.

The client's models refuse a null `environment`, a fraction in `created_at`, an evaluation without `value` (rules S16, S17).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from proxy.task import JSON, Feedback, Session, Summary, Task

ORGANISATION: Final = "default"
ENVIRONMENT: Final = "default environment"
_WORDS = 10  # of each text, in a session's preview


def seconds(microseconds: int) -> int:
    """Whole seconds since the epoch."""
    return microseconds // 1_000_000


def metadata_of(task: Summary) -> JSON:
    """The app's metadata, and what phospho puts beside it."""
    usage = task.usage
    beside = {
        "user_id": task.user_id,
        "model": task.model or task.model_requested,
        "system_prompt": task.system_prompt,
        "prompt_tokens": None if usage is None else usage.input_tokens,
        "completion_tokens": None if usage is None else usage.output_tokens,
        "total_tokens": None if usage is None else usage.total_tokens,
    }
    return {**{name: value for name, value in beside.items() if value is not None}, **task.metadata}


def task_of(task: Summary, *, position: int | None = None, last: bool | None = None) -> JSON:
    """A task."""
    feedback = task.feedback if isinstance(task, Task) else ()
    latest = next((one for one in sorted(feedback, key=lambda one: -one.created_at) if one.flag is not None), None)
    notes = next((one.comment for one in sorted(feedback, key=lambda one: -one.created_at) if one.comment), None)
    found: JSON = {
        "id": task.id,
        "task_id": task.id,
        "created_at": seconds(task.created_at),
        "project_id": task.project_id,
        "org_id": ORGANISATION,
        "session_id": task.session_id,
        "input": task.input or "",
        "output": task.output,
        "additional_input": _wrapped(task.raw_input, "raw_input") if isinstance(task, Task) else {},
        "additional_output": _wrapped(task.raw_output, "raw_output") if isinstance(task, Task) else {},
        "metadata": metadata_of(task),
        "data": task.metadata.get("data") if isinstance(task.metadata.get("data"), dict) else {},
        "flag": task.flag,
        "events": [],
        "environment": ENVIRONMENT,
        "notes": notes,
    }
    if latest is not None:
        found["human_eval"] = {"id": latest.id, "created_at": seconds(latest.created_at), "flag": latest.flag}
        found["last_eval"] = _eval(task, latest)
    if position is not None:
        found["task_position"] = position
    if last is not None:
        found["is_last_task"] = last
    return found


def unknown_task(id: str, project_id: str, feedback: Feedback | None = None) -> JSON:
    """A task that is not there yet: what was said of it waits."""
    flag = None if feedback is None else feedback.flag
    return {
        "id": id,
        "task_id": id,
        "project_id": project_id,
        "org_id": ORGANISATION,
        "session_id": None,
        "input": "",
        "output": None,
        "created_at": 0 if feedback is None else seconds(feedback.created_at),
        "additional_input": {},
        "additional_output": {},
        "metadata": {},
        "data": {},
        "flag": flag,
        "events": [],
        "environment": ENVIRONMENT,
        "notes": None if feedback is None else feedback.comment,
    }


def flattened(task: Summary, length: int | None, position: int | None) -> JSON:
    """A task as one row of a table."""
    metadata = metadata_of(task)
    return {
        "task_id": task.id,
        "task_input": task.input or "",
        "task_output": task.output,
        "task_metadata": metadata,
        "task_eval": task.flag,
        "task_eval_source": None,
        "task_eval_at": seconds(task.created_at),  # its `push_tasks_df` cannot send a table with a hole here
        "task_created_at": seconds(task.created_at),
        "task_position": position,
        "session_id": task.session_id,
        "session_length": length,
        **{f"task_metadata.{name}": value for name, value in metadata.items()},
    }


def session_of(session: Session) -> JSON:
    """A session."""
    preview = " -> ".join(_first_words(text) for text in (session.first_input, session.last_output) if text)
    tokens = {"prompt_tokens": session.input_tokens, "completion_tokens": session.output_tokens}
    return {
        **empty_session(session.id, session.project_id, seconds(session.started_at)),
        "metadata": {**tokens, "total_tokens": session.input_tokens + session.output_tokens},
        "preview": preview,
        "session_length": session.tasks,
        "last_message_ts": seconds(session.ended_at),
    }


def empty_session(id: str, project_id: str, created_at: int) -> JSON:
    """A session that has no task yet."""
    return {
        "id": id,
        "session_id": id,
        "project_id": project_id,
        "org_id": ORGANISATION,
        "created_at": created_at,
        "metadata": {},
        "data": {},
        "notes": None,
        "preview": None,
        "environment": ENVIRONMENT,
        "events": [],
        "tasks": None,
        "session_length": 0,
        "stats": {},
        "last_message_ts": created_at,
    }


def project_of(id: str) -> JSON:
    """A project: any label is one."""
    return {"id": id, "project_name": id, "org_id": ORGANISATION, "created_at": 0, "settings": {}, "user_id": None}


def matches(task: Summary, wanted: Mapping[str, Any]) -> bool:
    """Whether a task is what phospho's filters ask for, those that a store has no index for; null asks for nothing."""
    checks: Iterable[tuple[str, Any]] = (
        ("tasks_ids", lambda ids: task.id in ids),
        ("sessions_ids", lambda ids: task.session_id in ids),
        ("version_id", lambda version: task.metadata.get("version_id") == version),
        ("excluded_users", lambda users: task.user_id not in users),
        ("task_id_search", lambda part: part in task.id),
        ("session_id_search", lambda part: part in (task.session_id or "")),
        ("metadata", lambda pairs: all(metadata_of(task).get(name) == value for name, value in pairs.items())),
    )
    return all(bool(holds(wanted[name])) for name, holds in checks if wanted.get(name) not in (None, [], {}))


def _eval(task: Summary, feedback: Feedback) -> JSON:
    return {
        "id": feedback.id,
        "created_at": seconds(feedback.created_at),
        "project_id": task.project_id,
        "task_id": task.id,
        "session_id": task.session_id,
        "value": feedback.flag,
        "source": feedback.source or "user",
        "notes": feedback.comment,
    }


def _wrapped(raw: Any, name: str) -> JSON:
    return {} if raw is None else raw if isinstance(raw, dict) else {name: raw}


def _first_words(text: str) -> str:
    return " ".join(text.split()[:_WORDS])
