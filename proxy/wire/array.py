"""The objects of a JSON array out of bytes, as they come: Gemini streams so where `alt=sse` is not asked for.

Only brackets and strings are looked at, each byte once; what an element means is for others. An element that is neither an object
nor an array is passed over.
"""

from __future__ import annotations

import re

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_QUOTE, _BACKSLASH = b'"\\'


class Decoder:
    """One array. Feed it its bytes."""

    def __init__(self) -> None:
        self.closed = False  # its last bracket came
        self._depth = 0
        self._quoted = False
        self._escaped = False  # the last byte was a backslash in a string
        self._parts: list[bytes] = []  # of the element that is not whole yet

    @property
    def unterminated(self) -> bool:
        """The bytes so far end inside an element."""
        return self._depth > 1

    def feed(self, data: bytes) -> list[bytes]:
        """The elements that `data` completes."""
        elements: list[bytes] = []
        start, at = 0, 0
        if self._escaped and data:
            self._escaped, at = False, 1
        while not self.closed:
            found = (_INSIDE if self._quoted else _OUTSIDE).search(data, at)
            if found is None:
                break
            at = found.end()
            byte = data[at - 1]
            if byte == _QUOTE:
                self._quoted = not self._quoted
            elif byte == _BACKSLASH:
                self._escaped = at == len(data)
                at += 1
            elif byte in b"{[":
                self._depth += 1
                if self._depth == 2:
                    start = at - 1
            else:
                self._depth -= 1
                if self._depth == 1:
                    elements.append(b"".join((*self._parts, data[start:at])))
                    self._parts.clear()
                self.closed = self._depth <= 0
        if self._depth > 1:
            self._parts.append(data[start:])
        return elements
