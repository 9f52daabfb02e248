"""A caller's connection: makes whole calls out of its bytes, one after the other, and nothing of what breaks the grammar."""

from __future__ import annotations

import asyncio
import socket
from typing import Final, cast

from proxy.record.exchange import Exchange
from proxy.record.house import House
from proxy.record.http1 import BadMessage, Chunked, request_head
from proxy.record.presence import Presence, presence
from proxy.record.refusal import refusal
from proxy.record.straight import Straight

WATERMARK: Final = 64 * 1024  # bytes waiting for a caller at which the upstream is held back
MOST_AHEAD: Final = 128 * 1024  # bytes read ahead of a call that is not served yet
LEAVING_SECONDS: Final = 2.0  # for a caller to take its answer and stop sending, when we are done with it
HALF_CLOSE_SECONDS: Final = 2.0  # a far caller that ends its side so soon after asking has only ended its side


class Caller(asyncio.Protocol):
    """One connection from an app."""

    def __init__(self, house: House, max_head: int, max_target: int) -> None:
        self._house = house
        self._max_head = max_head
        self._max_target = max_target
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.way: Straight | None = None
        self._call: Exchange | None = None
        self._buffer = b""
        self._left = 0
        self._chunked: Chunked | None = None
        self._uploading = False
        self._tunnel = False
        self._half_closed = False
        self._paused = False
        self._leaving_at: float | None = None
        self._asked_at = 0.0
        self.head_since: float | None = None  # when the first byte of an unfinished head came
        self.idle_since = self._loop.time()
        self.keep_alive = True

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = made = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        made.set_write_buffer_limits(high=WATERMARK)
        self.way = Straight(made)
        if not self._house.arrived(self):
            why = "Too many callers are connected (listen.max_connections). Try again."
            self._reject(BadMessage(why, 503, "too_many_connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = self.way = None
        self._house.gone(self)
        call, self._call = self._call, None
        if call is not None:
            call.caller_left()

    def data_received(self, data: bytes) -> None:
        if self._leaving_at is not None:
            return
        if self._call is None:
            self._buffer = self._buffer + data if self._buffer else data
            self._next_call()
        elif self._uploading:
            self._receive_body(data)
        elif self._tunnel:
            self._call.tunnelled_from_caller(data)
        else:
            self._buffer += data  # a pipelined call waits for its turn
            if len(self._buffer) > MOST_AHEAD:
                self.pause()

    def eof_received(self) -> bool:
        self._half_closed = True
        call = self._call
        if call is None or self.transport is None:
            return False
        # else it has said all it wanted to say, and waits for the answer
        return not (self._uploading or self._tunnel or self._gone_for_good())

    def _gone_for_good(self) -> bool:
        sock: socket.socket = self.transport.get_extra_info("socket")  # type: ignore[union-attr]
        found = presence(sock)
        if found is Presence.UNKNOWN:
            return self._loop.time() - self._asked_at > HALF_CLOSE_SECONDS
        return found is Presence.LEFT

    def pause_writing(self) -> None:
        if self._call is not None:
            self._call.caller_full()

    def resume_writing(self) -> None:
        if self._call is not None:
            self._call.caller_drained()

    # -- calls out of bytes

    def _next_call(self) -> None:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # RFC 9112 section 2.2: an empty line before a request is ignored
            buffer = buffer[2:]
        end = buffer.find(b"\r\n\r\n")
        try:
            if end < 0:
                self._buffer = buffer
                self._judge_unfinished(buffer)
                if self._half_closed:
                    self.close()  # the rest will never come
                return
            if end > self._max_head:
                raise BadMessage(f"The request's head is longer than {self._max_head} bytes.", 431, "head_too_large")
            asked = self._house.prepare(buffer[:end])
            head = asked[0].request
            self.head_since = None
            self.keep_alive = head.keep_alive
            self._chunked = Chunked() if head.chunked else None
            self._left = asked[1]
            payload, rest, done = self._cut(buffer[end + 4 :])
            self._uploading = not done
            self._buffer = rest
            self._asked_at = self._loop.time()
            self._call = self._house.call(self, asked, payload, done)
        except BadMessage as error:
            self._reject(error)

    def _cut(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """What of `data` is this call's body, what comes after it, and whether the body ends here. Raises BadMessage."""
        if self._chunked is not None:
            payload, used = self._chunked.feed(data)
            return payload, data[used:], self._chunked.done
        left = self._left
        if len(data) <= left:
            self._left = left - len(data)
            return data, b"", self._left == 0
        self._left = 0
        return data[:left], data[left:], True

    def _judge_unfinished(self, buffer: bytes) -> None:
        """Refuse at once what can never become a request, and what is too long. Raises BadMessage."""
        if not buffer:
            self.head_since = None
            return
        if self.head_since is None:
            self.head_since = self._loop.time()
        line = buffer.find(b"\n")
        if line < 0 and len(buffer) > self._max_target + 64:
            raise BadMessage(f"The request target is longer than {self._max_target} bytes.", 414, "target_too_long")
        if len(buffer) > self._max_head:
            raise BadMessage(f"The request's head is longer than {self._max_head} bytes.", 431, "head_too_large")
        if line == 0 or (line > 0 and buffer[line - 1] != 13):
            raise BadMessage("Lines must end in CRLF.")
        if line > 0 and not buffer[: line - 1].endswith((b" HTTP/1.1", b" HTTP/1.0")):
            request_head(buffer[: line - 1] + b"\r\nHost: x", self._max_target)  # raises: the request line is bad

    def _receive_body(self, data: bytes) -> None:
        call = cast("Exchange", self._call)
        try:
            payload, rest, done = self._cut(data)
        except BadMessage as error:
            self._call = None
            call.caller_left()
            self._reject(error)
            return
        if done:
            self._uploading = False
            self._asked_at = self._loop.time()
            self._buffer = rest
        call.request_data(payload, done)

    def _reject(self, error: BadMessage) -> None:
        self._house.rejected(error.code)
        retry = 1 if error.status == 503 else None
        self.write(refusal(error.status, error.code, str(error), close=True, retry_after=retry))
        self._leave()

    def _leave(self) -> None:
        """Close in two steps (RFC 9112 section 9.6): bytes still coming in would reset the connection, and our answer with it."""
        self._call = None
        if self.transport is None or self.transport.is_closing():
            return
        self._leaving_at = self._loop.time()
        self.resume()
        self.transport.write_eof()

    # -- the call's side

    @property
    def uploading(self) -> bool:
        """Whether bytes of the request's body are still to come."""
        return self._uploading

    def write(self, data: bytes) -> None:
        """Send bytes of an answer."""
        way = self.way
        if way is not None:
            way.write(data)

    def pause(self) -> None:
        """Read no more from the caller."""
        if not self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read from the caller again."""
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def become(self, tunnel: Exchange) -> bytes:
        """From now on bytes pass to `tunnel` as they are; returns those that are here already."""
        self._tunnel = True
        self._call = tunnel
        ahead, self._buffer = self._buffer, b""
        return ahead

    def served(self, *, close: bool) -> None:
        """The call is answered to its end: the next one, or the end of the connection."""
        self._call = None
        if self._uploading:
            self._leave()
            return
        # not where we only leave: a caller whose answer did not say that it was the last may have sent its next call already
        if close or not self.keep_alive or (self._half_closed and not self._buffer) or self._house.refusing:
            self.close()
            return
        self.idle_since = self._loop.time()
        self.resume()
        if self._buffer:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._call is None and self._buffer and self.transport is not None:
            self._next_call()

    def check(self, now: float, header_seconds: float, idle_seconds: float) -> None:
        """Look after time limits, and after a caller that had only ended its side and has left since."""
        if self._leaving_at is not None:
            if now - self._leaving_at > LEAVING_SECONDS and self.transport is not None:
                self.transport.abort()
        elif self._call is None:
            if self.head_since is not None:
                if now - self.head_since > header_seconds:
                    self._reject(
                        BadMessage(f"The request's head was not complete within {header_seconds:g} s.", 408, "header_timeout")
                    )
            elif not self._buffer and now - self.idle_since > idle_seconds:
                self.close()
        elif (
            self._half_closed
            and self.transport is not None
            and not self.transport.is_closing()
            and presence(self.transport.get_extra_info("socket")) is Presence.LEFT
        ):
            self.transport.close()

    def close_if_idle(self) -> None:
        """End the connection unless a call runs on it."""
        if self._call is None:
            self.close()

    def close(self) -> None:
        """End the connection once what was written has gone out."""
        self._call = None
        if self.transport is not None:
            self.transport.close()

    def break_off(self, *, reset: bool) -> None:
        """End the connection so that the caller cannot take what it has for a whole answer.

        An answer with a length or in chunks is visibly cut by any end; one that ends with the connection only by a `reset`.
        """
        self._call = None
        transport = self.transport
        if transport is None:
            return
        if reset:  # when the transport closes, after what was written has left for the kernel
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        transport.close()
