"""What `tasktap export` writes: JSON lines, whole or summaries, and CSV."""

from __future__ import annotations

from collections.abc import Collection

from proxy.record.imports.fields import given, labels, moment, number, parsed, table, text, usage
from proxy.task import JSON

LABELS = (
    "session_id", "user_id", "project_id", "parent_task_id", "name", "kind", "system_prompt", "model", "model_requested",
    "ending", "response_id",
)  # fmt: skip
FIGURES = (
    "input_tokens", "output_tokens", "total_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens",
    "audio_input_tokens", "audio_output_tokens",
)  # fmt: skip


def is_here(columns: Collection[str]) -> bool:
    """Do rows with these columns look like it?"""
    return {"origin", "ending", "created_at", "kind"} <= set(columns)


def read(row: JSON) -> JSON:
    """Raises BadRow."""
    stream = given(row, "stream")
    return {
        "task_id": text(row, "id"),
        "input": _cell(row, "input") or "",
        "output": _cell(row, "output"),
        "raw_input": parsed(row.get("raw_input")),
        "raw_output": parsed(row.get("raw_output")),
        **{name: _cell(row, name) for name in LABELS},
        "metadata": table(row, "metadata"),
        "usage": table(row, "usage") or usage(row, **{name: (name,) for name in FIGURES}),
        "created_at": moment(row, "created_at"),
        "ended_at": moment(row, "ended_at")
        if given(row, "seconds_total") is not None
        else None,  # else it is the beginning again
        "cost": number(row, "cost"),
        "seconds_to_first_token": number(row, "seconds_to_first_token"),
        "stream": stream in {True, "true"} if stream is not None else None,
        "problems": parsed(given(row, "problems")),
        "events": labels(row, "events"),
        **_judged(row),
    }


def _judged(row: JSON) -> JSON:
    """What people thought of it; a summary has only what came of that."""
    feedback = parsed(given(row, "feedback"))
    return {"feedback": feedback} if isinstance(feedback, list) and feedback else {"flag": _cell(row, "flag")}


def _cell(row: JSON, name: str) -> str | None:
    """A text; the mark that kept a spreadsheet from running it is taken off again."""
    value = text(row, name)
    return value[1:] if value is not None and value[:1] == "'" and value[1:2] in {"=", "+", "-", "@", "\t", "\r"} else value
