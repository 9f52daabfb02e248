"""What answers say of their own price."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given

from proxy.price.terms import NOTHING, terms_of
from proxy.record.reading import read
from tests.store.tasks import json_values
from tests.tapes.tape import tapes


@pytest.mark.parametrize(
    ("usage", "cost", "said_in"),
    [
        ({"cost": 0.000117}, "0.000117", "usage.cost"),
        ({"cost": 0}, "0", "usage.cost"),
        ({"cost": 0.1, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.1}}, "0.1", "usage.cost"),
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, "0.21", "usage.cost"),
        ({"cost": 0.01, "is_byok": True, "cost_details": None}, "0.01", "usage.cost"),
        ({"cost": {"total_cost": 0.006, "request_cost": 0.005}}, "0.006", "usage.cost.total_cost"),
        ({"cost_in_usd_ticks": 37756000}, "0.0037756", "usage.cost_in_usd_ticks"),
        ({"estimated_cost": 0.5}, "0.5", "usage.estimated_cost"),
        ({"cost": -1}, None, None),
        ({"cost": True}, None, None),
        ({"cost": "0.1"}, None, None),
        ({"cost": {}}, None, None),
        ({"cost": float("nan")}, None, None),
    ],
)
def test_the_providers_own_cost_is_found(usage, cost, said_in):
    terms = terms_of({"usage": usage})
    assert (terms.cost, terms.said_in) == (None if cost is None else Decimal(cost), said_in)


@pytest.mark.parametrize(
    ("name", "cost"),
    [("provider_openrouter", "0.000117"), ("provider_xai", "0.00001585"), ("provider_perplexity", "0.005")],
)
def test_the_tapes_of_providers_that_say_their_cost(name, cost):
    (tape,) = (tape for tape in tapes("chat") if tape.name == name)
    assert terms_of(read(tape.call()).raw_output).cost == Decimal(cost)


def test_what_changes_the_price_of_tokens_is_found():
    claude = {
        "usage": {
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 7},
            "server_tool_use": {"web_search_requests": 2},
            "service_tier": "standard",
            "speed": "fast",
        }
    }
    found = terms_of(claude)
    assert (found.cache_write_1h_tokens, found.web_searches, found.service_tier, found.speed) == (7, 2, "standard", "fast")
    gemini = {
        "usageMetadata": {
            "toolUsePromptTokenCount": 9,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}, {"modality": "IMAGE", "tokenCount": 258}],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
        }
    }
    found = terms_of(gemini)
    assert (found.tool_input_tokens, found.image_input_tokens, found.image_output_tokens) == (9, 258, 1290)
    openai = {
        "service_tier": "flex",
        "usage": {"input_tokens_details": {"image_tokens": 5, "cached_tokens_details": {"audio_tokens": 3}}},
    }
    found = terms_of(openai)
    assert (found.service_tier, found.image_input_tokens, found.cached_audio_tokens) == ("flex", 5, 3)


@given(json_values)
def test_no_answer_makes_it_raise(answer):
    terms_of(answer)
    terms_of({"usage": answer, "usageMetadata": None})
    terms_of({"usageMetadata": answer if isinstance(answer, dict) else {}})


def test_an_answer_without_usage_says_nothing():
    assert terms_of(None) == terms_of([]) == terms_of({"choices": [1, {"usage": 2}]}) == NOTHING
