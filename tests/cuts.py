"""Where bytes are cut in two: at every place that can matter to a reader, and some more; with `TAP_LONG=1`, at every place."""

from __future__ import annotations

import os
import re
from typing import Final

LONG: Final = os.environ.get("TAP_LONG", "0") not in ("", "0")
"""Is the long form of the tests wanted?"""

AT_ENDS: Final = 16
NEAR: Final = 2
EVERY: Final = 7

# Ends of lines, what is longer than a byte, what escapes, and all of what is not text.
_EDGE: Final = re.compile(rb"[^ -\[\]-~]")


def cuts(data: bytes, every: int = 1 if LONG else EVERY) -> list[int]:
    """Places to cut, in order: at both ends, `NEAR` every edge, and one of so many of all others."""
    size = len(data)
    found = {*range(0, size, every), *range(min(AT_ENDS, size)), *range(max(0, size - AT_ENDS), size + 1)}
    for edge in _EDGE.finditer(data):
        found.update(range(max(0, edge.start() - NEAR + 1), min(size, edge.end() + NEAR - 1) + 1))
    return sorted(found)
