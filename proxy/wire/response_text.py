"""What the items of the Responses API say, as text a person reads: the new turn of the input, and the output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.task import JSON
from proxy.wire.dialect import text_of
from proxy.wire.text import INSTRUCTING, call_text, content_text

CALLS = ("function_call", "custom_tool_call")
"""Items that ask the app to run a tool of its own."""

GIVEN = frozenset(("reasoning", "compaction", "item_reference", "mcp_list_tools", "mcp_approval_request"))
"""Items of an input that were output before, beside the calls. A reference is nearly always to such an item."""

MARK_LENGTH = 200
"""Characters of what a mark tells of an item."""


def input_of(given: Any) -> str | None:
    """The items after the last one that was output, without system and developer messages; None where there are none."""
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        return None
    turn: list[str] = []
    for item in given[::-1]:
        if not isinstance(item, dict) or item.get("role") in INSTRUCTING:
            continue
        if _was_output(item):
            break
        turn.append(given_text(item))
    return "\n".join(reversed(turn)) if turn else None


def system_prompt_of(instructions: Any, given: Any) -> str | None:
    """The instructions, then the system and developer messages of the input; None where there are none."""
    texts = [instructions] if isinstance(instructions, str) else []
    items = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    texts += [content_text(item.get("content")) for item in items if item.get("role") in INSTRUCTING]
    return "\n".join(texts) if texts else None


def output_of(items: Any) -> str | None:
    """What the items of an output say, in their order; None where they say nothing."""
    lines = [line for item in (items if isinstance(items, list) else ()) if isinstance(item, dict) for line in _lines(item)]
    return "\n".join(lines) or None


def _was_output(item: JSON) -> bool:
    kind = item.get("type")
    return item.get("role") == "assistant" or (isinstance(kind, str) and (kind in GIVEN or kind.endswith("_call")))


def given_text(item: JSON) -> str:
    """What an item of an input says."""
    kind = item.get("type")
    if "role" in item or not isinstance(kind, str):
        return content_text(item.get("content"))
    if kind.endswith("_output"):
        return f"[tool] {_result_text(item.get('output'))}"
    if kind == "mcp_approval_response":
        return "[approved]" if item.get("approve") is True else "[not approved]"
    return content_text([item])


def _result_text(result: Any) -> str:
    """What a tool gave back: text, parts, what a shell printed, or one object such as a screenshot."""
    if isinstance(result, dict):
        result = [result]
    if isinstance(result, list):
        printed = [part[key] for part in result if isinstance(part, dict) for key in ("stdout", "stderr") if text_of(part, key)]
        return "\n".join(printed) or content_text(result)
    return content_text(result)


def _lines(item: JSON) -> Iterator[str]:
    kind = item.get("type")
    if kind == "message":
        text = content_text(item.get("content"))
        if text:
            yield text
    elif kind in CALLS:
        yield call_text(item)
    elif kind == "image_generation_call":
        yield "[image]"
    elif isinstance(kind, str) and kind and kind != "reasoning":
        told = _told(item)
        yield f"[{kind.removesuffix('_call')} {told}]" if told else f"[{kind.removesuffix('_call')}]"


def _told(item: JSON) -> str:
    """The word that says which search, click or tool it was."""
    found: Any = item.get("name") or item.get("queries") or item.get("server_label")
    action = item.get("action")
    if not found and isinstance(action, dict):
        found = next((action[key] for key in ("query", "url", "command", "commands", "type") if action.get(key)), None)
    if isinstance(found, list):
        found = ", ".join(part for part in found if isinstance(part, str))
    text = " ".join(found.split()) if isinstance(found, str) else ""
    return text if len(text) <= MARK_LENGTH else f"{text[: MARK_LENGTH - 3]}..."
