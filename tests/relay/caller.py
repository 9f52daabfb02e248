"""A caller over a raw socket: says bytes, reads answers strictly, and notes how the other side ended."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Self

from tests.sockets import PATIENCE, Body, Cut, Fields, Head, Wire
from tests.upstream import chunk

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding"}
CHAT = b'{"model":"m-1","messages":[{"role":"user","content":"hello"}]}'
CHAT_STREAM = b'{"model":"m-1","stream":true,"messages":[{"role":"user","content":"hello"}]}'


@dataclass
class Answer:
    """What came back for one request."""

    head: Head
    body: Body = field(default_factory=Body)
    interim: list[Head] = field(default_factory=list)
    cut: Cut | None = None

    @property
    def status(self) -> int:
        return int(self.head.line.split(b" ")[1])

    @property
    def version(self) -> bytes:
        return self.head.line.split(b" ")[0]

    @property
    def reason(self) -> bytes:
        return self.head.line.split(b" ", 2)[2]

    @property
    def id(self) -> bytes:
        (value,) = self.head.values(b"x-task-id")
        return value

    @property
    def error(self) -> bytes | None:
        return self.head.value(b"x-tasktap-error")

    @property
    def json(self) -> Any:
        return json.loads(self.body.data)

    @property
    def passed_on(self) -> Fields:
        """The fields, without hop-by-hop ones and our `X-Task-Id`."""
        return [(name, value) for name, value in self.head.fields if name.lower() not in HOP_BY_HOP | {b"x-task-id"}]


def request(
    method: bytes = b"POST",
    target: bytes = b"/v1/chat/completions",
    *more: bytes,
    body: bytes | None = None,
    pieces: list[bytes] | None = None,
    trailers: bytes = b"",
    host: bytes = b"app.test",
    version: bytes = b"HTTP/1.1",
) -> bytes:
    """The bytes of one request: `body` with a length, or `pieces` as chunks; `more` are field lines."""
    lines = [b" ".join([method, target, version]), b"Host: " + host, *more]
    data = b""
    if pieces is not None:
        lines.append(b"Transfer-Encoding: chunked")
        data = b"".join(chunk(piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"
    elif body is not None:
        lines.append(b"Content-Length: %d" % len(body))
        data = body
    return b"\r\n".join(lines) + b"\r\n\r\n" + data


def chat(*more: bytes, body: bytes = CHAT) -> bytes:
    """A chat completion request."""
    return request(b"POST", b"/v1/chat/completions", b"Content-Type: application/json", *more, body=body)


class Caller:
    """One connection to the calls door (or straight to an upstream)."""

    def __init__(self, address: tuple[str, int], small_buffers: bool = False) -> None:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if small_buffers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        self.wire = Wire(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.leave()

    def send(self, data: bytes) -> Caller:
        self.wire.send(data)
        return self

    def head(self) -> Head:
        head = self.wire.head()
        assert head is not None, "closed without an answer"
        return head

    def answer(self, method: bytes = b"POST") -> Answer:
        """Read 1xx and the final answer, its body and trailers; a break is noted in `cut`."""
        interim = []
        head = self.head()
        while head.line.split(b" ")[1].startswith(b"1") and head.line.split(b" ")[1] != b"101":
            interim.append(head)
            head = self.head()
        answer = Answer(head, interim=interim)
        bodiless = method == b"HEAD" or answer.status in (101, 204, 304)
        if bodiless:
            return answer
        until_eof = not head.chunked and head.length is None
        try:
            answer.body = self.wire.body(head, until_eof)
        except Cut as cut:
            answer.cut = cut
        return answer

    def ask(self, data: bytes) -> Answer:
        """Send a whole request and read the whole answer."""
        self.send(data)
        return self.answer(data.split(b" ", 1)[0])

    def ended(self) -> str:
        """Wait for the other side to end the connection: "fin" or "rst"; anything else that comes fails."""
        try:
            rest = self.wire.rest()
            how = "fin"
        except Cut as cut:
            rest, how = cut.data, cut.by
        assert not rest, f"more came: {rest[:200]!r}"
        return how

    def leave(self, rst: bool = False) -> float:
        """Go away, and say when (time.monotonic())."""
        at = time.monotonic()
        self.wire.leave(rst)
        return at

    def half_close(self) -> None:
        self.wire.sock.shutdown(socket.SHUT_WR)


def once(address: tuple[str, int], data: bytes) -> Answer:
    """One request on a connection of its own."""
    with Caller(address) as caller:
        return caller.ask(data)


def heard_of_it(address: tuple[str, int]) -> None:
    """Two turns of the relay's loop: it has heard of whatever happened on its sockets before."""
    for _ in range(2):
        answer = once(address, b"BAD\r\n\r\n")
        assert answer.status == 400
