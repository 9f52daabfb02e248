"""How fast a stream brought its tokens. Pure."""

from __future__ import annotations

from typing import Any

from proxy.task import Call, Usage

LEAST_SECONDS = 0.001
"""A stream that came at once, in less than this, has no pace."""

_TOLD = ("reasoning_content", "reasoning", "thinking")


def tokens_per_second(call: Call, first: int | None, usage: Usage | None, answer: Any) -> float | None:
    """Output tokens by the seconds from the piece with the first token to the last piece; `None` where either is not known.

    Reasoning that was counted and not shown was over before the first token, so it does not count.
    """
    if first is None or usage is None or usage.output_tokens is None:
        return None
    seconds = call.response[-1].at - call.response[first].at
    if seconds < LEAST_SECONDS:
        return None
    return max(0, usage.output_tokens - _hidden(call.kind, usage, answer)) / seconds


def _hidden(kind: str, usage: Usage, answer: Any) -> int:
    """Reasoning tokens inside the output of which nothing came."""
    reasoning, output = usage.reasoning_tokens or 0, usage.output_tokens or 0
    beside = kind == "gemini" or usage.total_tokens == (usage.input_tokens or 0) + output + reasoning
    return 0 if not reasoning or beside or _shown(answer) else reasoning


def _shown(answer: Any) -> bool:
    """Whether an answer holds reasoning, in any of the places where dialects put it."""
    if not isinstance(answer, dict):
        return False
    messages = [choice.get("message") for choice in _dicts(answer.get("choices"))] + [answer.get("message")]
    if any(message.get(key) for message in _dicts(messages) for key in _TOLD):
        return True
    blocks = _dicts(answer.get("content")) + _dicts(answer.get("output"))
    return any(
        block.get("type") in ("thinking", "reasoning") and (block.get("thinking") or block.get("summary") or block.get("content"))
        for block in blocks
    )


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
