"""Langfuse's observations, traces and scores: blob storage exports (enriched and legacy), its API's JSON, exports from its pages.

Blob storage writes `snake_case`, the others `camelCase`; an observation's parent is another one, or its trace where that is a row
of its own (legacy). https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from proxy.record.imports.fields import KINDS, BadRow, answer, content, given, moment, number, parsed, table, text, usage
from proxy.task import JSON

KEPT = ("trace_id", "trace_name", "environment", "type", "version", "release", "tags", "prompt_name", "prompt_version", "level")
"""What becomes metadata, beside its own `metadata`."""


def is_here(columns: Collection[str]) -> bool:
    """Do rows with these columns look like it?"""
    found = {_snake(name) for name in columns}
    observation = {"trace_id", "type"} <= found and bool(found & {"start_time", "observation_id"})
    trace = {"id", "timestamp"} <= found and bool(found & {"session_id", "user_id", "bookmarked", "public", "release"})
    return observation or trace or _is_score(found)


def read(row: JSON) -> JSON:
    """Raises BadRow."""
    row = {_snake(name): value for name, value in row.items()}
    if _is_score(row.keys()):
        return _score(row)
    kind = str(row.get("type") or "").lower()
    asked, answered = content(given(row, "input")), answer(given(row, "output"))
    if isinstance(asked.get("raw_input"), dict) and kind == "generation":
        model = {"model": given(row, "provided_model_name", "model")} if given(row, "provided_model_name", "model") else {}
        asked = {"raw_input": {**model, **table(row, "model_parameters"), **asked["raw_input"]}}
    if not asked.get("raw_input"):
        asked["input"] = asked.get("input") or ""
    failed = row.get("level") == "ERROR"
    said = text(row, "status_message")
    return {
        **asked,
        **answered,
        "task_id": text(row, "id"),
        "parent_task_id": text(row, "parent_observation_id") or (text(row, "trace_id") if _legacy(row) else None),
        "session_id": text(row, "session_id"),
        "user_id": text(row, "user_id"),
        "name": text(row, "name"),
        "kind": KINDS.get(kind, "embedding" if kind == "embedding" else None),
        "model": text(row, "provided_model_name", "model"),
        "metadata": {**_kept(row), **table(row, "metadata")},
        "usage": _usage(row),
        "cost": number(row, "total_cost", "calculated_total_cost"),
        "created_at": moment(row, "start_time", "timestamp"),
        "ended_at": moment(row, "end_time"),
        "seconds_to_first_token": number(row, "time_to_first_token"),
        "ending": "upstream_error" if failed else None,
        "problems": [said] if failed and said else None,
        "feedback": [_said(score) for score in _scores(row)],
    }


def _is_score(columns: Collection[str]) -> bool:
    """Whether a row is what somebody, or something, thought of a trace or an observation."""
    return {"name", "value", "data_type"} <= set(columns) and "input" not in columns


def _score(row: JSON) -> JSON:
    about = text(row, "observation_id", "trace_id")
    if about is None:
        raise BadRow("it is a score of a session or an experiment, and of no trace")
    return {"task_id": about, "feedback": [_said(row)]}


def _scores(row: JSON) -> list[JSON]:
    """Those that a trace brings along, in the API's JSON."""
    found = parsed(row.get("scores"))
    rows = [{_snake(name): value for name, value in each.items()} for each in found or () if isinstance(each, dict)]
    return [each for each in rows if _is_score(each.keys()) and not given(each, "observation_id")]


def _said(row: JSON) -> JSON:
    """A score as feedback: only what is true or false is a flag."""
    kind = str(row.get("data_type") or "").upper()
    value = parsed(given(row, "value"))
    words = text(row, "string_value") or (value if isinstance(value, str) and kind == "CATEGORICAL" else None)
    score, flag = None, None
    if kind != "CATEGORICAL":
        score = number({"value": {"true": 1, "false": 0}.get(str(value).lower(), value)}, "value")
    if kind == "BOOLEAN":
        flag = None if score is None else "success" if score else "failure"
    told = [text(row, "name"), words if kind == "CATEGORICAL" else None, text(row, "comment")]
    return {
        "id": text(row, "id"),
        "created_at": moment(row, "timestamp", "created_at"),
        "flag": flag,
        "score": score,
        "comment": ": ".join(each for each in told if each),
        "source": (text(row, "source") or "langfuse").lower(),
        "user_id": text(row, "author_user_id"),
    }


def _kept(row: JSON) -> JSON:
    found = {name: parsed(given(row, name)) for name in KEPT}
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def _usage(row: JSON) -> JSON | None:
    figures = {**table(row, "usage"), **table(row, "usage_details")}
    return (
        usage(
            figures or row,
            input_tokens=("input", "prompt_tokens", "input_tokens", "input_usage"),
            output_tokens=("output", "completion_tokens", "output_tokens", "output_usage"),
            total_tokens=("total", "total_tokens", "total_usage"),
            cached_input_tokens=("input_cached_tokens", "cache_read_input_tokens"),
            cache_write_tokens=("cache_creation_input_tokens",),
            reasoning_tokens=("output_reasoning_tokens", "reasoning_tokens"),
        )
        if figures
        else None
    )


def _legacy(row: JSON) -> bool:
    """Rows without their trace's fields: traces are rows of a file of their own."""
    return "trace_name" not in row and "user_id" not in row and "session_id" not in row


def _snake(name: Any) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", str(name)).lower()
