"""Takes calls out of the journal's files, in place: where they were there are zeros, under headers that say nothing of them.

Only for calls that are stored. What their relay still writes lies behind them in its segment, and nobody reads these places again
but a recorder that starts anew: it finds records of a call of which it knows no beginning, and passes them by.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from proxy.record import assembly, parts, reading
from proxy.record.frames import HEADER_SIZE, Kind, Record, frame, next_record, record_at, records
from proxy.record.segments import NAME
from proxy.task import Task


def held(directory: Path) -> dict[str, set[int]]:
    """The numbers of the calls that journal files hold something of, by relay start."""
    found: dict[str, set[int]] = {}
    for epoch, path in _segments(directory):
        found.setdefault(epoch, set()).update(record.number for record in _all(path) if any(record.payload))
    for epoch, number, _ in _parts(directory):
        found.setdefault(epoch, set()).add(number)
    return found


def blank(directory: Path, gone: Mapping[str, Collection[int]]) -> int:
    """Leave nothing of these calls; how many records that were. Raises OSError."""
    count = 0
    for epoch, path in _segments(directory):
        if epoch in gone:
            count += _blank(path, gone[epoch])
    for epoch, number, path in _parts(directory):
        if number in gone.get(epoch, ()):
            count += len(list(records(path.read_bytes())))
            path.unlink(missing_ok=True)
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
            path.unlink(missing_ok=True)
            dropped += 1
    return dropped, unreadable


def _blank(path: Path, numbers: Collection[int]) -> int:
    count = 0
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        for record in _all(path):
            if record.number in numbers and any(record.payload):
                nothing = bytes(len(record.payload))
                os.pwrite(fd, frame(Kind.DATA, record.number, record.time, nothing) + nothing, record.offset)
                count += 1
        if count:
            os.fdatasync(fd)
    finally:
        os.close(fd)
    return count


def _all(path: Path) -> Iterator[Record]:
    """Every record of a segment, those behind damage too."""
    data = path.read_bytes()
    end = len(data.rstrip(b"\0"))
    at: int | None = 0
    while at is not None and at < end:
        record = record_at(data, at)
        if record is None:
            at = next_record(data, at + 1)
        else:
            yield record
            at += HEADER_SIZE + len(record.payload)


def _segments(directory: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(directory.glob("*.journal")):
        if (match := NAME.fullmatch(path.name)) is not None:
            yield match["epoch"], path


def _parts(directory: Path) -> Iterator[tuple[str, int, Path]]:
    for path in sorted(directory.glob("*.part")):
        if (match := parts.NAME.fullmatch(path.name)) is not None:
            yield match["epoch"], int(match["number"]), path
