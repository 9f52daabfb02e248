"""Pooled connections to the upstreams: HTTP/1.1 as a caller speaks it, with bytes handed on as they came.

A connection carries one call at a time and is used again only after an answer that ended cleanly. Nothing is ever sent
twice: where a reused connection dies before it answered, whoever called learns it and may try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

import aiohappyeyeballs

from proxy.record.headers import Key
from proxy.record.http1 import UNTIL_CLOSE, BadMessage, Chunked, ResponseHead, response_head

MAX_HEAD: Final = 256 * 1024  # bytes of an answer's head
MAX_INTERIM: Final = 100  # 1xx answers before the final one
HAPPY_EYEBALLS_SECONDS: Final = 0.25  # RFC 8305 section 5
WATERMARK: Final = 256 * 1024  # bytes waiting to go upstream at which the caller is held back


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    connect: float = 10.0
    first_byte: float = 600.0
    idle: float = 600.0
    keep_alive: float = 4.0  # uvicorn and Node close an idle connection after 5


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """One `[upstreams.NAME]`."""

    name: str
    url: str
    key: Key | None = None
    timeouts: Timeouts = Timeouts()
    ca_file: str | None = None
    proxy: str | None = None  # "none", or http://host:port; None asks the environment


class Unreachable(Exception):
    """No connection could be made. The text says why, and holds no secret."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Carrier(Protocol):
    """Who uses a connection: what it is told while it does."""

    def interim(self, head: ResponseHead, raw: bytes) -> None: ...

    def answer(self, head: ResponseHead) -> None: ...

    def body(self, raw: bytes, payload: bytes, done: bool) -> None: ...

    def tunnelled(self, data: bytes) -> None: ...

    def upstream_ended(self, problem: str | None, clean: bool) -> None: ...

    def upstream_full(self) -> None: ...

    def upstream_drained(self) -> None: ...


class Connection(asyncio.Protocol):
    """One connection to an upstream."""

    def __init__(self, pool: Upstream) -> None:
        self.pool = pool
        self.transport: asyncio.Transport | None = None
        self.idle_since = 0.0
        self.reused = False
        self._carrier: Carrier | None = None
        self._method = b""
        self._upgrading = False
        self._buffer = b""
        self._head: ResponseHead | None = None
        self._left = 0
        self._chunked: Chunked | None = None
        self._interims = 0
        self._tunnel = False

    # -- the carrier's side

    def carry(self, carrier: Carrier, method: bytes, *, upgrading: bool) -> None:
        """Serve this call from now on, until `leave` or `abort`."""
        self._carrier = carrier
        self._method = method
        self._upgrading = upgrading
        self._head = None
        self._chunked = None
        self._interims = 0

    def write(self, data: bytes) -> None:
        """Send bytes of the request."""
        if self.transport is not None:
            self.transport.write(data)

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
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = made = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        made.set_write_buffer_limits(high=WATERMARK)

    def pause_writing(self) -> None:
        if self._carrier is not None:
            self._carrier.upstream_full()

    def resume_writing(self) -> None:
        if self._carrier is not None:
            self._carrier.upstream_drained()

    def data_received(self, data: bytes) -> None:
        carrier = self._carrier
        chunked = self._chunked
        if chunked is not None and carrier is not None and self._head is not None:  # the next events of a stream
            try:
                payload, used = chunked.feed(data)
            except BadMessage as error:
                self._broken(carrier, error)
                return
            if used < len(data):
                self._buffer = data[used:]  # bytes behind the answer: `leave` sees them and closes
                data = data[:used]
            carrier.body(data, payload, chunked.done)
        elif carrier is None:
            self.pool.drop(self)
            self.abort()
        elif self._tunnel:
            carrier.tunnelled(data)
        else:
            try:
                if self._head is None:
                    self._receive_head(carrier, data)
                else:
                    self._receive_body(carrier, data)
            except BadMessage as error:
                self._broken(carrier, error)

    def _broken(self, carrier: Carrier, error: BadMessage) -> None:
        self._carrier = None
        self.abort()
        carrier.upstream_ended(str(error), clean=False)

    def _receive_head(self, carrier: Carrier, data: bytes) -> None:
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
                self._tunnel = True
                carrier.answer(head)
                if data:
                    carrier.tunnelled(data)
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

    def _receive_body(self, carrier: Carrier, data: bytes) -> None:
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
        self.transport = None
        carrier = self._carrier
        if carrier is None:
            self.pool.drop(self)
            return
        self._carrier = None
        clean = exc is None and self._head is not None and (self._left == UNTIL_CLOSE or self._tunnel)
        carrier.upstream_ended(None, clean=clean)


class Upstream:
    """One upstream: where it is, how to get there, and the connections that are free now."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self.settings = settings
        parts = urlsplit(settings.url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self.authority = parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii")
        self.prefix = parts.path.rstrip("/").encode("utf-8")
        self._free: deque[Connection] = deque()
        self._loop = asyncio.get_running_loop()
        self._tls: ssl.SSLContext | None = None
        self._proxy = _proxy_for(settings, self._secure, self._host)

    def take(self, now: float) -> Connection | None:
        """A free connection that is still young enough to be trusted, the last one used first."""
        keep_alive = self.settings.timeouts.keep_alive
        while self._free:
            connection = self._free.pop()
            transport = connection.transport
            if transport is None or transport.is_closing():
                continue
            if now - connection.idle_since >= keep_alive:
                connection.abort()
                continue
            return connection
        return None

    def keep(self, connection: Connection) -> None:
        """Take a connection back for the next call."""
        connection.idle_since = self._loop.time()
        self._free.append(connection)

    def drop(self, connection: Connection) -> None:
        """Forget a connection that ended while it was free."""
        with contextlib.suppress(ValueError):
            self._free.remove(connection)

    def sweep(self, now: float) -> None:
        """Close the connections that have been free for too long."""
        keep_alive = self.settings.timeouts.keep_alive
        while self._free and now - self._free[0].idle_since >= keep_alive:
            self._free.popleft().abort()

    def close(self) -> None:
        """Close every free connection."""
        while self._free:
            self._free.pop().abort()

    async def connect(self) -> Connection:
        """A new connection. Raises Unreachable."""
        seconds = self.settings.timeouts.connect
        try:
            async with asyncio.timeout(seconds):
                return await self._connect()
        except TimeoutError:
            raise Unreachable(f"No connection to upstream {self.settings.name!r} within {seconds:g} s.", timed_out=True) from None
        except ssl.SSLCertVerificationError as error:
            why = f"its certificate is not trusted ({error.verify_message}). Set `ca_file`"
        except ssl.SSLError as error:
            why = f"TLS failed ({error.reason})"
        except socket.gaierror as error:
            why = f"the name {self._host!r} has no address ({error.strerror})"
        except OSError as error:
            why = f"it cannot be reached: {error.strerror or 'the connection was lost'}"
        raise Unreachable(f"Upstream {self.settings.name!r}: {why}.")

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        if self._proxy is None:
            sock = await _dial(self._host, self._port)
        else:
            sock = await _dial_through(self._proxy, self._host, self._port)
        try:
            _, protocol = await loop.create_connection(
                lambda: Connection(self),
                sock=sock,
                ssl=self._context() if self._secure else None,
                server_hostname=self._host if self._secure else None,
            )
        except BaseException:
            sock.close()
            raise
        return protocol

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self.settings.ca_file)
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


async def _dial(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sock = await aiohappyeyeballs.start_connection(infos, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS if len(infos) > 1 else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _dial_through(proxy: tuple[str, int], host: str, port: int) -> socket.socket:
    """A socket to host:port by way of an HTTP proxy's CONNECT (RFC 9110 section 9.3.6)."""
    loop = asyncio.get_running_loop()
    sock = await _dial(*proxy)
    try:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        await loop.sock_sendall(sock, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            # byte by byte at the end would be safest; a proxy has nothing to say after its head until we speak
            more = await loop.sock_recv(sock, 4096)
            if not more or len(answer) > MAX_HEAD:
                raise Unreachable(f"The proxy {proxy[0]}:{proxy[1]} did not answer CONNECT.")
            answer += more
        if not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
            status = answer.split(b"\r\n", 1)[0].decode("latin-1")[:80]
            raise Unreachable(f"The proxy {proxy[0]}:{proxy[1]} refused CONNECT: {status}")
    except BaseException:
        sock.close()
        raise
    return sock


def _proxy_for(settings: UpstreamSettings, secure: bool, host: str) -> tuple[str, int] | None:
    """The HTTP proxy to go through: the one that is set, or HTTPS_PROXY (https only) unless NO_PROXY names the host."""
    url = settings.proxy
    if url is None:
        url = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
        if not url or not secure:
            return None
        from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed leaves it out

        if proxy_bypass_environment(host):
            return None
    if not url or url == "none":
        return None
    parts = urlsplit(url if "//" in url else "http://" + url)
    return parts.hostname or "", parts.port or 3128
