"""The thread that takes what waits to the desk: in batches, patiently, and never in the app's way."""

from __future__ import annotations

import _thread
import logging
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.client.desk import Address, Away, Desk, Refused
from proxy.client.entry import document
from proxy.client.feedback import Said
from proxy.client.outbox import Bell, Item, Outbox
from proxy.client.snapshot import encode
from proxy.client.spool import FEEDBACK, TASK, Line, Spool

log = logging.getLogger("tasktap.client")

BATCH = 200
BATCH_BYTES = 2 * 1024 * 1024
LONGEST_PAUSE = 30.0
URL = "http://127.0.0.1:8901"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an app's tasks get to the desk."""

    url: str = URL
    key: str | None = field(default=None, repr=False)
    project_id: str | None = None
    version_id: str | None = None
    tick: float = 0.2  # seconds for which tasks gather before they are sent
    timeout: float = 10.0  # seconds for which the desk may be silent
    exit_seconds: float = 2.0  # the longest that the end of the app is held up
    most: int = 100_000
    most_bytes: int = 32 * 1024 * 1024
    spool: Path | None = None
    spool_bytes: int = 256 * 1024 * 1024


@dataclass(slots=True)
class Counts:
    """What became of what was logged."""

    sent: int = 0
    rejected: int = 0
    spooled: int = 0
    errors: int = 0  # faults of ours that an app did not hear of
    last_error: str | None = None


def line_of(item: Item) -> Line:
    """An item as it is sent. Raises what odd content raises."""
    if isinstance(item, Said):
        return FEEDBACK, item.task_id, encode(item.document())
    found = document(item.entry())
    return TASK, found["task_id"], encode(found)


class Sender:
    """An outbox, the thread that empties it, and what it knows of the desk."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._desk: Desk | None = None
        self.begin()

    def begin(self) -> None:
        """Begin anew. In a forked child, too: what waits is the parent's to send, and the thread did not come along."""
        if self._desk is not None:
            self._desk.close()
        self.outbox = Outbox(self.settings.most, self.settings.most_bytes)
        self.counts = Counts()
        self._thread: threading.Thread | None = None
        self._starting = _thread.allocate_lock()
        self._hurry = Bell()
        self._settled = threading.Condition()
        self._batch: list[Item] = []  # what is on its way
        self._finished = 0  # how many were sent, rejected or spooled
        self._flushing = 0
        self._ended = self._gave_up = False
        self._failures = 0
        self._told = False
        self._desk = None
        self._spool: Spool | None = None
        self._spool_is_empty = False
        self._again = 0.0  # when to try the desk again, while it is away

    # --- the app's side ---

    def put(self, item: Item) -> None:
        """Queue `item`; the thread is started with the first."""
        self.outbox.put(item)
        if self._thread is None:
            self.start()

    def start(self) -> None:
        """Start the thread, if it does not run. Where Python does not allow it any more, `flush` does its work."""
        if self._thread is None and self._starting.acquire(blocking=False):
            try:
                thread = threading.Thread(target=self._run, name="tasktap-client", daemon=True)
                thread.start()
                self._thread = thread
                _at_the_end_of_a_worker(self)
            except RuntimeError:
                pass  # the interpreter is ending
            finally:
                self._starting.release()

    def flush(self, seconds: float) -> bool:
        """Wait until all that was put before is sent (or spooled, rejected, dropped), at most `seconds`: is it?"""
        mark, end = self.outbox.seen(), time.monotonic() + seconds
        if self._done() >= mark:
            return True
        self.start()
        with self._settled:
            self._flushing += 1
        try:
            self._hurry.ring()
            if self._thread is None:
                while self._done() < mark and time.monotonic() < end and self._round():
                    pass
                return self._done() >= mark
            with self._settled:
                self._settled.wait_for(lambda: self._done() >= mark or self._gave_up, max(0.0, end - time.monotonic()))
                return self._done() >= mark
        finally:
            with self._settled:
                self._flushing -= 1

    def close(self) -> None:
        """The app ends: send what waits, within `exit_seconds`; what cannot be sent is spooled, or lost and told of."""
        self._ended = True
        if self.flush(self.settings.exit_seconds):
            if self._desk is not None:
                self._desk.close()
            return
        rest = [*self._batch, *self.outbox.take(sys.maxsize, sys.maxsize)]
        if not self._keep(self._lines(rest), Spool(self.settings.spool or Path(), self.settings.spool_bytes)):
            log.warning("%d tasks are lost: %s", len(rest), self.counts.last_error or "there was no time to send them")

    def configure(self, settings: Settings) -> None:
        """Use other settings from now on, also for what waits."""
        self.settings = settings
        self.outbox.most, self.outbox.most_bytes = settings.most, settings.most_bytes
        self._failures, self._spool_is_empty, self._again = 0, False, 0.0
        if settings.spool is not None:  # another process may have left something there
            self.start()
        self.outbox.bell.ring()
        self._hurry.ring()

    def _done(self) -> int:
        return self._finished + self.outbox.dropped

    # --- the thread's side ---

    def _run(self) -> None:
        while True:
            if not len(self.outbox):
                self.outbox.bell.wait(self._idle())
            if len(self.outbox) < BATCH and not self._flushing:
                self._hurry.wait(self.settings.tick)
            try:
                well = self._round()
            except Exception as bug:  # the thread must not die: the app would never be heard again
                self.fault(bug)
                well = False
            if not well:
                self._hurry.wait(self._pause())

    def _idle(self) -> float | None:
        """Seconds until there is something to do although nothing was logged: what is on disk; `None`: nothing is."""
        if self.settings.spool is None or self._spool_is_empty:
            return None
        return max(0.0, self._again - time.monotonic()) if self._failures else 0.0

    def _pause(self) -> float:
        """Seconds until the next try: 0.5, 1, 2, ... 30; while somebody waits for a flush, a tenth."""
        return 0.1 if self._flushing else float(min(0.5 * 2 ** min(max(0, self._failures - 1), 10), LONGEST_PAUSE))

    def _round(self) -> bool:
        """Send one batch, and one spooled file if there is any; False where the desk is away."""
        self._batch = batch = self.outbox.take(BATCH, BATCH_BYTES)
        lines = self._lines(batch)
        try:
            if self._failures and time.monotonic() < self._again and self._keep(lines, self._spooled()):
                return True
            if lines:
                self._send(lines)
            lines, batch = [], []
            self._empty_spool()
        except Exception as away:
            self._could_not(away)
            if self._keep(lines, self._spooled()):
                return True
            self.outbox.put_back(batch)
            self._batch = []
            return False
        else:
            self._could()
            return True
        finally:
            self._finished += len(self._batch)
            self._batch = []
            with self._settled:
                self._settled.notify_all()

    def _lines(self, items: Sequence[Item]) -> list[Line]:
        lines = []
        for item in items:
            try:
                lines.append(line_of(item))
            except Exception as bug:  # content that nothing can write: its batch mates are sent
                self.counts.rejected += 1
                self.fault(bug)
        return lines

    def _send(self, lines: Sequence[Line]) -> None:
        """Send tasks in one body, then feedback one by one. Raises Away."""
        self._send_tasks([(id, body) for kind, id, body in lines if kind == TASK])
        for kind, id, body in lines:
            if kind == FEEDBACK:
                try:
                    self._reached().feedback(id, body)
                    self.counts.sent += 1
                except Refused as why:
                    self._rejected(id, str(why))

    def _send_tasks(self, tasks: list[tuple[str, bytes]]) -> None:
        if not tasks:
            return
        try:
            items = self._reached().tasks([body for _, body in tasks])
        except Refused as why:
            if len(tasks) == 1:
                self._rejected(tasks[0][0], str(why))
                return
            half = len(tasks) // 2
            self._send_tasks(tasks[:half])
            self._send_tasks(tasks[half:])
            return
        refused = [item for item in items if item.get("status") == "rejected"]
        for item in refused:
            self._rejected(str(item.get("id")), str(item.get("error")))
        self.counts.sent += len(tasks) - len(refused)

    def _rejected(self, id: str, why: str) -> None:
        self.counts.rejected += 1
        self.counts.last_error = why
        log.warning("the desk rejected task %s: %s", id, why)

    def _reached(self) -> Desk:
        address = Address(self.settings.url, self.settings.key)
        if self._desk is None or self._desk.address != address:
            if self._desk is not None:
                self._desk.close()
            self._desk = Desk(address, self.settings.timeout)
        return self._desk

    def _could(self) -> None:
        if self._told:
            log.warning("the desk at %s is back", self.settings.url)
        self._failures, self._told = 0, False

    def _could_not(self, why: Exception) -> None:
        if not isinstance(why, Away):
            self.fault(why)
        self._failures += 1
        self._again = time.monotonic() + self._pause()
        self._gave_up = self._ended
        self.counts.last_error = str(why)
        if not self._told:
            self._told = True
            log.warning("the desk at %s cannot be reached (%s); tasks wait", self.settings.url, why)

    # --- on disk ---

    def _spooled(self) -> Spool:
        if self._spool is None or self._spool.place != (self.settings.spool or Path()):
            self._spool = Spool(self.settings.spool or Path(), self.settings.spool_bytes)
        return self._spool

    def spool_dropped(self) -> int:
        """Tasks on disk that had to make room."""
        return self._spool.dropped if self._spool is not None else 0

    def _keep(self, lines: Sequence[Line], spool: Spool) -> bool:
        """Put lines on disk, if that is asked for and works."""
        if self.settings.spool is None:
            return False
        if not lines:
            return True
        try:
            spool.write(lines)
        except OSError as wrong:
            self.counts.last_error = f"the spool cannot be written: {wrong}"
            return False
        self.counts.spooled += len(lines)
        self._spool_is_empty = False
        return True

    def _empty_spool(self) -> None:
        """Send the oldest spooled file. Raises Away."""
        if self.settings.spool is None or self._spool_is_empty:
            return
        with self._spooled().oldest() as found:
            if found is None:
                self._spool_is_empty = True
                return
            path, lines, bad = found
            self.counts.rejected += bad
            for start in range(0, len(lines), BATCH):
                self._send(lines[start : start + BATCH])
            self._spooled().forget(path)

    def fault(self, bug: BaseException) -> None:
        """Count a fault of ours; the app never hears of it."""
        self.counts.errors += 1
        self.counts.last_error = f"{type(bug).__name__}: {bug}"
        log.debug("a fault in tasktap's client", exc_info=bug)


def _at_the_end_of_a_worker(sender: Sender) -> None:
    """A child of `multiprocessing` leaves without running `atexit`; it has a list of its own."""
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, sender.close, exitpriority=100)
