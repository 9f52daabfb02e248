"""Pure: the readable text in what apps pass: OpenAI's, Anthropic's and Ollama's queries and answers, lists of messages, anything.

It takes plain values (`snapshot.readable`) and never raises for their shape. What it does not know is given as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

JSON = dict[str, Any]

SYSTEM = ("system", "developer")
ASSISTANT = ("assistant", "model")

QUESTIONS = ("messages", "input", "prompt", "contents")
"""Where a query has its question: OpenAI's and Anthropic's, Responses', Ollama's, Gemini's."""

LABELS = ("session_id", "user_id", "task_id", "project_id")
"""Arguments of a wrapped function that label its task, and are no part of its input's text."""


def input_text(value: Any) -> str:
    """What was asked: a query's last turn, the user's messages of a list, a prompt, or the value itself."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for key in QUESTIONS:
            if isinstance(value.get(key), str) or messages_in(value.get(key)) is not None:
                return input_text(value[key])
    messages = messages_in(value)
    if messages is not None:
        return _asked(messages)
    return as_text(value)


def arguments_text(arguments: Any) -> str:
    """The arguments of a function: a query for a model as such, a single one by itself, several as `name: value` lines."""
    if not isinstance(arguments, dict):
        return as_text(arguments)
    content = {name: value for name, value in arguments.items() if name not in LABELS}
    if len(content) == 1:
        return input_text(next(iter(content.values())))
    if messages_in(content.get("messages")) is not None or ("model" in content and any(content.get(key) for key in QUESTIONS)):
        return input_text(content)
    return "\n".join(f"{name}: {as_text(value)}" for name, value in content.items())


def output_text(value: Any) -> str | None:
    """What was answered: text, refusals, tool calls; of a list the assistant's last run of messages. `None`: nothing was."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict):
        known, text = _answered(value)
        return text if known else as_text(value)
    messages = messages_in(value)
    if messages is not None:
        return _said(messages)
    return as_text(value)


def as_text(value: Any) -> str:
    """Any plain value as text: a string as it is, else JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def messages_in(value: Any) -> list[JSON] | None:
    """`value`, where it is a list of messages with a role each."""
    if isinstance(value, list) and value and all(isinstance(item, dict) and isinstance(item.get("role"), str) for item in value):
        return value
    return None


def system_prompt(query: Any) -> str | None:
    """The instructions in a query or a list of messages: all system and developer messages, `system`, or `instructions`."""
    if isinstance(query, dict) and len(query) == 1 and not set(query) & {*QUESTIONS, "system", "instructions"}:
        query = next(iter(query.values()))  # a function's only argument
    if isinstance(query, dict):
        for key in ("system", "instructions"):
            if query.get(key):
                return content_text(query[key])
        query = query.get("messages") or query.get("input")
    messages = messages_in(query) or []
    texts = [content_text(message.get("content")) for message in messages if message["role"] in SYSTEM]
    return "\n".join(text for text in texts if text) or None


def model(query: Any, answer: Any) -> str | None:
    """The model that answered, else the one that was asked."""
    for value in (answer, query):
        if isinstance(value, dict) and isinstance(value.get("model"), str):
            return str(value["model"])
    return None


def usage(answer: Any) -> JSON | None:
    """The provider's own figures under our names; only those that it gave."""
    if not isinstance(answer, dict):
        return None
    given = answer.get("usage")
    if not isinstance(given, dict):
        given = {"input_tokens": answer.get("prompt_eval_count"), "output_tokens": answer.get("eval_count")}  # Ollama
    inside = _table(given, "prompt_tokens_details") or _table(given, "input_tokens_details")
    outside = _table(given, "completion_tokens_details") or _table(given, "output_tokens_details")
    found = {
        "input_tokens": _first(given, "prompt_tokens", "input_tokens"),
        "output_tokens": _first(given, "completion_tokens", "output_tokens"),
        "total_tokens": given.get("total_tokens"),
        "cached_input_tokens": _first({**given, **inside}, "cached_tokens", "cache_read_input_tokens"),
        "cache_write_tokens": given.get("cache_creation_input_tokens"),
        "reasoning_tokens": outside.get("reasoning_tokens"),
        "audio_input_tokens": inside.get("audio_tokens"),
        "audio_output_tokens": outside.get("audio_tokens"),
    }
    found = {name: value for name, value in found.items() if isinstance(value, int) and not isinstance(value, bool)}
    return found or None


def _table(value: JSON, key: str) -> JSON:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _first(value: JSON, *keys: str) -> Any:
    return next((value[key] for key in keys if value.get(key) is not None), None)


def content_text(content: Any) -> str:
    """A message's content as text: its parts joined, `[image]` and the like for what is no text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(text for text in (_part(part) for part in content) if text)
    if isinstance(content, dict):
        return _part(content)
    return as_text(content)


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return content_text(part)
    kind = str(part.get("type", ""))
    if isinstance(part.get("text"), str):
        return str(part["text"])
    if kind == "refusal":
        return str(part.get("refusal", ""))
    if kind == "tool_use":
        return f"{part.get('name')}({as_text(part.get('input'))})"
    if kind == "tool_result":
        return f"[tool] {content_text(part.get('content'))}"
    if kind in {"thinking", "redacted_thinking", "reasoning"}:
        return ""
    for name in ("image", "audio", "file", "document", "video"):
        if name in kind:
            file = part.get(name)
            label = file.get("filename") if isinstance(file, dict) else None
            return f"[{name} {label}]" if label else f"[{name}]"
    return as_text(part)


def _asked(messages: list[JSON]) -> str:
    """The turn that was last asked: what follows the assistant's last message, an answer at the end left out."""
    rest = list(messages)
    while rest and rest[-1]["role"] in ASSISTANT:
        rest.pop()
    turn: list[JSON] = []
    while rest and rest[-1]["role"] not in ASSISTANT:
        turn.insert(0, rest.pop())
    texts = []
    for message in turn:
        if message["role"] in SYSTEM:
            continue
        text = content_text(message.get("content", message.get("parts")))
        texts.append(f"[tool] {text}" if message["role"] in {"tool", "function"} else text)
    return "\n".join(texts)


def _said(messages: list[JSON]) -> str | None:
    """The assistant's last run of messages; `None` where it said nothing."""
    rest = list(messages)
    while rest and rest[-1]["role"] not in ASSISTANT:
        rest.pop()
    said: list[JSON] = []
    while rest and rest[-1]["role"] in ASSISTANT:
        said.insert(0, rest.pop())
    return "\n".join(_message(message) or "" for message in said) if said else None


def _message(message: JSON) -> str | None:
    """An assistant's message: text, refusal, then each tool call as `name(arguments)`."""
    lines = [content_text(message.get("content", message.get("parts"))), str(message.get("refusal") or "")]
    calls = message.get("tool_calls") or []
    if isinstance(message.get("function_call"), dict):
        calls = [*calls, {"function": message["function_call"]}]
    lines += [_call(call) for call in calls if isinstance(call, dict)]
    lines = [line for line in lines if line]
    if lines:
        return "\n".join(lines)
    return "" if isinstance(message.get("content"), str) else None


def _call(call: JSON) -> str:
    function = _table(call, "function") or _table(call, "custom") or call
    arguments = _first(function, "arguments", "input")
    return f"{function.get('name')}({arguments if isinstance(arguments, str) else as_text(arguments)})"


def _answered(answer: JSON) -> tuple[bool, str | None]:
    """Is this an answer of a known shape, and what does it say?"""
    if isinstance(answer.get("choices"), list):
        texts = [_choice(choice) for choice in answer["choices"] if isinstance(choice, dict)]
        return True, _joined(texts, "\n\n---\n\n")
    if isinstance(answer.get("output"), list):  # OpenAI's Responses
        return True, _joined([_item(item) for item in answer["output"] if isinstance(item, dict)], "\n")
    if isinstance(answer.get("message"), dict):  # Ollama's chat
        return True, _message(answer["message"])
    if isinstance(answer.get("response"), str):  # Ollama's generate
        return True, answer["response"]
    if answer.get("type") == "message" or answer.get("role") in ASSISTANT:  # Anthropic's, or one message
        return True, _message(answer)
    if isinstance(answer.get("candidates"), list):  # Gemini's
        texts = [_message(_table(each, "content")) for each in answer["candidates"] if isinstance(each, dict)]
        return True, _joined(texts, "\n\n---\n\n")
    return False, None


def _choice(choice: JSON) -> str | None:
    if isinstance(choice.get("message"), dict):
        return _message(choice["message"])
    if isinstance(choice.get("delta"), dict):
        return _message(choice["delta"])
    return choice.get("text") if isinstance(choice.get("text"), str) else None


def _item(item: JSON) -> str | None:
    if item.get("type") == "message":
        return content_text(item.get("content"))
    if item.get("type") == "function_call":
        return _call(item)
    return None


def _joined(texts: Iterable[str | None], between: str) -> str | None:
    found = [text for text in texts if text is not None]
    return between.join(found) if found else None
