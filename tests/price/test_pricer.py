"""Which price holds for a task, against the real price list."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from genai_prices import Usage as ListUsage
from genai_prices import calc_price

from proxy.price.catalogue import providers
from proxy.price.pricer import pricer_of
from proxy.price.providers import PROVIDERS
from proxy.task import Task, Usage, changed
from tests.store.tasks import a_task

UPSTREAMS = {
    "openai": {"url": "https://api.openai.com"},
    "anthropic": {"url": "https://api.anthropic.com"},
    "google": {"url": "https://generativelanguage.googleapis.com"},
    "groq": {"url": "https://api.groq.com/openai"},
    "deepseek": {"url": "https://api.deepseek.com"},
    "bedrock": {"url": "https://bedrock-runtime.eu-west-1.amazonaws.com"},
    "local": {"url": "http://127.0.0.1:8000"},
    "gateway": {"url": "http://127.0.0.1:4000", "provider": "openai"},
    "odd": {"url": "http://127.0.0.1:4001", "provider": "nobody"},
}
NOVEMBER = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()) * 1_000_000


def asked(model: str, upstream: str | None = "openai", **changes: object) -> Task:
    usage = Usage(input_tokens=1000, output_tokens=100)
    rest = {"created_at": NOVEMBER, "usage": usage, "cost": None, "model_requested": None, "method": "POST"} | changes
    return a_task(1, model=model, upstream=upstream, **rest)


def priced(task: Task, **own: dict[str, float]) -> Task:
    pricer = pricer_of({name.replace("__", "/"): rates for name, rates in own.items()}, UPSTREAMS)
    found, filled = pricer.price(task), changed(task)
    assert pricer.fill(filled) is filled
    assert filled == found
    return found


def test_the_list_gives_the_cost_and_its_record():
    task = priced(asked("gpt-4o-2024-08-06", usage=Usage(input_tokens=1000, cached_input_tokens=500, output_tokens=100)))
    assert task.cost == 0.002875
    assert task.price["source"] == "list"
    assert task.price["list"].startswith("genai-prices ")
    assert (task.price["provider"], task.price["model"], task.price["date"]) == ("openai", "gpt-4o", "2026-11-20")
    assert task.price["per_million"] == {"input": 2.5, "cached_input": 1.25, "output": 10.0}


@pytest.mark.parametrize(
    ("upstream", "provider", "kind", "model", "usage", "theirs"),
    [
        ("openai", "openai", "chat", "gpt-4o",
         Usage(input_tokens=900, cached_input_tokens=300, output_tokens=50, reasoning_tokens=20),
         {"input_tokens": 900, "cache_read_tokens": 300, "output_tokens": 50}),
        ("openai", "openai", "embedding", "text-embedding-3-small", Usage(input_tokens=900, total_tokens=900),
         {"input_tokens": 900}),
        ("anthropic", "anthropic", "message", "claude-sonnet-4-5-20250929",
         Usage(input_tokens=10, cached_input_tokens=5000, cache_write_tokens=400, output_tokens=50),
         {"input_tokens": 5410, "cache_read_tokens": 5000, "cache_write_tokens": 400, "output_tokens": 50}),
        ("anthropic", "anthropic", "message", "claude-sonnet-4-5-20250929",
         Usage(input_tokens=10, cached_input_tokens=250_000, output_tokens=50),
         {"input_tokens": 250_010, "cache_read_tokens": 250_000, "output_tokens": 50}),
        ("google", "google", "gemini", "gemini-2.5-flash",
         Usage(input_tokens=100, output_tokens=20, reasoning_tokens=300, cached_input_tokens=40, audio_input_tokens=30),
         {"input_tokens": 100, "cache_read_tokens": 40, "input_audio_tokens": 30, "cache_audio_read_tokens": 0,
          "output_tokens": 320}),
        ("groq", "groq", "chat", "llama-3.3-70b-versatile", Usage(input_tokens=900, output_tokens=50),
         {"input_tokens": 900, "output_tokens": 50}),
        ("deepseek", "deepseek", "chat", "deepseek-chat", Usage(input_tokens=900, cached_input_tokens=64, output_tokens=50),
         {"input_tokens": 900, "cache_read_tokens": 64, "output_tokens": 50}),
    ],
)  # fmt: skip
def test_our_arithmetic_comes_to_what_the_library_comes_to(upstream, provider, kind, model, usage, theirs):
    at = datetime.fromtimestamp(NOVEMBER / 1e6, UTC)
    wanted = calc_price(ListUsage(**theirs), model_ref=model, provider_id=provider, genai_request_timestamp=at)
    assert priced(asked(model, upstream, kind=kind, usage=usage)).cost == float(wanted.total_price)
    assert wanted.total_price > 0


def test_a_tier_has_its_own_price():
    flex = asked("gpt-5", raw_output={"service_tier": "flex", "usage": {"prompt_tokens": 1}})
    assert priced(flex).cost == priced(asked("gpt-5")).cost / 2
    assert priced(flex).price["service_tier"] == "flex"
    assert "service_tier" not in priced(asked("gpt-5", raw_output={"service_tier": "odd", "usage": {}})).price


def test_a_price_is_that_of_the_day_of_the_call():
    """gpt-4o's cached tokens, claude's prices and others have changed; any model of the list that has will do."""
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import StartDateConstraint

    (openai,) = (provider for provider in get_snapshot().providers if provider.id == "openai")
    model, row = next(
        (model, row)
        for model in openai.models
        if isinstance(model.prices, list) and model is openai.find_model(model.id)
        for row in model.prices
        if isinstance(row.constraint, StartDateConstraint) and row.prices.input_mtok != model.prices[0].prices.input_mtok
    )
    begun = int(datetime.combine(row.constraint.start_date, datetime.min.time(), UTC).timestamp()) * 1_000_000
    before, after = (priced(asked(model.id, created_at=at)) for at in (begun - 1, begun))
    assert before.cost != after.cost
    assert after.price["since"] == row.constraint.start_date.isoformat()


@pytest.mark.parametrize("upstream", ["local", "odd", "unheard-of"])
def test_what_nobody_has_a_price_for_costs_nothing_known(upstream):
    task = priced(asked("gpt-4o", upstream))
    assert (task.cost, task.price, task.problems) == (None, None, ())
    assert priced(asked("my-own-model")).cost is None


def test_a_gateway_has_the_prices_of_whom_it_is_said_to_be():
    assert priced(asked("gpt-4o", "gateway")).cost == priced(asked("gpt-4o")).cost == 0.0035


def test_the_model_that_was_asked_for_tells_where_the_one_that_answered_does_not():
    assert priced(asked("deployment-7", model_requested="gpt-4o")).cost == 0.0035
    assert priced(asked("gpt-4o", model_requested="gpt-4o-mini")).price["model"] == "gpt-4o"


def test_bedrocks_regions_have_prices_of_their_own():
    eu, everywhere = (
        priced(asked("claude-x", "bedrock", kind="message", model_requested=f"{where}.anthropic.claude-sonnet-4-5-20250929-v1:0"))
        for where in ("eu", "global")
    )
    assert (eu.price["provider"], everywhere.price["provider"]) == ("aws", "aws")
    assert eu.cost > everywhere.cost > 0


def test_converse_counts_what_is_cached_beside_the_input():
    usage = Usage(input_tokens=10, cached_input_tokens=1000, cache_write_tokens=0, output_tokens=50, total_tokens=1060)
    nova = asked("us.amazon.nova-pro-v1:0", "bedrock", kind="converse", usage=usage)
    assert priced(nova).cost == pytest.approx((10 * 0.8 + 1000 * 0.2 + 50 * 3.2) / 1e6)


def test_no_usage_no_cost():
    assert priced(asked("gpt-4o", usage=None)).cost is None
    assert priced(asked("gpt-4o", usage=Usage(input_tokens=5))).cost is None


def test_the_providers_own_cost_beats_the_list_and_says_so():
    answer = {"usage": {"cost": 0.5}}
    task = priced(asked("gpt-4o", raw_output=answer))
    assert (task.cost, task.price) == (0.5, {"source": "provider", "said_in": "usage.cost", "date": "2026-11-20"})
    assert priced(asked("no-such-model", "local", raw_output=answer, usage=None)).cost == 0.5


def test_what_the_provider_said_outlasts_its_answer():
    task = priced(asked("gpt-4o", raw_output={"usage": {"cost": 0.5}}))
    assert priced(replace(task, raw_output=None)) == replace(task, raw_output=None)


def test_what_an_app_said_that_its_task_cost_stays():
    logged = asked("gpt-4o", None, method=None, cost=0.75)
    assert priced(logged, **{"gpt-*": {"input": 1.0, "output": 2.0}}) is logged
    assert priced(replace(logged, cost=None), **{"gpt-*": {"input": 1.0, "output": 2.0}}).cost == 0.0012


def test_ones_own_price_beats_all():
    own = {"input": 1.0, "output": 2.0}
    task = priced(asked("gpt-4o", raw_output={"usage": {"cost": 0.5}}), **{"gpt-*": own})
    assert task.cost == 0.0012
    assert task.price == {"source": "config", "model": "gpt-*", "date": "2026-11-20", "per_million": own}


def test_of_ones_own_prices_the_nearest_holds():
    rows = {
        name: {"input": float(n), "output": 0.0}
        for n, name in enumerate(["*", "gpt-4o*", "gpt-4o-mini", "local__*", "LOCAL__Big?"])
    }
    found = {
        (model, upstream): priced(asked(model, upstream), **rows).price["model"]
        for model, upstream in [
            ("gpt-4o-mini", "openai"), ("GPT-4o-2024", "openai"), ("claude", "openai"), ("x", "local"), ("big7", "local"),
        ]
    }  # fmt: skip
    assert list(found.values()) == ["gpt-4o-mini", "gpt-4o*", "*", "local/*", "local/big?"]
    assert priced(asked("gpt-4o-mini"), **rows).cost == 0.002


def test_a_model_that_is_free_costs_nothing_and_is_known_to():
    assert priced(asked("llama3", "local"), **{"llama*": {"input": 0.0, "output": 0.0}}).cost == 0.0


def test_an_estimate_of_tokens_makes_an_estimate_of_the_cost():
    usage = Usage(input_tokens=1000, output_tokens=100, source="estimated")
    assert priced(asked("gpt-4o", usage=usage)).price["tokens"] == "estimated"


def test_pricing_twice_changes_nothing():
    once = priced(asked("gpt-4o"))
    assert priced(once) is once


def test_a_fault_costs_the_price_and_not_the_task():
    task = priced(asked("gpt-4o", created_at=2**62))
    assert (task.cost, task.output) == (None, "answer 1")
    assert "what it cost could not be told" in task.problems[0]


def test_every_built_in_upstream_with_a_price_is_in_the_list():
    assert {"openai", "anthropic", "azure", "aws", "google", "groq"} <= set(providers())
    assert set(PROVIDERS) <= set(providers()), "the list has lost some: bring proxy/price/providers.py up to date"


def test_help_relay_and_a_desk_that_starts_do_not_load_the_list():
    heavy = "import sys; {}; found = [m for m in ('genai_prices', 'httpx2') if m in sys.modules]; assert not found, found"
    for what in ("import proxy.cli", "import proxy.server.relay_main", "import proxy.server.desk", "import proxy.server.front"):
        subprocess.run([sys.executable, "-c", heavy.format(what)], check=True, timeout=150)


def test_a_price_loads_nothing_that_asks_the_network_and_who_uses_it_has_it():
    look = """if True:
        import sys
        from proxy.price.catalogue import providers
        assert providers() == providers()
        assert "genai_prices" in sys.modules
        assert not [name for name in sys.modules if name.partition(".")[0] in ("httpx2", "httpcore2", "anyio")]
        from genai_prices import update_prices
        assert update_prices.UpdatePrices().request_timeout.connect == 5
        import httpx2
        assert update_prices.httpx2.Client is httpx2.Client
    """
    subprocess.run([sys.executable, "-c", look], check=True, timeout=150)
