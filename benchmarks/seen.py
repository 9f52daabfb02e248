"""What was measured between the two ends of a proxy."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any


def quantile(values: array[int], part: float) -> float | None:
    """The value in seconds that `part` of these nanoseconds do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] / 1e9 if ordered else None


@dataclass
class Seen:
    """What was measured since it was made, in nanoseconds."""

    after: int = 0  # what was sent before that, or after `before`, is not counted
    before: int = 1 << 62
    first: array[int] = field(default_factory=lambda: array("q"))  # the request's way and the first byte's, together
    events: array[int] = field(default_factory=lambda: array("q"))  # the way of each event from the upstream to the caller
    late: array[int] = field(default_factory=lambda: array("q"))  # how long after its time an event was sent
    merged: int = 0  # events that came in one read with a later one, and have its stamp
    unstamped: int = 0
    failed: int = 0
    begun: int = 0  # answers of which the first byte has come
    calls: int = 0  # that are over
    sent: int = 0  # events, counted or not

    def counts(self, at: int) -> bool:
        return self.after <= at < self.before

    def said(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("merged", "unstamped", "failed", "calls", "sent")}
        parts = (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("most", 1.0))
        times = {name: {key: quantile(getattr(self, name), part) for key, part in parts} for name in ("first", "events", "late")}
        return counts | times | {"count": len(self.events)}
