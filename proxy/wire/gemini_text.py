"""What Gemini's contents and their parts say, as text a person reads.

Answers name things in camelCase; requests may also come in snake_case, as every API of Google's takes them.
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.task import JSON
from proxy.wire.dialect import text_of
from proxy.wire.text import BETWEEN_CHOICES

MEDIA = {"image": "[image]", "audio": "[audio]", "video": "[video]"}
"""What stands for data, by the first half of its media type."""

BESIDE = frozenset(("thought", "thoughtSignature", "thought_signature", "videoMetadata", "video_metadata", "mediaResolution"))
"""Members of a part that stand beside what it is."""


def member(value: JSON, camel: str, snake: str) -> Any:
    """A member of a request, whichever way it is spelt."""
    return value[camel] if camel in value else value.get(snake)


def input_of(contents: Any) -> str | None:
    """The contents after the model's last one; None where there are none. One at the very end is the beginning of the answer."""
    turn: list[str] = []
    for content in _list(contents)[::-1]:
        if isinstance(content, dict):
            if content.get("role") == "model":
                if turn:
                    break
                continue
            turn.append("\n".join(_lines(content, "\n")))
    return "\n".join(reversed(turn)) if turn else None


def system_prompt_of(asked: JSON) -> str | None:
    """The system instruction; None where there is none."""
    given = member(asked, "systemInstruction", "system_instruction")
    if isinstance(given, dict):
        return "\n".join(_lines(given, "\n"))
    return given if isinstance(given, str) else None


def output_of(answer: JSON) -> str | None:
    """What the candidates say, in their order, and why the prompt was blocked; None where nothing is said."""
    said = []
    for candidate in _list(answer.get("candidates")):
        if isinstance(candidate, dict):
            content = candidate.get("content")
            lines = _lines(content, "") if isinstance(content, dict) else []
            lines.append(text_of(candidate, "finishMessage") or "")
            said.append("\n".join(filter(None, lines)))
    feedback = answer.get("promptFeedback")
    if isinstance(feedback, dict) and text_of(feedback, "blockReason"):
        said.append(text_of(feedback, "blockReasonMessage") or f"[blocked: {feedback['blockReason']}]")
    return BETWEEN_CHOICES.join(filter(None, said)) or None


def _lines(content: JSON, between: str) -> list[str]:
    """The parts of a content, each on a line; texts that follow one another have `between` between them."""
    lines: list[str] = []
    texts: list[str] = []
    for part in _list(content.get("parts")):
        if not isinstance(part, dict) or part.get("thought") is True:
            continue
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif (line := _part(part)) is not None:
            lines += [between.join(texts)] if texts else []
            lines.append(line)
            texts = []
    return lines + ([between.join(texts)] if texts else [])


def _part(part: JSON) -> str | None:
    """A part that is no text; None where it says nothing."""
    call = member(part, "functionCall", "function_call")
    if isinstance(call, dict):
        arguments = call.get("args")
        return f"{text_of(call, 'name') or ''}({'' if arguments is None else orjson.dumps(arguments).decode()})"
    gave = member(part, "functionResponse", "function_response")
    if isinstance(gave, dict):
        return f"[tool] {_given(gave.get('response'))}"
    ran = member(part, "executableCode", "executable_code")
    if isinstance(ran, dict):
        return text_of(ran, "code")
    result = member(part, "codeExecutionResult", "code_execution_result")
    if isinstance(result, dict):
        return f"[tool] {text_of(result, 'output') or text_of(result, 'outcome') or ''}".rstrip("\n")
    data = member(part, "inlineData", "inline_data") or member(part, "fileData", "file_data")
    if isinstance(data, dict):
        media = member(data, "mimeType", "mime_type")
        name = member(data, "displayName", "display_name")
        file = f"[file {name}]" if isinstance(name, str) and name else "[file]"
        return MEDIA.get(media.partition("/")[0], file) if isinstance(media, str) else file
    return next((f"[{key}]" for key, value in part.items() if value and key not in BESIDE), None)


def _given(response: Any) -> str:
    """What a function gave back: the text alone where it is an object of one text."""
    if isinstance(response, dict) and len(response) == 1:
        (only,) = response.values()
        if isinstance(only, str):
            return only
    return "" if response is None else orjson.dumps(response).decode()


def _list(value: Any) -> list[Any]:
    """A repeated field, of which one may be given without its list."""
    return value if isinstance(value, list) else [] if value is None else [value]
