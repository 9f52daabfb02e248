"""How often one address may do something: so much at once, then so much a minute. No I/O; time comes in."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MOST_ADDRESSES: Final = 10_000


class Pace:
    """A bucket for each address that holds `burst` and fills up by `per_minute`."""

    def __init__(self, burst: int, per_minute: float) -> None:
        self._burst = burst
        self._per_second = per_minute / 60
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address: (what it held, when)

    def ahead(self, address: str, now: float) -> float:
        """Seconds until this may be done, without doing it."""
        held, when = self._buckets.get(address, (float(self._burst), now))
        held = min(float(self._burst), held + (now - when) * self._per_second)
        return 0.0 if held >= 1 else (1 - held) / self._per_second

    def wait(self, address: str, now: float) -> float:
        """Seconds until this may be done; 0.0: now, and it counts as done. `now` is in seconds of any clock that goes forward."""
        held, when = self._buckets.get(address, (float(self._burst), now))
        held = min(float(self._burst), held + (now - when) * self._per_second)
        seconds = 0.0 if held >= 1 else (1 - held) / self._per_second
        self._buckets[address] = (held - 1 if seconds == 0 else held, now)
        self._buckets.move_to_end(address)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return seconds
