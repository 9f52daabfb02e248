"""One relay worker: its callers, its upstreams, its journal, the calls that run, and the clock that looks after them."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Final

from proxy.record import routes
from proxy.record.board import Column
from proxy.record.caller import Caller
from proxy.record.ids import Given, uuid7
from proxy.record.journal import Journal
from proxy.record.fields import TASK_ID
from proxy.record.http1 import RequestHead
from proxy.record.carry import Carry, Rules
from proxy.record.tap import Ids, TapSettings
from proxy.record.upstream import Upstream, UpstreamSettings

SWEEP_SECONDS: Final = 0.25  # how coarse every time limit is
LAST_WORDS_SECONDS: Final = 0.2  # for calls that are cut to be told so, once the journal knows it


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """What a relay is told."""

    epoch: str
    upstreams: tuple[UpstreamSettings, ...]
    default_upstream: str
    tap: TapSettings
    rules: Rules = Rules()
    header_seconds: float = 10.0
    idle_seconds: float = 75.0
    max_head: int = 65536
    max_target: int = 16384
    max_calls: int = 10000


class Relay:
    """One worker: its callers, its upstreams, its journal."""

    def __init__(self, settings: RelaySettings, journal: Journal, row: memoryview) -> None:
        self.settings = settings
        self.journal = journal
        self.row = row
        self.rules = settings.rules
        self.tap_settings = settings.tap
        self.stopping = False
        self._loop = asyncio.get_running_loop()
        self.upstreams = {each.name: Upstream(each) for each in settings.upstreams}
        self._callers: set[Caller] = set()
        self.running: set[Carry] = set()
        self._given = Given()
        self._number = 0
        self._bits = random.Random(random.SystemRandom().getrandbits(256)).getrandbits  # ids must differ, not be secret
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    # -- what a caller's connection asks of the house

    def protocol(self) -> Caller:
        """A protocol for a connection that was accepted."""
        return Caller(self, self.settings.max_head, self.settings.max_target)

    def arrived(self, caller: Caller) -> None:
        self._callers.add(caller)
        self.row[Column.CONNECTIONS] += 1

    def gone(self, caller: Caller) -> None:
        self._callers.discard(caller)
        self.row[Column.CONNECTIONS] -= 1

    def rejected(self) -> None:
        self.row[Column.REJECTED] += 1

    def call(self, caller: Caller, head: RequestHead, payload: bytes, done: bool) -> Carry | None:
        """Serve a call, of whose body `payload` is here already. Raises BadMessage where it has no route."""
        route = routes.match(head.method, head.target, self.upstreams, self.settings.default_upstream)
        self._number += 1
        own = uuid7(time.time_ns() // 1000, self._bits(80))
        given = next((value for _, _, value, role in head.fields if role & TASK_ID), None)
        problems: list[str] = []
        task_id, retry_of = (own, None) if given is None else self._given.take(given, own, problems)
        carry = Carry(self, caller, head, route, Ids(self._number, task_id, own, retry_of))
        self.running.add(carry)
        full = len(self.running) > self.settings.max_calls
        carry.start(payload, done, problems, "stopping" if self.stopping else "too_many_calls" if full else None)
        return None if carry.over else carry

    def over(self, carry: Carry) -> None:
        """A call has ended in every respect."""
        self.running.discard(carry)

    # -- time

    def _sweep(self) -> None:
        now = self._loop.time()
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        self.row[Column.HEARTBEAT] = time.monotonic_ns() // 1000
        for carry in tuple(self.running):
            carry.check(now)
        settings = self.settings
        for caller in tuple(self._callers):
            caller.check(now, settings.header_seconds, settings.idle_seconds)
        for upstream in self.upstreams.values():
            upstream.sweep(now)

    async def stop(self, seconds: float) -> None:
        """Take no new calls, let those that run end, cut what is left after `seconds`."""
        self.stopping = True
        for caller in tuple(self._callers):
            caller.close_if_idle()
        deadline = self._loop.time() + seconds
        while self.running and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        for carry in tuple(self.running):
            carry.stop()
        deadline = self._loop.time() + LAST_WORDS_SECONDS
        while self.running and self._loop.time() < deadline:
            await asyncio.sleep(0.005)
        for caller in tuple(self._callers):
            caller.close()
        for upstream in self.upstreams.values():
            upstream.close()
        await asyncio.sleep(0.02)  # for what was written to leave
        self._sweeper.cancel()


