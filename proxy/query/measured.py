"""Pure: what tasks add up to, as a JSON document."""

from __future__ import annotations

from proxy.store import histogram
from proxy.store.measures import Measures
from proxy.task import JSON

SECONDS = ("p50", "p90", "p95", "p99")
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


SORTS = ("tasks", "errors", "error_rate", "success_rate", "rated", "input_tokens", "output_tokens", "cost", "p50", "p95")
"""What groups can be ordered by, most first."""


def rank(sums: Measures, sort: str) -> float:
    """What sums are ordered by; what is not known comes last."""
    value: float | None
    if sort in SECONDS:
        value = histogram.quantile(sums.seconds, int(sort[1:]) / 100)
    elif sort == "error_rate":
        value = sums.errors / sums.tasks if sums.tasks else None
    elif sort in ("rated", "success_rate"):
        rated = sums.success + sums.failure
        value = rated if sort == "rated" else sums.success / rated if rated else None
    else:
        value = sums.dollars if sort == "cost" else getattr(sums, sort)
    return -1.0 if value is None else float(value)
