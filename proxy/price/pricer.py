"""Which price holds for a task: one's own, what the provider says it took, or the list's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from proxy.price.catalogue import MINUTE, Catalogue, Upstream
from proxy.price.charge import Charge, charge, tokens_of
from proxy.price.own import OwnPrices, own_prices
from proxy.price.terms import Terms, terms_of
from proxy.task import JSON, Task, Usage, changed, fill

_DAY = 24 * 60 * MINUTE


@dataclass(frozen=True, slots=True)
class Pricer:
    """Says what tasks cost. The same task always costs the same: the price is that of the moment in which it was called."""

    own: OwnPrices
    catalogue: Catalogue

    def price(self, task: Task) -> Task:
        """`task` with its cost and the record of its price; both `None` where the cost is not known. Never raises."""
        told = self._told(task)
        return changed(task, **told) if told else task

    def fill(self, task: Task) -> Task:
        """As `price`, for a task that nobody else has so far: it is not made anew."""
        for name, value in self._told(task).items():
            fill(task, name, value)
        return task

    def _told(self, task: Task) -> JSON:
        """The fields of the task that are others."""
        try:
            cost, record = self._priced(task)
        except Exception as error:  # a fault in a price must not cost the task
            problem = f"what it cost could not be told: {type(error).__name__}: {str(error)[:200]}"
            return {"cost": None, "price": None, "problems": (*task.problems, problem)}
        return {} if (cost, record) == (task.cost, task.price) else {"cost": cost, "price": record}

    def _priced(self, task: Task) -> tuple[float | None, JSON | None]:
        usage, terms = task.usage, terms_of(task.raw_output)
        if task.method is None and task.cost is not None and task.price is None:
            return task.cost, None  # logged by an app, which said what it cost
        if task.raw_output is None and task.price is not None and task.price.get("source") == "provider":
            return task.cost, task.price  # what it said was kept for a time only
        if usage is None and terms.cost is None:
            return None, None
        models = _either(task.model, task.model_requested)
        if (own := self.own.of(task.upstream, models)) is not None:
            tokens = None if usage is None else tokens_of(task.kind, usage, terms)
            charged = None if tokens is None else charge(tokens, own.rates)
            return _written(charged, {"source": "config", "model": own.pattern, "date": _day(task.created_at // _DAY)}, usage)
        if terms.cost is not None:
            date = _day(task.created_at // _DAY)
            return float(terms.cost), {"source": "provider", "said_in": terms.said_in, "date": date}
        if usage is None or task.upstream is None or not models:
            return None, None
        listed = self.catalogue.look(task.upstream, models, _context(terms), task.created_at // MINUTE)
        tokens = None if listed is None else tokens_of(task.kind, usage, terms)
        if listed is None or tokens is None:
            return None, None
        return _written(charge(tokens, listed.rates), listed.record, usage)


def pricer_of(own: Mapping[str, Mapping[str, float]], upstreams: Mapping[str, Mapping[str, Any]]) -> Pricer:
    """A pricer for these own prices (by pattern) and upstreams (by name: `url`, and `provider` where it is said)."""
    return Pricer(
        own_prices(own), Catalogue({name: Upstream(said["url"], said.get("provider")) for name, said in upstreams.items()})
    )


def _either(model: str | None, asked: str | None) -> tuple[str, ...]:
    """The names of a model that there are, each once."""
    if not asked or asked == model:
        return (model,) if model else ()
    return (model, asked) if model else (asked,)


def _context(terms: Terms) -> tuple[tuple[str, str], ...]:
    """What chooses between the prices of one model, as the list names it."""
    found = []
    if terms.service_tier == "batch":
        found.append(("processing", "batch"))
    elif terms.service_tier is not None:
        found.append(("service_tier", terms.service_tier.lower()))
    if terms.speed is not None:
        found.append(("speed", terms.speed))
    return tuple(found)


def _written(charged: Charge | None, record: JSON, usage: Usage | None) -> tuple[float | None, JSON | None]:
    if charged is None:
        return None, None
    rates: dict[str, float] = {name: float(rate) for name, rate in charged.rates.items()}
    searches = rates.pop("web_searches", None)
    record = {**record, "per_million": rates}
    if searches is not None:
        record["per_thousand"] = {"web_searches": searches}
    if usage is not None and usage.source != "provider":
        record["tokens"] = usage.source
    return float(charged.dollars), record


@lru_cache(64)
def _day(number: int) -> str:
    """The day that begins so many days after the epoch."""
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


__all__ = ["Pricer", "pricer_of"]
