"""Pure: what tasks add up to, as a JSON document."""

from __future__ import annotations

from proxy.store import histogram
from proxy.store.measures import SECONDS, SORTS, Measures, rank
from proxy.task import JSON

__all__ = ["SECONDS", "SORTS", "of_measures", "rank"]

_SHARES = tuple(int(name[1:]) / 100 for name in SECONDS)


def of_measures(sums: Measures) -> JSON:
    """Counts, rates, tokens, cost and durations. A rate of nothing, a cost nobody knows, a duration none has: null."""
    rated = sums.success + sums.failure
    return {
        "tasks": sums.tasks,
        "errors": sums.errors,
        "error_rate": sums.errors / sums.tasks if sums.tasks else None,
        "rated": rated,
        "success": sums.success,
        "failure": sums.failure,
        "success_rate": sums.success / rated if rated else None,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cached_input_tokens": sums.cached_tokens,
        "cost": sums.dollars,
        "priced": sums.priced,
        "seconds": {"mean": sums.mean_seconds, **_quantiles(sums.seconds)},
        "first_token_seconds": _quantiles(sums.first_token),
    }


def _quantiles(spread: int) -> JSON:
    return dict(zip(SECONDS, histogram.quantiles(spread, _SHARES), strict=True))
