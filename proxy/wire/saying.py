"""What a stream says, piece by piece as it came: the text that each piece adds, in whatever dialect. To be shown, not kept.

What is said in the end is what the dialects read; here a piece is shown without waiting for those that follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from proxy.task import JSON
from proxy.wire import array, ndjson, sse
from proxy.wire.answer import Form, form_of
from proxy.wire.dialect import Said
from proxy.wire.eventstream import CONTENT_TYPE, unwrapped
from proxy.wire.lenient import loads

_THOUGHT = ("reasoning_content", "reasoning", "thinking")  # one of them; some say the same in two
_SPOKEN = ("content", "refusal", "text")


def saying(pieces: tuple[bytes, ...], content_type: str, kind: str) -> Iterator[str]:
    """For each piece the text that it adds; of a body that is no stream nothing."""
    if content_type == CONTENT_TYPE:
        pieces, content_type = unwrapped(Said(pieces=pieces, content_type=content_type))[0].pieces, "text/event-stream"
    form = form_of(pieces, content_type)
    if form is Form.SSE:
        yield from _events(pieces)
    elif form is Form.JSON and (kind.startswith("ollama") or "ndjson" in content_type):
        lines = ndjson.Decoder()
        yield from _each(pieces, lines.feed, lines.finish)
    elif form is Form.JSON and kind == "gemini":
        yield from _each(pieces, array.Decoder().feed, list)
    else:
        yield from ("" for _ in pieces)


def _events(pieces: tuple[bytes, ...]) -> Iterator[str]:
    decoder = sse.Decoder()
    yield from _each(
        pieces, lambda piece: [event.data for event in decoder.feed(piece)], lambda: [event.data for event in decoder.finish()]
    )


def _each(pieces: tuple[bytes, ...], feed: Any, finish: Any) -> Iterator[str]:
    for number, piece in enumerate(pieces, 1):
        said = [*feed(piece), *(finish() if number == len(pieces) else ())]
        yield "".join(map(_said, said))


def _said(data: bytes) -> str:
    try:
        chunk, _ = loads(data)
    except ValueError:
        return ""
    return "".join(_texts(chunk)) if isinstance(chunk, dict) else ""


def _texts(chunk: JSON) -> Iterator[str]:
    for choice in _dicts(chunk.get("choices")):
        spoken = choice.get("delta")
        yield from _message(spoken if isinstance(spoken, dict) else choice)
    kind, delta = chunk.get("type"), chunk.get("delta")
    if isinstance(delta, dict):
        yield from _strings(delta, ("text", "thinking", "partial_json"))
    elif isinstance(delta, str) and isinstance(kind, str) and kind not in ("response.audio.delta", "response.output_audio.delta"):
        yield delta
    opened = chunk.get("content_block") or chunk.get("item")
    if isinstance(opened, dict) and kind in ("content_block_start", "response.output_item.added") and opened.get("name"):
        yield f"\n{opened['name']} "
    if isinstance(delta, dict) and "contentBlockIndex" in chunk:
        for part in (delta.get("reasoningContent"), delta.get("toolUse")):
            yield from _strings(part if isinstance(part, dict) else {}, ("text", "input"))
    begun = chunk.get("start")
    if isinstance(begun, dict) and isinstance(begun.get("toolUse"), dict):
        yield f"\n{begun['toolUse'].get('name')} "
    for candidate in _dicts(chunk.get("candidates")):
        content = candidate.get("content")
        for part in _dicts(content.get("parts")) if isinstance(content, dict) else ():
            yield from _strings(part, ("text",))
            call = part.get("functionCall")
            if isinstance(call, dict):
                yield f"\n{call.get('name')} {call.get('args')}"
    if isinstance(chunk.get("message"), dict):
        yield from _message(chunk["message"])
    yield from _strings(chunk, ("response", "thinking") if "done" in chunk else ())


def _message(said: JSON) -> Iterator[str]:
    thought = next(filter(None, (said.get(key) for key in _THOUGHT)), None)
    for value in (thought, *(said.get(key) for key in _SPOKEN)):
        if isinstance(value, str):
            yield value
        else:
            yield from (text for part in _dicts(value) for text in _strings(part, ("text",)))
    audio = said.get("audio")
    yield from _strings(audio if isinstance(audio, dict) else {}, ("transcript",))
    calls = [call.get("function") or call.get("custom") for call in _dicts(said.get("tool_calls"))]
    for function in (*calls, said.get("function_call")):
        if isinstance(function, dict):
            name, arguments = function.get("name"), function.get("arguments", function.get("input"))
            yield f"\n{name} " if isinstance(name, str) and name else ""
            yield arguments if isinstance(arguments, str) else "" if arguments is None else str(arguments)


def _strings(value: JSON, keys: Iterable[str]) -> Iterator[str]:
    return (value[key] for key in keys if isinstance(value.get(key), str))


def _dicts(value: Any) -> list[JSON]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
