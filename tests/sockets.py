"""One raw socket, read strictly as HTTP/1.1: what both the tests' upstream and their caller stand on."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
from dataclasses import dataclass, field

PATIENCE = 40.0  # seconds that any single wait may last before the test fails: never a promise, only an end to waiting

Fields = list[tuple[bytes, bytes]]


class Cut(Exception):
    """The other side stopped in the middle of something, by "fin" or by "rst"."""

    def __init__(self, by: str, data: bytes = b"") -> None:
        super().__init__(f"cut by {by} after {data[-80:]!r}")
        self.by, self.data = by, data


@dataclass(frozen=True)
class Head:
    """The first line and the fields of a message, as they came."""

    raw: bytes
    line: bytes
    fields: Fields

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def value(self, name: bytes) -> bytes | None:
        return next(iter(self.values(name)), None)

    @property
    def length(self) -> int | None:
        value = self.value(b"content-length")
        return None if value is None else int(value)

    @property
    def chunked(self) -> bool:
        return any(value.lower().endswith(b"chunked") for value in self.values(b"transfer-encoding"))


@dataclass
class Body:
    """A message body: the bytes it means, and the bytes it was."""

    data: bytes = b""
    raw: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: Fields = field(default_factory=list)


def fields(lines: bytes) -> Fields:
    """Read `name: value` lines; nothing is forgiven."""
    found = []
    for line in lines.split(b"\r\n"):
        if not line:
            continue
        name, colon, value = line.partition(b":")
        assert colon, f"no colon in {line!r}"
        assert re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name), f"no field name: {name!r}"
        found.append((name, value.strip(b" \t")))
    return found


class Wire:
    """One socket, read strictly."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.buffer = bytearray()
        self.received = 0
        self.last = b""  # what the last read brought

    def more(self) -> bool:
        """Read what has come; False at the end (FIN). An RST is a `Cut`."""
        try:
            data = self.sock.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError) as broken:
            raise Cut("rst", bytes(self.buffer)) from broken
        except ssl.SSLEOFError as broken:
            raise Cut("fin", bytes(self.buffer)) from broken
        self.buffer += data
        self.received += len(data)
        self.last = data or self.last
        return bool(data)

    def need(self) -> None:
        if not self.more():
            raise Cut("fin", bytes(self.buffer))

    def take(self, count: int) -> bytes:
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def until(self, mark: bytes) -> bytes:
        start = 0
        while (at := self.buffer.find(mark, start)) < 0:
            start = max(0, len(self.buffer) - len(mark))
            self.need()
        return self.take(at + len(mark))

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self.need()
        return self.take(count)

    def some(self) -> bytes:
        if not self.buffer:
            self.need()
        return self.take(len(self.buffer))

    def rest(self) -> bytes:
        while self.more():
            pass
        return self.take(len(self.buffer))

    def head(self) -> Head | None:
        """The next message's head; `None` where the other side ended first, cleanly."""
        while not self.buffer:
            if not self.more():
                return None
        raw = self.until(b"\r\n\r\n")
        line, _, lines = raw[:-4].partition(b"\r\n")
        return Head(raw, line, fields(lines))

    def chunk(self, body: Body) -> bytes:
        """The next chunk; empty at the last one, whose trailers are then in `body`."""
        line = self.until(b"\r\n")
        body.raw += line
        size = int(line.split(b";")[0].strip(), 16)
        if size:
            data = self.exactly(size + 2)
            assert data.endswith(b"\r\n"), f"a chunk that ends in {data[-2:]!r}"
            body.raw += data
            body.data += data[:-2]
            body.chunks.append(data[:-2])
            return data[:-2]
        lines = b""
        while (line := self.until(b"\r\n")) != b"\r\n":
            lines += line
        body.raw += lines + b"\r\n"
        body.trailers = fields(lines)
        return b""

    def body(self, head: Head, until_eof: bool = False) -> Body:
        body = Body()
        if head.chunked:
            while self.chunk(body):
                pass
        elif head.length is not None:
            body.data = body.raw = self.exactly(head.length)
        elif until_eof:
            body.data = body.raw = self.rest()
        return body

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def leave(self, rst: bool = False) -> None:
        if rst:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self.sock.close()
