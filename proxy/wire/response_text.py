"""What the items of the Responses API say, as text a person reads: the new turn of the input, and the output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from proxy.task import JSON
from proxy.wire.dialect import text_of
from proxy.wire.text import INSTRUCTING, content_text

SAID = ("arguments", "input", "code", "action", "actions", "operation")
"""Members of which one is what a call of a tool says: an app's function, the provider's search, code, click or patch."""

GAVE = ("output", "result", "outputs", "error")
"""Members in which stands what a tool gave back, in an item of its own or in that of its call."""

GIVEN = frozenset(("reasoning", "compaction", "item_reference", "mcp_list_tools", "mcp_approval_request", "program"))
"""Items of an input that were output before, beside the calls. A reference is nearly always to such an item."""

PRINTED = ("stdout", "stderr", "logs", "message")
"""Members of what code, a shell or an error said."""


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
        return f"[tool] {_gave(item)}"
    if kind == "mcp_approval_response":
        return "[approved]" if item.get("approve") is True else "[not approved]"
    return content_text([item])


def _gave(item: JSON) -> str:
    """What a tool gave back; of a search for tools, which it found."""
    found = next((item[member] for member in GAVE if item.get(member)), None)
    if found is None and isinstance(item.get("tools"), list):
        return ", ".join(filter(None, (text_of(tool, "name") for tool in item["tools"] if isinstance(tool, dict))))
    return _result_text(found)


def _result_text(result: Any) -> str:
    """Text, parts, what code or a shell printed, an error, or one object such as a screenshot."""
    if isinstance(result, dict):
        result = result["content"] if isinstance(result.get("content"), list) else [result]
    if not isinstance(result, list):
        return content_text(result)
    printed = [text for part in result if isinstance(part, dict) for key in PRINTED if (text := text_of(part, key))]
    return "\n".join(printed) or content_text(result)


def _lines(item: JSON) -> Iterator[str]:
    kind = item.get("type")
    if not isinstance(kind, str) or kind in ("", "reasoning"):
        return
    if kind == "message":
        text = content_text(item.get("content"))
        if text:
            yield text
    elif kind == "image_generation_call":
        yield "[image]"
    elif kind.endswith("_output"):
        yield given_text(item).rstrip("\n")
    elif kind.endswith("_call") or kind in ("mcp_approval_request", "program"):
        yield f"{text_of(item, 'name') or kind.removesuffix('_call')}({_asked(item)})"
        gave = _gave(item).rstrip("\n")
        if gave:
            yield f"[tool] {gave}"
    else:
        name = text_of(item, "name") or text_of(item, "server_label")
        yield f"[{kind} {name}]" if name else f"[{kind}]"


def _asked(item: JSON) -> str:
    """What a call says, as it stands where it is a text, else as JSON. Of a search the sources are what it found."""
    asked = next((item[member] for member in SAID if item.get(member)), None)
    if asked is None and item.get("queries"):
        asked = {"queries": item["queries"]}
    if isinstance(asked, dict) and "sources" in asked:
        asked = {key: value for key, value in asked.items() if key != "sources"}
    return asked if isinstance(asked, str) else "" if asked is None else orjson.dumps(asked).decode()
