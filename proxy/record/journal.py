"""The durable memory of what the tap saw: written before anyone tries to understand it.

The event loop appends records to memory and goes on. One thread writes them, a batch at a time, into preallocated segment
files, so that a disk that hangs never hangs the loop. Who has to know that a record is written asks `must_wait` and leaves
a callback with `wait`; nobody waits longer than the patience, and while the disk is known to hang nobody waits at all: that
lapse is counted.

A batch is handed over by the loop only when the thread has finished the one before, so the two share no lock: what arrives
meanwhile is the next batch, and the busier it gets the larger the batches are.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.record import faults, spares
from proxy.record.board import HELD_SECONDS, Column
from proxy.record.frames import HEADER_SIZE, Kind, frame

LAZY_SECONDS: Final = 0.02  # a record that nobody waits for is written at most this late, plus a batch
SOFT_BACKLOG: Final = 32 * 1024 * 1024  # bytes in memory: above, bodies are dropped
HARD_BACKLOG: Final = 64 * 1024 * 1024  # above, new calls are not recorded
LATER_SECONDS: Final = 0.12  # pieces of a stream are gathered for so long before they are one record
_ENDS = (int(Kind.END), int(Kind.WHOLE))
_JOURNALLED, _HELD, _HELD_MICROSECONDS = map(int, (Column.JOURNALLED, Column.HELD, Column.HELD_MICROSECONDS))
_WATCH: Final = SOFT_BACKLOG // 2  # bytes in memory at which every record looks whether there is room
RETRY_SECONDS: Final = 0.25  # between two tries to write
FIRST_BYTES: Final = 1 << 20  # of the first segment: a relay that dies soon, again and again, does not fill the journal
MEASURE_SECONDS: Final = 1.0  # how often a nearly full journal looks whether the recorder has made room
UNFINISHED: Final = ".new"  # behind the name of a segment that is still being made
MOST_FLUSHES: Final = 32  # of gathered pieces in one go: a millisecond's work
_MOST_BUFFERS: Final = 1000  # Linux takes 1024 in one pwritev


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """What `[journal]` says, and where it is."""

    directory: Path
    durability: str = "process"  # "power": fdatasync before anyone is told; "none": nobody waits
    patience: float = 0.05  # seconds
    max_bytes: int = 1 << 30
    segment_bytes: int = 16 * 1024 * 1024


class Journal:
    """One relay's journal. Everything but `_work` and what it calls runs on the event loop."""

    def __init__(self, settings: JournalSettings, epoch: str, row: memoryview) -> None:
        self._settings = settings
        self._row = row
        self._loop = asyncio.get_running_loop()
        self._waits = settings.durability != "none"
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._pending_ends = 0
        self._flying_bytes = 0
        self._appended = 0  # sequence number of the last record appended
        self.durable = 0  # ... and of the last one written
        self._busy = False
        self._kicked = False
        self._alone = True  # the last batch was one call's: others, whose records could join it, do not come in the same moment
        self._ticking = False
        self._later: deque[tuple[float, Callable[[], None]]] = deque()
        self._waiters: list[tuple[int, float, Callable[[], None]]] = []
        self._patience: asyncio.TimerHandle | None = None
        self.stalled = False
        self.has_room = True  # a body may be kept
        self.has_any_room = True  # a new call may be recorded at all
        self._writer = _Writer(settings, epoch)
        self._scribe = threading.Thread(target=self._work, name="journal", daemon=True)
        self._wake = threading.Lock()
        self._wake.acquire()
        self._batch: tuple[list[bytes], int, int, int] | None = None
        self._done = (0, 0)  # the sequence and the ends of the batch that was written
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._loop.add_reader(self._bell, self._heard)
        self._scribe.start()

    # -- the loop's side

    def _look_for_room(self) -> None:
        backlog = self._pending_bytes + self._flying_bytes
        self.has_room = backlog < SOFT_BACKLOG and not self._writer.nearly_full
        self.has_any_room = backlog < HARD_BACKLOG

    def later(self, flush: Callable[[], None]) -> None:
        """Call `flush` in LATER_SECONDS or a little more."""
        self._later.append((self._loop.time() + LATER_SECONDS, flush))
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(LAZY_SECONDS, self._tick)

    def append(self, kind: int, number: int, payload: bytes, at: int = 0) -> int:
        """Add a record of what happened at microsecond `at` of `time.monotonic`, or now; returns its sequence number.

        Never waits, never fails.
        """
        self._pending += (frame(kind, number, at or time.monotonic_ns() // 1000, payload), payload)
        self._pending_bytes += len(payload) + HEADER_SIZE
        if kind in _ENDS:
            self._pending_ends += 1
        self._appended += 1
        if self._pending_bytes > _WATCH:
            self._look_for_room()
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(LAZY_SECONDS, self._tick)
        return self._appended

    @property
    def backlog(self) -> int:
        """Bytes in memory that are not written yet."""
        return self._pending_bytes + self._flying_bytes

    def must_wait(self, sequence: int) -> bool:
        """Whether bytes that depend on this record have to be held for now. False is final: send them."""
        if sequence <= self.durable or not self._waits:
            return False
        if self.stalled:
            self._row[Column.LAPSES] += 1
            return False
        return True

    def wait(self, sequence: int, callback: Callable[[], None]) -> None:
        """Call back once the record is written, or patience has ended."""
        self._waiters.append((sequence, self._loop.time() + self._settings.patience, callback))
        if not self._kicked and not self._busy:
            if self._alone:
                self._hand_over()
            else:
                self._kicked = True
                self._loop.call_soon(self._hand_over)
        if self._patience is None:
            self._patience = self._loop.call_later(self._settings.patience, self._lose_patience)

    def _tick(self) -> None:
        """Write what nobody waits for; goes on as long as there is something to write."""
        later = self._later
        if later:
            now, left = self._loop.time(), MOST_FLUSHES
            while later and later[0][0] <= now:
                if not left:  # what has come meanwhile goes first
                    self._hand_over()
                    self._loop.call_soon(self._tick)
                    return
                left -= 1
                later.popleft()[1]()
        if self._pending or self._busy or later:
            self._hand_over()
            self._loop.call_later(LAZY_SECONDS, self._tick)
        else:
            self._ticking = False

    def _hand_over(self) -> None:
        self._kicked = False
        if self._busy or not self._pending:
            return
        self._busy = True
        self._alone = self._pending_ends <= 1
        self._batch = (self._pending, self._pending_bytes, self._appended, self._pending_ends)
        self._flying_bytes = self._pending_bytes
        self._pending = []
        self._pending_bytes = self._pending_ends = 0
        self._wake.release()

    def _heard(self) -> None:
        """The thread has rung: its batch is written."""
        os.eventfd_read(self._bell)
        self._written(*self._done)

    def _written(self, sequence: int, ends: int) -> None:
        self.durable = sequence
        self._busy = False
        self._flying_bytes = 0
        self._row[_JOURNALLED] += ends
        if self._writer.nearly_full or not self.has_room:
            self._look_for_room()
        if self.stalled:
            self.stalled = False
            self._row[Column.STALLED] = 0
        waiters = self._waiters
        if waiters:
            self._waiters = []
            kept: list[tuple[int, float, Callable[[], None]]] = []
            asked = self._loop.time() + self._settings.patience
            for waiter in waiters:
                if waiter[0] <= sequence:
                    self._call(waiter[2])
                    self._count(asked - waiter[1])
                else:
                    kept.append(waiter)
            if kept:
                self._waiters = kept + self._waiters
        if self._waiters and not self._kicked:
            self._kicked = True
            self._loop.call_soon(self._hand_over)

    def _count(self, seconds: float) -> None:
        """Bytes have waited so long."""
        self._row[_HELD + bisect_left(HELD_SECONDS, seconds)] += 1
        self._row[_HELD_MICROSECONDS] += int(seconds * 1e6)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:  # a fault in one call must not keep the others waiting
            self._loop.call_exception_handler({"message": "what had waited for the journal failed", "exception": error})

    def _lose_patience(self) -> None:
        self._patience = None
        now = self._loop.time()
        late = [waiter for waiter in self._waiters if waiter[1] <= now + 0.001]
        if late:
            self._waiters = [waiter for waiter in self._waiters if waiter[1] > now + 0.001]
            self.stalled = True
            self._row[Column.STALLED] = 1
            self._row[Column.LAPSES] += len(late)
            self._look_for_room()  # it may be full
            for _, _, callback in late:
                self._count(self._settings.patience)
                self._call(callback)
        if self._waiters:
            self._patience = self._loop.call_later(max(0.001, self._waiters[0][1] - now), self._lose_patience)

    async def close(self, seconds: float) -> bool:
        """Write what is left and let go of the segment; False where writing it took longer than `seconds`. Once is enough."""
        if not self._scribe.is_alive():
            return not self._pending
        deadline = self._loop.time() + seconds
        while self._later:
            self._later.popleft()[1]()
        while (self._pending or self._busy) and self._loop.time() < deadline:
            self._hand_over()
            await asyncio.sleep(0.002)
        done = not self._pending and not self._busy
        if done:
            self._busy = True
            self._batch = None
            self._wake.release()
            await asyncio.to_thread(self._scribe.join, max(0.0, deadline - self._loop.time()))
            if not self._scribe.is_alive():
                self._loop.remove_reader(self._bell)
                os.close(self._bell)
        return done

    # -- the thread's side

    def _work(self) -> None:
        # woken, it would push the loop aside only to wait for the interpreter: a batch thread waits until the loop rests
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        while True:
            self._wake.acquire()
            batch = self._batch
            if batch is None:
                self._writer.close()
                return
            buffers, size, sequence, ends = batch
            self._writer.write_surely(buffers, size)
            self._done = (sequence, ends)
            os.eventfd_write(self._bell, 1)  # it lets go of the interpreter first, which the loop then need not wait for


class _Writer:
    """The thread's half: segments, and writing into them until it worked."""

    def __init__(self, settings: JournalSettings, epoch: str) -> None:
        self._settings = settings
        self._epoch = epoch
        self._fd = -1
        self._offset = 0
        self._size = 0
        self._index = 0
        self.nearly_full = False
        self._measured = 0.0
        self._sync = settings.durability == "power"
        self._named = False  # the segment has its name, but the directory has not been synced since

    def write_surely(self, buffers: list[bytes], size: int) -> None:
        """Write a batch, however long the disk takes to allow it."""
        while True:
            try:
                if faults.ARMED:
                    faults.hit("journal.write")
                if self._offset + size <= self._size and len(buffers) <= _MOST_BUFFERS and not self.nearly_full:
                    self._put(buffers, size)
                else:
                    self._write(buffers)
                return
            except Exception:  # full, read-only, failing or a fault of ours: the calls go on meanwhile, and are counted as lapses
                size = sum(map(len, buffers))  # what went into a segment before this one is written, and gone from the batch
                time.sleep(RETRY_SECONDS)

    def _write(self, buffers: list[bytes]) -> None:
        """Write whole records; a batch that failed half-way is written again where it began, over what is there."""
        if self.nearly_full and time.monotonic() - self._measured > MEASURE_SECONDS:
            self._measure()
        while buffers:
            size, count = 0, 0
            while count < min(len(buffers), _MOST_BUFFERS):
                more = len(buffers[count]) + len(buffers[count + 1])
                if self._offset + size + more > self._size:
                    if count:
                        break
                    self._rotate(more)
                size += more
                count += 2
            self._put(buffers[:count], size)
            del buffers[:count]

    def _put(self, buffers: list[bytes], size: int) -> None:
        """Write records that fit. Where any of it fails, the next try writes the same bytes at the same place."""
        if faults.ARMED:
            self._tear(buffers)
        if os.pwritev(self._fd, buffers, self._offset) != size:
            raise OSError(28, "short write")  # what is torn is no record, and is written over
        if self._named:
            _sync_directory(self._settings.directory)
            self._named = False
        if self._sync:
            os.fdatasync(self._fd)  # after one that failed the kernel may have dropped the pages: they are written again
        if faults.ARMED:
            faults.hit("journal.written")
        self._offset += size

    def _tear(self, buffers: list[bytes]) -> None:
        """A write that falls short: half of the bytes are there, and then something strikes, perhaps."""
        whole = b"".join(buffers)
        os.pwrite(self._fd, whole[: len(whole) // 2], self._offset)
        faults.hit("journal.torn")

    def _rotate(self, least: int) -> None:
        if faults.ARMED:
            faults.hit("journal.rotate")
        settings = self._settings
        self._measure()
        size = max(settings.segment_bytes if self._index else min(settings.segment_bytes, FIRST_BYTES), least)
        path = settings.directory / f"{self._epoch}-{self._index:08d}.journal"
        fd = spares.take(settings.directory, size, path)
        if fd is None:
            fd = self._new(path, size)
        self._named = self._sync
        old, self._fd, self._offset, self._size = self._fd, fd, 0, size
        self._index += 1
        if old >= 0:
            os.close(old)

    def _new(self, path: Path, size: int) -> int:
        """A segment of this size, locked and blank, as a descriptor to write with. Raises OSError."""
        new = path.with_name(path.name + UNFINISHED)  # until it is whole and locked, the recorder must not take it for a segment
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held as long as we live: how the recorder knows that we do
            try:
                os.posix_fallocate(fd, 0, size)
            except OSError as error:
                if error.errno != 95:  # EOPNOTSUPP: a file system that cannot; then a full disk shows at the write
                    raise
                os.ftruncate(fd, size)
            if faults.ARMED:
                faults.hit("journal.rotated")
            new.rename(path)
        except BaseException:
            os.close(fd)
            new.unlink(missing_ok=True)
            raise
        return fd

    def _measure(self) -> None:
        """See how much of `max_bytes` is used; raise where it is all of it."""
        with os.scandir(self._settings.directory) as entries:
            used = sum(entry.stat(follow_symlinks=False).st_size for entry in entries if entry.name.endswith(".journal"))
        self._measured = time.monotonic()
        limit = self._settings.max_bytes
        self.nearly_full = used + self._settings.segment_bytes >= limit
        if used + self._settings.segment_bytes > limit + limit // 8:
            raise OSError(28, "journal.max_bytes is used up")

    def close(self) -> None:
        """Let go of the segment."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
