"""A request and its answer, whatever their dialect, as messages of OpenAI's chat completions. Pure.

What was thought, what providers' own tools did and what has no place there is left out; ids of tool calls are made where a
dialect has none (`call_1`, `call_2`, ... in their order).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from proxy.task import JSON
from proxy.wire.gemini_text import member
from proxy.wire.remark import written


class Spoken(NamedTuple):
    """How a dialect says things, as messages."""

    asked: Callable[[JSON], Iterable[JSON]]
    answered: Callable[[JSON, int], Iterable[JSON]]  # of an answer, and how many tools had been called before
    tools: Callable[[JSON], Iterable[JSON]]


def messages_of(kind: str, asked: Any) -> list[JSON]:
    """What a request brings along; empty where that cannot be told."""
    spoken = _SPOKEN.get(kind)
    if spoken is None or not isinstance(asked, dict):
        return []
    return list(spoken.asked(asked)) if spoken is _CHAT else _joined(spoken.asked(asked))


def answer_of(kind: str, answer: Any, before: Iterable[JSON] = ()) -> JSON | None:
    """The first answer, to the messages `before`; `None` where nothing was said."""
    spoken = _SPOKEN.get(kind)
    if spoken is None or not isinstance(answer, dict):
        return None
    found = _joined(spoken.answered(answer, sum(len(_dicts(message.get("tool_calls"))) for message in before)))
    return found[0] if found and found[0].keys() > {"role"} else None


def tools_of(kind: str, asked: Any) -> list[JSON]:
    """The functions that the model could ask for."""
    spoken = _SPOKEN.get(kind)
    return list(spoken.tools(asked)) if spoken is not None and isinstance(asked, dict) else []


def joined(messages: list[JSON], answer: JSON) -> list[JSON]:
    """The messages with the answer behind them; one that was begun for the model is its beginning."""
    return [*messages[:-1], *_joined([*messages[-1:], answer])]


def _joined(messages: Iterable[JSON]) -> list[JSON]:
    """Those of the model that follow one another are one."""
    found: list[JSON] = []
    for message in messages:
        last = found[-1] if found else None
        if message.get("role") != "assistant" or last is None or last.get("role") != "assistant":
            found.append(message)
            continue
        both = {**last, **message}
        if isinstance(last.get("content"), str) and isinstance(message.get("content"), str):
            both["content"] = last["content"] + message["content"]
        if last.get("tool_calls") and message.get("tool_calls"):
            both["tool_calls"] = [*last["tool_calls"], *message["tool_calls"]]
        found[-1] = both
    return found


def _dicts(value: Any) -> list[JSON]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _said(text: str, calls: list[JSON]) -> JSON:
    """A message of the model."""
    return {"role": "assistant", **({"content": text} if text else {}), **({"tool_calls": calls} if calls else {})}


def _call(id: Any, name: Any, arguments: Any) -> JSON:
    told = arguments if isinstance(arguments, str) else written({} if arguments is None else arguments)
    return {"id": str(id), "type": "function", "function": {"name": str(name), "arguments": told}}


def _function(name: Any, description: Any, parameters: Any) -> JSON:
    told = {"description": description, "parameters": parameters}
    return {"type": "function", "function": {"name": name, **{key: value for key, value in told.items() if value}}}


_TEXTS = ("text", "refusal")


def _text(content: Any) -> str:
    """The words of a content; of what is no content its JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(
            part if isinstance(part, str) else next((part[key] for key in _TEXTS if isinstance(part.get(key), str)), "")
            for part in content
            if isinstance(part, str | dict)
        )
    return "" if content is None else written(content)


def _content(parts: list[JSON]) -> str | list[JSON]:
    """One text where there is nothing but words."""
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _words(text: str) -> JSON:
    return {"type": "text", "text": text}


def _picture(media_type: Any, data: Any) -> JSON:
    known = isinstance(media_type, str) and isinstance(data, str)
    return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}} if known else _words("[image]")


# -- chat, and Ollama's ------------------------------------------------------------------------------------------------


def _chat(asked: JSON) -> Iterator[JSON]:
    yield from _dicts(asked.get("messages"))


def _chat_answer(answer: JSON, _calls: int) -> Iterator[JSON]:
    for choice in _dicts(answer.get("choices"))[:1]:
        message = choice.get("message")
        if isinstance(message, dict):
            kept = ("content", "tool_calls", "function_call", "refusal")
            yield {"role": "assistant", **{name: message[name] for name in kept if message.get(name)}}


def _chat_tools(asked: JSON) -> list[JSON]:
    return _dicts(asked.get("tools"))


class _Numbers:
    """Ids for tool calls that have none; their results come in the same order."""

    def __init__(self, given: int = 0) -> None:
        self._given = given
        self._answered = 0

    def next_call(self) -> str:
        self._given += 1
        return f"call_{self._given}"

    def next_result(self) -> str:
        self._answered = min(self._answered + 1, max(self._given, 1))
        return f"call_{self._answered}"


def _ollama(asked: JSON) -> Iterator[JSON]:
    ids = _Numbers()
    for message in _dicts(asked.get("messages")):
        yield _of_ollama(message, ids)


def _of_ollama(message: JSON, ids: _Numbers) -> JSON:
    role, text = message.get("role"), _text(message.get("content"))
    if role == "assistant":
        calls = [call["function"] for call in _dicts(message.get("tool_calls")) if isinstance(call.get("function"), dict)]
        return _said(text, [_call(ids.next_call(), call.get("name"), call.get("arguments")) for call in calls])
    if role == "tool":
        return {"role": "tool", "tool_call_id": ids.next_result(), "content": text}
    images = message.get("images")
    return {"role": role, "content": text + "[image]" * len(images) if isinstance(images, list) else text}


def _ollama_answer(answer: JSON, calls: int) -> Iterator[JSON]:
    if isinstance(answer.get("message"), dict):
        yield _of_ollama({**answer["message"], "role": "assistant"}, _Numbers(calls))


# -- Anthropic's messages ----------------------------------------------------------------------------------------------


def _messages(asked: JSON) -> Iterator[JSON]:
    if system := _text(asked.get("system")):
        yield {"role": "system", "content": system}
    for message in _dicts(asked.get("messages")):
        content = message.get("content")
        if message.get("role") == "assistant":
            yield _of_blocks(content)
            continue
        parts = []
        for block in [_words(content)] if isinstance(content, str) else _dicts(content):
            if block.get("type") == "tool_result":
                yield {"role": "tool", "tool_call_id": str(block.get("tool_use_id")), "content": _text(block.get("content"))}
            elif block.get("type") == "image":
                source = block.get("source")
                of = source if isinstance(source, dict) else {}
                if isinstance(of.get("url"), str):
                    parts.append({"type": "image_url", "image_url": {"url": of["url"]}})
                else:
                    parts.append(_picture(of.get("media_type"), of.get("data")))
            elif isinstance(block.get("text"), str):
                parts.append(_words(block["text"]))
        if parts:
            yield {"role": "user", "content": _content(parts)}


def _of_blocks(content: Any) -> JSON:
    used = [block for block in _dicts(content) if block.get("type") == "tool_use"]
    return _said(_text(content), [_call(block.get("id"), block.get("name"), block.get("input")) for block in used])


def _messages_tools(asked: JSON) -> Iterator[JSON]:
    for tool in _dicts(asked.get("tools")):
        if "input_schema" in tool:
            yield _function(tool.get("name"), tool.get("description"), tool["input_schema"])


# -- the Responses API -------------------------------------------------------------------------------------------------


def _items(asked: JSON) -> Iterator[JSON]:
    if isinstance(asked.get("instructions"), str):
        yield {"role": "system", "content": asked["instructions"]}
    given = asked.get("input")
    yield from [{"role": "user", "content": given}] if isinstance(given, str) else _of_items(_dicts(given))


def _of_items(items: Iterable[JSON]) -> Iterator[JSON]:
    for item in items:
        kind, role, content = item.get("type"), item.get("role"), item.get("content")
        if role == "assistant":
            yield _said(_text(content), [])
        elif isinstance(role, str):
            yield {"role": role, "content": content if isinstance(content, str) else _content(list(_of_parts(content)))}
        elif kind == "function_call":
            yield _said("", [_call(item.get("call_id"), item.get("name"), item.get("arguments"))])
        elif kind == "function_call_output":
            yield {"role": "tool", "tool_call_id": str(item.get("call_id")), "content": _text(item.get("output"))}


def _of_parts(content: Any) -> Iterator[JSON]:
    for part in _dicts(content):
        if isinstance(part.get("image_url"), str):
            yield {"type": "image_url", "image_url": {"url": part["image_url"]}}
        elif isinstance(part.get("text"), str):
            yield _words(part["text"])
        else:
            yield _words("[file]")


def _items_answer(answer: JSON, _calls: int) -> Iterator[JSON]:
    yield from (message for message in _of_items(_dicts(answer.get("output"))) if message["role"] == "assistant")


def _items_tools(asked: JSON) -> Iterator[JSON]:
    for tool in _dicts(asked.get("tools")):
        if tool.get("type") == "function":
            yield _function(tool.get("name"), tool.get("description"), tool.get("parameters"))


# -- Gemini ------------------------------------------------------------------------------------------------------------


def _contents(asked: JSON) -> Iterator[JSON]:
    system = member(asked, "systemInstruction", "system_instruction")
    if isinstance(system, dict) and (text := _text(system.get("parts"))):
        yield {"role": "system", "content": text}
    ids = _Numbers()
    for content in _dicts(asked.get("contents")):
        yield from _of_content(content, ids)


def _of_content(content: JSON, ids: _Numbers) -> Iterator[JSON]:
    parts, calls = [], []
    for part in _dicts(content.get("parts")):
        call, gave = member(part, "functionCall", "function_call"), member(part, "functionResponse", "function_response")
        inline = member(part, "inlineData", "inline_data")
        if part.get("thought") is True:
            continue
        if isinstance(call, dict):
            calls.append(_call(ids.next_call(), call.get("name"), call.get("args")))
        elif isinstance(gave, dict):
            yield {"role": "tool", "tool_call_id": ids.next_result(), "content": _text(gave.get("response"))}
        elif isinstance(inline, dict):
            parts.append(_picture(member(inline, "mimeType", "mime_type"), inline.get("data")))
        elif isinstance(part.get("text"), str):
            parts.append(_words(part["text"]))
    if content.get("role") == "model":
        yield _said(_text(parts), calls)
    elif parts:
        yield {"role": "user", "content": _content(parts)}


def _contents_answer(answer: JSON, calls: int) -> Iterator[JSON]:
    for candidate in _dicts(answer.get("candidates"))[:1]:
        if isinstance(candidate.get("content"), dict):
            yield from _of_content({**candidate["content"], "role": "model"}, _Numbers(calls))


def _contents_tools(asked: JSON) -> Iterator[JSON]:
    for tool in _dicts(asked.get("tools")):
        for each in _dicts(member(tool, "functionDeclarations", "function_declarations")):
            yield _function(each.get("name"), each.get("description"), each.get("parameters"))


# -- Bedrock's Converse ------------------------------------------------------------------------------------------------


def _converse(asked: JSON) -> Iterator[JSON]:
    if system := _text(asked.get("system")):
        yield {"role": "system", "content": system}
    for message in _dicts(asked.get("messages")):
        if message.get("role") == "assistant":
            yield _of_turn(message)
            continue
        parts = []
        for block in _dicts(message.get("content")):
            result = block.get("toolResult")
            if isinstance(result, dict):
                told = "".join(_text([each]) or _text(each.get("json")) for each in _dicts(result.get("content")))
                yield {"role": "tool", "tool_call_id": str(result.get("toolUseId")), "content": told}
            elif isinstance(block.get("text"), str):
                parts.append(_words(block["text"]))
            elif "image" in block or "document" in block:
                parts.append(_words("[image]" if "image" in block else "[file]"))
        if parts:
            yield {"role": "user", "content": _content(parts)}


def _of_turn(message: JSON) -> JSON:
    used = [block["toolUse"] for block in _dicts(message.get("content")) if isinstance(block.get("toolUse"), dict)]
    calls = [_call(each.get("toolUseId"), each.get("name"), each.get("input")) for each in used]
    return _said(_text(message.get("content")), calls)


def _converse_answer(answer: JSON, _calls: int) -> Iterator[JSON]:
    output = answer.get("output")
    if isinstance(output, dict) and isinstance(output.get("message"), dict):
        yield _of_turn(output["message"])


def _converse_tools(asked: JSON) -> Iterator[JSON]:
    config = asked.get("toolConfig")
    for tool in _dicts(config.get("tools")) if isinstance(config, dict) else []:
        spec = tool.get("toolSpec")
        if isinstance(spec, dict):
            schema = spec.get("inputSchema")
            yield _function(spec.get("name"), spec.get("description"), schema.get("json") if isinstance(schema, dict) else None)


_CHAT = Spoken(_chat, _chat_answer, _chat_tools)
_SPOKEN = {
    "chat": _CHAT,
    "custom": _CHAT,  # an app logs OpenAI's requests as they are
    "ollama_chat": Spoken(_ollama, _ollama_answer, _chat_tools),
    "message": Spoken(_messages, lambda answer, _calls: [_of_blocks(answer.get("content"))], _messages_tools),
    "response": Spoken(_items, _items_answer, _items_tools),
    "gemini": Spoken(_contents, _contents_answer, _contents_tools),
    "converse": Spoken(_converse, _converse_answer, _converse_tools),
}
