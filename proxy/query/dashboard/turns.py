"""Pure: a provider's JSON, of whatever dialect, as turns of a conversation that a page can show. Nothing in it is trusted.

What is not understood is shown as the JSON it is, never dropped. The dialects' own readers are in `wire`, which is another
wing's: they make the task's text; this only lays out what was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson

from proxy.task import JSON, Task


class Shape(StrEnum):
    """What a part of a turn is."""

    TEXT = "text"
    THINKING = "thinking"
    REFUSAL = "refusal"
    CALL = "call"  # of a tool
    RESULT = "result"  # of a tool
    PICTURE = "picture"  # `text` is its address: a data URL, or a remote one that is only named
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of what was said."""

    shape: Shape
    text: str = ""
    name: str | None = None  # of the tool
    id: str | None = None  # of the tool call
    value: Any = None  # arguments, or JSON that is not understood


@dataclass(frozen=True, slots=True)
class Turn:
    """What one role said."""

    role: str
    parts: tuple[Part, ...]
    note: str | None = None


def asked(task: Task) -> tuple[Turn, ...]:
    """What the request says, in order; from the task's text where its JSON says nothing."""
    body = task.raw_input
    turns = tuple(turn for turn in _request(body) if turn.parts) if isinstance(body, dict) else ()
    if turns:
        return turns
    return (Turn("user", (Part(Shape.TEXT, task.input),)),) if task.input else ()


def answered(task: Task) -> tuple[Turn, ...]:
    """What the response says, a turn for each choice; from the task's text where its JSON says nothing."""
    body = task.raw_output
    turns = tuple(turn for turn in _response(body) if turn.parts) if isinstance(body, dict) else ()
    if len(turns) > 1 and all(turn.role == "assistant" for turn in turns):
        turns = tuple(replace(turn, note=f"choice {number}") for number, turn in enumerate(turns, 1))
    if turns:
        return turns
    return (Turn("assistant", (Part(Shape.TEXT, task.output),)),) if task.output else ()


def tools(body: Any) -> tuple[str, ...]:
    """The names of the tools that a request offers."""
    found = []
    body = body if isinstance(body, dict) else {}
    config = body.get("toolConfig")
    for tool in _list(body.get("tools") or (config.get("tools") if isinstance(config, dict) else None)):
        if isinstance(tool, dict):
            function = tool.get("function")
            inner = function if isinstance(function, dict) else tool
            name = inner.get("name") or inner.get("type")
            spec = tool.get("toolSpec")  # Bedrock's
            name = spec.get("name") if isinstance(spec, dict) else name
            declared = _list(tool.get("functionDeclarations") or tool.get("function_declarations"))
            found += [str(each["name"]) for each in declared if isinstance(each, dict) and "name" in each]
            if name:
                found.append(str(name))
    return tuple(found)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _request(body: JSON) -> Iterator[Turn]:
    for key in ("system", "instructions", "systemInstruction", "system_instruction"):
        if body.get(key):
            yield Turn("system", tuple(_parts(body[key])))
    if "messages" in body:
        yield from _messages(_list(body["messages"]))
    elif "contents" in body:
        contents = body["contents"]
        yield from _messages(contents if isinstance(contents, list) else [contents])
    elif "input" in body:
        yield from _items(body["input"])
    elif "prompt" in body:
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        yield from (Turn("user", (*_parts(prompt), *_images(body))) for prompt in prompts)
        if isinstance(body.get("suffix"), str) and body["suffix"]:
            yield Turn("user", (Part(Shape.TEXT, body["suffix"]),), "suffix")


def _response(body: JSON) -> Iterator[Turn]:
    if isinstance(body.get("choices"), list):
        for choice in body["choices"]:
            if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
                yield _message(choice["message"], "assistant")
            elif isinstance(choice, dict) and isinstance(choice.get("text"), str):
                yield Turn("assistant", tuple(_parts(choice["text"])))
    elif isinstance(body.get("candidates"), list):
        for candidate in body["candidates"]:
            if isinstance(candidate, dict) and isinstance(candidate.get("content"), dict):
                yield _message(candidate["content"], "assistant")
    elif isinstance(body.get("output"), list):
        parts: list[Part] = []
        for turn in _items(body["output"]):
            parts += turn.parts
        yield Turn("assistant", tuple(parts))
    elif isinstance(body.get("output"), dict) and isinstance(body["output"].get("message"), dict):  # Bedrock's Converse
        yield _message(body["output"]["message"], "assistant")
    elif isinstance(body.get("message"), dict):
        yield _message(body["message"], "assistant")
    elif isinstance(body.get("content"), list) and body.get("role") == "assistant":
        yield _message(body, "assistant")
    elif isinstance(body.get("response"), str):  # Ollama's generate
        thinking = [Part(Shape.THINKING, body["thinking"])] if isinstance(body.get("thinking"), str) else []
        yield Turn("assistant", (*thinking, *_parts(body["response"])))
    elif isinstance(body.get("error"), dict | str):
        error = body["error"]
        text = error.get("message") if isinstance(error, dict) else error
        yield Turn("error", (Part(Shape.TEXT, str(text or error)),))


def _messages(messages: Iterable[Any]) -> Iterator[Turn]:
    for message in messages:
        yield _message(message, "user") if isinstance(message, dict) else Turn("user", tuple(_parts(message)))


ROLES = {"model": "assistant", "function": "tool", "developer": "system", "human": "user", "ai": "assistant"}


def _message(message: JSON, default: str) -> Turn:
    role = message.get("role")
    role = ROLES.get(role, role) if isinstance(role, str) else default
    parts: list[Part] = []
    thinking = message.get("reasoning_content") or message.get("reasoning") or message.get("thinking")
    if isinstance(thinking, str):
        parts.append(Part(Shape.THINKING, thinking))
    content = list(_parts(message.get("content") if "content" in message else message.get("parts")))
    if role == "tool":
        id, name = _text(message.get("tool_call_id")), _text(message.get("name") or message.get("tool_name"))
        content = [Part(Shape.RESULT, part.text, name, id, part.value) for part in content]
    parts += content
    parts += _images(message)
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        parts.append(Part(Shape.REFUSAL, message["refusal"]))
    for call in (*_list(message.get("tool_calls")), message.get("function_call")):
        if isinstance(call, dict):
            parts.append(_call(call))
    if role == "user" and parts and all(part.shape is Shape.RESULT for part in parts):
        role = "tool"  # where there is no such role, results are sent as the user's
    return Turn(role, tuple(parts))


def _call(call: JSON) -> Part:
    function = call.get("function") if isinstance(call.get("function"), dict) else call.get("custom") or call
    function = function if isinstance(function, dict) else call
    given = function.get("arguments", function.get("input", function.get("args")))
    return Part(Shape.CALL, "", _text(function.get("name")), _text(call.get("id") or call.get("call_id")), loosely(given))


def loosely(value: Any) -> Any:
    """JSON inside a text as the value it is; a text that is none stays itself."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _images(message: JSON) -> list[Part]:
    """Ollama's pictures, base64 beside the text."""
    return [Part(Shape.PICTURE, f"data:image/png;base64,{one}") for one in _list(message.get("images")) if isinstance(one, str)]


def _items(value: Any) -> Iterator[Turn]:
    """The Responses API's items, or the texts of an embedding."""
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            yield Turn("user", tuple(_parts(item)))
        elif item.get("type") in ("function_call", "custom_tool_call"):
            yield Turn("assistant", (_call(item),))
        elif item.get("type") in ("function_call_output", "custom_tool_call_output"):
            yield Turn("tool", tuple(_result(item.get("output"), None, _text(item.get("call_id")))))
        elif item.get("type") == "reasoning":
            parts = tuple(
                Part(Shape.THINKING, part.text) for part in _parts(item.get("summary") or item.get("content")) if part.text
            )
            yield Turn("assistant", parts)
        elif "role" in item or item.get("type") in ("message", None):
            yield _message(item, "user")
        else:
            yield Turn("assistant", tuple(_parts(item)))


def _result(content: Any, name: str | None, id: str | None) -> Iterator[Part]:
    content = loosely(content)
    if isinstance(content, str | list):
        for part in _parts(content):
            yield Part(Shape.RESULT, part.text, name, id, part.value) if part.shape is not Shape.PICTURE else part
    elif content is not None:
        yield Part(Shape.RESULT, "", name, id, content)


def _parts(content: Any) -> Iterator[Part]:
    """The parts of a content, of any dialect."""
    if isinstance(content, str):
        if content:
            yield Part(Shape.TEXT, content)
    elif isinstance(content, list):
        if content and all(isinstance(one, int) for one in content):
            yield Part(Shape.OTHER, f"{len(content)} token ids")
            return
        for part in content:
            yield from _parts(part)
    elif isinstance(content, dict):
        if "parts" in content and "type" not in content:  # Gemini
            yield from _parts(content["parts"])
        else:
            yield from _part(content)
    elif content is not None:
        yield Part(Shape.OTHER, value=content)


_TEXTS = (None, "text", "input_text", "output_text", "summary_text", "reasoning_text")


def _part(part: JSON) -> Iterator[Part]:
    kind = part.get("type")
    if isinstance(part.get("text"), str) and kind in (
        None,
        "text",
        "input_text",
        "output_text",
        "summary_text",
        "reasoning_text",
    ):
        yield Part(Shape.THINKING if part.get("thought") is True else Shape.TEXT, part["text"])
    elif kind == "refusal":
        yield Part(Shape.REFUSAL, str(part.get("refusal", "")))
    elif kind == "thinking":
        yield Part(Shape.THINKING, str(part.get("thinking", "")))
    elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        yield Part(Shape.CALL, "", _text(part.get("name")), _text(part.get("id")), part.get("input"))
    elif isinstance(kind, str) and kind.endswith("tool_result"):
        yield from _result(part.get("content"), None, _text(part.get("tool_use_id")))
    elif isinstance(part.get("functionCall"), dict):
        call = part["functionCall"]
        yield Part(Shape.CALL, "", _text(call.get("name")), _text(call.get("id")), call.get("args"))
    elif isinstance(part.get("functionResponse"), dict):
        answer = part["functionResponse"]
        yield Part(Shape.RESULT, "", _text(answer.get("name")), _text(answer.get("id")), answer.get("response"))
    elif kind is None and (found := tuple(_converse(part))):
        yield from found
    elif (address := _picture(part)) is not None:
        yield Part(Shape.PICTURE, address)
    elif isinstance(part.get("content"), str | list) and kind in ("message", "text", None):
        yield from _parts(part["content"])
    else:
        yield Part(Shape.OTHER, value=part)


def _converse(block: JSON) -> Iterator[Part]:
    """A block of Bedrock's Converse, which is named by its member."""
    call, answer, thought, cited = (block.get(name) for name in ("toolUse", "toolResult", "reasoningContent", "citationsContent"))
    if isinstance(call, dict):
        yield Part(Shape.CALL, "", _text(call.get("name")), _text(call.get("toolUseId")), call.get("input"))
    elif isinstance(answer, dict):
        for part in _list(answer.get("content")):
            told = part.get("json", part) if isinstance(part, dict) and "text" not in part else _list([part])
            yield from _result(told, None, _text(answer.get("toolUseId")))
    elif isinstance(thought, dict) and isinstance(thought.get("reasoningText"), dict):
        yield Part(Shape.THINKING, str(thought["reasoningText"].get("text", "")))
    elif isinstance(cited, dict):
        yield from _parts(cited.get("content"))


def _picture(part: JSON) -> str | None:
    """The address of a picture, a data URL where the bytes are in the part."""
    given = part.get("image_url")
    if isinstance(given, dict):
        given = given.get("url")
    if isinstance(given, str):
        return given
    source = part.get("source")
    if part.get("type") == "image" and isinstance(source, dict):
        if isinstance(source.get("data"), str):
            return f"data:{source.get('media_type')};base64,{source['data']}"
        return _text(source.get("url"))
    inline = part.get("inlineData") or part.get("inline_data")
    if isinstance(inline, dict) and isinstance(inline.get("data"), str):
        mime = inline.get("mimeType") or inline.get("mime_type")
        return f"data:{mime};base64,{inline['data']}" if str(mime).startswith("image/") else None
    return None
