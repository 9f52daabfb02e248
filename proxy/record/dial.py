"""Sockets to an upstream: straight, racing its addresses, or by way of an HTTP proxy."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final
from urllib.parse import urlsplit

import aiohappyeyeballs

MAX_ANSWER: Final = 64 * 1024  # bytes of a proxy's answer to CONNECT
HAPPY_EYEBALLS_SECONDS: Final = 0.25  # RFC 8305 section 5


class Unreachable(Exception):
    """No connection could be made. The text says why, and holds no secret."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


async def dial(host: str, port: int) -> socket.socket:
    """A socket to host:port, whichever of its addresses answers first. Raises OSError."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sock = await aiohappyeyeballs.start_connection(infos, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS if len(infos) > 1 else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def dial_through(proxy: tuple[str, int], host: str, port: int) -> socket.socket:
    """A socket to host:port by way of an HTTP proxy's CONNECT (RFC 9110 section 9.3.6)."""
    loop = asyncio.get_running_loop()
    sock = await dial(*proxy)
    try:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        await loop.sock_sendall(sock, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            # byte by byte at the end would be safest; a proxy has nothing to say after its head until we speak
            more = await loop.sock_recv(sock, 4096)
            if not more or len(answer) > MAX_ANSWER:
                raise Unreachable(f"The proxy {proxy[0]}:{proxy[1]} did not answer CONNECT.")
            answer += more
        if not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
            status = answer.split(b"\r\n", 1)[0].decode("latin-1")[:80]
            raise Unreachable(f"The proxy {proxy[0]}:{proxy[1]} refused CONNECT: {status}")
    except BaseException:
        sock.close()
        raise
    return sock


def proxy_for(url: str | None, secure: bool, host: str) -> tuple[str, int] | None:
    """The HTTP proxy to go through: the one that is set, or HTTPS_PROXY (https only) unless NO_PROXY names the host."""
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
