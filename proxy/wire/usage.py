"""Token counts as OpenAI-compatible providers give them, under the names that each of them gave the same thing."""

from __future__ import annotations

from typing import Any

from proxy.task import JSON, Usage

NOTHING = (None,) * 8


def usage_of(value: Any) -> Usage | None:
    """The figures in a provider's usage object; None where it has none. Nothing is added up: a total not sent is None."""
    if not isinstance(value, dict):
        return None
    asked = _object(value, "prompt_tokens_details", "input_tokens_details")
    answered = _object(value, "completion_tokens_details", "output_tokens_details")
    figures = (
        _figure(value, "prompt_tokens", "input_tokens"),
        _figure(value, "completion_tokens", "output_tokens"),
        _figure(value, "total_tokens"),
        # DeepSeek, Moonshot, and those who speak Anthropic's names give these beside the rest
        _or(_figure(asked, "cached_tokens"), value, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"),
        _or(_figure(asked, "cache_write_tokens", "cache_creation_tokens"), value, "cache_creation_input_tokens"),  # OpenRouter
        _or(_figure(answered, "reasoning_tokens"), value, "reasoning_tokens"),  # Perplexity
        _figure(asked, "audio_tokens"),
        _figure(answered, "audio_tokens"),
    )
    if figures == NOTHING:
        return None
    given, output, total, cached, written, reasoning, heard, spoken = figures
    return Usage(
        input_tokens=given,
        output_tokens=output,
        total_tokens=total,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        audio_input_tokens=heard,
        audio_output_tokens=spoken,
    )


def _object(value: JSON, *keys: str) -> JSON:
    for key in keys:
        if isinstance(value.get(key), dict):
            return value[key]  # type: ignore[no-any-return]  # just seen
    return {}


def _figure(value: JSON, *keys: str) -> int | None:
    for key in keys:
        figure = value.get(key)
        if type(figure) is float and figure.is_integer():
            figure = int(figure)
        if type(figure) is int and 0 <= figure < 2**63:
            return figure
    return None


def _or(figure: int | None, value: JSON, *keys: str) -> int | None:
    return _figure(value, *keys) if figure is None else figure
