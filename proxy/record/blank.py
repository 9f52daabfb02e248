"""Takes what is stored out of the journal's files, in place: where it was there are zeros, under headers that say nothing.

What their writer still writes lies behind it in its segment, and nobody reads these places again but a recorder that starts
anew: it finds records of a call of which it knows no beginning, and passes them by.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Final

from proxy.record import assembly, reading
from proxy.record.frames import HEADER_SIZE, Kind, Record, frame, next_record, record_at, records
from proxy.task import Task

LET_GO: Final = ".forgotten"
"""Instead of `.journal`: an empty file that says that a call which was set aside has been forgotten, so that it still counts."""


def blank(path: Path, until: int, keep: Container[int]) -> int:
    """Leave nothing in a segment before the offset `until`, but of the calls to `keep`; how many records that were.

    Raises OSError.
    """
    count = 0
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        for record in _all(os.pread(fd, until, 0)):
            nothing = bytes(len(record.payload))
            if record.number not in keep and record.payload != nothing:
                os.pwrite(fd, frame(Kind.DATA, record.number, record.time, nothing) + nothing, record.offset)
                count += 1
        if count:
            os.fdatasync(fd)
    finally:
        os.close(fd)
    return count


def drop_set_aside(aside: Path, wanted: Callable[[Task], bool]) -> tuple[int, int]:
    """Delete the calls that were set aside and are `wanted` gone: how many those were, and how many cannot be read."""
    dropped = unreadable = 0
    for path in sorted(aside.glob("*.journal")):
        try:
            task = reading.read(assembly.call(path.name.partition(".")[0], list(records(path.read_bytes()))))
        except Exception:  # it may well be here because nobody can read it
            unreadable += 1
            continue
        if wanted(task):
            path.with_suffix(LET_GO).touch(0o600)
            path.unlink(missing_ok=True)
            dropped += 1
    return dropped, unreadable


def _all(data: bytes) -> Iterator[Record]:
    """Every record, those behind damage too."""
    end = len(data.rstrip(b"\0"))
    at: int | None = 0
    while at is not None and at < end:
        record = record_at(data, at)
        if record is None:
            at = next_record(data, at + 1)
        else:
            yield record
            at += HEADER_SIZE + len(record.payload)
