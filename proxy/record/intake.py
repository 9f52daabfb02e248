"""The other door's journal: what apps and people say is on disk before they are told that it is kept.

It is written as a relay's is, in the same format, one call of two records an entry; a store that is down loses nothing. What
was written but not told (a disk too slow) may be kept all the same: entries are idempotent, so saying it again is harmless.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from proxy.record.board import COLUMNS
from proxy.record.frames import MAX_PAYLOAD, Kind
from proxy.record.journal import Journal, JournalSettings
from proxy.record.redact_entries import without
from proxy.record.redact_rules import Redaction
from proxy.store.entries import Entry, Logged, pack

PATIENCE_SECONDS: Final = 5.0  # for the disk: then the app is told to try again
SETTLE_SECONDS: Final = 1.0  # for what was kept to be stored too, where the answer depends on it


class IntakeBusy(Exception):
    """The journal cannot take more now: its disk is full, or hangs. Try again."""


class TooLarge(ValueError):
    """An entry is longer than a record of the journal can be (64 MiB)."""


@dataclass(frozen=True, slots=True)
class Written:
    """One entry, ready for the journal."""

    entry: Entry
    payload: bytes


def written(entry: Entry) -> Written:
    """Raises TooLarge."""
    payload = pack(entry)
    if len(payload) > MAX_PAYLOAD - 256:  # an origin is put in
        raise TooLarge(TooLarge.__doc__)
    return Written(entry, payload)


class Intake:
    """The journal of what is said; lives in the desk's event loop."""

    def __init__(
        self,
        directory: Path,
        run: str,
        *,
        durability: str,
        max_bytes: int,
        segment_bytes: int,
        redaction: Redaction | None = None,
    ) -> None:
        self._redaction = redaction or Redaction()
        self.epoch = f"{run}i{time.time_ns():x}"
        self.pending: Counter[str] = Counter()  # ids of tasks that were said, and are not in the store yet
        self.wake = asyncio.Event()  # something was written
        self._number = 0
        self._absorbed = 0
        self._settling: list[tuple[int, asyncio.Future[None]]] = []
        settings = JournalSettings(
            directory=directory,
            durability="power" if durability == "power" else "process",
            patience=PATIENCE_SECONDS,
            max_bytes=max_bytes,
            segment_bytes=segment_bytes,
        )
        self._journal = Journal(settings, self.epoch, memoryview(bytearray(COLUMNS * 8)).cast("Q"))

    async def keep(self, entries: Iterable[Written]) -> int:
        """Write them; once this returns, they are on disk. Returns the number of the last one. Raises IntakeBusy."""
        if self._journal.stalled or not self._journal.has_any_room:
            raise IntakeBusy(IntakeBusy.__doc__)
        sequence = 0
        for each in entries:
            self._number += 1
            payload, entry = each.payload, each.entry
            if (clean := without(entry, self._redaction)) is not entry:
                payload, entry = pack(clean), clean
            if isinstance(entry, Logged):
                payload = pack(replace(entry, origin=f"{self.epoch}.{self._number}"))
                self.pending[entry.id] += 1
            self._journal.append(Kind.BEGIN, self._number, payload)
            sequence = self._journal.append(Kind.END, self._number, b"{}")
        if sequence:
            await self._durable(sequence)
            self.wake.set()
        return self._number

    async def _durable(self, sequence: int) -> None:
        told = asyncio.Event()
        self._journal.wait(sequence, told.set)
        await told.wait()
        if self._journal.durable < sequence:
            raise IntakeBusy(IntakeBusy.__doc__)

    async def settled(self, number: int) -> bool:
        """Wait until what was kept up to `number` is in the store; False where that takes too long."""
        if number <= self._absorbed:
            return True
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settling.append((number, done))
        try:
            await asyncio.wait_for(done, SETTLE_SECONDS)
        except TimeoutError:
            return False
        finally:
            self._settling = [each for each in self._settling if each[1] is not done]
        return True

    def absorbed(self, epoch: str, number: int, entries: Sequence[Entry]) -> None:
        """These are in the store; `number` is that of the last one."""
        for entry in entries:
            if isinstance(entry, Logged) and entry.id in self.pending:
                self.pending[entry.id] -= 1
                if self.pending[entry.id] <= 0:
                    del self.pending[entry.id]
        if epoch == self.epoch:
            self._absorbed = max(self._absorbed, number)
            for wanted, done in self._settling:
                if wanted <= self._absorbed and not done.done():
                    done.set_result(None)

    @property
    def stalled(self) -> bool:
        """Whether the disk does not take what is written."""
        return self._journal.stalled

    async def close(self, seconds: float) -> None:
        """Write what is left."""
        await self._journal.close(seconds)
