"""Carries one call. The only module that holds both of a call's connections at once.

Bytes go on as they come. How a call ended is set by where it stood when it ended, not guessed from an exception. Three
kinds of bytes wait for the journal, and no others: the first ones, for the call's beginning; those that hold the end
marker, for the mark; the last ones, for the end. Whatever waits keeps its order, and waits no longer than the journal's
patience.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

from proxy.record import faults, headers
from proxy.record.board import Column
from proxy.record.caller import Caller
from proxy.record.connection import Connection
from proxy.record.dial import Unreachable
from proxy.record.ears import now
from proxy.record.exchange import Exchange
from proxy.record.fields import line
from proxy.record.house import House
from proxy.record.http1 import ResponseHead, chunk
from proxy.record.outlet import HELD_BYTES, Outlet
from proxy.record.prepare import Prepared
from proxy.record.refusal import refusal
from proxy.record.spoken import Spoken
from proxy.record.straight import Straight
from proxy.record.tap import Ids, Tap
from proxy.record.tunnel import Tunnel
from proxy.record.untold import DESK, Untold
from proxy.task import Ending

_SLOW_UPLOAD: Final = int(Column.SLOW_UPLOAD)
CONTINUE_SECONDS: Final = 1.0  # a caller that expects 100 gets ours when the upstream is silent for so long
LINGER_SECONDS: Final = 1.0  # how long an answer may take to end after its marker when its caller has left, content
AHEAD_BYTES: Final = 256 * 1024  # bytes of a request that are read before there is a connection upstream
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_JSON = line(b"Content-Type: application/json")


class Carry(Exchange):
    """One call, on its way from a caller to an upstream and back."""

    # most calls change few of these: a new one costs what it sets, and no more
    _connection: Connection | None = None
    _connecting: asyncio.Task[None] | None = None
    _ahead: list[bytes] | None = None  # bytes for the upstream that came before there was a connection
    _ahead_bytes = 0
    _answer_head: bytes | None = None
    _answered = False
    _dechunk = False
    _close = False  # the caller's connection ends with this call
    _reset = False  # ... and only its end ends the answer
    _uploaded = False
    _done = False  # the answer's last bytes have been written or are held
    _broken = False
    _tunnel: Tunnel | None = None
    _clear: Caller | None = None  # the caller, while nothing can hold bytes back
    _paused = False
    _continued = False
    _timer: asyncio.TimerHandle | None = None
    _deaf_until: float | None = None
    _gate = 0  # what must be in the journal before the first byte goes out
    _mark = 0  # ... and before those that hold the end marker do
    over = False

    def __init__(self, house: House, caller: Caller, prepared: Prepared, ids: Ids) -> None:
        self._house = house
        self._loop = house.loop
        self._journal = house.journal
        self._prepared = prepared
        self._ids = ids
        self._upstream = house.upstreams[prepared.route.upstream]
        self._since = self._loop.time()
        self._limit = self._upstream.settings.timeouts.first_byte
        self._outlet = Outlet(caller, house.journal, self._released)
        witness = Untold if prepared.route.upstream == DESK else Tap
        self._tap = witness(house.journal, house.row, house.tap_settings, ids, prepared)

    # -- beginning

    def start(self, head: bytes, payload: bytes, done: bool) -> None:
        """Begin the call: its head for the upstream, and what of its body is here already.

        The upstream has it first, and works while the record is made: an answer comes in a later turn of the loop at the soonest.
        """
        self._uploaded = done
        try:
            if self._prepared.expects:
                self._timer = self._loop.call_later(CONTINUE_SECONDS, self._continue)
            self._send(head + self._framed(payload, done), len(payload))
        finally:
            self._gate = self._tap.begin(self._ids, payload, done)

    def _send(self, ahead: bytes, size: int) -> None:
        """Send a head with what has come of its body, `size` bytes."""
        if faults.ARMED:
            faults.hit("relay.connect")
        connection = self._upstream.take(self._since)
        if connection is None:
            self._ahead = [ahead]
            self._ahead_bytes = size
            self._connecting = self._loop.create_task(self._connect())
        else:
            connection.carry(self, self._prepared.request.method, upgrading=self._prepared.websocket)
            self._connection = connection
            connection.write(ahead)
            if faults.ARMED:
                faults.hit("relay.sent")

    def refuse(self, code: str, payload: bytes, done: bool) -> None:
        """Do not carry the call, but keep it and say why."""
        self._uploaded = done
        self._gate = self._tap.begin(self._ids, payload, done)
        why = "tasktap is stopping." if code == "stopping" else "Too many calls are running (listen.max_calls)."
        self._fail(503, code, why + " Try again.", Ending.REJECTED)

    def note(self, problem: str) -> None:
        """Something that could not be done as the caller asked."""
        self._tap.note(problem)

    async def _connect(self) -> None:
        try:
            connection = await self._upstream.connect()
        except Unreachable as error:
            self._connecting = None
            if not self.over:
                if error.timed_out:
                    self._fail(504, "upstream_timeout", str(error), Ending.TIMED_OUT)
                else:
                    self._fail(502, "upstream_unreachable", str(error), Ending.UNREACHABLE)
            return
        self._connecting = None
        if self.over or self._done:
            connection.abort()
            return
        connection.carry(self, self._prepared.request.method, upgrading=self._prepared.websocket)
        self._connection = connection
        self._tap.reached()
        self._since = self._loop.time()
        connection.write(b"".join(self._ahead or ()))
        self._ahead = None
        if faults.ARMED:
            faults.hit("relay.sent")
        if self._outlet.caller is not None:
            self._outlet.caller.resume()

    def _framed(self, payload: bytes, done: bool) -> bytes:
        """A piece of the body in the framing that the request has."""
        if not self._prepared.request.chunked:
            return payload
        return chunk(payload) + b"0\r\n\r\n" if done else chunk(payload)

    # -- from the caller

    def request_data(self, payload: bytes, done: bool) -> None:
        """Some of the request's body has come; `done` with its last bytes."""
        self._uploaded = done
        if not self._done and not self.over:
            self._pass_on(payload, done)
        self._tap.sent(payload, done)

    def _pass_on(self, payload: bytes, done: bool) -> None:
        data = self._framed(payload, done)
        connection = self._connection
        if connection is None:
            if self._ahead is None:
                return  # the upstream's connection is gone, and the call with it
            self._ahead.append(data)
            self._ahead_bytes += len(data)
            if self._ahead_bytes > AHEAD_BYTES and self._outlet.caller is not None:
                self._outlet.caller.pause()
        elif data:
            connection.write(data)
            self._since = self._loop.time()

    def caller_full(self) -> None:
        self._paused = True
        if self._connection is not None:
            self._connection.pause()

    def caller_drained(self) -> None:
        self._paused = False
        self._since = self._loop.time()
        if self._connection is not None and self._outlet.held_bytes <= HELD_BYTES:
            self._connection.resume()

    def caller_left(self) -> None:
        """The caller's connection is gone, or its bytes can no longer be followed."""
        if self.over:
            return
        self._clear = None
        marked = bool(self._mark) and self._outlet.is_empty  # the end marker has gone out, not only come in
        self._outlet.shut()
        if self._connection is not None:
            self._connection.resume()
        if self._done:
            self._finish()
        elif not self._uploaded:
            self._end_now(Ending.UPLOAD_INCOMPLETE)
        elif marked:
            self._tap.left = True
            self._tap.end(Ending.COMPLETED)
            self._deaf_until = self._loop.time() + LINGER_SECONDS  # the answer is about to end: the connection can be used again
        elif self._house.rules.drain:
            self._deaf_until = float("inf")
            self._tap.drained = True
        else:
            self._tap.drained = self._tap.marked  # a marker that nobody got makes no answer whole
            self._end_now(Ending.CALLER_LEFT)

    # -- from the upstream

    def interim(self, head: ResponseHead, raw: bytes) -> None:
        """A 1xx answer (RFC 9110 section 15.2): it goes on to callers that know it."""
        self._since = self._loop.time()
        if self._prepared.old or (head.status == 100 and self._continued):
            return
        self._continued = self._continued or head.status == 100
        self._outlet.put(raw, self._gate)

    def _continue(self) -> None:
        self._timer = None
        if not self._continued and not self._answered and not self._uploaded:
            self._continued = True
            self._outlet.put(_CONTINUE, self._gate)

    def answer(self, head: ResponseHead) -> None:
        """The answer's head has come; it goes out with the first bytes of its body."""
        if faults.ARMED:
            faults.hit("relay.head")
        self._answered = True
        self._limit = self._upstream.settings.timeouts.idle
        self._tap.answer(head.status, head.reason, head.fields)
        caller = self._outlet.caller
        if caller is None:
            return
        passed = headers.answer(
            head,
            self._ids.id,
            old=self._prepared.old,
            stays=caller.keep_alive and self._uploaded and not self._house.stopping,
        )
        self._dechunk, self._reset, self._close = passed.dechunk, passed.reset, passed.close
        if head.status == 101:
            connection, self._connection = self._connection, None
            assert connection is not None  # noqa: S101 - it is what this came from
            spoken = Spoken(self._house, self._prepared, self._ids, self._tap, head)
            self._tunnel = Tunnel(self._outlet, connection, spoken, self._finish)
            connection.become(self._tunnel)
            self._tunnel.open(caller, passed.head, self._gate)
        else:
            self._answer_head = passed.head

    def body(self, raw: bytes, payload: bytes, done: bool) -> None:
        """Some of the answer has come: the bytes as they were, and what of them is body. `done` with its last bytes."""
        if self._done:
            return
        if done:
            self._last(raw, payload)
            return
        way = self.event(raw, payload, now())
        if way is not None:
            way.write(raw)

    def event(self, raw: bytes, payload: bytes, at: Any) -> Straight | None:
        if self._done:
            return None
        self._since = self._house.soon
        sequence = self._tap.data(payload, at)
        clear = self._clear
        if clear is not None and not sequence:
            return clear.way  # as nearly all events go
        if sequence and self._tap.marked and not self._mark:
            self._mark = sequence
        outlet = self._outlet
        self._forward(raw, payload, sequence or self._gate)
        if outlet.held_bytes > HELD_BYTES and self._connection is not None:
            self._connection.pause()
        nothing_holds = outlet.is_empty and self._gate <= self._journal.durable and not self._dechunk and not faults.ARMED
        self._clear = outlet.caller if nothing_holds else None
        return None

    def _last(self, raw: bytes, payload: bytes) -> None:
        """The last bytes of the answer: they wait for its end to be in the journal, unless the mark is there already."""
        sequence = self._tap.end(Ending.COMPLETED if self._deaf_until is None else Ending.CALLER_LEFT, payload)
        if self._mark and self._mark <= self._journal.durable:
            sequence = 0
        self._done = True
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._paused or self._outlet.held_bytes > HELD_BYTES:
                connection.resume()
            if self._uploaded:
                connection.leave()
            else:
                connection.abort()
        if self._outlet.caller is None:
            self._finish()
            return
        self._forward(raw, payload, sequence or self._gate)
        if self._outlet.is_empty:
            self._serve()

    def _forward(self, raw: bytes, payload: bytes, sequence: int) -> None:
        """Bytes for the caller, once `sequence` is in the journal; the answer's head before the first ones."""
        out = payload if self._dechunk else raw
        if self._answer_head is not None:
            out = self._answer_head + out
            self._answer_head = None
        if faults.ARMED:
            faults.hit("relay.forward")
        self._outlet.put(out, sequence)

    def upstream_full(self) -> None:
        if self._outlet.caller is not None:
            self._outlet.caller.pause()

    def upstream_drained(self) -> None:
        self._since = self._loop.time()
        if self._outlet.caller is not None:
            self._outlet.caller.resume()

    def upstream_ended(self, problem: str | None, clean: bool) -> None:
        """The upstream's connection is gone, or what it sent cannot be passed on (`problem`)."""
        connection, self._connection = self._connection, None
        if self.over or self._done:
            return
        if self._answered and clean:
            self.body(b"", b"", True)
        elif self._answered:
            if problem is not None:
                self._tap.note(problem)
            self._break(Ending.UPSTREAM_BROKE)
        elif problem is not None:
            self._fail(502, "upstream_malformed", problem, Ending.UPSTREAM_BROKE)
        else:
            again = (
                " It was a connection that had been used before. Try again."
                if connection is not None and connection.reused
                else ""
            )
            message = f"Upstream {self._prepared.route.upstream!r} closed the connection before it answered.{again}"
            self._fail(502, "upstream_closed", message, Ending.UNREACHABLE)

    # -- to the caller

    def _released(self) -> None:
        """Nothing is held for the journal any more."""
        if self._tunnel is not None:
            self._tunnel.released()
            return
        if self._connection is not None and not self._paused:
            self._connection.resume()
        if self._done:
            self._serve()

    def _serve(self) -> None:
        """Everything has been written: leave the caller, or break off where the answer did."""
        caller = self._outlet.shut()
        self._finish()
        if caller is None:
            return
        if self._broken:
            caller.break_off(reset=self._reset)
        else:
            caller.served(close=self._close or not self._uploaded)

    # -- ending

    def _fail(self, status: int, code: str, message: str, ending: Ending) -> None:
        """Answer in the upstream's place."""
        caller = self._outlet.caller
        if caller is None:
            self._end_now(Ending.CALLER_LEFT)
            return
        self._close = not self._uploaded or not caller.keep_alive or self._house.stopping or ending is Ending.REJECTED
        retry = 1 if status == 503 else None
        data = refusal(status, code, message, task_id=self._ids.id, close=self._close, retry_after=retry)
        head, _, body = data.partition(b"\r\n\r\n")
        self._drop_connection()
        tap = self._tap
        tap.error_code = code
        tap.answer(status, HTTPStatus(status).phrase.encode(), [_JSON])
        sequence = tap.end(ending, body)
        self._answered = self._done = True
        self._outlet.put(head + b"\r\n\r\n" if self._prepared.request.method == b"HEAD" else data, sequence)
        if self._outlet.is_empty:
            self._serve()

    def _break(self, ending: Ending) -> None:
        """The answer stops here: what came of it goes out, and then the caller sees the break."""
        if self._outlet.caller is None:
            self._end_now(Ending.CALLER_LEFT)
            return
        self._drop_connection()
        self._tap.end(ending)
        self._done = self._broken = True
        if self._answer_head is not None:
            self._outlet.put(self._answer_head, self._gate)
            self._answer_head = None
        if self._outlet.is_empty:
            self._serve()

    def _end_now(self, ending: Ending) -> None:
        """Drop what is left of the call."""
        if self._tunnel is not None:
            self._tunnel.end(ending)
            return
        self._tap.end(ending)
        self._finish()

    def failed(self) -> None:
        """A fault of ours keeps this call from being carried on: it ends here, as a break that the caller sees."""
        caller = self._outlet.shut()
        self._tap.note("a fault of tasktap's own ended this call")
        self._end_now(Ending.PROXY_DIED)
        if caller is not None:
            caller.break_off(reset=True)

    def _finish(self) -> None:
        if self.over:
            return
        self.over = True
        self._house.over(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def check(self, now: float) -> None:
        """Look after the time limits."""
        if self._deaf_until is not None and now > self._deaf_until:
            self._finish()
        elif self._outlet.failed or (self._done and self._outlet.is_empty):
            self.failed()  # whoever writes the last bytes finishes the call in the same breath, unless a fault was in between
        elif self._done or self._tunnel is not None or self._connecting is not None:
            return
        elif self._paused:
            self._since = now  # the upstream is not to blame for a caller that does not read
        elif now - self._since > self._limit:
            if not self._uploaded and self._outlet.caller is not None and not self._answered:
                self._house.row[_SLOW_UPLOAD] += 1
                self._fail(408, "upload_timeout", "The rest of the request's body did not come.", Ending.UPLOAD_INCOMPLETE)
            elif self._answered:
                self._tap.note(f"the upstream was silent for more than {self._limit:g} s")
                self._break(Ending.TIMED_OUT)
            else:
                message = f"Upstream {self._prepared.route.upstream!r} did not answer within {self._limit:g} s."
                self._fail(504, "upstream_timeout", message, Ending.TIMED_OUT)

    def abandon(self) -> None:
        """Let go of everything: the process ends."""
        self._end_now(Ending.STOPPED)

    def stop(self) -> None:
        """We shut down, and can wait no longer for this call."""
        if self.over or self._done:
            return
        if self._tunnel is not None or self._outlet.caller is None:
            self.abandon()
        elif self._answered:
            self._break(Ending.STOPPED)
        else:
            self._fail(503, "stopping", "tasktap is stopping. Try again.", Ending.STOPPED)
