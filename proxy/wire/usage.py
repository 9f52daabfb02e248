"""Token counts as OpenAI-compatible providers give them, under the names that each of them gave the same thing."""

from __future__ import annotations

from typing import Any, Final

from proxy.quick import maker
from proxy.task import JSON, Usage

_usage: Final = maker(Usage)

NOTHING = (None,) * 8


def usage_of(value: Any) -> Usage | None:
    """The figures in a provider's usage object; None where it has none. Nothing is added up: a total not sent is None."""
    if not isinstance(value, dict):
        return None
    asked = _object(value, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    answered = _object(value, "completion_tokens_details", "output_tokens_details", "output_token_details")
    given = _either(value, "prompt_tokens", "input_tokens")
    output = _either(value, "completion_tokens", "output_tokens")
    total = _one(value, "total_tokens")
    # DeepSeek, Moonshot, and those who speak Anthropic's names give these beside the rest
    cached = _one(asked, "cached_tokens") if asked else None
    if cached is None:
        cached = figure_of(value, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
    written = _either(asked, "cache_write_tokens", "cache_creation_tokens") if asked else None  # OpenRouter
    if written is None:
        written = _one(value, "cache_creation_input_tokens")
    reasoning = _either(answered, "reasoning_tokens", "thinking_tokens") if answered else None  # Anthropic
    if reasoning is None:
        reasoning = _one(value, "reasoning_tokens")  # Perplexity
    heard = _one(asked, "audio_tokens") if asked else None
    spoken = _one(answered, "audio_tokens") if answered else None
    if (given, output, total, cached, written, reasoning, heard, spoken) == NOTHING:
        return None
    return _usage(
        input_tokens=given,
        output_tokens=output,
        total_tokens=total,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        audio_input_tokens=heard,
        audio_output_tokens=spoken,
    )


def usage_of_timings(value: Any) -> Usage | None:
    """The figures in llama.cpp's timings, which come even where usage was not asked for.

    The prompt is what was read of it and what was in the cache; older versions do not say the latter, so that is not known.
    """
    if not isinstance(value, dict):
        return None
    read, cached, said = figure_of(value, "prompt_n"), figure_of(value, "cache_n"), figure_of(value, "predicted_n")
    given = None if read is None or cached is None else read + cached
    if given is None and cached is None and said is None:
        return None
    return Usage(input_tokens=given, output_tokens=said, cached_input_tokens=cached)


def _object(value: JSON, *keys: str) -> JSON:
    for key in keys:
        if isinstance(value.get(key), dict):
            return value[key]  # type: ignore[no-any-return]  # just seen
    return {}


def figure_of(value: JSON, *keys: str) -> int | None:
    """The first of `keys` that is a count."""
    for key in keys:
        if (figure := _one(value, key)) is not None:
            return figure
    return None


def _either(value: JSON, key: str, other: str) -> int | None:
    figure = _one(value, key)
    return _one(value, other) if figure is None else figure


def _one(value: JSON, key: str) -> int | None:
    figure = value.get(key)
    if figure is None:
        return None
    if type(figure) is float and figure.is_integer():
        figure = int(figure)
    return figure if type(figure) is int and 0 <= figure < 2**63 else None
