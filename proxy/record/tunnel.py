"""An upgraded connection (a WebSocket): after the 101, bytes pass both ways as they are, and what they say is kept beside."""

from __future__ import annotations

from collections.abc import Callable

from proxy.record.caller import Caller
from proxy.record.connection import Connection
from proxy.record.exchange import Exchange
from proxy.record.outlet import HELD_BYTES, Outlet
from proxy.record.spoken import Spoken
from proxy.task import Ending


class Tunnel(Exchange):
    """Takes a call's place on both of its connections once they speak something else than HTTP."""

    def __init__(self, outlet: Outlet, connection: Connection, spoken: Spoken, over: Callable[[], None]) -> None:
        self._outlet = outlet
        self._connection = connection
        self._spoken = spoken
        self._over = over
        self._full = False  # the caller takes no more for now
        self._ended: Ending | None = None  # the upstream has closed its side, and what that makes of the call

    def open(self, caller: Caller, head: bytes, gate: int) -> None:
        """Send the 101, once the journal has what `gate` names, and what the caller has said already."""
        self._outlet.put(head, gate)
        ahead = caller.become(self)
        if ahead:
            self.tunnelled_from_caller(ahead)

    def tunnelled_from_caller(self, data: bytes) -> None:
        self._connection.write(data)
        self._spoken.from_caller(data)

    def tunnelled(self, data: bytes) -> None:
        self._outlet.put(data, self._spoken.from_upstream(data))
        if self._outlet.held_bytes > HELD_BYTES:
            self._connection.pause()

    def caller_left(self) -> None:
        self.end(self._spoken.ending(Ending.CALLER_LEFT, clean=True))

    def upstream_ended(self, problem: str | None, clean: bool) -> None:
        self._ended = self._spoken.ending(Ending.UPSTREAM_BROKE, clean=clean)
        if self._outlet.is_empty:
            self.end(self._ended)

    def released(self) -> None:
        """Nothing is held for the journal any more: where the upstream has said all, so has the caller's side."""
        if self._ended is not None:
            self.end(self._ended)
        elif not self._full:
            self._connection.resume()

    def end(self, ending: Ending) -> None:
        """Close both sides."""
        self._spoken.end(ending)
        caller = self._outlet.shut()
        if caller is not None:
            caller.close()
        self._connection.abort()
        self._over()

    def caller_full(self) -> None:
        self._full = True
        self._connection.pause()

    def caller_drained(self) -> None:
        self._full = False
        if self._outlet.held_bytes <= HELD_BYTES:
            self._connection.resume()

    def upstream_full(self) -> None:
        if self._outlet.caller is not None:
            self._outlet.caller.pause()

    def upstream_drained(self) -> None:
        if self._outlet.caller is not None:
            self._outlet.caller.resume()
