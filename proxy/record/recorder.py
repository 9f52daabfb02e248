"""Journal -> reading -> store; then, and only then, the journal forgets.

Runs in the desk. It may be slow, be killed or find the store away: the journal waits. Reading happens in a thread of its
own, so that the desk answers meanwhile; a call that cannot be read is stored all the same, and one that the store will
never take is set aside in a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from proxy.record import assembly, faults, reading, spares
from proxy.record.background import credited
from proxy.record.blank import LET_GO, drop_set_aside
from proxy.record.frames import frame
from proxy.record.journal import UNFINISHED
from proxy.record.parts import Draft
from proxy.record.second_look import without_secrets
from proxy.record.segments import Tail, epochs
from proxy.record.threads import Followed, Threads
from proxy.store import Store, StoreRejected, StoreUnavailable
from proxy.task import Forget, Task

SWEEP_SECONDS: Final = 10.0  # how often it is looked whether spare segments have become old
POLL_SECONDS: Final = 0.05  # how often a journal with nothing new is looked at
LONGEST_REST: Final = 0.5  # between two looks at journals that nobody should be writing: who died, died unasked
RETRY_SECONDS: Final = 0.5  # after the store could not be used
BATCH_BYTES: Final = 4 << 20  # of journal read at a time
FIRST_BYTES: Final = 1 << 18  # ... at first, and twice as much each time that it was stored: who dies soon has stored something
BATCH_TASKS: Final = 500
RUN_TASKS: Final = 100  # of earlier runs: so many are stored before a later run is looked at
MOST_TRIES: Final = 3  # to read a call: then it is set aside
FEW_TASKS: Final = 16  # are given their sessions at once; more of them in the thread


@dataclass(slots=True)
class _Read:
    """One call, read: its task, and what to tell its segment when it is stored."""

    epoch: str
    draft: Draft
    call: Followed
    ended: int  # monotonic microseconds at which its end was journalled


class Recorder:
    """Turns what relays journalled into tasks in the store."""

    def __init__(
        self,
        directory: Path,
        aside: Path,
        store: Store,
        run: str,
        recovered: Callable[[int], None],
        pepper: bytes = b"",
        complete: Callable[[Task], Task] = lambda task: task,
        threads: Threads | None = None,
        journalled: Callable[[], Mapping[str, int]] = dict,
        pulse: Callable[[], object] = object,
    ) -> None:
        self._directory = directory
        self._aside = aside
        self._store = store
        self._run = run
        self._recovered = recovered
        self._pepper = pepper
        self._complete = complete  # what is said of a task beside what was on the wire, its price; nobody else has that task
        self._threads = threads
        self._journalled = journalled  # by epoch of this run, how many ends are in its journal
        self._pulse = pulse  # as it was, where no relay has written anything since
        self._felt: object = None  # the pulse when the last step began
        self._tails: dict[str, Tail] = {}
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._unread: deque[tuple[str, Draft]] = deque()  # come to their end, not read into a task yet
        self._stride = FIRST_BYTES  # how much of a journal is read at a time
        self._tries = 0  # to read the first of them
        self._waiting: list[_Read] = []  # read, not stored yet
        self._linked = False  # they have been given their sessions
        self._rests = 0  # steps that found nothing to do
        self.caught_up = False  # all that was in the journals when this began has been read and stored
        self._at_end = False  # the last look into the journals came to the end of each
        self._swept = 0.0
        self.stored: dict[str, int] = {}  # by epoch of this run
        self.set_aside: dict[str, int] = {}
        self.let_go: dict[str, int] = {}  # set aside, and forgotten since because somebody asked for it
        self.missing: dict[str, int] = {}  # ended in the journal, and neither there any more nor in the store
        self.error: str | None = None  # why the store could not be used
        self.stumble: str | None = None  # what else kept the last step from being taken
        self.unreadable: dict[str, str] = {}  # by epoch, why its journal cannot be read now
        self._damaged = 0
        self.commits = 0
        self.commit_seconds = 0.0
        self.store_errors = 0

    async def recount(self, epochs: list[str]) -> None:
        """Learn what was stored and set aside of these relay starts before this desk began. Raises StoreUnavailable."""
        for epoch in epochs:
            self.stored[epoch] = await self._store.stored(epoch)
            self._count_aside(epoch)
        self.error = None

    def sweep(self) -> None:
        """Delete what relays of earlier runs left when they died while they made a segment: there is nothing in it."""
        for path in self._directory.glob(f"*{UNFINISHED}"):
            if not path.name.startswith(self._run):
                path.unlink(missing_ok=True)
        for path in self._aside.glob(f"*{LET_GO}"):
            if not path.name.startswith(self._run):
                path.unlink(missing_ok=True)
        spares.sweep(self._directory, beginning=True)

    async def run(self) -> None:
        """Work until cancelled."""
        self.sweep()
        while True:
            self._felt = self._pulse()
            try:
                worked = await self.step()
                self.stumble = None
            except asyncio.CancelledError:
                raise
            except Exception as error:  # the recorder must not die: the journal keeps what it could not do
                self.stumble = f"{type(error).__name__}: the recorder stumbled and tries again"
                worked = False
            if not worked and (self.error or self.stumble):
                await asyncio.sleep(RETRY_SECONDS)
            elif not worked:
                await self._rest()

    async def _rest(self) -> None:
        """Wait until a relay may have written something."""
        end = time.monotonic() + LONGEST_REST
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._unread or self._pulse() != self._felt or time.monotonic() >= end:
                return

    async def drain(self) -> None:
        """Work until the journals that have ended are stored whole. Raises StoreUnavailable."""
        while True:
            await self.step()
            if self.error:
                raise StoreUnavailable(self.error)
            if not self._waiting and not self._unread and all(tail.ended for tail in self._tails.values()):
                return
            await asyncio.sleep(0.005)

    async def step(self) -> bool:
        """Read some, store some, forget what is stored. Whether there was anything to do."""
        loop = asyncio.get_running_loop()
        journalled = self._journalled()
        if not self._waiting:
            await loop.run_in_executor(self._executor, self._read)
            self._linked = False
        if not self._linked and not await self._link():
            return False
        worked = bool(self._waiting)
        while self._waiting:
            epoch, of_one_epoch = next(groupby(self._waiting[:BATCH_TASKS], attrgetter("epoch")))
            batch = list(of_one_epoch)
            if not await self._keep(epoch, batch):
                return False
            del self._waiting[: len(batch)]
        if worked:
            self._stride = min(2 * self._stride, BATCH_BYTES)
        await loop.run_in_executor(self._executor, self._forget)
        if self._at_end and not self._unread:
            self.caught_up = True
        if not worked and not self._unread:
            self._rests += 1
            self._look_for_missing(journalled)
        return worked

    def _look_for_missing(self, journalled: Mapping[str, int]) -> None:
        """All that had ended by then has been read: what is not off our hands now was in a file that is gone, or damaged."""
        if not any(tail.behind for tail in self._tails.values()):
            for epoch, ends in journalled.items():
                kept = (self.stored, self.set_aside, self.let_go)
                self.missing[epoch] = max(0, ends - sum(each.get(epoch, 0) for each in kept))

    async def _link(self) -> bool:
        """Give what was read its sessions; whether the store could be asked."""
        if self._threads is not None and self._waiting:
            calls = [each.call for each in self._waiting]
            try:
                await self._threads.link(calls, self._at_once if len(calls) <= FEW_TASKS else self._in_thread)
            except StoreUnavailable as error:
                self.error = str(error)
                return False
        self._linked = True
        return True

    async def _in_thread(self, act: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, act, *arguments)

    async def _at_once(self, act: Callable[..., Any], *arguments: Any) -> Any:
        return act(*arguments)

    async def settled(self, seconds: float) -> bool:
        """Wait, while this runs, until what has ended by now is stored; False where that takes longer than `seconds`."""
        rests, deadline = self._rests, time.monotonic() + seconds
        while self._rests < rests + 2:  # the first may have begun before
            if time.monotonic() >= deadline:
                return False
            self._felt = None  # it is not to rest now
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def blank(self) -> int:
        """Leave nothing in the journal of what is stored; how many records that were. Raises OSError."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._blank)

    async def forget_set_aside(self, what: Forget) -> tuple[int, int]:
        """See `drop_set_aside`."""
        dropped = await asyncio.get_running_loop().run_in_executor(self._executor, drop_set_aside, self._aside, what.holds)
        for epoch in self.set_aside:
            self._count_aside(epoch)
        return dropped

    def _count_aside(self, epoch: str) -> None:
        self.set_aside[epoch] = sum(1 for _ in self._aside.glob(f"{epoch}.*.journal"))
        self.let_go[epoch] = sum(1 for _ in self._aside.glob(f"{epoch}.*{LET_GO}"))

    def _blank(self) -> int:
        # In the thread that reads: nothing becomes unread or waiting meanwhile, and what ceases to wait is stored.
        pending = [*self._unread, *((each.epoch, each.draft) for each in list(self._waiting))]
        keep: dict[str, set[int]] = {}
        for epoch, draft in pending:
            keep.setdefault(epoch, set()).add(draft.records[0].number)
        return sum(tail.blank(keep.get(epoch, set())) for epoch, tail in self._tails.items())

    # -- in the thread

    def _read(self) -> None:
        """Read what has ended. A fault on the way costs nothing: what was not read is there the next time."""
        horizons = self._read_back()
        for _ in range(len(self._unread)):
            epoch, draft = self._unread[0]
            records = draft.records
            ended = records[-1].time
            if horizons and ended > horizons.get(_run(epoch), ended):
                self._unread.rotate(-1)
                continue
            try:
                if faults.ARMED:
                    faults.hit("recorder.reading")
                task = self._complete(without_secrets(reading.read(assembly.call(epoch, records)), self._pepper))
                call = Followed(task) if self._threads is None else self._threads.followed(task)
            except (MemoryError, OSError):
                raise  # of the moment
            except Exception:
                self._tries += 1
                if self._tries < MOST_TRIES:
                    raise
                self._put_aside(f"{epoch}.{records[0].number}", draft)  # it must not keep the others from being read
                draft.stored()
            else:
                self._waiting.append(_Read(epoch, draft, call, ended))
            self._tries = 0
            self._unread.popleft()

    def _read_back(self) -> dict[str, int]:
        """Read on in each journal. What ended after the moment that is given for its run has to wait: what it goes on from may be
        in a journal of that run that was not read so far. (What it goes on from was journalled before it began.)

        The journals of earlier runs come first, and not all at once: a desk that dies again and again gets on a little each time.
        """
        found = epochs(self._directory)
        begun = time.monotonic_ns() // 1000
        held = {epoch for epoch, _ in self._unread}
        taken = 0  # bytes
        for epoch in found:
            if epoch not in self._tails:
                self._tails[epoch] = Tail(self._directory, epoch)
        for epoch, tail in sorted(self._tails.items()):  # a run's name begins with its time
            if epoch not in found or epoch in held or (tail.ended and not tail.empty):
                continue
            enough = len(self._unread) >= RUN_TASKS or taken >= self._stride
            if enough and self._unread and _run(epoch) != _run(self._unread[-1][0]):
                tail.behind = True
                continue
            before = tail.taken
            try:
                for draft in tail.read(found[epoch], self._stride):
                    self._unread.append((epoch, draft))
                self.unreadable.pop(epoch, None)
            except OSError as error:  # the disk: the journals of the others can be read
                tail.behind = True
                self.unreadable[epoch] = error.strerror or str(error)
            taken += tail.taken - before
        self._at_end = not held and not any(tail.behind for tail in self._tails.values())
        reached: dict[str, list[int]] = {}
        for epoch, tail in self._tails.items():
            if tail.behind or epoch in held:
                reached.setdefault(_run(epoch), []).append(tail.reached)
            elif epoch.startswith(self._run) and not tail.ended:
                reached.setdefault(_run(epoch), []).append(begun)
        journals = Counter(map(_run, self._tails))
        return {run: min(times) for run, times in reached.items() if journals[run] > 1}

    def _forget(self) -> None:
        if time.monotonic() > self._swept + SWEEP_SECONDS:
            self._swept = time.monotonic()
            spares.sweep(self._directory)
        for epoch, tail in tuple(self._tails.items()):
            tail.relieve()
            while (path := tail.oldest_done()) is not None:
                if faults.ARMED:
                    faults.hit("recorder.forget")
                spares.retire(path, tail.oldest_bytes)
                tail.forget_oldest()
                if faults.ARMED:
                    faults.hit("recorder.forgot")
            if tail.ended and tail.empty:
                self._damaged += tail.damaged
                del self._tails[epoch]

    # -- with the store

    async def _keep(self, epoch: str, batch: list[_Read]) -> bool:
        """Store a batch of one epoch; whether it is off our hands, all of it or none."""
        try:
            new = await self._save(batch)
            await credited(self._store, [each.call.task for each in batch], self._complete, self._in_thread)
        except StoreUnavailable as error:
            self.store_errors += 1
            self.error = str(error)
            await self._in_thread(spares.clear, self._directory)  # it may be room that the store lacks
            return False
        if faults.ARMED:
            faults.hit("recorder.saved")
        if not epoch.startswith(self._run):
            self._recovered(new)
        else:
            self.stored[epoch] = await self._store.stored(epoch)
        if self.error is not None:  # it was away, and may have come back without what was in it
            for known in self.stored:
                self.stored[known] = await self._store.stored(known)
        for each in batch:
            each.draft.stored()
        self.error = None
        return True

    async def _save(self, batch: list[_Read]) -> int:
        if faults.ARMED:
            faults.hit("recorder.save")
        begun = time.monotonic()
        try:
            new = await self._store.save([each.call.task for each in batch])
        except StoreRejected:
            if len(batch) == 1:
                self._put_aside(batch[0].call.task.origin, batch[0].draft)
                return 0
            half = len(batch) // 2
            return await self._save(batch[:half]) + await self._save(batch[half:])
        self.commits += 1
        self.commit_seconds += time.monotonic() - begun
        return new

    def _put_aside(self, origin: str, draft: Draft) -> None:
        """Keep a call that cannot be read or that the store will never take, as the journal's records."""
        epoch = origin.partition(".")[0]
        path = self._aside / f"{origin}.journal"
        if not path.exists() and not path.with_suffix(LET_GO).exists():
            data = b"".join(frame(r.kind, r.number, r.time, r.payload) + r.payload for r in draft.records)
            new = path.with_name(path.name + UNFINISHED)
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(fd, "wb") as file:
                file.write(data)
            new.rename(path)  # whole or not at all: the journal forgets the call now
            self.set_aside[epoch] = self.set_aside.get(epoch, 0) + 1

    # -- what is shown

    def open_epochs(self) -> frozenset[str]:
        """The relay starts whose journal still holds something."""
        return frozenset(self._tails) | frozenset(epochs(self._directory))

    def lag_seconds(self) -> float:
        """How long ago the oldest end came that is read but not stored."""
        oldest = min((each.ended for each in self._waiting), default=None)
        return 0.0 if oldest is None else max(0.0, (time.monotonic_ns() // 1000 - oldest) / 1e6)

    @property
    def damaged(self) -> int:
        """Bytes of journals that no record could be found in, since this desk began."""
        return self._damaged + sum(tail.damaged for tail in tuple(self._tails.values()))

    def journal_bytes(self) -> tuple[int, int]:
        """Bytes of all segments on disk, and how many there are."""
        sizes = []
        for path in self._directory.glob("*.journal"):
            with contextlib.suppress(FileNotFoundError):  # it was let go of just now
                sizes.append(path.stat().st_size)
        return sum(sizes), len(sizes)

    async def close(self) -> None:
        """Let go of files and threads."""
        self._executor.shutdown(wait=True)
        spares.clear(self._directory)
        for tail in self._tails.values():
            tail.close()


def _run(epoch: str) -> str:
    """The start of tasktap that an epoch is of: its journals tell the time by one clock."""
    return epoch.partition("w")[0]
