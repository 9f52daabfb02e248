"""Tokens and rates to dollars: what each provider counts inside what, and what is charged at which rate. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from proxy.price.terms import Terms
from proxy.task import Usage

MILLION: Final = Decimal(1_000_000)
THOUSAND: Final = Decimal(1_000)
_NOTHING: Final = Decimal(0)

Rate = Decimal | tuple[tuple[int, Decimal], ...]
"""Dollars for a million; or steps, (input tokens above which it holds, dollars for a million), lowest first, the first at -1."""

INSIDE: dict[str, frozenset[str]] = {
    "input": frozenset(("cached_input", "cache_write", "cache_write_1h", "audio_input", "cached_audio_input", "image_input")),
    "cached_input": frozenset(("cached_audio_input",)),
    "cache_write": frozenset(("cache_write_1h",)),
    "audio_input": frozenset(("cached_audio_input",)),
    "output": frozenset(("reasoning", "audio_output", "image_output")),
}
"""What is counted inside what. A part without a rate of its own is charged as the rest of what it is in."""

NAMES = (
    *("input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "cached_audio_input", "image_input"),
    *("output", "reasoning", "audio_output", "image_output", "web_searches"),
)
"""Everything that can have a rate, a part after what it is in. Web searches have theirs for a thousand, not a million."""

_ONLY_ASKED = frozenset(("embedding", "ollama_embed", "moderation"))
"""Kinds of call that put no tokens out."""


class Tokens:
    """What is charged for, each part inside its whole; and the input that decides between steps of a rate.

    Compiled, a class like this one is made in a tenth of the time of a tuple.
    """

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts  # in the order of NAMES

    @property
    def asked(self) -> int:
        """All that the model read."""
        return self.counts.get("input", 0)


def tokens_of(kind: str, usage: Usage, terms: Terms) -> Tokens | None:
    """What there is to charge for; `None` where input or output is not known.

    Anthropic and Bedrock count what is cached and written beside the input, all others inside it. Gemini, and xAI at times, count
    reasoning beside the output: a total that is the sum of all three tells.
    """
    given = usage.input_tokens
    if given is None:
        return None
    cached, written = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
    beside = kind in ("message", "converse") or cached + written > given
    asked = given + (cached + written if beside else 0) + (terms.tool_input_tokens or 0)
    output = usage.output_tokens
    reasoning = usage.reasoning_tokens or 0
    if output is None:
        if kind in _ONLY_ASKED:
            output = 0
        elif usage.total_tokens is not None and usage.total_tokens >= given:
            output = max(0, usage.total_tokens - given - reasoning)
        else:
            return None
    if kind == "gemini" or (reasoning and usage.total_tokens == given + output + reasoning):
        output += reasoning
    counts = {
        "input": asked,
        "cached_input": cached,
        "cache_write": written,
        "cache_write_1h": terms.cache_write_1h_tokens,
        "audio_input": usage.audio_input_tokens,
        "cached_audio_input": terms.cached_audio_tokens,
        "image_input": terms.image_input_tokens,
        "output": output,
        "reasoning": reasoning,
        "audio_output": usage.audio_output_tokens,
        "image_output": terms.image_output_tokens,
        "web_searches": terms.web_searches,
    }
    return Tokens({name: count for name, count in counts.items() if count})


class Charge:
    """What a call costs, and the rates that it came to that by."""

    def __init__(self, dollars: Decimal, rates: dict[str, Decimal]) -> None:
        self.dollars = dollars
        self.rates = rates


def charge(tokens: Tokens, rates: Mapping[str, Rate]) -> Charge | None:
    """The cost; `None` where something that was used has no rate."""
    counts = tokens.counts
    names = list(counts)
    apart: dict[str, int] = {}  # each priced part, without the priced parts in it
    for name in names[::-1]:
        if name in rates:
            inner = 0
            if apart and name in INSIDE:
                within = INSIDE[name]
                inner = sum([count for part, count in apart.items() if part in within])
            apart[name] = max(0, counts[name] - inner)
    for whole in ("input", "output"):
        if whole in counts and whole not in rates:
            parts = sum([count for part, count in apart.items() if part in INSIDE[whole]])
            if parts < counts[whole]:
                return None
    total = _NOTHING
    used: dict[str, Decimal] = {}
    for name in names:
        if count := apart.get(name):
            rate = used[name] = _at(rates[name], tokens.asked)
            total += count * rate / (THOUSAND if name == "web_searches" else MILLION)
    return Charge(total, used)


def _at(rate: Rate, asked: int) -> Decimal:
    if isinstance(rate, Decimal):
        return rate
    return next(dollars for above, dollars in reversed(rate) if asked > above)
