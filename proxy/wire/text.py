"""What a chat's messages say, as text a person reads: what was asked in this turn, and what was answered."""

from __future__ import annotations

from typing import Any

import orjson

from proxy.task import JSON

INSTRUCTING = ("system", "developer")  # a tuple, here and below: what is looked up may be anything, a list too
BETWEEN_CHOICES = "\n\n---\n\n"

MEDIA = {
    "image_url": "[image]",
    "input_image": "[image]",
    "image": "[image]",
    "computer_screenshot": "[image]",
    "input_audio": "[audio]",
    "audio": "[audio]",
    "output_audio": "[audio]",
    "video_url": "[video]",
}
"""What stands for a part that is no text."""

UNREAD = ("thinking", "reference")
"""Parts that nothing stands for."""


def input_of(messages: Any) -> str | None:
    """The messages after the last assistant message, without system and developer messages; None where there are none.

    An assistant message at the very end is the beginning of the answer that is asked for (DeepSeek's and Mistral's `prefix`, what
    vLLM, OpenRouter and Ollama go on from), so the turn is the one before it.
    """
    if not isinstance(messages, list):
        return None
    turn: list[str] = []
    at_end = True
    for message in messages[::-1]:
        if not isinstance(message, dict):
            continue
        if message.get("role") == "assistant":
            if at_end:
                continue
            break
        at_end = False
        if message.get("role") in INSTRUCTING:
            continue
        text = "\n".join(_content(message))
        turn.append(f"[tool] {text}" if message.get("role") in ("tool", "function") else text)
    return "\n".join(reversed(turn)) if turn else None


def system_prompt_of(messages: Any) -> str | None:
    """The system and developer messages; None where there are none."""
    if not isinstance(messages, list):
        return None
    texts = [
        content_text(message.get("content"))
        for message in messages
        if isinstance(message, dict) and message.get("role") in INSTRUCTING
    ]
    return "\n".join(texts) if texts else None


def output_of(choices: Any) -> str | None:
    """What the choices say, in their order; None where they say nothing."""
    if not isinstance(choices, list):
        return None
    said = []
    for choice in choices:
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
            text = message_text(choice["message"])
            if text:
                said.append(text)
    return BETWEEN_CHOICES.join(said) or None


def message_text(message: JSON) -> str:
    """One message: what it says, then its tool calls."""
    return "\n".join(_lines(message))


def _content(message: JSON) -> list[str]:
    """What a message says, and a mark for each image beside it (Ollama, and OpenRouter's models that draw)."""
    text = content_text(message.get("content"))
    said = [text] if text else []
    images = message.get("images")
    if isinstance(images, list):
        said += [(None if isinstance(image, str) else _part_text(image)) or MEDIA["image"] for image in images]
    return said


def _lines(message: JSON) -> list[str]:
    said = _content(message)
    audio = message.get("audio")
    if not said and isinstance(audio, dict) and isinstance(audio.get("transcript"), str) and audio["transcript"]:
        said.append(audio["transcript"])
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        said.append(message["refusal"])
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        bodies = [call.get("function") or call.get("custom") for call in calls if isinstance(call, dict)]
        said += [call_text(body) for body in bodies if isinstance(body, dict)]
    if isinstance(message.get("function_call"), dict):
        said.append(call_text(message["function_call"]))
    return said


def call_text(body: JSON) -> str:
    """A tool call, as `name(arguments)`."""
    arguments = body.get("arguments", body.get("input"))
    if arguments is not None and not isinstance(arguments, str):
        arguments = orjson.dumps(arguments).decode()
    return f"{body.get('name') or ''}({arguments or ''})"


def content_text(content: Any) -> str:
    """A message's content, be it a string or a list of parts. References stand in the middle of one text (Mistral)."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        cited = any(isinstance(part, dict) and part.get("type") == "reference" for part in content)
        return ("" if cited else "\n").join(text for text in map(_part_text, content) if text is not None)
    return ""


def _part_text(part: Any) -> str | None:
    """One part; None where it says nothing that is for reading."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return None
    kind = part.get("type")
    if kind in UNREAD:
        return None
    for key in ("text", "refusal"):
        if isinstance(part.get(key), str):
            return str(part[key])
    transcript = part.get("transcript")
    if isinstance(transcript, str) and transcript:
        return transcript
    if isinstance(kind, str) and kind in MEDIA:
        return MEDIA[kind]
    if kind in ("file", "input_file"):
        file = part.get("file")
        name = (file if isinstance(file, dict) else part).get("filename")
        return f"[file {name}]" if isinstance(name, str) and name else "[file]"
    return f"[{kind}]" if isinstance(kind, str) and kind else None
