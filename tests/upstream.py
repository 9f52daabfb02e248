"""An upstream that plays tapes over raw sockets, and remembers every byte it was sent.

A tape is a list of steps; each request takes the next tape. A tape that nobody asked for, a request that no tape was made for,
and a step that failed: each fails the test (`Upstream.check`).
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable

from tests.sockets import PATIENCE, Body, Cut, Fields, Head, Wire

Step = bytes | Callable[[Wire, "Tape"], None]


class Tape:
    """Steps to play for one request, and afterwards what was heard.

    `read` says what is read before the first step: "all" of the request, its "head" only, or "nothing" at all.
    """

    def __init__(self, *steps: Step, read: str = "all") -> None:
        self.steps, self.read = steps, read
        self.started, self.played = threading.Event(), threading.Event()
        self.connection = 0
        self.wire: Wire | None = None
        self.poured = 0
        self._head: Head | None = None
        self.body_heard = Body()
        self.cut: Cut | None = None  # the request, or the listening for more, was broken off
        self.left_at: float | None = None  # time.monotonic() when this socket saw the caller's side go
        self.failed: BaseException | None = None

    @property
    def head(self) -> Head:
        """The request's head; waits for it."""
        assert self.started.wait(PATIENCE), "nothing came to the upstream"
        assert self._head is not None
        return self._head

    @property
    def method(self) -> bytes:
        return self.head.line.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.head.line.split(b" ")[1]

    @property
    def fields(self) -> Fields:
        return self.head.fields

    @property
    def body(self) -> Body:
        """The request's body; waits until the tape has been played."""
        self.wait()
        return self.body_heard

    @property
    def received(self) -> int:
        return self.wire.received if self.wire else 0

    @property
    def last(self) -> bytes:
        return self.wire.last if self.wire else b""

    def wait(self, within: float = PATIENCE) -> Tape:
        assert self.played.wait(within), "the upstream is still playing"
        return self

    def seconds_until_left(self, since: float, within: float = PATIENCE) -> float:
        """How long after `since` (time.monotonic()) the upstream's socket saw the end."""
        self.wait(within)
        assert self.left_at is not None, "the upstream's socket never saw an end"
        return self.left_at - since


def pause(seconds: float) -> Step:
    """Say nothing for a while: only where silence itself is what is tested."""
    return lambda wire, tape: time.sleep(seconds)


def gate(opened: threading.Event | threading.Semaphore) -> Step:
    """Wait until the test lets the tape go on."""

    def step(wire: Wire, tape: Tape) -> None:
        passed = opened.wait(PATIENCE) if isinstance(opened, threading.Event) else opened.acquire(timeout=PATIENCE)
        assert passed, "the test never opened the gate"

    return step


def fin(wire: Wire, tape: Tape) -> None:
    """End the connection: a FIN."""
    wire.leave()


def rst(wire: Wire, tape: Tape) -> None:
    """Break the connection: an RST."""
    wire.leave(rst=True)


def hang(wire: Wire, tape: Tape) -> None:
    """Say nothing until the other side goes, and note when it did."""
    try:
        while wire.more():
            pass
        tape.cut = Cut("fin", bytes(wire.buffer))
    except Cut as cut:
        tape.cut = cut
    tape.left_at = time.monotonic()
    wire.leave()


def hear_body(wire: Wire, tape: Tape) -> None:
    """Read the request's body, where `read` was "head"."""
    assert tape._head is not None
    tape.body_heard = wire.body(tape._head)


def hear(count: int) -> Step:
    """Read exactly so many bytes more."""

    def step(wire: Wire, tape: Tape) -> None:
        tape.body_heard.raw += wire.exactly(count)

    return step


def echo(wire: Wire, tape: Tape) -> None:
    """Send back all that comes, until the end: what a tunnel leads to."""
    with contextlib.suppress(Cut):
        while True:
            data = wire.some()
            tape.body_heard.raw += data
            wire.send(data)
    tape.left_at = time.monotonic()
    wire.leave()


def mirror(wire: Wire, tape: Tape) -> None:
    """Answer with the request's body."""
    wire.send(ok(tape.body_heard.data))


def pour(total: int, piece: bytes = b"." * 65536) -> Step:
    """Send much, and keep count of how much has gone."""

    def step(wire: Wire, tape: Tape) -> None:
        while tape.poured < total:
            wire.send(piece)
            tape.poured += len(piece)

    return step


def ok(body: bytes = b"{}", *more: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer with a Content-Length; `more` are field lines."""
    lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", *more, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def chunked(pieces: Iterable[bytes], *more: bytes, trailers: bytes = b"", kind: bytes = b"application/json") -> bytes:
    """A whole chunked answer."""
    head = b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Type: " + kind, *more, b"Transfer-Encoding: chunked"]) + b"\r\n\r\n"
    return head + b"".join(chunk(piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(text: str, finish: str = "null") -> bytes:
    """One chat chunk as a server-sent event."""
    return (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":'
        b'{"content":"%s"},"finish_reason":%s}]}\n\n' % (text.encode(), finish.encode())
    )


DONE = b"data: [DONE]\n\n"


class Upstream:
    """A listening upstream; plays `play`ed tapes in order, whatever connection the request comes on."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", small_buffers: bool = False) -> None:
        self.tls = tls
        self.listener = socket.create_server((host, 0), backlog=256)
        if small_buffers:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.port: int = self.listener.getsockname()[1]
        self.address = (host, self.port)
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self.host = f"{host}:{self.port}".encode()
        self.tapes: queue.Queue[Tape] = queue.Queue()
        self.all: list[Tape] = []
        self.uninvited: list[bytes] = []
        self.handshakes_failed = 0
        self.connections = 0
        self.bytes_heard = 0
        self.socks: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def play(self, *steps: Step, read: str = "all") -> Tape:
        tape = Tape(*steps, read=read)
        self.all.append(tape)
        self.tapes.put(tape)
        return tape

    def check(self) -> None:
        """Every tape has been played to its end, and nothing else was asked for; then forget them."""
        tapes, self.all = self.all, []
        uninvited, self.uninvited = self.uninvited, []
        left = self.tapes.qsize()
        while not self.tapes.empty():
            self.tapes.get_nowait()
        assert not uninvited, f"requests that no tape was made for: {uninvited}"
        assert not left, f"{left} tapes were never asked for"
        for tape in tapes:
            tape.wait()
            if tape.failed is not None:
                raise AssertionError(f"a tape failed: {tape.failed!r}") from tape.failed

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in list(self.socks):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        if self.tls:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                self.handshakes_failed += 1
                return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socks.add(sock)
        wire = Wire(sock)
        try:
            while self._one(wire, number):
                pass
        except (Cut, OSError):
            pass  # an idle connection that ended: nobody's loss
        finally:
            self.socks.discard(sock)
            wire.leave()

    def _one(self, wire: Wire, number: int) -> bool:
        """Play one tape; is the connection still good?"""
        wire.sock.settimeout(None)
        while not wire.buffer:
            if not wire.more():
                return False
        wire.sock.settimeout(PATIENCE)
        self.bytes_heard += len(wire.buffer)
        try:
            tape = self.tapes.get_nowait()
        except queue.Empty:
            self.uninvited.append(bytes(wire.buffer))
            return False
        tape.wire, tape.connection = wire, number
        try:
            tape._head = wire.head() if tape.read != "nothing" else Head(b"", b"", [])
            tape.started.set()
            if tape.read == "all":
                hear_body(wire, tape)
            for step in tape.steps:
                if isinstance(step, bytes):
                    wire.send(step)
                else:
                    step(wire, tape)
        except Cut as cut:
            tape.cut, tape.left_at = cut, time.monotonic()
        except (ConnectionResetError, BrokenPipeError):
            tape.cut, tape.left_at = Cut("rst"), time.monotonic()
        except BaseException as failure:
            tape.failed = failure
        finally:
            tape.started.set()
            tape.played.set()
        return tape.cut is None and tape.failed is None and wire.sock.fileno() >= 0
