"""Server-sent events out of bytes, as they come (WHATWG HTML, 9.2.6), cut wherever the network cut them.

Framing is done on bytes; what an event's data means, its UTF-8 included, is for others. Three things differ from a browser, since
this is a recorder: an event that the stream's end cut off is given by `finish`, and told by `unterminated`; an event of more
than `EVENT_LIMIT` bytes is dropped and counted; a field `error` with an object (llama.cpp, until the end of 2025) is an event of
that name. Each byte is looked at a fixed number of times.
"""

from __future__ import annotations

from typing import NamedTuple

EVENT_LIMIT = 8 * 1024 * 1024
"""Bytes of one event, its field names included."""

BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event. A tuple, because a stream has thousands and a frozen dataclass costs three times as much to make."""

    name: bytes  # b"message" where the stream gave none
    data: bytes  # the data lines, joined by LF
    id: bytes  # the last one the stream gave; b"" where it gave none


class Decoder:
    """One stream. Feed it, then finish it once."""

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self.unterminated = False  # the stream ended inside an event
        self.dropped = 0  # events over the limit
        self._limit = limit
        self._parts: list[bytes] = []  # of the event that is not whole yet; line ends are LF already
        self._size = 0  # of those
        self._line_ended = False  # the last of those bytes is an LF
        self._too_long = False  # that event is over the limit: its bytes are let go
        self._after_cr = False  # a CR ended the piece before: an LF that follows belongs to it
        self._head: bytes | None = b""  # the first bytes, while they may be a BOM
        self._id = b""

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        if self._head is not None:
            data = self._head + data
            if len(data) < len(BOM) and BOM.startswith(data):
                self._head = data
                return []
            self._head = None
            data = data.removeprefix(BOM)
        if self._after_cr or b"\r" in data:
            data = self._plain_ends(data)
        events: list[Event] = []
        if self._parts or self._too_long:
            if self._line_ended and data[:1] == b"\n":
                end = 0
            else:
                end = data.find(b"\n\n") + 1
                if end == 0:
                    self._keep(data)
                    return events
            # data[end] is the LF of the empty line that ends the event in hand
            self._keep(data[:end])
            self._end(events)
            data = data[end + 1 :]
        *blocks, rest = data.split(b"\n\n")
        for block in blocks:
            self._read(block, events)
        rest = rest.lstrip(b"\n")
        if rest:
            self._keep(rest)
        return events

    def finish(self) -> list[Event]:
        """The event that the end of the stream left without its empty line, if it had any data."""
        events: list[Event] = []
        if self._head:
            self._keep(self._head)
        if self._parts or self._too_long:
            self._end(events)
        self.unterminated = bool(events)
        return events

    def _plain_ends(self, data: bytes) -> bytes:
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            if not data:
                self._after_cr = False
                return data
        self._after_cr = data[-1:] == b"\r" if data else self._after_cr
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep(self, data: bytes) -> None:
        if data:
            self._line_ended = data[-1] == 0x0A
            self._size += len(data)
            if self._size > self._limit + 1:  # one for the LF that may be the first half of its end
                self._too_long = True
                self._parts.clear()
            else:
                self._parts.append(data)

    def _end(self, events: list[Event]) -> None:
        if self._too_long:
            self.dropped += 1
        else:
            self._read(b"".join(self._parts).removesuffix(b"\n"), events)
        self._parts.clear()
        self._size = 0
        self._line_ended = self._too_long = False

    def _read(self, block: bytes, events: list[Event]) -> None:
        if block[:6] == b"data: " and block.find(b"\n") < 0 and len(block) <= self._limit:  # nearly every event there is
            events.append(Event(b"message", block[6:], self._id))
            return
        if block[:7] == b"event: " and len(block) <= self._limit:  # nearly every event of those who name them
            at = block.find(b"\n")
            if at > 7 and block[at + 1 : at + 7] == b"data: " and block.find(b"\n", at + 7) < 0:
                events.append(Event(block[7:at], block[at + 7 :], self._id))
                return
        block = block.lstrip(b"\n")
        if len(block) > self._limit:
            self.dropped += 1
            return
        name, lines = b"", []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if value[:1] == b" ":
                value = value[1:]
            if field == b"data":
                lines.append(value)
            elif field == b"event":
                name = value
            elif field == b"error" and value[:1] == b"{":
                name = field
                lines.append(value)
            elif field == b"id" and b"\0" not in value:
                self._id = value
        if lines:
            events.append(Event(name or b"message", b"\n".join(lines), self._id))
