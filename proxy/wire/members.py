"""What stands under a name in a provider's JSON."""

from __future__ import annotations

from typing import Any

from proxy.task import JSON


def text_of(value: JSON, key: str) -> str | None:
    """`value[key]` where it is a string that says something."""
    text = value.get(key)
    return text if isinstance(text, str) and text else None


def error_of(value: Any) -> str | None:
    """What an answer says of its failure, in OpenAI's shape or the flat one of older vLLM; None where it is no failure."""
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if isinstance(error, dict) and error:
        return text_of(error, "message") or text_of(error, "code") or text_of(error, "type") or "an error without a message"
    if isinstance(error, str) and error:
        return error
    if value.get("object") == "error":
        return text_of(value, "message") or "an error without a message"
    return None
