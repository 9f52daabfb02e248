"""Lets go of what is older, or takes more room, than is wished: by itself, in steps so small that no save waits for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy.record import faults
from proxy.record.calendar import Calendar
from proxy.record.forget import Keeper
from proxy.store import Store, StoreRejected, StoreUnavailable
from proxy.task import Filter, Forget, Forgotten

ROUND_SECONDS: Final = 60.0  # between two looks at what has grown too old
RETRY_SECONDS: Final = 1.0  # after the store could not be used
STEP: Final = 50  # tasks in one commit
STEP_BY_SIZE: Final = 500  # between two looks at the size
PAUSE_SECONDS: Final = 0.02  # after each commit: saves go first
DAY: Final = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long tasks are kept, and how much room they may take. `None`: no limit."""

    max_age: float | None = None  # days
    max_bytes: int | None = None
    projects: tuple[tuple[str, float | None], ...] = ()  # projects with an age of their own, in days

    def too_old(self, now: int) -> list[Forget]:
        """What is older than it may be at `now` (microseconds)."""
        named = [Forget(project_id=name, before=now - round(days * DAY)) for name, days in self.projects if days is not None]
        if self.max_age is None:
            return named
        others = tuple(name for name, _ in self.projects)
        return [*named, Forget(other_projects=others, before=now - round(self.max_age * DAY))]

    def __bool__(self) -> bool:
        return self.max_age is not None or self.max_bytes is not None or any(days is not None for _, days in self.projects)


class Retention:
    """Works in the desk. What it has let go of since its start is counted in `retired`.

    `turn` is held for each step, so that nothing moves in the store's files while they are searched for what was forgotten.
    """

    def __init__(self, store: Store, journals: Sequence[Keeper], rules: Rules, turn: asyncio.Lock) -> None:
        self._turn = turn
        self._store = store
        self._journals = journals
        self._rules = rules
        self._calendar = Calendar()
        self.retired = Forgotten()
        self.stumble: str | None = None  # what kept the last round from its end

    async def run(self) -> None:
        """Work until cancelled."""
        while self._rules:
            pause = RETRY_SECONDS
            try:
                if not all(journal.caught_up for journal in self._journals):
                    await asyncio.sleep(RETRY_SECONDS)  # what lies there unread, though stored, would come back from it
                    continue
                await self.look(time.time_ns() // 1000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000)
                self.stumble = None
                pause = ROUND_SECONDS
            except (StoreUnavailable, StoreRejected, OSError) as error:
                self.stumble = f"the store cannot be used now: {type(error).__name__}"
            except Exception as error:  # it must not die of a fault of ours: the store would grow for ever
                self.stumble = f"{type(error).__name__}: retention stumbled and tries again"
            await asyncio.sleep(pause)

    async def look(self, wall: int, steady: int) -> None:
        """A round at the time that the two clocks make (microseconds): a wall clock that leaps ahead makes nothing old.

        Raises StoreUnavailable, OSError.
        """
        await self.round(self._calendar.now(wall, steady))

    async def round(self, now: int) -> None:
        """Let go of all that is too old at `now` (microseconds), then of the oldest that there is no room for.

        Raises StoreUnavailable, OSError.
        """
        for rule in self._rules.too_old(now):
            what = replace(rule, ended_by=now)  # what comes meanwhile is in the journal still
            if await self._store.doomed(what, limit=1):
                await self._blank()
                while ids := await self._store.doomed(what, limit=STEP):
                    await self._let_go(ids)
        if self._rules.max_bytes is not None:
            await self._make_room(self._rules.max_bytes)

    async def _make_room(self, most: int) -> None:
        while await self._store.size() > most:
            oldest = (await self._store.find(Filter(), limit=STEP_BY_SIZE, oldest_first=True)).items
            if not oldest:
                return  # nothing is left that could go
            await self._blank()
            for at in range(0, len(oldest), STEP):
                await self._let_go([task.id for task in oldest[at : at + STEP]])
                if await self._store.size() <= most:
                    return

    async def _blank(self) -> None:
        """Else a desk that starts anew would find in a journal what the store has let go of."""
        for journal in self._journals:
            await journal.blank()

    async def _let_go(self, ids: Sequence[str]) -> None:
        async with self._turn:
            if faults.ARMED:
                faults.hit("retention.step")
            self.retired += replace(await self._store.forget(ids), through=None)
            if faults.ARMED:
                faults.hit("retention.stepped")
            await self._store.give_back()
        await asyncio.sleep(PAUSE_SECONDS)
