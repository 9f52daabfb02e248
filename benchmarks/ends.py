"""Both ends of a proxy in one process, callers and upstream, so that of every event it is known when it left and when it arrived.

Raw sockets, since no transport of an event loop hands out the kernel's stamps.
"""

from __future__ import annotations

import contextlib
import heapq
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from benchmarks import scenes, stamps
from benchmarks.script import Script
from benchmarks.seen import Seen

PLAY = re.compile(rb"\r\nx-play: \w+ (\d+)\r\n", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
AT_ONCE = 8  # sends, then reads, before it looks for the other again: a proxy is not given bursts that are ours
IDLE = 0.02  # seconds between two looks at whether it is over
NAP = 0.0005  # seconds that what has arrived may lie unread


class Loop:
    """What can be read, and what is due, one after the other."""

    def __init__(self) -> None:
        self.poll = select.epoll()
        self.readers: dict[int, Callable[[], None]] = {}
        self.due: list[tuple[int, int, Callable[[int], None]]] = []  # when, whose, what
        self.calls, self.under_way = 0, 0  # calls that are not over; events that were sent and have not arrived
        self.callers: list[Caller] = []
        self.seen = Seen()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        stamps.ask(self.listener)
        self.watch(self.listener, self.accept)

    def watch(self, sock: socket.socket, reader: Callable[[], None]) -> None:
        self.readers[sock.fileno()] = reader
        self.poll.register(sock, select.EPOLLIN)

    def leave(self, sock: socket.socket) -> None:
        if self.readers.pop(sock.fileno(), None):
            self.poll.unregister(sock)
            sock.close()

    def accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                Provider(self, self.listener.accept()[0])

    def run(self, over: Callable[[], bool], *, prompt: bool = True) -> float:
        """Go on until it is `over`; the part of that time for which this process kept its core busy.

        Where it need not be `prompt`, what has arrived is read when something is to be sent, so that it wakes half as often.
        """
        began, used = time.monotonic(), time.process_time()
        due, readers, now, poll = self.due, self.readers, stamps.now, self.poll.poll
        waits_on, longest = ([self.poll.fileno()], IDLE) if prompt else ([], NAP)
        more = True
        while not over():
            if not more:
                wait = (due[0][0] - now()) / 1e9 if due else longest
                if wait > 0:  # `select` waits to the microsecond, `epoll` to the millisecond
                    select.select(waits_on, (), (), min(wait, longest))
            for _ in range(AT_ONCE):
                if not due or due[0][0] > now():
                    break
                at, _, act = heapq.heappop(due)
                act(at)
            ready = poll(0, AT_ONCE)
            for file, _ in ready:
                if file in readers:  # one before it in this list may have ended it
                    readers[file]()
            more = len(ready) == AT_ONCE
        return (time.process_time() - used) / max(1e-9, time.monotonic() - began)


class Provider:
    """A connection at the upstream: a request in, its answer by way of the caller that made it."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.loop, self.socket, self.got = loop, sock, b""
        loop.watch(sock, self.readable)

    def readable(self) -> None:
        try:
            data, stamp = stamps.receive(self.socket)
        except OSError:
            data, stamp = b"", None
        if not data:
            self.loop.leave(self.socket)
            return
        self.got += data
        end = self.got.find(b"\r\n\r\n")
        length = LENGTH.search(self.got, 0, end + 4) if end >= 0 else None
        if length and len(self.got) >= end + 4 + int(length[1]):
            play = PLAY.search(self.got, 0, end + 4)
            assert play, self.got
            self.got = b""
            self.loop.callers[int(play[1])].asked(self, stamp)

    def send(self, data: bytes) -> int:
        """Send all of it; returns when, just before."""
        at = stamps.now()
        if self.socket.send(data) != len(data):
            raise BlockingIOError("the proxy does not read")
        return at


class Caller:
    """A connection to a proxy, on which one call follows the other while `again` says so."""

    def __init__(self, loop: Loop, port: int, script: Script, apart: int = 0) -> None:
        self.loop, self.script, self.apart = loop, script, apart
        self.number = len(loop.callers)
        loop.callers.append(self)
        self.request = scenes.request(f"{'events' if script.chunked else 'small'} {self.number}")
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stamps.ask(self.socket)
        loop.watch(self.socket, self.readable)
        self.again: Callable[[], bool] = lambda: False
        self.done = True
        self.way = 0  # ns from the start of the last call to its first byte's arrival, less the upstream's own time
        self.took = 0  # ns from its start until its last byte was read

    def call(self) -> None:
        self.done, self.headed, self.began, self.rest = False, False, False, b""
        self.written, self.arrived = 0, 0  # events
        self.left: deque[int] = deque()  # when those that have not arrived were sent
        self.up: int | None = None
        self.start = stamps.now()
        self.loop.calls += 1
        self.socket.send(self.request)

    def begin(self, due: int) -> None:
        self.call()

    def asked(self, provider: Provider, stamp: int | None) -> None:
        """The request has arrived at the upstream."""
        self.provider = provider
        self.up = stamp - self.start if stamp else None
        self.send_event(stamps.now())

    def send_event(self, due: int) -> None:
        """Send the next event of the stream, and have the one after it sent in time."""
        if self.done:
            return
        try:
            at = self.provider.send(self.script.writes[self.written])
        except OSError:
            self.fail()
            return
        self.left.append(at)
        self.loop.seen.sent += 1
        self.loop.under_way += 1
        if self.written and self.loop.seen.counts(at):
            self.loop.seen.late.append(at - due)
        self.written += 1
        if self.apart and self.written < len(self.script.writes):
            heapq.heappush(self.loop.due, (due + self.apart, self.number, self.send_event))

    def readable(self) -> None:
        try:
            data, stamp = stamps.receive(self.socket)
        except OSError:
            data, stamp = b"", None
        if self.done and not data:  # between two calls a proxy may close
            self.leave()
            return
        if not data or self.done or (not self.left and self.arrived < len(self.script.writes)):
            self.fail()
            return
        self.loop.seen.unstamped += stamp is None
        if not self.began:
            self.began = True
            self.loop.seen.begun += 1
            if stamp and self.up is not None:
                self.way = self.up + stamp - self.left[0]
                if self.loop.seen.counts(self.start):
                    self.loop.seen.first.append(self.way)
        self.rest += data
        if not self.headed:
            head, ended, rest = self.rest.partition(b"\r\n\r\n")
            if not ended:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                self.fail()
                return
            self.headed, self.rest = True, rest
        self.read(stamp)

    def read(self, stamp: int | None) -> None:
        """Take the events that have come, and see whether the call is over."""
        if self.arrived < len(self.script.writes):
            if not self.rest:
                return
            count = self.script.arrived(self.rest, self.arrived)
            if count is None or count > len(self.left):
                self.fail()
                return
            if not count:
                return
            self.arrived += count
            self.loop.under_way -= count
            seen = self.loop.seen
            seen.merged += count - 1
            for _ in range(count):
                at = self.left.popleft()
                if stamp and seen.counts(at):
                    seen.events.append(stamp - at)
            rest, self.rest = self.rest, b""
        else:
            rest = self.rest
        if self.arrived == len(self.script.writes) and self.script.ends(rest):
            self.took = stamps.now() - self.start
            self.loop.seen.calls += 1
            self.loop.calls -= 1
            self.done = True
            if self.again():
                self.call()

    def fail(self) -> None:
        """Something was not as it must be: this connection has no further call."""
        self.loop.seen.failed += 1
        self.leave()

    def leave(self) -> None:
        if not self.done:
            self.loop.under_way -= len(self.left)
            self.loop.calls -= 1
        self.done, self.again = True, lambda: False
        self.loop.leave(self.socket)
