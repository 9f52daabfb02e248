"""What an answer says of its own price, beside the tokens that every provider counts. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from proxy.task import JSON

TICKS = Decimal(10) ** 10
"""xAI's ticks in a dollar (docs.x.ai, cost tracking)."""


class Terms:
    """Figures that change what a call costs; `None` where the answer does not say.

    Compiled, a class like this one is made in a tenth of the time of a tuple.
    """

    def __init__(
        self,
        *,
        cost: Decimal | None = None,
        said_in: str | None = None,
        service_tier: str | None = None,
        speed: str | None = None,
        cache_write_1h_tokens: int | None = None,
        cached_audio_tokens: int | None = None,
        image_input_tokens: int | None = None,
        image_output_tokens: int | None = None,
        tool_input_tokens: int | None = None,
        web_searches: int | None = None,
    ) -> None:
        self.cost = cost  # dollars, as the provider reckons them
        self.said_in = said_in  # the member of the answer that says so
        self.service_tier = service_tier
        self.speed = speed  # Anthropic's fast mode
        self.cache_write_1h_tokens = cache_write_1h_tokens  # of the written ones, those that are kept for an hour and cost more
        self.cached_audio_tokens = cached_audio_tokens  # of the cached ones
        self.image_input_tokens = image_input_tokens
        self.image_output_tokens = image_output_tokens
        self.tool_input_tokens = tool_input_tokens  # Gemini counts them beside the prompt
        self.web_searches = web_searches


NOTHING = Terms()


def terms_of(answer: Any) -> Terms:
    """The terms in a provider's answer, as `Task.raw_output` has it."""
    if not isinstance(answer, dict):
        return NOTHING
    google = answer.get("usageMetadata")
    if isinstance(google, dict):
        return Terms(
            tool_input_tokens=_count(google, "toolUsePromptTokenCount"),
            cached_audio_tokens=_of_modality(google.get("cacheTokensDetails"), "AUDIO"),
            image_input_tokens=_of_modality(google.get("promptTokensDetails"), "IMAGE"),
            image_output_tokens=_of_modality(google.get("candidatesTokensDetails"), "IMAGE"),
            service_tier=_text(google, "serviceTier"),
        )
    usage = _usage(answer)
    if usage is None:
        return NOTHING
    asked, answered = (
        _object(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details"),
        _object(usage, "completion_tokens_details", "output_tokens_details", "output_token_details"),
    )
    cost, said_in = _cost(usage)
    return Terms(
        cost=cost,
        said_in=said_in,
        service_tier=_text(answer, "service_tier") or _text(usage, "service_tier"),
        speed=_text(usage, "speed"),
        cache_write_1h_tokens=_count(_object(usage, "cache_creation"), "ephemeral_1h_input_tokens"),
        cached_audio_tokens=_count(_object(asked, "cached_tokens_details"), "audio_tokens"),
        image_input_tokens=_count(asked, "image_tokens"),
        image_output_tokens=_count(answered, "image_tokens"),
        web_searches=_count(_object(usage, "server_tool_use"), "web_search_requests"),
    )


def _usage(answer: JSON) -> JSON | None:
    """Where the usage stands: in the answer, or in a choice of it (Moonshot), or under a vendor's name (Groq)."""
    choices = answer.get("choices")
    for place in (answer, *(choices if isinstance(choices, list) else ()), answer.get("x_groq")):
        found = place.get("usage") if isinstance(place, dict) else None
        if isinstance(found, dict):
            return found
    return None


def _cost(usage: JSON) -> tuple[Decimal | None, str | None]:
    """What the provider says the call cost, and where it says so."""
    cost = usage.get("cost")
    if (dollars := _dollars(cost)) is not None:  # OpenRouter, whose credits are dollars
        if usage.get("is_byok") is True:  # with a key of one's own its cost is but its fee
            dollars += _dollars(_object(usage, "cost_details").get("upstream_inference_cost")) or 0
        return dollars, "usage.cost"
    if isinstance(cost, dict) and (dollars := _dollars(cost.get("total_cost"))) is not None:  # Perplexity
        return dollars, "usage.cost.total_cost"
    if (ticks := _dollars(usage.get("cost_in_usd_ticks"))) is not None:  # xAI
        return ticks / TICKS, "usage.cost_in_usd_ticks"
    if (dollars := _dollars(usage.get("estimated_cost"))) is not None:  # DeepInfra
        return dollars, "usage.estimated_cost"
    return None, None


def _dollars(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):  # `int | float` is made each time
        return None
    found = Decimal(repr(value))
    return found if found.is_finite() and found >= 0 else None


def _of_modality(details: Any, modality: str) -> int | None:
    for each in details if isinstance(details, list) else ():
        if isinstance(each, dict) and each.get("modality") == modality:
            return _count(each, "tokenCount")
    return None


def _object(value: JSON, *keys: str) -> JSON:
    for key in keys:
        found = value.get(key)
        if isinstance(found, dict):
            return found
    return {}


def _count(value: JSON, key: str) -> int | None:
    figure = value.get(key)
    return figure if type(figure) is int and 0 <= figure < 2**63 else None


def _text(value: JSON, key: str) -> str | None:
    text = value.get(key)
    return text if isinstance(text, str) and text else None
