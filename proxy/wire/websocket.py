"""WebSocket messages out of bytes, as they come, cut wherever the network cut them (RFC 6455, RFC 7692); and plain frames.

A `Decoder` is fed one direction of a connection and gives the messages that are whole: unmasked, put together from fragments,
inflated. It never raises on what it is fed: `broken` says what is wrong, and nothing comes from then on.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

MESSAGE_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of one message. OpenAI takes 15 MiB of sound in one."""

_TAIL = b"\x00\x00\xff\xff"  # RFC 7692 7.2.2: what the sender took off
_FIN, _RSV1, _OTHERS, _MASK = 0x80, 0x40, 0x30, 0x80


class Message(NamedTuple):
    """One message, whole; a control frame is one, too."""

    opcode: int
    data: bytes


class Deflate(NamedTuple):
    """permessage-deflate as the two sides have agreed on it: whether each of them begins anew with every message."""

    caller_resets: bool
    upstream_resets: bool


def negotiated(extensions: bytes) -> Deflate | None:
    """What the Sec-WebSocket-Extensions of a 101 say of compression; None where there is none.

    >>> negotiated(b"permessage-deflate; server_no_context_takeover")
    Deflate(caller_resets=False, upstream_resets=True)
    """
    for extension in extensions.split(b","):
        name, *parameters = (part.strip().lower() for part in extension.split(b";"))
        if name == b"permessage-deflate":
            names = [parameter.partition(b"=")[0].strip() for parameter in parameters]
            return Deflate(b"client_no_context_takeover" in names, b"server_no_context_takeover" in names)
    return None


def plain(message: Message) -> bytes:
    """The message as one frame: whole, not masked, not compressed."""
    size = len(message.data)
    first = _FIN | message.opcode
    if size < 126:
        return bytes((first, size)) + message.data
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + message.data
    return bytes((first, 127)) + size.to_bytes(8, "big") + message.data


class Decoder:
    """One direction of one connection. `resets` is None where nothing is compressed."""

    def __init__(self, resets: bool | None = None, limit: int = MESSAGE_LIMIT) -> None:
        self.broken: str | None = None
        self._resets = resets
        self._limit = limit
        self._buffer = bytearray()
        self._need = 2  # bytes in the buffer before it is worth a look
        self._opcode: int | None = None  # of the message whose fragments come
        self._packed = False
        self._parts: list[bytes] = []
        self._size = 0  # of those
        self._inflater: Any = None  # zlib's class has no public name

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes."""
        messages: list[Message] = []
        if self.broken is None:
            self._buffer += data
            while self.broken is None and len(self._buffer) >= self._need:
                message = self._frame()
                if message is not None:
                    messages.append(message)
            if self.broken is not None:
                self._buffer.clear()
                self._parts.clear()
        return messages

    def _frame(self) -> Message | None:
        """Take one frame off the buffer, if it is there; the message that it ends."""
        buffer = self._buffer
        first, second = buffer[0], buffer[1]
        size, at = second & 0x7F, 2
        if size > 125:
            at = 4 if size == 126 else 10
            if len(buffer) < at:
                self._need = at
                return None
            size = int.from_bytes(buffer[2:at], "big")
        opcode = first & 0x0F
        wrong = self._fault(first, opcode, size)
        if wrong is not None:
            self.broken = wrong
            return None
        start = at + 4 if second & _MASK else at
        if len(buffer) < start + size:
            self._need = start + size
            return None
        payload = bytes(buffer[start : start + size])
        if second & _MASK:
            payload = _unmasked(payload, bytes(buffer[at:start]))
        del buffer[: start + size]
        self._need = 2
        return Message(opcode, payload) if opcode >= CLOSE else self._gather(first, opcode, payload)

    def _fault(self, first: int, opcode: int, size: int) -> str | None:
        if first & _OTHERS or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            return "what came is no WebSocket frame"
        if opcode >= CLOSE:
            return "a control frame is too long, or in pieces" if size > 125 or not first & _FIN or first & _RSV1 else None
        if (opcode == CONTINUATION) == (self._opcode is None):
            return "fragments of a message are out of order"
        if first & _RSV1 and (self._resets is None or opcode == CONTINUATION):
            return "a frame is compressed, and that was not agreed on"
        return f"a message is longer than {self._limit} bytes" if self._size + size > self._limit else None

    def _gather(self, first: int, opcode: int, payload: bytes) -> Message | None:
        if self._opcode is None:
            self._opcode, self._packed = opcode, bool(first & _RSV1)
        self._parts.append(payload)
        self._size += len(payload)
        if not first & _FIN:
            return None
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        opcode, self._opcode = self._opcode, None
        self._parts.clear()
        self._size = 0
        if self._packed:
            data = self._inflated(data)
        return None if self.broken is not None else Message(opcode, data)

    def _inflated(self, data: bytes) -> bytes:
        if self._inflater is None or self._resets:
            self._inflater = zlib.decompressobj(-15)
        try:
            text: bytes = self._inflater.decompress(data + _TAIL, self._limit + 1)
        except zlib.error as error:
            self.broken = f"a compressed message cannot be read: {error}"
            return b""
        if len(text) > self._limit:
            self.broken = f"a message is longer than {self._limit} bytes"
        if self._inflater.eof:
            self._inflater = None  # RFC 7692 7.2.3.5: a sender may end its data with every message
        return text


def _unmasked(data: bytes, key: bytes) -> bytes:
    """RFC 6455 5.3; the exclusive or of two long integers is the fastest there is without a package for it."""
    size = len(data)
    if not size:
        return data
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")
