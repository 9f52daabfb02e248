"""Task ids: UUIDv7 (RFC 9562), and which ids of a caller's own are taken."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final

from proxy.task import FULL_ID_LENGTH

_VALID = re.compile(rb"[A-Za-z0-9_.:\-]{1,%d}" % FULL_ID_LENGTH)
REMEMBERED: Final = 100_000
"""Ids of callers that are remembered. A retry comes within minutes; an older double is found by the store."""


def uuid7(microseconds: int, random: int) -> str:
    """A UUIDv7 out of a time (microseconds since the epoch) and 80 random bits, of which 74 are used."""
    digits = f"{microseconds // 1000:012x}{random:020x}"  # cut as text: numbers of that size are slow to take apart
    return f"{digits[:8]}-{digits[8:12]}-7{digits[12:15]}-{'89ab'[random & 3]}{digits[15:18]}-{digits[18:30]}"


class Given:
    """The ids that callers gave, so that a second call with the same one gets an id of ours."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def take(self, value: bytes, own: str) -> tuple[str, str | None, str | None]:
        """The id for a call whose `X-Task-Id` is `value`, which call it repeats, and why the value was not used."""
        if _VALID.fullmatch(value) is None:
            return own, None, f"X-Task-Id: not used, it must be 1 to {FULL_ID_LENGTH} of A-Z a-z 0-9 _ . : -"
        if value in self._seen:
            return own, value.decode("ascii"), None
        self._seen[value] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return value.decode("ascii"), None, None
