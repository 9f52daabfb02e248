"""What each provider counts inside what, and what is charged at which rate."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.price.charge import INSIDE, NAMES, charge, tokens_of
from proxy.price.terms import NOTHING, Terms
from proxy.task import Usage

RATES = {
    "input": Decimal(2),
    "cached_input": Decimal("0.2"),
    "cache_write": Decimal("2.5"),
    "cache_write_1h": Decimal(4),
    "output": Decimal(10),
}


def cost(kind: str, usage: Usage, terms: Terms = NOTHING, **rates: Decimal) -> float | None:
    """Millionths of a dollar."""
    tokens = tokens_of(kind, usage, terms)
    charged = None if tokens is None else charge(tokens, rates or RATES)
    return None if charged is None else float(charged.dollars * 1_000_000)


def test_openai_counts_cached_tokens_inside_the_input():
    assert cost("chat", Usage(input_tokens=1000, cached_input_tokens=800, output_tokens=50)) == 200 * 2 + 800 * 0.2 + 50 * 10


def test_anthropic_counts_cached_and_written_tokens_beside_the_input():
    usage = Usage(input_tokens=10, cached_input_tokens=800, cache_write_tokens=100, output_tokens=50)
    assert cost("message", usage) == 10 * 2 + 800 * 0.2 + 100 * 2.5 + 50 * 10


def test_what_is_kept_for_an_hour_costs_more():
    usage = Usage(input_tokens=10, cache_write_tokens=100, output_tokens=0)
    assert cost("message", usage, Terms(cache_write_1h_tokens=60)) == 10 * 2 + 40 * 2.5 + 60 * 4


def test_more_cached_than_given_can_only_be_counted_beside_it():
    assert cost("chat", Usage(input_tokens=10, cached_input_tokens=800, output_tokens=0)) == 10 * 2 + 800 * 0.2


def test_gemini_counts_thoughts_beside_the_output_and_tools_beside_the_prompt():
    usage = Usage(input_tokens=100, output_tokens=20, reasoning_tokens=300, total_tokens=430)
    assert cost("gemini", usage, Terms(tool_input_tokens=10)) == 110 * 2 + 320 * 10


def test_a_total_tells_whether_reasoning_is_inside_the_output():
    inside = Usage(input_tokens=100, output_tokens=320, reasoning_tokens=300, total_tokens=420)
    beside = Usage(input_tokens=100, output_tokens=20, reasoning_tokens=300, total_tokens=420)
    assert cost("chat", inside) == cost("chat", beside) == 100 * 2 + 320 * 10


def test_a_part_without_a_rate_costs_what_the_rest_of_its_whole_does():
    usage = Usage(input_tokens=100, cached_input_tokens=50, cache_write_tokens=10, audio_input_tokens=20, output_tokens=5)
    assert cost("chat", usage, input=Decimal(2), output=Decimal(10)) == 100 * 2 + 5 * 10


def test_sound_and_reasoning_have_rates_of_their_own_where_they_are_given():
    usage = Usage(input_tokens=100, audio_input_tokens=60, output_tokens=50, audio_output_tokens=40, reasoning_tokens=10)
    rates = {
        "input": Decimal(1),
        "audio_input": Decimal(10),
        "output": Decimal(2),
        "audio_output": Decimal(20),
        "reasoning": Decimal(3),
    }
    assert cost("chat", usage, **rates) == 40 * 1 + 60 * 10 + 0 * 2 + 40 * 20 + 10 * 3


def test_cached_sound_is_taken_out_of_both_that_it_is_in():
    usage = Usage(input_tokens=100, cached_input_tokens=50, audio_input_tokens=60, output_tokens=0)
    rates = {"input": Decimal(1), "cached_input": Decimal("0.5"), "audio_input": Decimal(10), "cached_audio_input": Decimal(5)}
    # 100 = 40 text (20 cached) + 60 sound (30 cached)
    assert cost("chat", usage, Terms(cached_audio_tokens=30), **rates) == 20 * 1 + 20 * 0.5 + 30 * 10 + 30 * 5


def test_a_step_holds_for_all_tokens_once_the_input_is_above_it():
    tokens = tokens_of("message", Usage(input_tokens=1, cached_input_tokens=200_000, output_tokens=10), NOTHING)
    steps = {"input": ((-1, Decimal(3)), (200_000, Decimal(6))), "output": ((-1, Decimal(15)), (200_000, Decimal(22)))}
    assert charge(tokens, steps).dollars * 1_000_000 == 200_001 * 6 + 10 * 22
    below = tokens_of("message", Usage(input_tokens=200_000, output_tokens=10), NOTHING)
    assert charge(below, steps).dollars * 1_000_000 == 200_000 * 3 + 10 * 15


def test_a_search_costs_by_the_thousand():
    usage = Usage(input_tokens=0, output_tokens=0)
    assert cost("message", usage, Terms(web_searches=3), web_searches=Decimal(10)) == 30_000


@pytest.mark.parametrize(
    ("kind", "usage"),
    [
        ("chat", Usage(output_tokens=5)),
        ("chat", Usage(input_tokens=5)),
        ("chat", Usage(total_tokens=5)),
    ],
)
def test_what_is_not_known_is_not_reckoned(kind, usage):
    assert cost(kind, usage) is None


def test_a_total_makes_up_for_an_output_that_was_not_said():
    assert cost("gemini", Usage(input_tokens=100, total_tokens=100)) == 200
    assert cost("embedding", Usage(input_tokens=100)) == 200


def test_output_without_a_rate_is_not_free():
    assert cost("chat", Usage(input_tokens=5, output_tokens=1), input=Decimal(2)) is None
    assert cost("chat", Usage(input_tokens=5, output_tokens=0), input=Decimal(2)) == 10
    assert cost("chat", Usage(input_tokens=0, output_tokens=0), input=Decimal(2)) == 0


def test_the_rates_that_were_used_are_told_and_no_others():
    tokens = tokens_of("chat", Usage(input_tokens=10, cached_input_tokens=10, output_tokens=1), NOTHING)
    assert charge(tokens, RATES).rates == {"cached_input": Decimal("0.2"), "output": Decimal(10)}


counts = st.none() | st.integers(0, 10**6)


@given(
    st.builds(
        Usage, input_tokens=counts, output_tokens=counts, cached_input_tokens=counts, cache_write_tokens=counts,
        reasoning_tokens=counts, audio_input_tokens=counts, audio_output_tokens=counts, total_tokens=counts,
    ),
    st.builds(
        Terms, cache_write_1h_tokens=counts, cached_audio_tokens=counts, image_input_tokens=counts, image_output_tokens=counts,
    ),
    st.sampled_from(["chat", "message", "gemini", "embedding"]),
    st.sets(st.sampled_from(NAMES)),
)  # fmt: skip
def test_with_one_rate_for_all_no_token_is_charged_twice(usage, terms, kind, priced):
    """However the parts overlap, the cost is never below nothing; where they fit in their wholes it is that of the wholes."""
    tokens = tokens_of(kind, usage, terms)
    if tokens is None:
        return
    rates = dict.fromkeys(priced | {"input", "output"}, Decimal(1_000_000))
    charged = charge(tokens, rates)
    count = tokens.counts.get
    fits = all(
        sum(count(part, 0) for part in parts if part != "cache_write_1h") <= count(whole, 0) for whole, parts in INSIDE.items()
    ) and count("cache_write_1h", 0) <= count("cache_write", 0)
    assert charged.dollars >= 0
    if fits and not tokens.counts.get("cached_audio_input"):
        assert charged.dollars == count("input", 0) + count("output", 0)
