"""Pure: the items of a stream as the one answer that the provider would have given without streaming.

It knows OpenAI's chat, completion and Responses events, Anthropic's events and Ollama's lines. Texts are joined; items of no
known kind stay a list, and their texts are joined.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from proxy.client.extract import JSON, as_text, output_text


class Whole(NamedTuple):
    """A stream, put together."""

    raw: Any  # the answer's JSON; `None` for a stream of texts, whose whole is `text`
    text: str | None
    finished: bool  # the provider said that it is the end


def assemble(items: list[Any]) -> Whole:
    """The whole of `items`, which are plain. An item of `None` says nothing (some apps end their streams with one)."""
    said = [item for item in items if item is not None]
    tables = [item for item in said if isinstance(item, dict)]
    if not said:
        return Whole(None, None, False)
    if len(tables) < len(said):
        if all(isinstance(item, str) for item in said):
            return Whole(None, "".join(said), False)
        return Whole(items, "".join(as_text(item) for item in said), False)
    for known in (_chat, _events, _lines):
        whole = known(tables)
        if whole is not None:
            return whole
    texts = [output_text(item) for item in tables]
    return Whole(items, "".join(text for text in texts if text is not None), False)


def _chat(chunks: list[JSON]) -> Whole | None:
    """OpenAI's chunks, chat and completions: by choice, tool calls by index."""
    if not any(isinstance(chunk.get("choices"), list) for chunk in chunks):
        return None
    whole: JSON = {}
    choices: dict[int, JSON] = {}
    finished = False
    for chunk in chunks:
        for key, value in chunk.items():
            if key != "choices" and (value is not None or key not in whole):
                whole[key] = value
        for part in chunk.get("choices") or []:
            if not isinstance(part, dict):
                continue
            choice = choices.setdefault(int(part.get("index") or 0), {"index": int(part.get("index") or 0)})
            for key, value in part.items():
                if key == "delta":
                    _grow(choice.setdefault("message", {}), value if isinstance(value, dict) else {})
                elif key == "text" and isinstance(value, str):
                    choice["text"] = choice.get("text", "") + value
                elif key != "index" and (value is not None or key not in choice):
                    choice[key] = value
            finished = finished or part.get("finish_reason") is not None
    for choice in choices.values():
        calls = choice.get("message", {}).get("tool_calls")
        if isinstance(calls, list):
            choice["message"]["tool_calls"] = [{k: v for k, v in call.items() if k != "index"} for call in calls]
    if str(whole.get("object", "")).endswith(".chunk"):
        whole["object"] = whole["object"].removesuffix(".chunk")
    whole["choices"] = [choices[index] for index in sorted(choices)]
    return Whole(whole, output_text(whole), finished)


def _grow(message: JSON, delta: JSON) -> None:
    """Add a delta: texts grow, tool calls grow by their index, anything else is kept as it came last."""
    for key, value in delta.items():
        if value is None:
            message.setdefault(key, None)
        elif key == "tool_calls" and isinstance(value, list):
            calls = message.get(key)
            message[key] = calls if isinstance(calls, list) else []
            for part in value:
                if isinstance(part, dict):
                    _grow_call(message[key], part)
        elif isinstance(value, str) and isinstance(message.get(key), str) and key not in {"role", "type", "id"}:
            message[key] += value
        elif isinstance(value, dict) and isinstance(message.get(key), dict):
            _grow(message[key], value)
        else:
            message[key] = dict(value) if isinstance(value, dict) else value


def _grow_call(calls: list[JSON], part: JSON) -> None:
    index = part.get("index")
    call = next((each for each in calls if index is not None and each.get("index") == index), None)
    if call is None:
        call = {}
        calls.append(call)
    _grow(call, part)


def _events(events: list[JSON]) -> Whole | None:
    """The events of OpenAI's Responses and of Anthropic's messages, which both say their type."""
    kinds = [str(event.get("type", "")) for event in events]
    if any(kind.startswith("response.") for kind in kinds):
        last = next((event["response"] for event in reversed(events) if isinstance(event.get("response"), dict)), None)
        ended = kinds[-1] in {"response.completed", "response.incomplete", "response.failed"}
        if ended and last is not None:
            return Whole(last, output_text(last), True)
        deltas = [event.get("delta") for event in events if event.get("type") == "response.output_text.delta"]
        return Whole(last or events, "".join(str(delta) for delta in deltas), False)
    if "message_start" not in kinds:
        return None
    whole: JSON = {}
    for event in events:
        _anthropic(whole, event)
    for block in whole.get("content") or []:
        block.pop("partial_json", None)
    return Whole(whole, output_text(whole), "message_stop" in kinds)


def _anthropic(whole: JSON, event: JSON) -> None:
    kind, delta = event.get("type"), event.get("delta")
    delta = delta if isinstance(delta, dict) else {}
    if kind == "message_start" and isinstance(event.get("message"), dict):
        whole.update(event["message"], content=[])
    elif kind == "content_block_start" and isinstance(event.get("content_block"), dict):
        whole.setdefault("content", []).append(dict(event["content_block"]))
    elif kind == "content_block_delta" and whole.get("content"):
        block = whole["content"][-1]
        for key in ("text", "thinking", "partial_json"):
            if isinstance(delta.get(key), str):
                block[key] = str(block.get(key, "")) + delta[key]
        if block.get("type") == "tool_use" and block.get("partial_json"):
            block["input"] = block["partial_json"]
    elif kind == "message_delta":
        whole.update({key: value for key, value in delta.items() if value is not None})
        if isinstance(event.get("usage"), dict):
            whole["usage"] = {**(whole.get("usage") or {}), **event["usage"]}


def _lines(lines: list[JSON]) -> Whole | None:
    """Ollama's lines: the last one has the counts, the text is in all of them."""
    if not all("done" in line or "response" in line for line in lines):
        return None
    whole = {key: value for line in lines for key, value in line.items()}
    if any(isinstance(line.get("response"), str) for line in lines):
        whole["response"] = "".join(str(line.get("response") or "") for line in lines)
    messages = [line["message"] for line in lines if isinstance(line.get("message"), dict)]
    if messages:
        whole["message"] = {key: value for message in messages for key, value in message.items()}
        whole["message"]["content"] = "".join(str(message.get("content") or "") for message in messages)
        calls = [call for message in messages for call in message.get("tool_calls") or []]
        if calls:
            whole["message"]["tool_calls"] = calls
    return Whole(whole, output_text(whole), lines[-1].get("done") is True)
