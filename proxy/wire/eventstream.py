"""Amazon's event stream (`application/vnd.amazon.eventstream`), in which Bedrock wraps others' events, as server-sent events.

A frame is its length, that of its headers, a CRC of both, the headers, the payload and a CRC of all (big-endian). A payload of
Bedrock is `{"bytes": "<base64 of the model's own event>"}`; an exception has its name in a header and a message in its payload.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode
from dataclasses import replace

import orjson

from proxy.wire.dialect import Said

CONTENT_TYPE = "application/vnd.amazon.eventstream"
FRAME_LIMIT = 24 * 1024 * 1024
"""Bytes of one frame; Amazon sends none of more than 16 MiB."""

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_LEAST = _PRELUDE.size + _CRC.size
_STRING = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of the values of headers that are no strings and no blobs, by their type."""


class Decoder:
    """One stream. Feed it its bytes."""

    def __init__(self) -> None:
        self.broken = False  # a frame's sums are not right: nothing after it can be read
        self._rest = b""

    @property
    def unterminated(self) -> bool:
        """The bytes so far end inside a frame."""
        return bool(self._rest) and not self.broken

    def feed(self, data: bytes) -> list[tuple[dict[str, str], bytes]]:
        """(headers, payload) of each frame that `data` completes."""
        frames: list[tuple[dict[str, str], bytes]] = []
        held = self._rest + data
        at = 0
        while not self.broken and len(held) - at >= _PRELUDE.size:
            total, headers, crc = _PRELUDE.unpack_from(held, at)
            if zlib.crc32(held[at : at + 8]) != crc or not _LEAST + headers <= total <= FRAME_LIMIT:
                self.broken = True
            elif len(held) - at < total:
                break
            elif zlib.crc32(held[at : at + total - _CRC.size]) != _CRC.unpack_from(held, at + total - _CRC.size)[0]:
                self.broken = True
            else:
                ends = at + _PRELUDE.size + headers
                frames.append((_headers(held[at + _PRELUDE.size : ends]), held[ends : at + total - _CRC.size]))
                at += total
        self._rest = held[at:]
        return frames


def unwrapped(said: Said) -> tuple[Said, tuple[str, ...]]:
    """`said` with its answer as server-sent events, piece by piece, and what could not be read; itself where it is none such."""
    if said.content_type != CONTENT_TYPE:
        return said, ()
    decoder = Decoder()
    pieces = tuple([b"".join([_event(headers, payload) for headers, payload in decoder.feed(piece)]) for piece in said.pieces])
    problems = []
    if decoder.broken:
        problems.append("a frame of the event stream is broken: what follows it was not read")
    elif decoder.unterminated:
        problems.append("the event stream ends inside a frame")
    return replace(said, pieces=pieces, content_type="text/event-stream"), tuple(problems)


def _headers(data: bytes) -> dict[str, str]:
    """The headers that are strings."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        name = data[at + 1 : at + 1 + data[at]].decode("utf-8", "replace")
        at += 1 + data[at]
        kind = data[at] if at < len(data) else -1
        at += 1
        size = _SIZES.get(kind)
        if size is None:
            if kind not in (6, _STRING) or at + 2 > len(data):
                break
            size = int.from_bytes(data[at : at + 2], "big")
            at += 2
        if kind == _STRING:
            found[name] = data[at : at + size].decode("utf-8", "replace")
        at += size
    return found


def _event(headers: dict[str, str], payload: bytes) -> bytes:
    try:
        value = orjson.loads(payload)
    except ValueError:
        value = None
    if headers.get(":message-type") in ("exception", "error"):
        name = headers.get(":exception-type") or headers.get(":error-code") or "exception"
        message = value.get("message") if isinstance(value, dict) else headers.get(":error-message")
        error = {"type": "error", "error": {"type": name, "message": message if isinstance(message, str) else name}}
        return b"event: error\ndata: " + orjson.dumps(error) + b"\n\n"
    wrapped = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(wrapped, str):
        named = headers.get(":event-type", "").encode("ascii", "replace").translate(None, b"\r\n")
        event = b"event: " + named + b"\n" if named else b""
        return event + b"data: " + (orjson.dumps(value) if isinstance(value, dict) else b"null") + b"\n\n"
    try:
        inner = b64decode(wrapped, validate=True)
    except ValueError:
        inner = b"not base64"
    return b"data: " + inner.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n\n"
