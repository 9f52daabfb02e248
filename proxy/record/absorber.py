"""The intake's journal -> store; then, and only then, the journal forgets. What the recorder is to the relays' journals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from proxy.record.frames import frame, records
from proxy.record.journal import UNFINISHED
from proxy.record.parts import Draft
from proxy.record.segments import Tail, epochs
from proxy.store import Store, StoreRejected, StoreUnavailable
from proxy.store.entries import Entry, heard, is_of, unpack
from proxy.task import Forget

POLL_SECONDS: Final = 1.0  # how often it is looked for what nobody told of
RETRY_SECONDS: Final = 0.5  # after the store could not be used
BATCH_BYTES: Final = 4 << 20  # of journal read at a time
BATCH_ENTRIES: Final = 200


@dataclass(frozen=True, slots=True)
class _Heard:
    """One entry that was read, and what to tell its segment when it is stored."""

    epoch: str
    draft: Draft
    entry: Entry

    @property
    def number(self) -> int:
        return self.draft.records[0].number


class Absorber:
    """Takes what the intake wrote into the store."""

    def __init__(
        self,
        directory: Path,
        aside: Path,
        store: Store,
        absorbed: Callable[[str, int, Sequence[Entry]], None],
        wake: asyncio.Event,
    ) -> None:
        self._directory = directory
        self._aside = aside
        self._store = store
        self._absorbed = absorbed
        self._wake = wake
        self._tails: dict[str, Tail] = {}
        self._heard: dict[str, int] = {}  # how far an epoch had been taken in when this desk began
        self._waiting: deque[_Heard] = deque()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="absorber")
        self.error: str | None = None  # why the store could not be used
        self.set_aside = 0
        self._rests = 0  # steps that found nothing to do
        self.caught_up = False  # all that was in the journals when this began has been read
        for path in directory.glob(f"*{UNFINISHED}"):
            path.unlink(missing_ok=True)  # of a desk that died while it made a segment: there is nothing in it

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._wake.clear()
            try:
                worked = await self.step()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # it must not die: the journal keeps what it could not do
                self.error = f"{type(error).__name__}: the intake stumbled and tries again"
                worked = False
            if not worked:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._rest(), RETRY_SECONDS if self.error else POLL_SECONDS)

    async def _rest(self) -> None:
        await (asyncio.sleep(RETRY_SECONDS) if self.error else self._wake.wait())

    async def drain(self) -> None:
        """Work until the journals that have ended are stored whole. Raises StoreUnavailable."""
        while True:
            await self.step()
            if self.error:
                raise StoreUnavailable(self.error)
            if not self._waiting and all(tail.ended for tail in self._tails.values()):
                return
            await asyncio.sleep(0.005)

    async def step(self) -> bool:
        """Read some, store some, forget what is stored. Whether there was anything to do."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            try:
                for epoch in epochs(self._directory):
                    if epoch not in self._heard:
                        self._heard[epoch] = await self._store.stored(heard(epoch))
            except StoreUnavailable as error:
                self.error = str(error)
                return False
            await loop.run_in_executor(self._executor, self._read)
        worked = bool(self._waiting)
        while self._waiting:
            _, of_one_epoch = next(groupby(islice(self._waiting, BATCH_ENTRIES), lambda each: each.epoch))
            batch = list(of_one_epoch)
            try:
                await self._absorb(batch)
            except StoreUnavailable as error:
                self.error = str(error)
                return False
            self.error = None
            for each in batch:
                each.draft.stored()
                self._waiting.popleft()
                self._absorbed(each.epoch, each.number, (each.entry,))
        await loop.run_in_executor(self._executor, self._forget)
        if not worked:
            self._rests += 1
            self.caught_up = True
            self.error = None
        return worked

    async def _absorb(self, batch: Sequence[_Heard]) -> None:
        try:
            last = batch[-1]
            await self._store.absorb([each.entry for each in batch], through=f"{last.epoch}.{last.number}")
        except StoreRejected:
            if len(batch) == 1:
                self._put_aside(batch[0].epoch, batch[0].draft)
                return
            half = len(batch) // 2
            await self._absorb(batch[:half])
            await self._absorb(batch[half:])

    @property
    def waiting(self) -> int:
        """Entries that are read and not in the store."""
        return len(self._waiting)

    async def settled(self, seconds: float) -> bool:
        """Wait, while this runs, until what was said by now is stored; False where that takes longer than `seconds`."""
        rests, deadline = self._rests, time.monotonic() + seconds
        while self._rests < rests + 2:  # the first may have begun before
            if time.monotonic() >= deadline:
                return False
            self._wake.set()
            await asyncio.sleep(0.02)
        return True

    async def forget_set_aside(self, what: Forget) -> tuple[int, int]:
        """Delete entries that were set aside and are of what is to be forgotten: how many, and how many cannot be read."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, _drop_set_aside, self._aside, what)

    # -- in the thread

    def _read(self) -> None:
        found = epochs(self._directory)
        for epoch in found:
            if epoch not in self._tails:
                self._tails[epoch] = Tail(self._directory, epoch)
        for epoch, tail in self._tails.items():
            if epoch not in found or (tail.ended and not tail.empty):
                continue
            if epoch not in self._heard:
                continue
            for draft in tail.read(found[epoch], BATCH_BYTES):
                if draft.records[0].number <= self._heard[epoch]:
                    draft.stored()  # before this desk began
                    continue
                try:
                    entry = unpack(draft.records[0].payload)
                except (ValueError, KeyError, TypeError):
                    self._put_aside(epoch, draft)  # of another version: it must not keep the others from being stored
                    draft.stored()
                else:
                    self._waiting.append(_Heard(epoch, draft, entry))

    def _forget(self) -> None:
        for epoch, tail in tuple(self._tails.items()):
            while (path := tail.oldest_done()) is not None:
                path.unlink(missing_ok=True)
                tail.forget_oldest()
            if tail.ended and tail.empty:
                del self._tails[epoch]
                self._heard.pop(epoch, None)

    async def blank(self) -> int:
        """Leave nothing in the journal of what is stored; how many records that were. Raises OSError."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._blank)

    def _blank(self) -> int:
        keep: dict[str, set[int]] = {}
        for each in list(self._waiting):
            keep.setdefault(each.epoch, set()).add(each.number)
        return sum(tail.blank(keep.get(epoch, set())) for epoch, tail in self._tails.items())

    def _put_aside(self, epoch: str, draft: Draft) -> None:
        """Keep an entry that the store will never take, as the journal's records."""
        path = self._aside / f"{epoch}.{draft.records[0].number}.intake"
        new = path.with_name(path.name + UNFINISHED)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(fd, "wb") as file:
            file.write(b"".join(frame(r.kind, r.number, r.time, r.payload) + r.payload for r in draft.records))
        new.rename(path)  # whole or not at all: the journal forgets it now
        self.set_aside += 1

    async def close(self) -> None:
        """Let go of files and threads."""
        self._executor.shutdown(wait=True)
        for tail in self._tails.values():
            tail.close()


def _drop_set_aside(aside: Path, what: Forget) -> tuple[int, int]:
    dropped = unreadable = 0
    for path in sorted(aside.glob("*.intake")):
        try:
            entry = unpack(next(records(path.read_bytes())).payload)
        except (ValueError, KeyError, TypeError, StopIteration):
            unreadable += 1
            continue
        if is_of(entry, what):
            path.unlink(missing_ok=True)
            dropped += 1
    return dropped, unreadable
