"""One upstream: where it is, how to get there, and the connections that are free now."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

from proxy.record.connection import Connection, Pool
from proxy.record.dial import Unreachable, dial, dial_through, proxy_for
from proxy.record.ears import Ears
from proxy.record.headers import Key


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


class Upstream(Pool):
    """One upstream: where it is, how to get there, and the connections that are free now."""

    def __init__(self, settings: UpstreamSettings, ears: Ears) -> None:
        self.settings = settings
        parts = urlsplit(settings.url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self.authority = parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii")
        self.prefix = parts.path.rstrip("/").encode("utf-8")
        self._free: deque[Connection] = deque()
        self.tells_usage = True  # until it has refused to be asked for it (capture.inject_usage)
        self._loop = asyncio.get_running_loop()
        self.ears = ears
        self._tls: ssl.SSLContext | None = None
        self._proxy = proxy_for(settings.proxy, self._secure, self._host)

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
        except UnicodeError:  # of IDNA, for a label that is empty or too long
            why = f"{self._host!r} is not a host name"
        raise Unreachable(f"Upstream {self.settings.name!r}: {why}.")

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        if self._proxy is None:
            sock = await dial(self._host, self._port)
        else:
            sock = await dial_through(self._proxy, self._host, self._port)
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
        protocol.listen()
        return protocol

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self.settings.ca_file)
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls
