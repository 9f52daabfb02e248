"""Counters that outlive the process that counts: shared memory held by the supervisor, a row for each start of a relay.

It lives in anonymous memory, not in a file of the data directory: a disk that hangs must not hang whoever counts.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum

from proxy.task import Ending

ROWS = 512  # starts of relays, and one row for the desk
COLUMNS = 48
SIZE = ROWS * COLUMNS * 8


class Column(IntEnum):
    """What is counted. Only the relay of the row writes, but for DEAD."""

    BEGUN = 0
    ENDED = 1
    LOST = 2  # calls of which nothing could be kept
    JOURNALLED = 3  # ends that are in the journal
    REJECTED = 4  # malformed HTTP, refused before it was a call
    LAPSES = 5  # times that bytes went out before the journal had them
    BODIES_DROPPED = 6
    CONNECTIONS = 7  # callers connected now
    STALLED = 8  # 1 while the journal cannot write
    HEARTBEAT = 9  # monotonic microseconds, every quarter second
    PID = 10
    USED = 11  # 1 once the row belongs to a relay
    DEAD = 12  # 1 once the supervisor has seen it end
    SERIAL = 13  # which start of a relay this is, from 1
    WORKER = 14
    STREAMS = 15  # streamed answers under way
    ENDINGS = 16  # the first of as many as there are endings, in the order of `Ending`
    HELD = 28  # the first of the buckets of HELD_SECONDS, and one for all that is more
    HELD_MICROSECONDS = 38  # all waits together
    # times that a limit was met; see LIMITS
    CUT = 39
    TOO_MANY = 40
    LONG_HEAD = 41
    LONG_TARGET = 42
    SLOW_HEAD = 43
    UNDECODED = 44
    UNRECORDED = 45  # calls that were to leave no record
    SLOW_UPLOAD = 46  # see LIMITS
    CROWDED = 47


HELD_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
"""Upper ends of the buckets that count how long the bytes of answers waited for the journal."""

LIMITS = {
    "capture.max_body": Column.CUT,
    "journal.max_bytes": Column.BODIES_DROPPED,
    "journal.patience_ms": Column.LAPSES,
    "listen.max_calls": Column.TOO_MANY,
    "listen.max_connections": Column.CROWDED,
    "listen.max_head_bytes": Column.LONG_HEAD,
    "listen.max_target_bytes": Column.LONG_TARGET,
    "listen.header_seconds": Column.SLOW_HEAD,
    "upload": Column.SLOW_UPLOAD,
    "upstreams.timeouts": Column.ENDINGS + tuple(Ending).index(Ending.TIMED_OUT),
    "stop_deadline": Column.ENDINGS + tuple(Ending).index(Ending.STOPPED),
    "decompression": Column.UNDECODED,
}
"""Limits, by the setting where there is one, and what counts the times that they were met."""


class Board:
    """Rows of counters, each a `memoryview` of unsigned 64-bit numbers indexed by `Column`."""

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, SIZE)
        self.whole = memoryview(self._map).cast("Q")
        self.fd = fd

    @classmethod
    def made(cls) -> Board:
        """A new board; its descriptor is for children to inherit."""
        fd = os.memfd_create("tasktap-board")
        os.ftruncate(fd, SIZE)
        return cls(fd)

    def row(self, index: int) -> memoryview:
        """The counters of one relay start; rows are used again after ROWS starts."""
        start = (index % (ROWS - 1)) * COLUMNS
        return self.whole[start : start + COLUMNS]

    def begun(self, serial: int, worker: int) -> memoryview:
        """The row of a relay that is about to start, with nothing counted yet. For the supervisor alone."""
        row = self.row(serial)
        row[:] = memoryview(bytes(COLUMNS * 8)).cast("Q")
        row[Column.SERIAL] = serial
        row[Column.WORKER] = worker
        row[Column.USED] = 1
        desk_row(self)[Column.SERIAL] = serial
        return row

    def used(self) -> list[memoryview]:
        """The rows that belong to a relay of this run, dead or alive. Others are not looked at: this is asked often."""
        latest = desk_row(self)[Column.SERIAL] or ROWS  # a supervisor of an earlier version does not say
        return [row for row in map(self.row, range(1, min(latest, ROWS - 1) + 1)) if row[Column.USED]]


def desk_row(board: Board) -> memoryview:
    """The desk's own: ENDED is how many calls of earlier runs it has stored; SERIAL, by the supervisor, the latest relay."""
    start = (ROWS - 1) * COLUMNS
    return board.whole[start : start + COLUMNS]
