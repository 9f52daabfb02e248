"""The prices of the configuration: a pattern of model names, and what a million tokens cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase

from proxy.price.charge import Rate


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """One row: `pattern` is a model's name, or `upstream/model`, where `*` and `?` stand for what they do in file names."""

    pattern: str
    rates: Mapping[str, Rate]


class OwnPrices:
    """All rows. Of those that match, the one with the most letters that are no wildcard holds."""

    def __init__(self, rows: Iterable[OwnPrice]) -> None:
        self._rows = sorted(rows, key=lambda row: (sum(letter not in "*?[]" for letter in row.pattern), -len(row.pattern)))
        self._rows.reverse()
        self._found: dict[tuple[str | None, tuple[str, ...]], OwnPrice | None] = {}

    def of(self, upstream: str | None, models: tuple[str, ...]) -> OwnPrice | None:
        """The price of the first of `models` that has one."""
        if not self._rows:
            return None
        key = (upstream, models)
        if key not in self._found:
            if len(self._found) >= 1024:
                self._found.clear()
            self._found[key] = next(filter(None, (self._look(upstream, model.lower()) for model in models)), None)
        return self._found[key]

    def _look(self, upstream: str | None, model: str) -> OwnPrice | None:
        names = (model, f"{upstream}/{model}")
        return next((row for row in self._rows if any(fnmatchcase(name, row.pattern) for name in names)), None)


def own_prices(said: Mapping[str, Mapping[str, float]]) -> OwnPrices:
    """The rows of the configuration: by pattern, dollars for a million by name."""
    return OwnPrices(
        OwnPrice(pattern.lower(), {name: Decimal(repr(rate)) for name, rate in rates.items()}) for pattern, rates in said.items()
    )
