"""Models, files and batches, recorded small: ids, names and states as text, and of a list no more than that.

What a list says beside (a router's prices for 400 models) is in the kept bytes.
"""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answer import Form, form_of, json_of
from proxy.wire.dialect import Reading, Said, error_of, text_of
from proxy.wire.marks import answer_mark, file_mark

NAMES = ("id", "name", "display_name", "filename")
SMALL = (*NAMES, "object", "type", "created", "created_at", "owned_by", "purpose", "bytes", "status", "endpoint")
"""What is kept of an entry of a list."""

MOST_LINES = 100
"""Entries of a list that are told one by one."""


def read(said: Said) -> Reading:
    """Read one call about a model, a file or a batch."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    content = said.target.partition("?")[0].rstrip("/").endswith("/content")
    if content and not (said.status is not None and said.status >= 400):
        return Reading(output=answer_mark(said, "file"))  # it may be JSON, or begin as JSON does: it is somebody's, all the same
    value, problem = json_of(said.pieces) if form_of(said.pieces, said.content_type) is Form.JSON else (None, None)
    if problem is not None and not said.whole:
        problem = "the response is cut: its JSON cannot be read"
    raw: JSON = value if isinstance(value, dict) else {}
    error = None if raw.get("object") in ("batch", "file") else error_of(raw)
    return Reading(
        raw_output=_small(raw) if raw else value,
        input=_input(asked),
        output=_output(raw),
        model_requested=text_of(asked, "model"),
        response_id=text_of(raw, "id"),
        failed=error is not None,
        error=error,
        problems=() if problem is None else (problem,),
    )


def _small(raw: JSON) -> JSON:
    data = raw.get("data")
    if not isinstance(data, list):
        return raw
    entries = [{key: entry[key] for key in SMALL if key in entry} if isinstance(entry, dict) else entry for entry in data]
    return {key: value for key, value in raw.items() if key != "models"} | {"data": entries}  # llama.cpp lists them twice


def _input(asked: JSON) -> str | None:
    words = [file_mark("file", asked["file"])] if asked.get("file") else []
    words += [text for text in (text_of(asked, key) for key in ("purpose", "endpoint", "input_file_id")) if text]
    return " ".join(words) or None


def _output(raw: JSON) -> str | None:
    data: Any = raw.get("data")
    if not isinstance(data, list):
        return _line(raw) if text_of(raw, "id") else None
    lines = [_line(entry) for entry in data[:MOST_LINES] if isinstance(entry, dict)]
    if len(data) > MOST_LINES:
        lines.append(f"... and {len(data) - MOST_LINES} more")
    return "\n".join(line for line in lines if line) or None


def _line(entry: JSON) -> str:
    words = [text_of(entry, key) for key in (*NAMES, "status")]
    line = " ".join(dict.fromkeys(word for word in words if word))
    return f"deleted {line}" if entry.get("deleted") is True else line
