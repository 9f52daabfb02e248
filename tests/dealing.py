"""In which order the tests come: each of several workers begins with a room of tests that take long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

LONGEST: Final = ("fire", "browser", "real")
"""Rooms whose tests take long, longest first."""


def dealt(items: Sequence[T], room: Callable[[T], str], workers: int) -> list[T]:
    """The same items, so that what is left at the end, for one of several workers, is short.

    pytest-xdist gives each worker its share of the list, as it is in order, and who has done all takes from the end of another's.
    """
    long: dict[str, list[T]] = {name: [] for name in LONGEST}
    short: list[T] = []
    for item in items:
        long.get(room(item), short).append(item)
    hands: list[list[T]] = [[] for _ in range(workers)]
    for at, name in enumerate(LONGEST):
        hands[at % workers] += long[name]
    left, taken = len(items), 0
    for at, hand in enumerate(hands):
        share = left // (workers - at)
        more = max(0, share - len(hand))
        hand += short[taken : taken + more]
        left, taken = left - share, taken + more
    return [item for hand in hands for item in hand] + short[taken:]
