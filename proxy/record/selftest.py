"""Proves, before a relay serves anyone, that heads pass through it as the bytes they are."""

from __future__ import annotations

from typing import Final

from proxy.record import headers
from proxy.record.http1 import BadMessage, joined, request_head, response_head


class SelfTestFailed(Exception):
    """This build would change what it carries. Install tasktap again, and report it with the text."""


_LINES: Final = (b"x-a: \xe9\xff", b"X-A: 2", b"ETag:w ", b"ACCEPT:  */*", b"X-Dup: 1", b"x-dup: 1", b"cookie: a=b")
_REFUSED: Final = (
    b"GET / HTTP/2.0\r\nHost: x",
    b"GET /\r\nHost: x",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
    b"GET / HTTP/1.1\r\nHost: x\r\n folded",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d",
)


def check() -> None:
    """Raises SelfTestFailed."""
    lines = b"\r\n".join(_LINES)
    request = request_head(b"GET /%7e//a?b= HTTP/1.1\r\nhOST: caller\r\nConnection: x-gone\r\nX-Gone: 1\r\n" + lines, 1024)
    sent = joined(b"GET " + request.target, headers.to_upstream(request, b"up", None, strip_aliases=False, websocket=False))
    if sent != b"GET /%7e//a?b=\r\nhOST: up\r\n" + lines + b"\r\n\r\n":
        raise SelfTestFailed("a request's head does not pass unchanged")
    response = response_head(b"HTTP/1.1 299 O\xe9k\r\nKeep-Alive: 5\r\n" + lines, b"GET")
    got = joined(response.status_line, headers.to_caller(response, old=False))
    if got != b"HTTP/1.1 299 O\xe9k\r\n" + lines + b"\r\n\r\n":
        raise SelfTestFailed("a response's head does not pass unchanged")
    for head in _REFUSED:
        try:
            request_head(head, 1024)
        except BadMessage:
            continue
        raise SelfTestFailed("a malformed request is not refused")
