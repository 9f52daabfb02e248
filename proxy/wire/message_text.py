"""What Anthropic's messages and their content blocks say, as text a person reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from proxy.task import JSON
from proxy.wire.dialect import text_of
from proxy.wire.text import INSTRUCTING, content_text
from proxy.wire.text import system_prompt_of as chat_system_prompt_of

UNSPOKEN = frozenset(("thinking", "redacted_thinking"))
"""Types of blocks that are not for reading."""

MARKS = {"image": "[image]", "container_upload": "[file]"}
"""What stands for a block that is no text."""


def input_of(messages: Any) -> str | None:
    """The messages after the last answer, system messages left out; None where there are none.

    Assistant messages at the very end are the beginning of the answer that is asked for (a prefill, a turn that was paused), so
    the turn is the one before them.
    """
    turn: list[str] = []
    for message in messages[::-1] if isinstance(messages, list) else []:
        if not isinstance(message, dict) or message.get("role") in INSTRUCTING:
            continue
        if message.get("role") != "assistant":
            turn.append("\n".join(_lines(message.get("content"))))
        elif turn:
            break
    return "\n".join(reversed(turn)) if turn else None


def system_prompt_of(asked: JSON) -> str | None:
    """The `system` of a request, a string or blocks, and the system messages that stand among the others; None without any."""
    found = [content_text(asked["system"])] if isinstance(asked.get("system"), (str, list)) else []
    later = chat_system_prompt_of(asked.get("messages"))
    found += [] if later is None else [later]
    return "\n".join(found) if found else None


def output_of(answer: JSON) -> str | None:
    """What a message says: its blocks in their order, then why it was refused; None where it says nothing.

    Texts that follow one another are one text, which citations have cut (each cited passage is a block of its own).
    """
    said: list[str] = []
    text: list[str] = []
    content = answer.get("content")
    for block in content if isinstance(content, list) else [content]:
        line = _block(block)
        if isinstance(block, dict) and block.get("type") == "text":
            text.append(line or "")
        elif line is not None:
            said += ("".join(text), line)
            text.clear()
    said.append("".join(text))
    why = answer.get("stop_details")
    said.append((text_of(why, "explanation") or "") if isinstance(why, dict) else "")
    return "\n".join(filter(None, said)) or None


def _lines(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for block in content if isinstance(content, list) else ():
        line = _block(block)
        if line is not None:
            yield line


def _block(block: Any) -> str | None:
    """One block; None where it says nothing that is for reading."""
    if isinstance(block, str):
        return block
    kind = text_of(block, "type") if isinstance(block, dict) else None
    if kind is None or kind in UNSPOKEN:
        return None
    if kind.endswith("tool_use"):  # tool_use, server_tool_use, mcp_tool_use
        return _call(block)
    if kind.endswith("tool_result"):
        return f"[tool] {_result(block.get('content'))}"
    return _result(block)


def _call(block: JSON) -> str:
    arguments = block.get("input")
    if arguments is not None and not isinstance(arguments, str):
        arguments = orjson.dumps(arguments).decode()
    return f"{text_of(block, 'name') or ''}({arguments or ''})"


def _result(value: Any) -> str:
    """What a tool gave back, or a part of it: text, output of code, what was found on the web, why it failed."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, map(_result, value)))
    if not isinstance(value, dict):
        return ""
    kind = text_of(value, "type")
    if kind in MARKS:
        return MARKS[kind]
    if kind == "document":
        return f"[file {value['title']}]" if text_of(value, "title") else "[file]"
    if isinstance(value.get("text"), str):
        return str(value["text"])
    told = [text_of(value, key) for key in ("title", "url", "stdout", "stderr", "error_code", "tool_name")]
    said = " ".join(filter(None, told[:2])), *told[2:], *(_result(value.get(key)) for key in ("content", "tool_references"))
    return "\n".join(text.rstrip("\n") for text in said if text) or (f"[{kind}]" if kind else "")
