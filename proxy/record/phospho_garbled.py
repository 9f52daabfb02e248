"""Texts that phospho's clients garble, read again from the raw input and output that they send along (M13). Pure.

The shapes are those of the default extractors of the Python client 0.3.45 and the JavaScript client 1.3.13.
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.record.raw_text import read_raw
from proxy.task import JSON


def repaired_of(words: JSON, event: JSON) -> JSON:
    """Texts that the client's own extractors garbled, read again from what it sent along.

    Only where the text is what the client makes of such a value by itself: an app's own extractor is believed.
    """
    raw_input, raw_output = event.get("raw_input"), event.get("raw_output")
    reading = read_raw(raw_input, raw_output)
    if reading is None:
        return {}
    found: JSON = {}
    given_input, given_output = words["input"], words.get("output")
    if reading.input is not None and reading.input != given_input and _is_default_input(given_input, raw_input):
        found["input"] = reading.input
    if reading.output is not None and reading.output != given_output and _is_default_output(given_output, raw_output):
        found["output"] = reading.output
    if reading.output is None and isinstance(raw_output, dict) and raw_output.get("object") == "chat.completion.chunk":
        found["output"] = ""  # the first chunk of a stream, which says nothing yet
    if reading.system_prompt is not None and "system_prompt" not in words:
        found["system_prompt"] = reading.system_prompt
    for name in ("model", "model_requested", "response_id"):  # the client puts the one asked for over the one that answered
        if getattr(reading, name) is not None:
            found[name] = getattr(reading, name)
    if reading.finish_reasons:
        found["finish_reasons"] = list(reading.finish_reasons)
    if reading.usage is not None:
        found["usage"] = {name: value for name in reading.usage.__slots__ if (value := getattr(reading.usage, name)) is not None}
    kept = {f"client_{name}": words[name] for name in ("input", "output") if name in found and words.get(name)}
    return {**found, "metadata": kept} if kept else found


def _is_default_input(text: str, raw: Any) -> bool:
    """Whether the client's own extractor gives this text for this value."""
    if isinstance(raw, dict):
        messages = raw.get("messages")
        if isinstance(messages, list) and messages and isinstance(messages[-1], dict) and messages[-1].get("content") is not None:
            return text in (_repr(messages[-1]["content"]), _json(messages[-1]["content"]))
    return _is_repr(text, raw) or text == "" or (isinstance(raw, dict | list) and text == _json(raw))


def _is_default_output(text: str | None, raw: Any) -> bool:
    if text is None or text == "":
        return True
    if isinstance(raw, dict | list) and text == _by_javascript(raw):
        return True
    if isinstance(raw, list):
        parts = [_default_chunk(chunk) for chunk in raw]
        return text == "".join(parts) or text.startswith("".join(_plain_chunk(chunk) for chunk in raw) + "{")
    if isinstance(raw, dict):
        return text == _default_chunk(raw) or _is_repr(text, raw)
    return False


def _default_chunk(chunk: Any) -> str:
    """What the client makes of one chunk, or of a response: the first choice's text, or else the repr of all of it."""
    return _plain_chunk(chunk) if _has_text(chunk) else _repr(chunk)


def _has_text(chunk: Any) -> bool:
    if not isinstance(chunk, dict):
        return False
    choices = chunk.get("choices")
    return bool(isinstance(choices, list) and choices) or isinstance(chunk.get("response"), str)


def _plain_chunk(chunk: Any) -> str:
    if not isinstance(chunk, dict):
        return ""
    choices = chunk.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message") or choices[0].get("delta") or {}
        content = message.get("content") if isinstance(message, dict) else None
        return "" if content is None else _repr(content)
    response = chunk.get("response")
    return response if isinstance(response, str) else ""


def _is_repr(text: str, raw: Any) -> bool:
    return text == _repr(raw) or (text[:1] in "{[" and text[:1] == _repr(raw)[:1] and text[1:2] == "'")


def _repr(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _by_javascript(raw: Any) -> str:
    """What the JavaScript client makes of a response, or of the chunks of one: JSON stands for what has no text."""
    if isinstance(raw, list):
        return "".join(_by_javascript(chunk) for chunk in raw if chunk is not None)
    choices = raw.get("choices") if isinstance(raw, dict) else None
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    for name in ("message", "delta"):
        content = first[name].get("content") if isinstance(first.get(name), dict) else None
        if content:
            return content if isinstance(content, str) else _json(content)
    return raw if isinstance(raw, str) else _json(raw)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
