"""phospho's tasks: as its API and log events have them, and its flat tables (`tasks_df`, the dashboard's CSV)."""

from __future__ import annotations

from collections.abc import Collection

from proxy.record.imports.fields import answer, content, given, labels, moment, parsed, rest, table, text, usage
from proxy.task import JSON

FLAT = "task_metadata."
NO_CONTENT = (
    "id", "org_id", "additional_input", "additional_output", "data", "last_eval", "human_eval", "sentiment", "language",
    "events", "environment", "topics", "task_position", "is_last_task", "raw_input_type_name", "raw_output_type_name",
    "client_created_at", "last_update",
)  # fmt: skip
"""Fields of its own bookkeeping, and those that are read below."""

TASK = (
    "task_id", "input", "output", "raw_input", "raw_output", "session_id", "user_id", "project_id", "metadata", "flag",
    "created_at", "prompt_tokens", "completion_tokens", "total_tokens", "model", "system_prompt",
)  # fmt: skip


def is_here(columns: Collection[str]) -> bool:
    """Do rows with these columns look like it?"""
    found = set(columns)
    return {"task_id", "task_input"} <= found or ("input" in found and bool(found & {"additional_input", "client_created_at"}))


def read(row: JSON) -> JSON:
    """Raises BadRow."""
    return _flat(row) if "task_input" in row else _task(row)


def _flat(row: JSON) -> JSON:
    metadata = {
        name.removeprefix(FLAT): parsed(row[name]) for name in row if name.startswith(FLAT) and given(row, name) is not None
    }
    metadata |= table(row, "task_metadata")
    return {
        "task_id": text(row, "task_id"),
        "input": text(row, "task_input") or "",
        "output": text(row, "task_output"),
        "session_id": text(row, "session_id"),
        **_from_metadata(metadata),
        "created_at": moment(row, "task_created_at"),
        "flag": _flag(row, "task_eval"),
    }


def _task(row: JSON) -> JSON:
    metadata = {**rest(row, *NO_CONTENT, *TASK), **table(row, "metadata")}
    asked, answered = given(row, "raw_input", "additional_input"), given(row, "raw_output", "additional_output")
    flag = _flag(row, "flag") or _flag(table(row, "last_eval"), "value")
    return {
        "task_id": text(row, "task_id", "id"),
        "input": text(row, "input") or "",
        "output": text(row, "output"),
        "raw_input": content(_wrapped(asked, "raw_input")).get("raw_input"),
        "raw_output": answer(_wrapped(answered, "raw_output")).get("raw_output"),
        "session_id": text(row, "session_id"),
        "project_id": text(row, "project_id"),
        **_from_metadata({**metadata, **{name: row[name] for name in TASK[-5:] if given(row, name) is not None}}),
        **({"user_id": text(row, "user_id")} if given(row, "user_id") is not None else {}),
        "created_at": moment(row, "created_at", "client_created_at"),
        "flag": flag,
        "events": labels(row, "events"),
    }


def _wrapped(value: object, name: str) -> object:
    """phospho wraps texts and lists in an object of one field."""
    value = parsed(value)
    return value[name] if isinstance(value, dict) and set(value) == {name} else value


def _from_metadata(metadata: JSON) -> JSON:
    """phospho keeps labels and counts in its metadata."""
    known = ("user_id", "model", "system_prompt", "prompt_tokens", "completion_tokens", "total_tokens")
    figures = {"input_tokens": ("prompt_tokens",), "output_tokens": ("completion_tokens",), "total_tokens": ("total_tokens",)}
    return {
        **{name: text(metadata, name) for name in known[:3]},
        "usage": usage(metadata, **figures),
        "metadata": {name: value for name, value in metadata.items() if name not in {*known, *NO_CONTENT}},
    }


def _flag(row: JSON, name: str) -> str | None:
    value = row.get(name)
    return value if value in {"success", "failure"} else None
