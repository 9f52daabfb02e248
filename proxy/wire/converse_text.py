"""What Converse's messages and their content blocks say, as text a person reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from proxy.task import JSON
from proxy.wire.dialect import text_of

MARKS = {"image": "[image]", "video": "[video]", "audio": "[audio]"}
"""What stands for a block that is no text."""


def input_of(messages: Any) -> str | None:
    """The messages after the last answer; None where there are none. An answer at the very end is the beginning of the next."""
    turn: list[str] = []
    for message in reversed(messages) if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        if message.get("role") != "assistant":
            turn.append("\n".join(lines(message.get("content"))))
        elif turn:
            break
    return "\n".join(reversed(turn)) if turn else None


def system_prompt_of(system: Any) -> str | None:
    """The texts of the system blocks; None where there are none."""
    found = list(lines(system))
    return "\n".join(found) if found else None


def output_of(answer: JSON) -> str | None:
    """What an answer says: its texts, and the tools that it calls; None where it says nothing."""
    output = answer.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    return "\n".join(filter(None, lines(message.get("content")))) or None if isinstance(message, dict) else None


def lines(content: Any) -> Iterator[str]:
    """What each block says; thoughts and places to cache say nothing."""
    for block in content if isinstance(content, list) else ():
        line = _block(block) if isinstance(block, dict) else None
        if line is not None:
            yield line


def _block(block: JSON) -> str | None:
    if isinstance(block.get("text"), str):
        return str(block["text"])
    for name, value in block.items():
        if name in MARKS:
            return MARKS[name]
        if isinstance(value, dict):
            return _named(name, value)
        if name == "json":
            return _written(value)
    return None


def _named(name: str, value: JSON) -> str | None:
    if name == "toolUse":
        arguments = value.get("input")
        return f"{text_of(value, 'name') or ''}({_written(arguments)})"
    if name == "toolResult":
        return f"[tool] {chr(10).join(lines(value.get('content')))}"
    if name == "document":
        return f"[file {value['name']}]" if text_of(value, "name") else "[file]"
    if name == "json":
        return _written(value)
    if name == "guardContent":
        return next(lines([value["text"] if isinstance(value.get("text"), dict) else value]), None)
    if name in ("citationsContent", "searchResult"):
        return "".join(lines(value.get("content")))
    return None


def _written(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return str(value)
