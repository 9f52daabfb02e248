"""One connection to an upstream: HTTP/1.1 as a caller speaks it, with bytes handed on as they came.

It carries one call at a time and is used again only after an answer that ended cleanly. Nothing is ever sent twice: where a
reused connection dies before it answered, whoever called learns it and may try again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from proxy.record.ears import Ears, Heard, now
from proxy.record.exchange import Exchange
from proxy.record.http1 import UNTIL_CLOSE, BadMessage, Chunked, ResponseHead, response_head
from proxy.record.straight import Straight

MAX_HEAD: Final = 256 * 1024  # bytes of an answer's head
MAX_INTERIM: Final = 100  # 1xx answers before the final one
WATERMARK: Final = 256 * 1024  # bytes waiting to go upstream at which the caller is held back


class Pool:
    """Where connections wait for the next call."""

    ears: Ears

    def keep(self, connection: Connection) -> None:
        """Take one back that can be used again."""

    def drop(self, connection: Connection) -> None:
        """Forget one that ended while it was free."""


class Connection(Heard):
    """One connection to an upstream."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._ears = pool.ears
        self._fd = -1  # of the socket, where the ears hear what comes
        self._cut = False
        self.transport: asyncio.Transport | None = None
        self._way: Straight | None = None
        self.idle_since = 0.0
        self.reused = False
        self._carrier: Exchange | None = None
        self._method = b""
        self._upgrading = False
        self._buffer = b""
        self._head: ResponseHead | None = None
        self._left = 0
        self._chunked: Chunked | None = None
        self._interims = 0
        self._tunnel = False

    def listen(self) -> None:
        """From now on the ears hear what comes, where nothing but a socket is in between."""
        transport = self.transport
        if transport is None or transport.is_closing() or transport.get_extra_info("ssl_object") is not None:
            return
        fd = transport.get_extra_info("socket").fileno()
        try:
            self._ears.add(fd, self)
        except OSError:  # the system watches no more sockets for us: the transport hears, as ever
            return
        self._fd = fd
        transport.pause_reading()

    # -- the carrier's side

    def carry(self, carrier: Exchange, method: bytes, *, upgrading: bool) -> None:
        """Serve this call from now on, until `leave` or `abort`."""
        self._carrier = carrier
        self._method = method
        self._upgrading = upgrading
        self._head = None
        self._chunked = None
        self._interims = 0

    def become(self, tunnel: Exchange) -> None:
        """From now on bytes pass to `tunnel` as they are."""
        self._carrier = tunnel
        self._tunnel = True

    def write(self, data: bytes) -> None:
        """Send bytes of the request."""
        way = self._way
        if way is not None:
            way.write(data)

    def leave(self) -> None:
        """The call is over. The connection is kept where its answer ended cleanly and whole."""
        head = self._head
        self._carrier = None
        if (
            head is not None
            and head.keep_alive
            and not self._tunnel
            and not self._buffer
            and self.transport is not None
            and not self.transport.is_closing()
        ):
            self.reused = True
            self.pool.keep(self)
        else:
            self.abort()

    def abort(self) -> None:
        """End the connection now: the upstream is to stop working on this call."""
        self._carrier = None
        if self.transport is not None:
            self.transport.abort()

    def pause(self) -> None:
        """Read no more: the caller is slower than the upstream."""
        if self._fd >= 0:
            self.deaf = True
        elif self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self.transport is None or self.transport.is_closing():
            return
        if self._fd < 0:
            self.transport.resume_reading()
        elif self.deaf:
            self.deaf = False
            self._ears.again(self._fd)

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = made = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        made.set_write_buffer_limits(high=WATERMARK)
        self._way = Straight(made)

    def pause_writing(self) -> None:
        if self._carrier is not None:
            self._carrier.upstream_full()

    def resume_writing(self) -> None:
        if self._carrier is not None:
            self._carrier.upstream_drained()

    def data_received(self, data: bytes) -> None:
        way = self.hear(data, now())
        if way is not None:
            way.write(data)

    def hear(self, data: bytes, at: Any) -> Straight | None:
        carrier, chunked = self._carrier, self._chunked
        if carrier is None:
            self.pool.drop(self)
            self.abort()
            return None
        try:
            if chunked is not None and self._head is not None:
                one = chunked.one(data)
                if one is not None:
                    return carrier.event(data, one, at)
            if self._tunnel:
                carrier.tunnelled(data)
            elif self._head is None:
                self._receive_head(carrier, data)
            else:
                self._receive_body(carrier, data)
        except BadMessage as error:
            self._broken(carrier, error)
        except Exception as fault:  # one of ours ends this connection, and no other. Another name: compiled, one has one type
            context = {"message": "what an upstream said could not be carried on", "exception": fault, "protocol": self}
            asyncio.get_running_loop().call_exception_handler(context)
            self.cut()
        return None

    def hung_up(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def cut(self) -> None:
        self._cut = True
        if self.transport is not None:
            self.transport.abort()

    def _broken(self, carrier: Exchange, error: BadMessage) -> None:
        self._carrier = None
        self.abort()
        carrier.upstream_ended(str(error), clean=False)

    def _receive_head(self, carrier: Exchange, data: bytes) -> None:
        while self._head is None:
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > MAX_HEAD:
                    raise BadMessage("The upstream's answer has a head that is too long.")
                if data and not b"HTTP/1.".startswith(data[:7]):
                    raise BadMessage("The upstream does not answer in HTTP/1.1.")
                self._buffer = data
                return
            head = response_head(data[:end], self._method)
            raw, data = data[: end + 4], data[end + 4 :]
            if head.status == 101:
                if not self._upgrading:
                    raise BadMessage("The upstream switched protocols without being asked.")
                self._head = head
                carrier.answer(head)
                if data and self._carrier is not None:
                    self._carrier.tunnelled(data)
                return
            if head.status < 200:
                self._interims += 1
                if self._interims > MAX_INTERIM:
                    raise BadMessage("The upstream sent 1xx answers without end.")
                carrier.interim(head, raw)
                if not data or self._carrier is not carrier:
                    return
                continue
            self._head = head
            self._left = head.length
            self._chunked = Chunked() if head.chunked else None
            carrier.answer(head)
        if self._carrier is carrier:
            self._receive_body(carrier, data)

    def _receive_body(self, carrier: Exchange, data: bytes) -> None:
        if self._chunked is not None:
            payload, used = self._chunked.feed(data)
            done = self._chunked.done
            if used < len(data):
                self._buffer = data[used:]  # bytes behind the answer: `leave` sees them and closes
                data = data[:used]
            carrier.body(data, payload, done)
        elif self._left == UNTIL_CLOSE:
            carrier.body(data, data, False)
        else:
            left = self._left
            if len(data) > left:
                self._buffer = data[left:]
                data = data[:left]
            self._left = left = left - len(data)
            carrier.body(data, data, left == 0)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._fd >= 0:
            self._ears.forget(self._fd, self)
        self.transport = self._way = None
        carrier = self._carrier
        if carrier is None:
            self.pool.drop(self)
            return
        self._carrier = None
        clean = exc is None and not self._cut and self._head is not None and (self._left == UNTIL_CLOSE or self._tunnel)
        carrier.upstream_ended(None, clean=clean)
