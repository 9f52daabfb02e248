"""Rows with columns named as our own fields; phospho's file upload reads the same. Any other column is metadata."""

from __future__ import annotations

from collections.abc import Collection

from proxy.record.imports.fields import labels, moment, number, parsed, rest, table, text
from proxy.task import JSON

LABELS = (
    "session_id", "user_id", "project_id", "parent_task_id", "name", "kind", "system_prompt", "model", "flag", "ending",
)  # fmt: skip
OURS = (
    "task_id", "id", "input", "output", "raw_input", "raw_output", "metadata", "usage", "created_at", "ended_at", "cost",
    "events", *LABELS,
)  # fmt: skip


def is_here(columns: Collection[str]) -> bool:
    """Do rows with these columns look like it?"""
    return "input" in columns or "raw_input" in columns


def read(row: JSON) -> JSON:
    """Raises BadRow."""
    said = {name: parsed(row.get(name)) if name.startswith("raw_") else row.get(name) for name in ("raw_input", "raw_output")}
    for name in ("input", "output"):
        value = row.get(name)
        said[name] = value if isinstance(value, str) or value is None else None
        if value is not None and not isinstance(value, str):
            said.setdefault(f"raw_{name}", value)
            said[f"raw_{name}"] = said[f"raw_{name}"] if said[f"raw_{name}"] is not None else value
    return {
        **said,
        "task_id": text(row, "task_id", "id"),
        **{name: text(row, name) for name in LABELS},
        "metadata": {**rest(row, *OURS), **table(row, "metadata")},
        "usage": table(row, "usage"),
        "created_at": moment(row, "created_at"),
        "ended_at": moment(row, "ended_at"),
        "cost": number(row, "cost"),
        "events": labels(row, "events"),
    }
