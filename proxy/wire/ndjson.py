"""Newline-delimited JSON out of bytes, as they come: one line, one value.

Lines end with LF alone; a CR before it is taken off, blank lines are nothing, and a last line without LF is given by `finish` and
told by `unterminated`. A line over `LINE_LIMIT` is dropped and counted.
"""

from __future__ import annotations

LINE_LIMIT = 8 * 1024 * 1024
"""Bytes of one line."""


class Decoder:
    """One stream. Feed it, then finish it once."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self.unterminated = False  # the stream ended inside a line
        self.dropped = 0  # lines over the limit
        self._limit = limit
        self._parts: list[bytes] = []  # of the line that is not whole yet
        self._size = 0  # of those
        self._too_long = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        first, *others = data.split(b"\n")
        self._keep(first)
        if not others:
            return []
        lines: list[bytes] = []
        self._end(lines)
        *whole, rest = others
        for line in whole:
            self._take(line, lines)
        self._keep(rest)
        return lines

    def finish(self) -> list[bytes]:
        """The line that the end of the stream left without its LF, if there is one."""
        lines: list[bytes] = []
        self._end(lines)
        self.unterminated = bool(lines)
        return lines

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit + 1:  # one for a CR
            self._too_long = True
            self._parts.clear()
        elif data:
            self._parts.append(data)

    def _end(self, lines: list[bytes]) -> None:
        if self._too_long:
            self.dropped += 1
        else:
            self._take(b"".join(self._parts), lines)
        self._parts.clear()
        self._size = 0
        self._too_long = False

    def _take(self, line: bytes, lines: list[bytes]) -> None:
        line = line.removesuffix(b"\r")
        if len(line) > self._limit:
            self.dropped += 1
        elif line and not line.isspace():
            lines.append(line)
