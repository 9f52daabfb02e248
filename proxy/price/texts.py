"""The texts of a request and of an answer that a model reads and writes as tokens, out of any dialect's JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from proxy.task import JSON

PLACES = (
    "system",
    "instructions",
    "systemInstruction",
    "system_instruction",
    "messages",
    "input",
    "prompt",
    "suffix",
    "contents",
)
"""Members of a request that a model reads."""

TOOLS = ("tools", "toolConfig", "functions", "response_format", "format", "text")
"""Members that it reads as some writing of their JSON."""

MEDIA = frozenset(
    (
        "image_url",
        "image",
        "input_image",
        "input_audio",
        "audio",
        "file",
        "input_file",
        "document",
        "video",
        "inlineData",
        "inline_data",
        "fileData",
        "file_data",
        "images",
        "container_upload",
    )
)
"""Types and members of parts that are no text, and cost tokens that no text tells."""

_SAYS_NOTHING = frozenset(
    (
        "type",
        "role",
        "id",
        "index",
        "status",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "toolUseId",
        "cache_control",
        "signature",
        "thoughtSignature",
        "encrypted_content",
        "media_type",
        "mimeType",
        "mime_type",
        "object",
        "annotations",
        "logprobs",
        "phase",
    )
)
DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Said:
    """Texts, and how many messages they were in; `media`: there was more, which is no text."""

    texts: tuple[str, ...]
    messages: int = 0
    media: bool = False


def asked(request: Any) -> Said:
    """What a request gives a model to read."""
    if not isinstance(request, dict):
        return Said(())
    walk = _Walk()
    for place in PLACES:
        walk.into(request.get(place))
    texts = walk.texts
    for place in TOOLS:
        if request.get(place):
            texts.append(_written(request[place]))
    listed = [request.get(place) for place in ("messages", "contents", "input")]
    count = sum(len(each) for each in listed if isinstance(each, list) and each and isinstance(each[0], dict))
    return Said(tuple(texts), count, walk.media)


def answered(answer: Any) -> Said:
    """What an answer holds that a model wrote, reasoning that was shown included."""
    if not isinstance(answer, dict):
        return Said(())
    walk = _Walk()
    for choice in _dicts(answer.get("choices")):
        walk.into(choice.get("message"))
        walk.into(choice.get("text"))
    for place in ("message", "content", "output", "response", "thinking"):
        walk.into(answer.get(place))
    for candidate in _dicts(answer.get("candidates")):
        walk.into(candidate.get("content"))
    return Said(tuple(walk.texts), media=walk.media)


class _Walk:
    """Gathers the strings of a JSON value that are text to a model."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.media = False

    def into(self, value: Any, depth: int = 0) -> None:
        if isinstance(value, str):
            self.texts.append(value)
        elif isinstance(value, list) and depth < DEEPEST:
            for each in value:
                self.into(each, depth + 1)
        elif isinstance(value, dict) and depth < DEEPEST:
            if value.get("type") in MEDIA:
                self.media = True
                return
            for key, each in _members(value):
                if key in MEDIA and each:
                    self.media = True
                elif key in ("arguments", "args", "input") and isinstance(each, dict | list):
                    self.texts.append(_written(each))  # of a tool call: the model writes its JSON
                else:
                    self.into(each, depth + 1)


def _members(value: JSON) -> Iterator[tuple[str, Any]]:
    """The members that may be text; reasoning that is said twice, once."""
    twice = "reasoning_content" in value and "reasoning" in value
    return ((key, each) for key, each in value.items() if key not in _SAYS_NOTHING and not (twice and key == "reasoning"))


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # numbers and text that JSON has no writing for
        return str(value)


def _dicts(value: Any) -> list[JSON]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
