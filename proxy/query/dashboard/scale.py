"""Pure: round numbers for an axis."""

from __future__ import annotations

import math


def step(span: float, most: int) -> float:
    """The distance of at most `most` marks over `span`: 1, 2 or 5 times a power of ten."""
    if span <= 0 or not math.isfinite(span):
        return 1.0
    rough = span / max(1, most)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999999)


def steps(low: float, high: float, most: int = 5) -> list[float]:
    """The marks from `low` to `high`."""
    by = step(high - low, most)
    first = math.ceil(low / by - 1e-9)
    last = math.floor(high / by + 1e-9)
    return [round(number * by, 12) for number in range(first, min(last, first + 50) + 1)]


def ceiling(high: float, most: int = 4) -> float:
    """The end of an axis that begins at zero and holds `high`."""
    if high <= 0 or not math.isfinite(high):
        return 1.0
    by = step(high, most)
    return round(math.ceil(high / by - 1e-9) * by, 12)
