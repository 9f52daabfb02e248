"""The offline price list, `genai-prices`: which provider an upstream is, what its model cost on a day. Never asks the network.

It takes a fifth of a second and 10 MB to load, so nothing loads it before a first price is looked up.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from proxy.price.charge import Rate
from proxy.task import JSON

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider

KEYS = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "cached_audio_input",
    "input_image_mtok": "image_input",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_output",
    "output_image_mtok": "image_output",
    "web_searches_kcount": "web_searches",
}
"""What the list calls a rate, and what we do. Others (per hour of sound, per page) are of calls that say no tokens."""

MINUTE = 60_000_000
_NETWORK = "httpx2"  # 4 MiB that the list's package imports to ask for newer prices
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Upstream:
    """What tells which provider an upstream is: its address, or what the configuration says."""

    url: str
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A price of the list, and its record."""

    rates: Mapping[str, Rate]
    record: JSON


class Catalogue:
    """The list, for the upstreams of this configuration."""

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self._upstreams = upstreams
        self._providers: dict[str, Provider | None] = {}
        self.look = lru_cache(maxsize=2048)(self._look)

    def _look(self, upstream: str, models: tuple[str, ...], context: tuple[tuple[str, str], ...], minute: int) -> Listed | None:
        """The price, in that minute since the epoch, of the first of `models` that the provider's list has; `None`: of none.

        `context` is what chooses between the prices of one model, as the list names it: `("service_tier", "flex")`.
        """
        provider = self._provider(upstream)
        if provider is None:
            return None
        # Bedrock answers with the model's name, and only what was asked for says which region it is of
        for name in reversed(models) if provider.id == "aws" else models:
            model = provider.find_model(name, all_providers=_snapshot().providers)
            if model is not None:
                at = _EPOCH + timedelta(minutes=minute)
                own = any(model is each for each in provider.models)  # terms are those of a provider: not of whose model it lends
                price = model.get_prices(at, dict(context) if own else None)
                rates = _rates(price)
                return Listed(rates, _record(provider, model, at, context if own else ())) if rates else None
        return None

    def _provider(self, upstream: str) -> Provider | None:
        if upstream not in self._providers:
            self._providers[upstream] = self._found(self._upstreams.get(upstream))
        return self._providers[upstream]

    def _found(self, upstream: Upstream | None) -> Provider | None:
        if upstream is None:
            return None
        named = upstream.provider
        try:
            return _snapshot().find_provider(None, named, None if named else upstream.url)
        except LookupError:
            return None  # a model of one's own, or a gateway: nobody knows what it costs


def providers() -> tuple[str, ...]:
    """The names of all providers in the list."""
    return tuple(provider.id for provider in _snapshot().providers)


@lru_cache(maxsize=1)
def _snapshot() -> DataSnapshot:
    later = sys.modules.setdefault(_NETWORK, _Later(_NETWORK))
    try:
        from genai_prices.data_snapshot import get_snapshot
    finally:
        if isinstance(later, _Later) and sys.modules.get(_NETWORK) is later:
            del sys.modules[_NETWORK]
    return get_snapshot()


class _Later(ModuleType):
    """Stands in for a module that is imported and not used: it is loaded should something of it be used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


@lru_cache(maxsize=1)
def _name() -> str:
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


def _rates(price: ModelPrice) -> dict[str, Rate]:
    values = vars(price)
    return {ours: _rate(values[theirs]) for theirs, ours in KEYS.items() if values.get(theirs) is not None}


def _rate(value: Any) -> Rate:
    if isinstance(value, Decimal):
        return value
    return ((-1, value.base), *((tier.start, tier.price) for tier in value.tiers))


def _record(provider: Provider, model: ModelInfo, at: datetime, context: tuple[tuple[str, str], ...]) -> JSON:
    record: JSON = {"source": "list", "list": _name(), "provider": provider.id, "model": model.id, "date": at.date().isoformat()}
    if isinstance(model.prices, list):
        active = (row.constraint for row in reversed(model.prices) if row.constraint is None or row.constraint.active(at))
        since = getattr(next(active, None), "start_date", None)
        if since is not None:
            record["since"] = since.isoformat()
    if context and any(all(dict(context).get(k) == v for k, v in row.when.items()) for row in model.price_variants or ()):
        record |= dict(context)
    return record
