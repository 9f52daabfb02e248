"""Counters that outlive the process that counts: shared memory held by the supervisor, a row for each start of a relay.

It lives in anonymous memory, not in a file of the data directory: a disk that hangs must not hang whoever counts.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum

ROWS = 512  # starts of relays, and one row for the desk
COLUMNS = 16
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

    def used(self) -> list[memoryview]:
        """The rows that belong to a relay of this run, dead or alive."""
        return [row for row in map(self.row, range(ROWS - 1)) if row[Column.USED]]


def desk_row(board: Board) -> memoryview:
    """The desk's own counters: ENDED is how many calls of earlier runs it has stored."""
    start = (ROWS - 1) * COLUMNS
    return board.whole[start : start + COLUMNS]
