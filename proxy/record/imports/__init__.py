"""Exports of other tools as tasks. Pure: a row of a file in, the fields of `POST /api/tasks` out.

plain        columns named as our fields: input, output, task_id, ...; any other is metadata
tasktap      what `tasktap export` writes
phospho      tasks as its API gives them, and its flat tables
langfuse     observations and traces: blob storage, API and UI exports
helicone     requests of its export tool and query API
litellm      spend logs of its database, and standard logging payloads

A row without an id of its own gets one from its content and its place in the file, so that importing again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass

from proxy.record.imports import helicone, langfuse, litellm, phospho, plain, tasktap
from proxy.record.imports.fields import BadRow, sound_id
from proxy.task import JSON

__all__ = ["FORMATS", "BadRow", "Format", "detect", "item_of"]


@dataclass(frozen=True, slots=True)
class Format:
    """One tool's way of writing rows."""

    name: str
    is_here: Callable[[Collection[str]], bool]  # do rows with these columns look like it?
    read: Callable[[JSON], JSON]  # raises BadRow


FORMATS = {
    name: Format(name, module.is_here, module.read)
    for name, module in (
        ("tasktap", tasktap),
        ("helicone", helicone),
        ("litellm", litellm),
        ("langfuse", langfuse),
        ("phospho", phospho),
        ("plain", plain),
    )
}
"""By name, in the order in which they are tried."""


def detect(columns: Collection[str]) -> Format | None:
    """The format of rows with these columns; `None` where none fits."""
    return next((each for each in FORMATS.values() if each.is_here(columns)), None)


def item_of(format: Format, row: JSON, number: int) -> JSON:
    """The task of row `number`, as `POST /api/tasks` takes it; what has no value is left out. Raises BadRow."""
    item = {name: value for name, value in format.read(row).items() if value not in (None, "", {}, []) or name == "input"}
    if "task_id" in item:
        item["task_id"] = sound_id(item["task_id"])
    else:
        content = json.dumps([number, row], sort_keys=True, default=str, ensure_ascii=True).encode()
        item["task_id"] = "import-" + hashlib.sha256(content).hexdigest()[:32]
    if "feedback" in item and item.keys() <= {"task_id", "feedback"}:
        return item  # on a task of another row
    if "parent_task_id" in item:
        item["parent_task_id"] = sound_id(item["parent_task_id"])
    if item.get("input") is None and "raw_input" not in item:
        raise BadRow("there is no input in it")
    if item.get("input") is None:
        item.pop("input", None)
    return item
