"""The way out to a caller: bytes in their order, each held until the journal has what it depends on, or has lost patience."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from proxy.record import faults
from proxy.record.caller import Caller
from proxy.record.journal import Journal

HELD_BYTES: Final = 256 * 1024  # held bytes at which the upstream is held back


def _nothing() -> None: ...


class Outlet:
    """Writes to one caller. `released` is called whenever nothing is held any more."""

    __slots__ = ("_held", "_journal", "_released", "caller", "failed", "held_bytes")

    def __init__(self, caller: Caller, journal: Journal, released: Callable[[], None]) -> None:
        self.caller: Caller | None = caller
        self._journal = journal
        self._released = released
        self._held: deque[tuple[int, bytes]] | None = None
        self.held_bytes = 0
        self.failed = False  # a fault of ours: what is held goes nowhere, nor does what comes behind it

    def put(self, data: bytes, sequence: int) -> None:
        """Write, now or once the record `sequence` is in the journal."""
        caller = self.caller
        if caller is None:
            return
        if self._held is not None:
            self._held.append((sequence, data))
            self.held_bytes += len(data)
        elif sequence > self._journal.durable and self._journal.must_wait(sequence):
            self._held = deque(((sequence, data),))
            self.held_bytes = len(data)
            self._journal.wait(sequence, self._release)
        else:
            caller.write(data)

    def _release(self) -> None:
        """The first of the held bytes may go, and with them all that depend on nothing more."""
        held, caller = self._held, self.caller
        if held is None or caller is None:
            return
        self.failed = True  # unless it goes well
        if faults.ARMED:
            faults.hit("relay.last")
        out = [held.popleft()[1]]
        while held and not self._journal.must_wait(held[0][0]):
            out.append(held.popleft()[1])
        data = out[0] if len(out) == 1 else b"".join(out)
        self.held_bytes -= len(data)
        caller.write(data)
        if faults.ARMED:
            faults.hit("relay.gone")
        self.failed = False
        if held:
            self._journal.wait(held[0][0], self._release)
        else:
            self._held = None
            self._released()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return self._held is None

    def shut(self) -> Caller | None:
        """Write no more; returns the caller, where there still is one."""
        caller, self.caller = self.caller, None
        self._released = _nothing  # it holds the call, which holds this: the circle would wait for the garbage collector
        self._held = None
        self.held_bytes = 0
        return caller
