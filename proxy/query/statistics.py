"""Pure: how sure a figure is: intervals of rates, means and quantiles, and of the difference between two."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from proxy.store import histogram
from proxy.task import JSON

Z = NormalDist().inv_cdf(0.975)
"""Intervals are of 95%."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and between which two it lies with 95% confidence."""

    value: float
    low: float
    high: float


def wilson(hits: int, of: int) -> Interval | None:
    """A rate with Wilson's score interval; `None` of nothing."""
    if of <= 0:
        return None
    rate = hits / of
    middle = (rate + Z * Z / (2 * of)) / (1 + Z * Z / of)
    reach = Z * math.sqrt(rate * (1 - rate) / of + Z * Z / (4 * of * of)) / (1 + Z * Z / of)
    return Interval(rate, max(0.0, middle - reach) if hits else 0.0, min(1.0, middle + reach) if hits < of else 1.0)


def difference(one: Interval | None, other: Interval | None) -> Interval | None:
    """`other - one` of two independent figures, by the distances from their bounds: for rates Newcombe's method 10 (1998), for
    others its generalisation (MOVER, Zou and Donner 2008).
    """
    if one is None or other is None:
        return None
    between = other.value - one.value
    low = between - math.hypot(other.value - other.low, one.high - one.value)
    high = between + math.hypot(other.high - other.value, one.value - one.low)
    return Interval(between, low, high)


def mean(total: float, squares: float, of: int) -> Interval | None:
    """A mean, of the sum of values and of their squares; `None` of fewer than two."""
    if of < 2:
        return None
    value = total / of
    reach = Z * math.sqrt(max(0.0, (squares - total * value) / (of - 1)) / of)
    return Interval(value, value - reach, value + reach)


def quantile(spread: int, share: float) -> Interval | None:
    """A quantile of a histogram, between the order statistics that enclose it, widened by what a histogram is off by.

    `None` of fewer than two.
    """
    of = histogram.size(spread)
    if of < 2:
        return None
    reach = Z * math.sqrt(of * share * (1 - share))
    ranks = (max(1, math.ceil(share * of)), max(1, math.floor(share * of - reach)), min(of, math.ceil(share * of + reach) + 1))
    value, low, high = (histogram.at_rank(spread, rank) or 0.0 for rank in ranks)
    return Interval(value, low / (1 + histogram.ERROR), high * (1 + histogram.ERROR))


def surprise(hits: int, of: int, others: int, of_others: int) -> tuple[float, float]:
    """(z, p) of the difference between two shares: the two-proportion test, pooled, two-sided. (0, 1) where there is nothing."""
    if of <= 0 or of_others <= 0:
        return 0.0, 1.0
    pooled = (hits + others) / (of + of_others)
    error = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / of_others))
    if error == 0:
        return 0.0, 1.0
    z = (hits / of - others / of_others) / error
    return z, math.erfc(abs(z) / math.sqrt(2))


def likelihood(hits: int, of: int, others: int, of_others: int) -> float:
    """G squared (Dunning's log-likelihood) of a word that is in `hits` of `of` texts and in `others` of `of_others`."""
    total, found = of + of_others, hits + others
    score = 0.0
    for seen, rows, columns in (
        (hits, of, found),
        (others, of_others, found),
        (of - hits, of, total - found),
        (of_others - others, of_others, total - found),
    ):
        if seen > 0:
            score += 2 * seen * math.log(seen * total / (rows * columns))
    return max(0.0, score)


def chance(score: float) -> float:
    """How likely a G squared this high is by chance alone (chi squared, one degree of freedom)."""
    return math.erfc(math.sqrt(score / 2))


def distribution(values: Sequence[float], edges: Sequence[float]) -> JSON:
    """Mean, median, 90th percentile, most, and how many values lie between each two of `edges`; the last stretch is open."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0, "mean": None, "median": None, "p90": None, "most": None, "histogram": []}
    bars = [
        {
            "from": low,
            "to": high,
            "count": _below(ordered, high) - _below(ordered, low),
        }
        for low, high in zip(edges, (*edges[1:], None), strict=True)
    ]
    return {
        "count": len(ordered),
        "mean": sum(ordered) / len(ordered),
        "median": _at(ordered, 0.5),
        "p90": _at(ordered, 0.9),
        "most": ordered[-1],
        "histogram": bars,
    }


def _below(ordered: Sequence[float], edge: float | None) -> int:
    return len(ordered) if edge is None else bisect_left(ordered, edge)


def _at(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed."""
    return ordered[max(1, math.ceil(share * len(ordered))) - 1]
