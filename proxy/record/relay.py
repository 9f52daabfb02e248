"""One relay worker: its callers, its upstreams, its journal, the calls that run, and the clock that looks after them."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Final

from proxy.record.asking import Asking
from proxy.record.board import Column
from proxy.record.caller import Caller
from proxy.record.carry import Carry
from proxy.record.ears import Ears
from proxy.record.house import House, Rules
from proxy.record.ids import Given, uuid7
from proxy.record.journal import Journal
from proxy.record.prepare import Prepared, Preparer, Target
from proxy.record.tap import Ids, TapSettings
from proxy.record.untold import DESK
from proxy.record.upstream import Upstream, UpstreamSettings

SWEEP_SECONDS: Final = 0.25  # how coarse every time limit is
SENT_AWAY_AT_ONCE: Final = 64  # connections too many that are told why; more than these are only closed
LAST_WORDS_SECONDS: Final = 0.2  # for calls that are cut to be told so, once the journal knows it


_COUNTED: Final = {
    "head_too_large": Column.LONG_HEAD,
    "target_too_long": Column.LONG_TARGET,
    "header_timeout": Column.SLOW_HEAD,
    "too_many_connections": Column.CROWDED,
}


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """What a relay is told."""

    epoch: str
    upstreams: tuple[UpstreamSettings, ...]
    default_upstream: str
    tap: TapSettings
    rules: Rules
    header_seconds: float = 10.0
    idle_seconds: float = 75.0
    max_head: int = 65536
    max_target: int = 16384
    max_calls: int = 10000
    max_connections: int = 10000


class Relay(House):
    """One worker: its callers, its upstreams, its journal."""

    def __init__(self, settings: RelaySettings, journal: Journal, row: memoryview) -> None:
        self.settings = settings
        self.journal = journal
        self.row = row
        self.rules = settings.rules
        self.tap_settings = settings.tap
        self.stopping = False  # no caller's connection serves another call
        self.refusing = False
        self.loop = asyncio.get_running_loop()
        self._ears = Ears()
        self.upstreams = {each.name: Upstream(each, self._ears) for each in settings.upstreams}
        self.prepare = Preparer(
            {
                name: Target(b"" if name == DESK else each.authority, each.prefix, each.settings.key)  # the desk judges by Host
                for name, each in self.upstreams.items()
            },
            settings.default_upstream,
            strip_aliases=settings.rules.strip_aliases,
            max_target=settings.max_target,
            pepper=settings.tap.pepper,
            privacy=settings.rules.privacy,
            redaction=settings.rules.redaction,
            inject_usage=settings.rules.inject_usage,
        )
        self._callers: set[Caller] = set()
        self.running: set[Carry] = set()
        self._given = Given()
        self._number = 0
        self._stop_at = float("inf")
        self.soon = self.loop.time() + SWEEP_SECONDS
        self._bits = random.Random(random.SystemRandom().getrandbits(256)).getrandbits  # noqa: S311 - ids must differ, not be secret
        row[Column.HEARTBEAT] = time.monotonic_ns() // 1000
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)

    # -- what a caller's connection asks of the house

    def protocol(self) -> Caller:
        """A protocol for a connection that was accepted."""
        return Caller(self, self.settings.max_head, self.settings.max_target)

    def arrived(self, caller: Caller) -> bool:
        self._callers.add(caller)
        self.row[Column.CONNECTIONS] += 1
        beyond = len(self._callers) - self.settings.max_connections
        if beyond > SENT_AWAY_AT_ONCE and caller.transport is not None:
            self.rejected("too_many_connections")
            caller.transport.abort()
            return True  # nothing is to be said
        return beyond <= 0

    def gone(self, caller: Caller) -> None:
        self._callers.discard(caller)
        self.row[Column.CONNECTIONS] -= 1

    def rejected(self, code: str) -> None:
        self.row[Column.REJECTED] += 1
        column = _COUNTED.get(code)
        if column is not None:
            self.row[column] += 1

    def call(self, caller: Caller, asked: tuple[Prepared, int, bytes], payload: bytes, done: bool) -> Carry | None:
        """Serve a call, of whose body `payload` is here already; None where it is over at once."""
        prepared, _, head = asked
        self._number += 1
        own = uuid7(time.time_ns() // 1000, self._bits(80))
        problem = None
        if prepared.task_id is None:
            ids = Ids(self._number, own, own)
        else:
            task_id, retry_of, problem = self._given.take(prepared.task_id, own)
            ids = Ids(self._number, task_id, own, retry_of)
        asks = prepared.asks_usage and self.upstreams[prepared.route.upstream].tells_usage
        carry = Asking(self, caller, prepared, ids) if asks else Carry(self, caller, prepared, ids)
        if problem is not None:
            carry.note(problem)
        self.running.add(carry)
        try:
            if self.refusing:
                carry.refuse("stopping", payload, done)
            elif len(self.running) > self.settings.max_calls:
                self.row[Column.TOO_MANY] += 1
                carry.refuse("too_many_calls", payload, done)
            else:
                carry.start(head, payload, done)
        except Exception:
            carry.failed()
            raise
        return None if carry.over else carry

    def another(self, of: str) -> Ids:
        """Number and id of a further part of the upgraded connection that was given the id `of`."""
        self._number += 1
        own = uuid7(time.time_ns() // 1000, self._bits(80))
        return Ids(self._number, own, own, of=of)

    def over(self, call: object) -> None:
        """A call has ended in every respect."""
        self.running.discard(call)

    # -- time

    def _sweep(self) -> None:
        now = self.loop.time()
        self.soon = now + SWEEP_SECONDS
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)
        self.row[Column.HEARTBEAT] = time.monotonic_ns() // 1000
        for carry in tuple(self.running):
            carry.check(now)
        settings = self.settings
        for caller in tuple(self._callers):
            caller.check(now, settings.header_seconds, settings.idle_seconds)
        for upstream in self.upstreams.values():
            upstream.sweep(now)

    def hurry(self, seconds: float) -> None:
        """Whatever runs has so long to end once we stop; only ever less."""
        self._stop_at = min(self._stop_at, self.loop.time() + seconds)

    async def leave(self) -> None:
        """Others take the new connections: serve those that are here, each for one more call, until none is left.

        Ends sooner when the time to `hurry` is up.
        """
        self.stopping = True
        while (self.running or self._callers) and self.loop.time() < self._stop_at:  # noqa: ASYNC110 - as below
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Take no new calls, let those that run end, cut what is left when the time to `hurry` is up."""
        self.stopping = self.refusing = True
        for caller in tuple(self._callers):
            caller.close_if_idle()
        while self.running and self.loop.time() < self._stop_at:  # noqa: ASYNC110 - an event would cost each call
            await asyncio.sleep(0.01)
        for carry in tuple(self.running):
            carry.stop()
        deadline = self.loop.time() + LAST_WORDS_SECONDS
        while self.running and self.loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        for carry in tuple(self.running):
            carry.abandon()
        for caller in tuple(self._callers):
            caller.close()
        for upstream in self.upstreams.values():
            upstream.close()
        await asyncio.sleep(0.02)  # for what was written to leave
        self._sweeper.cancel()
        self._ears.close()
