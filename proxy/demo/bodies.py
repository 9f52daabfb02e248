"""Pure: what a made-up call sends and gets, in the dialect of its upstream."""

from __future__ import annotations

import json
from dataclasses import dataclass

from proxy.task import JSON, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What passes in one call, before it is put into a dialect."""

    model: str
    upstream: str
    history: list[JSON]  # OpenAI's messages, the system's first
    tool: str | None  # offered
    output: str | None
    call: JSON | None  # OpenAI's tool call, where one is asked for
    stream: bool
    usage: Usage | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Bodies:
    """The JSON of both ways, and where it was sent."""

    kind: str
    path: str
    request: JSON
    response: JSON | None


def bodies(said: Said) -> Bodies:
    """The call in its upstream's dialect."""
    bad = _error(said.status) if said.status and said.status >= 400 else None
    is_answered = said.output is not None or bad is not None
    if said.upstream == "anthropic":
        return Bodies("message", "/v1/messages", _message_request(said), (bad or _message(said)) if is_answered else None)
    request = _chat_request(said)
    reply: JSON = {"role": "assistant", "content": None if said.call else said.output}
    if said.call:
        reply["tool_calls"] = [said.call]
    if said.upstream == "ollama":
        answer: JSON = {"model": said.model, "message": reply, "done": True}
        return Bodies("ollama_chat", "/api/chat", request, bad or answer if is_answered else None)
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "model": said.model}
    answer["choices"] = [{"index": 0, "message": reply, "finish_reason": "tool_calls" if said.call else "stop"}]
    if said.usage:
        answer["usage"] = {"prompt_tokens": said.usage.input_tokens, "completion_tokens": said.usage.output_tokens}
    return Bodies("chat", "/v1/chat/completions", request, bad or answer if is_answered else None)


def _error(status: int | None) -> JSON:
    if status == 429:
        return {"error": {"message": "Rate limit reached. Please try again in 12 s.", "type": "rate_limit_error"}}
    return {"error": {"message": "The server had an error.", "type": "server_error"}}


def _chat_request(said: Said) -> JSON:
    request: JSON = {"model": said.model, "messages": [dict(message) for message in said.history], "temperature": 0.2}
    request["stream"] = said.stream
    if said.tool:
        request["tools"] = [{"type": "function", "function": {"name": said.tool, "parameters": {"type": "object"}}}]
    return request


def _message_request(said: Said) -> JSON:
    request: JSON = {"model": said.model, "max_tokens": 4096, "system": said.history[0]["content"]}
    request["messages"] = [_anthropic(message) for message in said.history[1:]]
    request["stream"] = said.stream
    if said.tool:
        request["tools"] = [{"name": said.tool, "description": "Read part of a file.", "input_schema": {"type": "object"}}]
    return request


def _message(said: Said) -> JSON:
    content = [_use(said.call)] if said.call else [{"type": "text", "text": said.output}]
    reason = "tool_use" if said.call else "end_turn"
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": content,
        "stop_reason": reason,
    }


def _use(call: JSON) -> JSON:
    function = call["function"]
    return {
        "type": "tool_use",
        "id": call["id"].replace("call_", "toolu_"),
        "name": function["name"],
        "input": json.loads(function["arguments"]),
    }


def _anthropic(message: JSON) -> JSON:
    if message["role"] == "tool":
        id = message["tool_call_id"].replace("call_", "toolu_")
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": message["content"]}]}
    if message.get("tool_calls"):
        return {"role": "assistant", "content": [_use(call) for call in message["tool_calls"]]}
    return {"role": message["role"], "content": message["content"]}
