"""Apps that talk: what was said, as the request and the response of any dialect, and as the task that was read of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from proxy.record.reading import read
from proxy.task import Ending, Piece, Task
from tests.tapes.tape import make_call

KINDS = ("chat", "completion", "response", "message", "ollama_chat", "gemini")
PATHS = {
    "chat": "/v1/chat/completions",
    "completion": "/v1/completions",
    "response": "/v1/responses",
    "message": "/v1/messages",
    "ollama_chat": "/api/chat",
    "ollama_generate": "/api/generate",
    "converse": "/model/m/converse",
    "gemini": "/v1beta/models/gemini-3:generateContent",
}
SECOND = 1_000_000
MINUTE = 60 * SECOND
NOON = 1_790_000_000 * SECOND

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Turn:
    """One message: of the user, the model (with `calls`: id, name, arguments), or a tool (`calls`: the one it answers)."""

    role: str
    text: str
    calls: tuple[tuple[str, str, dict[str, Any]], ...] = ()


def user(text: str) -> Turn:
    return Turn("user", text)


def model(text: str, *calls: tuple[str, str, dict[str, Any]]) -> Turn:
    return Turn("assistant", text, calls)


def tool(text: str, id: str, name: str) -> Turn:
    return Turn("tool", text, ((id, name, {}),))


@dataclass(frozen=True)
class App:
    """Who calls, and how it speaks."""

    kind: str = "chat"
    key: str | None = "key-1"
    user: str | None = None
    system: str | None = "You are a helpful assistant."
    project: str | None = None
    parts: bool = False  # content in parts where the dialect has both
    fields: tuple[tuple[bytes, bytes], ...] = field(default=())

    def call(self, turns: Sequence[Turn], answer: Turn | None, at: int, seconds: float = 2.0, **more: Any) -> Task:
        """The task of a call that was begun at `at` (microseconds)."""
        return task(self, self.request(turns), None if answer is None else self.response(answer, turns), at, seconds, **more)

    def request(self, turns: Sequence[Turn]) -> dict[str, Any]:
        return _REQUESTS[self.kind](self, turns)

    def response(self, answer: Turn, turns: Sequence[Turn]) -> dict[str, Any]:
        return _RESPONSES[self.kind](answer)


def task(app: App, request: Any, response: Any, at: int, seconds: float = 2.0, **more: Any) -> Task:
    """What is read of a call."""
    number = next(_numbers)
    fields = [(b"Content-Type", b"application/json"), *app.fields]
    if app.user is not None:
        fields.append((b"X-User-Id", app.user.encode()))
    if app.project is not None:
        fields.append((b"X-Project-Id", app.project.encode()))
    body = orjson.dumps(response) if response is not None else b""
    call = make_call(
        origin=f"e.{number}",
        id=f"task-{number}",
        own_id=f"task-{number}",
        kind=app.kind,
        target=PATHS[app.kind],
        created_at=at,
        ended_at=at + round(seconds * SECOND),
        caller_key=app.key,
        request_fields=tuple(fields),
        request_body=orjson.dumps(request),
        http_status=200 if response is not None else None,
        response_fields=((b"Content-Type", b"application/json"),),
        response=(Piece(0.5, body),) if body else (),
        response_size=len(body),
        ending=Ending.COMPLETED if response is not None else Ending.UNREACHABLE,
    )
    return replace(read(call), **more)


# -- requests ----------------------------------------------------------------------------------------------------------


def _chat(app: App, turns: Sequence[Turn]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [] if app.system is None else [{"role": "system", "content": app.system}]
    for turn in turns:
        if turn.role == "tool":
            messages.append({"role": "tool", "tool_call_id": turn.calls[0][0], "content": turn.text})
        elif turn.role == "assistant":
            messages.append(_chat_message(turn))
        else:
            messages.append({"role": "user", "content": [{"type": "text", "text": turn.text}] if app.parts else turn.text})
    return {"model": "m", "messages": messages}


def _chat_message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
    if turn.calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id, name, arguments in turn.calls
        ]
    return message


def _ollama(app: App, turns: Sequence[Turn]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [] if app.system is None else [{"role": "system", "content": app.system}]
    for turn in turns:
        if turn.role == "tool":
            messages.append({"role": "tool", "tool_name": turn.calls[0][1], "content": turn.text})
        elif turn.role == "assistant":
            messages.append(_ollama_message(turn))
        else:
            messages.append({"role": "user", "content": turn.text})
    return {"model": "m", "messages": messages, "stream": False}


def _ollama_message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text}
    if turn.calls:
        message["tool_calls"] = [{"function": {"name": name, "arguments": arguments}} for _, name, arguments in turn.calls]
    return message


def _message(app: App, turns: Sequence[Turn]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "tool":
            block = {"type": "tool_result", "tool_use_id": turn.calls[0][0], "content": turn.text}
            if messages and messages[-1]["role"] == "user" and isinstance(messages[-1]["content"], list):
                messages[-1]["content"].append(block)
            else:
                messages.append({"role": "user", "content": [block]})
        elif turn.role == "assistant":
            messages.append({"role": "assistant", "content": _blocks(turn)})
        else:
            messages.append({"role": "user", "content": [{"type": "text", "text": turn.text}] if app.parts else turn.text})
    return {"model": "m", "max_tokens": 100, "messages": messages, **({"system": app.system} if app.system else {})}


def _blocks(turn: Turn) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": turn.text}] if turn.text else []
    return [*text, *({"type": "tool_use", "id": id, "name": name, "input": arguments} for id, name, arguments in turn.calls)]


def _response(app: App, turns: Sequence[Turn]) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "tool":
            items.append({"type": "function_call_output", "call_id": turn.calls[0][0], "output": turn.text})
        elif turn.role == "assistant":
            items += _output_items(turn)
        else:
            items.append({"role": "user", "content": [{"type": "input_text", "text": turn.text}] if app.parts else turn.text})
    return {"model": "m", "input": items, **({"instructions": app.system} if app.system else {})}


def _output_items(turn: Turn) -> list[dict[str, Any]]:
    content = [{"type": "output_text", "text": turn.text, "annotations": []}]
    text = [{"type": "message", "id": "msg_1", "role": "assistant", "content": content}] if turn.text else []
    calls = [
        {"type": "function_call", "id": "fc_1", "call_id": id, "name": name, "arguments": json.dumps(arguments)}
        for id, name, arguments in turn.calls
    ]
    return [*text, *calls]


def _gemini(app: App, turns: Sequence[Turn]) -> dict[str, Any]:
    contents: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "tool":
            part = {"functionResponse": {"name": turn.calls[0][1], "response": {"result": turn.text}}}
            contents.append({"role": "user", "parts": [part]})
        elif turn.role == "assistant":
            contents.append({"role": "model", "parts": _gemini_parts(turn)})
        else:
            contents.append({"role": "user", "parts": [{"text": turn.text}]})
    return {"contents": contents, **({"systemInstruction": {"parts": [{"text": app.system}]}} if app.system else {})}


def _gemini_parts(turn: Turn) -> list[dict[str, Any]]:
    text = [{"text": turn.text}] if turn.text else []
    return [*text, *({"functionCall": {"name": name, "args": arguments}} for _, name, arguments in turn.calls)]


def _converse(app: App, turns: Sequence[Turn]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "tool":
            block = {"toolResult": {"toolUseId": turn.calls[0][0], "content": [{"text": turn.text}], "status": "success"}}
            if messages and messages[-1]["role"] == "user" and "toolResult" in messages[-1]["content"][0]:
                messages[-1]["content"].append(block)
            else:
                messages.append({"role": "user", "content": [block]})
        elif turn.role == "assistant":
            messages.append({"role": "assistant", "content": _converse_blocks(turn)})
        else:
            messages.append({"role": "user", "content": [{"text": turn.text}]})
    return {"messages": messages, **({"system": [{"text": app.system}]} if app.system else {})}


def _converse_blocks(turn: Turn) -> list[dict[str, Any]]:
    text = [{"text": turn.text}] if turn.text else []
    return [*text, *({"toolUse": {"toolUseId": id, "name": name, "input": arguments}} for id, name, arguments in turn.calls)]


def _completion(app: App, turns: Sequence[Turn]) -> dict[str, Any]:
    names = {"user": "User", "assistant": "AI", "tool": "Tool"}
    lines = [app.system or "", *(f"{names[turn.role]}: {_flat(turn)}" for turn in turns), "AI:"]
    return {"model": "m", "prompt": "\n".join(lines), "stop": ["\nUser:"]}


def _flat(turn: Turn) -> str:
    return " ".join([turn.text, *(f"{name}({json.dumps(arguments)})" for _, name, arguments in turn.calls)]).strip()


_REQUESTS = {
    "chat": _chat,
    "ollama_chat": _ollama,
    "message": _message,
    "response": _response,
    "gemini": _gemini,
    "converse": _converse,
    "completion": _completion,
}


# -- responses ---------------------------------------------------------------------------------------------------------


def _chat_response(answer: Turn) -> dict[str, Any]:
    message = _chat_message(answer) | {"refusal": None}
    return {"id": f"chatcmpl-{next(_numbers)}", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def _response_response(answer: Turn) -> dict[str, Any]:
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    id = f"resp_{next(_numbers)}"
    return {"id": id, "object": "response", "status": "completed", "output": [thought, *_output_items(answer)]}


def _message_response(answer: Turn) -> dict[str, Any]:
    thought = {"type": "thinking", "thinking": "well", "signature": "s"}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [thought, *_blocks(answer)],
        "stop_reason": "end_turn",
    }


_RESPONSES = {
    "chat": _chat_response,
    "ollama_chat": lambda answer: {"model": "m", "message": _ollama_message(answer), "done": True, "done_reason": "stop"},
    "message": _message_response,
    "response": _response_response,
    "gemini": lambda answer: {"candidates": [{"content": {"role": "model", "parts": _gemini_parts(answer)}, "index": 0}]},
    "converse": lambda answer: {
        "output": {"message": {"role": "assistant", "content": _converse_blocks(answer)}},
        "stopReason": "end_turn",
    },
    "completion": lambda answer: {
        "id": "cmpl-1",
        "choices": [{"index": 0, "text": f" {_flat(answer)}", "finish_reason": "stop"}],
    },
}
