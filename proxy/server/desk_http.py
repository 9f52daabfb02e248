"""A connection to the desk: requests out of its bytes, by the calls door's strict grammar, and their answers into it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, cast

from proxy.query.door import canonical, refuse
from proxy.query.guard import HEADERS
from proxy.query.web import BadBody, Fields, NewFields, Request, Response, StreamResponse
from proxy.record.http1 import BadMessage, Chunked, RequestHead, chunk, request_head

MAX_HEAD: Final = 32 * 1024  # bytes of a request's head
MAX_TARGET: Final = 16 * 1024
MOST_AHEAD: Final = 256 * 1024  # bytes of a body, or of requests to come, that wait for their handler
LEAVING_SECONDS: Final = 2.0  # for whoever still sends to take the answer
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Answer = Callable[[Request], Awaitable[StreamResponse]]


class Connection(asyncio.Protocol):
    """A browser's or a tool's. It is also the way of each of its requests."""

    def __init__(self, answer: Answer, connections: set[Connection], idle_seconds: float, head_seconds: float) -> None:
        self._answer = answer
        self._connections = connections
        self._idle_seconds = idle_seconds
        self._head_seconds = head_seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._head: RequestHead | None = None  # of the request that is answered now
        self._chunked: Chunked | None = None
        self._left = 0  # bytes of its body that are still to come
        self._body: deque[bytes] = deque()
        self._whole = True  # all of the body is here
        self._bad = False  # the rest of it will never be
        self._sent: int | None = None  # the status, once the answer's head has gone
        self._framed: int | None = None  # bytes of the answer's body, where that was said
        self._keep = True
        self._gone = self._leaving = False
        self._timer: asyncio.TimerHandle | None = None
        self._came: asyncio.Future[None] | None = None  # waited for by who reads the body
        self._room: asyncio.Future[None] | None = None  # waited for by who writes
        self._full = False
        self._held = False  # nothing is read just now
        self._heading = False  # a head has begun to come
        self.job: asyncio.Task[None] | None = None

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._wait(self._idle_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._connections.discard(self)
        self._stop_waiting()
        self._tell(self._came)
        self._tell(self._room)

    def data_received(self, data: bytes) -> None:
        if self._leaving:
            return
        if self._head is not None and not self._whole:
            self._take(data)
            return
        self._buffer += data
        if self._head is None:
            self._next()
        elif len(self._buffer) > MOST_AHEAD:
            self._hold()

    def eof_received(self) -> bool:
        if self._head is None:
            return False
        self._bad = not self._whole
        self._keep = False
        self._tell(self._came)
        return self._sent is None or self._framed is not None  # who has ended only their side still gets an answer that ends

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._tell(self._room)

    # -- requests out of bytes

    def _next(self) -> None:
        buffer = self._buffer.lstrip(b"\r\n") if self._buffer[:1] in (b"\r", b"\n") else self._buffer
        end = buffer.find(b"\r\n\r\n")
        try:
            if (end if end >= 0 else len(buffer)) > MAX_HEAD:
                raise BadMessage("too long")
            if end < 0:
                self._buffer = buffer
                if buffer and not self._heading:
                    self._heading = True
                    self._wait(self._head_seconds)
                return
            head = request_head(buffer[:end], MAX_TARGET)
        except BadMessage:
            self._refuse()
            return
        self._stop_waiting()
        self._heading = False
        self._head, self._buffer = head, b""
        self._chunked = Chunked() if head.chunked else None
        self._left = head.length
        self._body.clear()
        self._whole = self._bad = False
        self._sent = None
        self._keep = head.keep_alive
        self._take(buffer[end + 4 :])
        self.job = self._loop.create_task(self._serve(head))

    def _take(self, data: bytes) -> None:
        """Bytes of the body, and of what comes after it."""
        try:
            if self._chunked is not None:
                payload, used = self._chunked.feed(data)
                self._whole, rest = self._chunked.done, data[used:]
            else:
                payload, rest = data[: self._left], data[self._left :]
                self._left -= len(payload)
                self._whole = not self._left
        except BadMessage:
            self._bad, self._keep = True, False
            self._tell(self._came)
            return
        self._buffer += rest
        if payload:
            self._body.append(payload)
            if sum(map(len, self._body)) > MOST_AHEAD:
                self._hold()
        self._tell(self._came)

    async def _serve(self, head: RequestHead) -> None:
        request = self._request(head)
        try:
            if any(name == b"expect" for _, name, _, _ in head.fields) and not head.expects:
                answer: StreamResponse = refuse(417, "bad_request", "Expectation Failed.")
            else:
                answer = await self._answer(request)
            if isinstance(answer, Response):
                await answer.send(request)
            elif not answer.begun:
                await answer.prepare(request)
            self._finish()
        except ConnectionError:  # nobody is there any more, or the body broke off
            self._break_off()
        except asyncio.CancelledError:
            self._break_off()
            raise
        except Exception:  # what no middleware foresaw is not told, but that it was
            if self._sent is not None:
                self._break_off()
                return
            self._keep = False
            await refuse(500, "desk_failed", "The desk failed.").send(request)
            self._finish()

    def _request(self, head: RequestHead) -> Request:
        target = head.target.decode("ascii")
        if "://" in target and not target.startswith("/"):  # in absolute form: whose it is says `Host`
            target = "/" + target.partition("://")[2].partition("/")[2]
        path, mark, query = target.partition("?")
        meant = canonical(path)
        fields = Fields((raw[: len(name)].decode("ascii"), _text(value)) for raw, name, value, _ in head.fields)
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        here = self._transport.get_extra_info("sockname") if self._transport is not None else None
        return Request(
            head.method.decode("ascii"),
            target if meant is None else f"{meant}{mark}{query}",
            fields,
            self,
            remote=str(peer[0]) if isinstance(peer, tuple) else None,
            address=str(here[0]) if isinstance(here, tuple) else None,
        )

    # -- the way of a request

    async def receive(self) -> bytes:
        """See `proxy.query.web.Way`."""
        head, transport = self._head, self._transport
        if head is not None and head.expects and not self._whole and not self._body and transport is not None:
            head.expects = False
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not self._body:
            if self._whole:
                return b""
            if self._gone or self._bad:
                raise BadBody
            self._release()
            self._came = self._loop.create_future()
            await self._came
        data = b"".join(self._body)
        self._body.clear()
        return data

    def begin(self, status: int, fields: NewFields, length: int | None) -> None:
        """See `proxy.query.web.Way`."""
        head, transport = self._head, self._transport
        if self._gone or head is None or transport is None:
            raise ConnectionResetError("nobody is there any more")
        self._sent = status
        self._framed = 0 if head.method == b"HEAD" or status in (204, 304) else length
        self._keep = self._keep and self._whole and (length is not None or head.minor == 1)
        for name, value in HEADERS.items():
            fields.setdefault(name, value)
        fields["Date"] = _date(time.time())
        if status not in (204, 304):
            if length is not None:
                fields["Content-Length"] = str(length)
            elif head.minor == 1:
                fields["Transfer-Encoding"] = "chunked"
        if not self._keep:
            fields["Connection"] = "close"
        elif head.minor == 0:
            fields["Connection"] = "keep-alive"
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {_line(value)}" for name, value in fields.lines()]
        transport.write("\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape"))

    async def send(self, data: bytes) -> None:
        """See `proxy.query.web.Way`."""
        if self._gone or self._transport is None:
            raise ConnectionResetError("nobody is there any more")
        if data and self._framed != 0:
            framed = self._framed is not None or (self._head is not None and self._head.minor == 0)
            self._transport.write(data if framed else chunk(data))
        while self._full:
            if self._gone:
                raise ConnectionResetError("nobody is there any more")
            self._room = self._loop.create_future()
            await self._room

    # -- ends

    def _finish(self) -> None:
        """The answer is whole: the next request, or the end."""
        self.job = None
        head, transport = self._head, self._transport
        if self._gone or head is None or transport is None:
            return
        if self._framed is None and head.minor == 1:
            transport.write(b"0\r\n\r\n")
        self._head = None
        if not self._keep:
            self._leave()
            return
        self._release()
        self._wait(self._idle_seconds)
        if self._buffer:
            self._next()

    def _refuse(self) -> None:
        """What came is no request: say so, in words of our own alone, and take nothing more."""
        self._head = RequestHead(b"", b"", 1, [])
        self._keep, self._whole = False, True
        answer = refuse(400, "bad_request", "This is not well-formed HTTP.")
        self.begin(answer.status, answer.headers, len(answer.body))
        if self._transport is not None:
            self._transport.write(answer.body)
        self._leave()

    def _leave(self) -> None:
        """End in two steps (RFC 9112 section 9.6): bytes still coming in would reset the connection, and the answer with it."""
        self._leaving, self._head = True, None
        if self._transport is not None and not self._transport.is_closing():
            self._release()
            self._transport.write_eof()
            self._wait(LEAVING_SECONDS)

    def _break_off(self) -> None:
        """End so that nobody takes what has come for a whole answer."""
        self.job = None
        if self._transport is not None:
            self._transport.abort()

    def close_if_idle(self) -> None:
        """End, unless a request is answered; then end after it."""
        self._keep = False
        if self.job is None and self._transport is not None:
            self._transport.close()

    # -- waiting

    def _hold(self) -> None:
        if self._transport is not None and not self._held and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def _release(self) -> None:
        if self._transport is not None and self._held and not self._transport.is_closing():
            self._held = False
            self._transport.resume_reading()

    def _wait(self, seconds: float) -> None:
        """End the connection in so many seconds, unless something comes."""
        self._stop_waiting()
        if self._transport is not None:
            self._timer = self._loop.call_later(seconds, self._transport.abort if self._leaving else self._transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @staticmethod
    def _tell(waiting: asyncio.Future[None] | None) -> None:
        if waiting is not None and not waiting.done():
            waiting.set_result(None)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _line(value: str) -> str:
    """A field's value, which cannot end its line."""
    return value.replace("\r", " ").replace("\n", " ").replace("\0", " ")


def _date(at: float) -> str:
    """As RFC 9110 section 5.6.7 writes times."""
    day = time.gmtime(at)
    return f"{_DAYS[day.tm_wday]}, {day.tm_mday:02} {_MONTHS[day.tm_mon - 1]} {day.tm_year} {time.strftime('%H:%M:%S', day)} GMT"
