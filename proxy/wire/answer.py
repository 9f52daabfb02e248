"""A response body as what it is: one JSON value, a stream of events, or neither; whatever was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Final

import orjson

from proxy.task import JSON
from proxy.wire import sse
from proxy.wire.alike import LONGEST, Alike, alike
from proxy.wire.lenient import DEPTH_LIMIT, loads, mend

LOOK = 16  # bytes that tell what a body is
SSE_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")

SHORT = 2 * DEPTH_LIMIT
"""Bytes of JSON that are too few to be nested too deeply."""

QUIET = frozenset((b"ping", b"keepalive", b"keep-alive", b"heartbeat"))
"""Names of events that say nothing, and need not be JSON."""


class Form(Enum):
    """What a body is."""

    NOTHING = auto()
    JSON = auto()
    SSE = auto()
    OTHER = auto()


_JSON: Final = Form.JSON  # said once, since it takes Python long to find a member of an enumeration
_SSE: Final = Form.SSE


def form_of(pieces: tuple[bytes, ...], content_type: str) -> Form:
    """What the body is, by its look first: a JSON error may say that it is text/event-stream, a stream that it is JSON."""
    head = b""
    for piece in pieces:
        head = head + piece[:LOOK] if head else piece.lstrip()[: 2 * LOOK]
        if len(head) >= LOOK:
            break
    head = head.removeprefix(sse.BOM).lstrip()  # servers send blank lines to keep a call alive
    if head[:1] in (b"{", b"["):
        return _JSON
    if head.startswith(SSE_STARTS) or (head and content_type == "text/event-stream"):
        return _SSE
    if not head:
        return Form.NOTHING
    return _JSON if content_type.endswith("json") else Form.OTHER


def json_of(pieces: tuple[bytes, ...]) -> tuple[Any, str | None]:
    """The JSON value that the body is, or None and why it cannot be read."""
    value, problem, _ = verbatim_of(pieces)
    return value, problem


def verbatim_of(pieces: tuple[bytes, ...]) -> tuple[Any, str | None, bool]:
    """See `json_of`; and whether the value is what the body says, with nothing mended."""
    try:
        value, mending = loads(b"".join(pieces))
    except ValueError as error:
        return None, f"the response is not JSON: {error}", False
    return (mend(value) if mending else value), None, not mending


class Stream:
    """The JSON objects of a stream of server-sent events, and the piece that each came in. To be iterated once."""

    def __init__(self, pieces: tuple[bytes, ...], lessons: int = 0) -> None:
        """`lessons`: how often the reader may `learn` in vain what the next events are alike in."""
        self.marked = False  # `[DONE]` came
        self.mending = False  # something in it has to be mended
        self._pieces = pieces
        self._decoder = sse.Decoder()
        self._unreadable = 0
        self._cut = False
        self._lessons = lessons
        self._alike: Alike | None = None
        self._data = b""  # of the event that was given last

    def __iter__(self) -> Iterator[tuple[int, bytes, JSON]]:
        """(number of the piece, name of the event, its object). An `error` event that is no object is `{"error": it}`."""
        decoder = self._decoder
        last = len(self._pieces) - 1
        between = False  # the decoder is between two events
        for number, piece in enumerate(self._pieces):
            if len(piece) > LONGEST or not (self._lessons or self._alike):
                if self._alike is not None:
                    yield from self._apart(number)
                yield from self._read(number, piece)
                between = False
                continue
            *blocks, rest = piece.split(b"\n\n")
            for block in blocks:
                if self._alike is not None:
                    if between and self._alike.take(block):
                        continue
                    yield from self._apart(number)
                yield from self._read(number, block + b"\n\n")
                between = True
            if rest:
                if self._alike is not None:
                    yield from self._apart(number)
                yield from self._read(number, rest)
                between = False
        if self._alike is not None:
            yield from self._apart(last)
        for name, data, _ in decoder.finish():
            before = self._unreadable
            value = self._object(name, data)
            if value is not None:
                yield last, name, value
            if self._unreadable > before:  # a last event that is whole, save for its empty line, is read like any other
                self._unreadable, self._cut = before, True

    def learn(self, name: bytes, chunk: JSON, said: str, noise: str | None, into: list[str]) -> None:
        """The last event added `said` to `into`: those that are alike need not be read. `noise` is its padding, if it has any."""
        if self._lessons and name == b"message":
            self._lessons -= 1
            self._alike = alike(self._data, chunk, said, noise, into)

    def _apart(self, number: int) -> Iterator[tuple[int, bytes, JSON]]:
        """Be done with the events that were alike; those of them that had to be read after all."""
        pattern, self._alike = self._alike, None
        if pattern is not None:
            if pattern.taken:
                self._lessons += 1
            for block in pattern.flush():
                yield from self._read(number, block)

    def _read(self, number: int, piece: bytes) -> Iterator[tuple[int, bytes, JSON]]:
        for name, data, _ in self._decoder.feed(piece):
            self._alike, self._data = None, data
            if len(data) <= SHORT:  # said twice, here and in `_object`: a stream has thousands of these
                try:
                    value = orjson.loads(data)
                except ValueError:
                    value = None
                if type(value) is dict:
                    yield number, name, value
                    continue
            value = self._object(name, data)
            if value is not None:
                yield number, name, value

    def _object(self, name: bytes, data: bytes) -> JSON | None:
        value: Any = None
        try:
            if len(data) <= SHORT:
                value = orjson.loads(data)
            else:
                value, mending = loads(data)
                self.mending = self.mending or mending
        except ValueError:
            value = self._odd(name, data)
            if value is None:
                return None
        if type(value) is dict:
            return value
        if name == b"error":
            return {"error": value}
        if name not in QUIET:
            self._unreadable += 1
        return None

    def _odd(self, name: bytes, data: bytes) -> Any:
        text = data.strip()
        if text.startswith(b"[DONE]"):
            self.marked = True
            return None
        if not text or name in QUIET:
            return None
        try:
            value, _ = loads(data)
        except ValueError:
            if name == b"error":
                return text.decode("utf-8", "replace")
            self._unreadable += 1
            return None
        self.mending = True
        return value

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read."""
        found = []
        if self._unreadable:
            found.append(f"events of the stream that are not JSON objects: {self._unreadable}")
        if self._decoder.dropped:
            found.append(f"events of the stream over {sse.EVENT_LIMIT} bytes, which were not read: {self._decoder.dropped}")
        if self._cut:
            found.append("the stream ends inside an event")
        return tuple(found)
