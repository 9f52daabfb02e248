"""Reading cells: the same value may be JSON, text of JSON (as in CSV), a number as text, or empty."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from typing import Any

from proxy.store.events import EVENTS_MOST, is_event
from proxy.task import FULL_ID_LENGTH, JSON

TASK_ID = re.compile(rf"[A-Za-z0-9_.:\-]{{1,{FULL_ID_LENGTH}}}")
NULLS = ("", "null", "None", "NULL", "NaN", "nan")
"""How tables write that there is nothing."""

KINDS = {
    "completion": "chat", "acompletion": "chat", "chat_completion": "chat", "text_completion": "completion",
    "atext_completion": "completion", "embedding": "embedding", "aembedding": "embedding", "responses": "response",
    "aresponses": "response", "image_generation": "image", "aimage_generation": "image", "transcription": "audio",
    "atranscription": "audio", "speech": "audio", "aspeech": "audio", "moderation": "moderation", "amoderation": "moderation",
    "anthropic_messages": "message", "generation": "chat",
}  # fmt: skip
"""What other tools call the kinds of calls, in lower case."""


class BadRow(ValueError):
    """A row that is no task; the text says why."""


def parsed(value: Any) -> Any:
    """A cell that holds JSON text as what it says; anything else as it is."""
    if isinstance(value, str) and value[:1] in {"{", "[", '"'}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def given(row: JSON, *names: str) -> Any:
    """The first of these columns that has a value; `None`: none has."""
    for name in names:
        value = row.get(name)
        if value is not None and not (isinstance(value, str) and value in NULLS) and not is_nan(value):
            return value
    return None


def is_nan(value: Any) -> bool:
    """How pandas writes an empty cell into JSON and Parquet."""
    return isinstance(value, float) and math.isnan(value)


def text(row: JSON, *names: str) -> str | None:
    """A label or a short text."""
    value = given(row, *names)
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def number(row: JSON, *names: str) -> float | None:
    """Raises BadRow for what is no number."""
    value = given(row, *names)
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadRow(f"{names[0]}: {str(value)[:100]!r} is no number") from None


def whole(row: JSON, *names: str) -> int | None:
    """A count. Raises BadRow for what is no number."""
    found = number(row, *names)
    return None if found is None or not math.isfinite(found) or found < 0 else int(found)


def table(row: JSON, *names: str) -> JSON:
    """A JSON object, given or as text; empty where there is none."""
    value = parsed(given(row, *names))
    return value if isinstance(value, dict) else {}


def labels(row: JSON, *names: str) -> list[JSON | str] | None:
    """Events: a list of names, or of objects that have one; what is none of these is left out."""
    value = parsed(given(row, *names))
    found = [one for one in value if is_event(one)] if isinstance(value, list) else []
    return found[:EVENTS_MOST] or None


def moment(row: JSON, *names: str) -> Any:
    """A time as the API reads it: ISO 8601, or a number of seconds or milliseconds (as text, in a CSV)."""
    value = given(row, *names)
    if isinstance(value, str):
        value = value.strip().removesuffix(" UTC")
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value) if "." in value else int(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def content(value: Any) -> JSON:
    """What was asked, as `input` where it is text and as `raw_input` where it is a query or messages."""
    value = parsed(value)
    if isinstance(value, list) and value and all(isinstance(each, dict) and "role" in each for each in value):
        return {"raw_input": {"messages": value}}
    return {"input": value} if isinstance(value, str) or value is None else {"raw_input": value}


def answer(value: Any) -> JSON:
    """What was answered, likewise. One message is taken for the answer that holds it."""
    value = parsed(value)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict) and "role" in value and "content" in value and "type" not in value:
        return {"raw_output": {"choices": [{"index": 0, "message": value}]}}
    return {"output": value} if isinstance(value, str) or value is None else {"raw_output": value}


def usage(row: JSON, **names: Iterable[str]) -> JSON | None:
    """Figures by our names; only those that are there. Raises BadRow."""
    found = {name: whole(row, *columns) for name, columns in names.items()}
    found = {name: value for name, value in found.items() if value is not None}
    return found or None


def rest(row: JSON, *used: str) -> JSON:
    """The columns that have no meaning to us, as metadata."""
    return {name: parsed(row[name]) for name in row if name not in used and given(row, name) is not None}


def sound_id(value: Any) -> str:
    """An id as a task id; one that cannot be one becomes another, always the same."""
    found = str(value)
    if TASK_ID.fullmatch(found):
        return found
    return "id-" + hashlib.sha256(found.encode("utf-8", "surrogatepass")).hexdigest()[:32]
