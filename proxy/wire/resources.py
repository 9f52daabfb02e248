"""Models, files and batches, recorded small: ids, names and states as text, and of a list no more than that.

What a list says beside (a router's prices for 400 models), or a model of its tensors, is in the kept bytes.
"""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answer import Form, form_of, json_of
from proxy.wire.answered import CUT, is_refused
from proxy.wire.dialect import Reading, Said, error_of, text_of
from proxy.wire.marks import answer_mark, file_mark
from proxy.wire.ollama_lines import Lines

NAMES = ("id", "name", "model", "display_name", "displayName", "filename")
STATES = ("status", "processing_status")
"""The second is Anthropic's."""

SMALL = (
    *NAMES,
    *STATES,
    "object",
    "type",
    "created",
    "created_at",
    "owned_by",
    "purpose",
    "bytes",
    "size",
    "endpoint",
    "details",
)
"""What is kept of an entry of a list."""

LARGE = ("license", "modelfile", "model_info", "tensors", "template")
"""What is not kept of a model of Ollama's."""

SOMEBODYS = ("/content", "/results")
"""How the paths end at which a file comes, or what a batch came to, a line each."""

MOST_LINES = 100
"""Entries of a list that are told one by one."""


def read(said: Said) -> Reading:
    """Read one call about a model, a file or a batch."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    path = said.target.partition("?")[0].rstrip("/")
    if path.endswith(SOMEBODYS) and not is_refused(said):
        return Reading(output=answer_mark(said, "file"))  # it may be JSON, or begin as JSON does: it is somebody's, all the same
    if "ndjson" in said.content_type:
        return _progress(said, asked)
    value, problem = json_of(said.pieces) if form_of(said.pieces, said.content_type) is Form.JSON else (None, None)
    if problem is not None and not said.whole:
        problem = CUT
    raw: JSON = value if isinstance(value, dict) else {}
    error = None if raw.get("object") in ("batch", "file") else error_of(raw)
    return Reading(
        raw_output=_small(raw) if raw else value,
        input=_input(asked),
        output=_output(raw),
        model_requested=_model(asked),
        response_id=text_of(raw, "id"),
        failed=error is not None,
        error=error,
        problems=() if problem is None else (problem,),
    )


def _progress(said: Said, asked: JSON) -> Reading:
    """A model that is pulled, pushed or made by Ollama: how far it is, line by line. The last one says how it ended."""
    lines = Lines(said.pieces)
    last: JSON = {}
    for _, line in lines:
        last = line
    error = error_of(last)
    return Reading(
        raw_output=last or None,
        input=_input(asked),
        output=text_of(last, "status"),
        model_requested=_model(asked),
        stream=True,
        failed=error is not None,
        error=error,
        marked=last.get("status") == "success",
        problems=lines.problems,
    )


def _small(raw: JSON) -> JSON:
    name = "data" if isinstance(raw.get("data"), list) else "models"
    entries = raw.get(name)
    if not isinstance(entries, list):
        return {key: value for key, value in raw.items() if key not in LARGE}
    small = [{key: entry[key] for key in SMALL if key in entry} if isinstance(entry, dict) else entry for entry in entries]
    return {key: value for key, value in raw.items() if key != "models"} | {name: small}  # llama.cpp lists them twice


def _model(asked: JSON) -> str | None:
    """The model that is asked for: Ollama called it `name` once; in a batch of Anthropic's each request has one."""
    requests = asked.get("requests")
    params = [each.get("params") for each in requests if isinstance(each, dict)] if isinstance(requests, list) else []
    models = {text_of(each, "model") for each in params if isinstance(each, dict)}
    return text_of(asked, "model") or text_of(asked, "name") or (models.pop() if len(models) == 1 else None)


def _input(asked: JSON) -> str | None:
    words = [file_mark("file", asked["file"])] if asked.get("file") else []
    words += [text for text in (text_of(asked, key) for key in ("purpose", "endpoint", "input_file_id", "from")) if text]
    if isinstance(asked.get("requests"), list):
        count = len(asked["requests"])
        words.append(f"[{count} request{'' if count == 1 else 's'}]")
    copied = text_of(asked, "source"), text_of(asked, "destination")
    words += [f"{copied[0]} to {copied[1]}"] if all(copied) else []
    return " ".join(words) or None


def _output(raw: JSON) -> str | None:
    entries: Any = next((raw[name] for name in ("data", "models") if isinstance(raw.get(name), list)), None)
    if entries is None:
        return _line(raw) or _described(raw)
    lines = [_line(entry) for entry in entries[:MOST_LINES] if isinstance(entry, dict)]
    if len(entries) > MOST_LINES:
        lines.append(f"... and {len(entries) - MOST_LINES} more")
    return "\n".join(line for line in lines if line) or None


def _line(entry: JSON) -> str | None:
    words = [text_of(entry, key) for key in (*NAMES, *STATES)]
    line = " ".join(dict.fromkeys(word for word in words if word))
    gone = entry.get("deleted") is True or (text_of(entry, "type") or "").endswith("_deleted")
    return (f"deleted {line}" if gone else line) or None


def _described(model: JSON) -> str | None:
    """One of Ollama's models, which says what it is and not what it is called."""
    details = model.get("details")
    words = (
        [text_of(details, key) for key in ("family", "parameter_size", "quantization_level")] if isinstance(details, dict) else []
    )
    return " ".join(word for word in words if word) or None
