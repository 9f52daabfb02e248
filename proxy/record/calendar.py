"""Pure: what time it is for judging ages, by a wall clock that may leap ahead and a steady one that does not.

A clock set a year ahead by mistake would make everything too old at once. So a leap is believed only once it has lasted for a
day; in the meantime the steady clock counts on from where the wall clock was. A clock that goes back is believed at once: it
keeps more than it should, for a while.
"""

from __future__ import annotations

from typing import Final

LEAP: Final = 60_000_000  # microseconds that a wall clock may gain between two looks
LASTING: Final = 86_400_000_000  # microseconds after which a leap is no mistake


class Calendar:
    """Remembers the last time that it believed. All in microseconds."""

    def __init__(self) -> None:
        self._known: tuple[int, int] | None = None  # wall, steady
        self._leapt: int | None = None  # when it was first seen ahead, by the steady clock

    def now(self, wall: int, steady: int) -> int:
        """The time, where the two clocks say this."""
        if self._known is not None:
            expected = self._known[0] + steady - self._known[1]
            if wall > expected + LEAP:
                self._leapt = steady if self._leapt is None else self._leapt
                if steady - self._leapt < LASTING:
                    return expected
        self._known = wall, steady
        self._leapt = None
        return wall
