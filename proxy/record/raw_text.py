"""What an app logged as raw input and output, read as the call that it was part of: any API that is read on the wire. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from proxy.task import JSON
from proxy.wire import Reading, Said, dialect_of


def read_raw(raw_input: Any, raw_output: Any) -> Reading | None:
    """What a provider's request and response say, given as JSON; a streamed response as the list of its chunks.

    `None` where they are nobody's request and response.
    """
    request = _request(raw_input)
    if isinstance(raw_output, dict) and raw_output.get("object") == "chat.completion.chunk":
        raw_output = [raw_output]  # a stream of which one chunk came
    kind = _answers(raw_output) or _asks(request)
    if kind is None:
        return None
    if _answers(raw_output) is None:
        said = Said(request=request)
    elif isinstance(raw_output, list):
        said = Said(
            request=request, pieces=_stream(kind, raw_output), status=200, content_type=_LINES.get(kind, "text/event-stream")
        )
    else:
        said = Said(request=request, pieces=(_json(raw_output),), status=200, content_type="application/json")
    try:
        return dialect_of(kind).read(said)
    except Exception:  # of a reader that meets what no provider sends: then it is text like any other
        return None


def _request(raw: Any) -> Any:
    """The request in what was logged: it itself, a list of messages, or the first argument of a wrapped function."""
    if isinstance(raw, list) and raw and all(isinstance(one, dict) and "role" in one for one in raw):
        return {"messages": raw}
    if isinstance(raw, list) and len(raw) == 1 and _asks(raw[0]) is not None:
        return raw[0]  # the arguments of a function that was wrapped in JavaScript
    if isinstance(raw, dict) and "0" in raw and all(isinstance(name, str) for name in raw):
        rest = {name: value for name, value in raw.items() if not name.isdigit()}
        inner = _request(raw["0"])
        return {**inner, **rest} if isinstance(inner, dict) else raw
    return raw


def _asks(request: Any) -> str | None:
    """The kind of call that a request makes."""
    if not isinstance(request, dict):
        return None
    if isinstance(request.get("messages"), list):
        return "chat"
    if isinstance(request.get("contents"), list):
        return "gemini"
    if "prompt" in request and "model" in request:
        return "completion"
    return "response" if "input" in request and "model" in request else None


def _answers(raw: Any) -> str | None:
    """The kind of call that a response answers, or the chunks of one."""
    if isinstance(raw, list):
        return next((kind for one in raw if (kind := _answers(one)) is not None), None)
    if not isinstance(raw, dict):
        return None
    kind = _BY_OBJECT.get(str(raw.get("object", "")))
    if kind is not None:
        return kind
    choices = raw.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return "completion" if "text" in choices[0] else "chat"
    type = str(raw.get("type", ""))
    if type.startswith("response."):
        return "response"
    if type in _MESSAGE_EVENTS or (type == "message" and isinstance(raw.get("content"), list)):
        return "message"
    if isinstance(raw.get("candidates"), list):
        return "gemini"
    if isinstance(raw.get("message"), dict) and ("done" in raw or "model" in raw):
        return "ollama_chat"
    return "ollama_generate" if isinstance(raw.get("response"), str) and ("done" in raw or "model" in raw) else None


_BY_OBJECT = {
    "chat.completion": "chat",
    "chat.completion.chunk": "chat",
    "text_completion": "completion",
    "response": "response",
}
_MESSAGE_EVENTS = frozenset(
    ("message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta", "content_block_stop")
)
_LINES = {"ollama_chat": "application/x-ndjson", "ollama_generate": "application/x-ndjson"}


def _stream(kind: str, chunks: list[Any]) -> tuple[bytes, ...]:
    """The chunks as they came on the wire."""
    objects: list[JSON] = [chunk for chunk in chunks if isinstance(chunk, dict)]
    if kind in _LINES:
        return tuple(_json(chunk) + b"\n" for chunk in objects)
    events = tuple(b"event: %b\ndata: %b\n\n" % (str(chunk.get("type", "message")).encode(), _json(chunk)) for chunk in objects)
    return events if kind in ("message", "response", "gemini") else (*events, b"data: [DONE]\n\n")


def _json(value: Any) -> bytes:
    return orjson.dumps(value)
