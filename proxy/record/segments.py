"""Reads the journal of one relay start, in order, while it may still be written."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.record import faults, parts
from proxy.record.blank import blank
from proxy.record.frames import HEADER_SIZE, Kind, Record, next_record, record_at, wanted
from proxy.record.parts import Draft

NAME: Final = re.compile(r"(?P<epoch>[A-Za-z0-9]+)-(?P<index>[0-9]{8})\.journal")
CHUNK: Final = 1 << 20  # bytes read at a time
MOST_CALLS: Final = 500  # read at a time: thousands at once leave the memory in shreds
MOST_HELD: Final = 4  # segments that calls which are still running may hold back
BLOCK: Final = 4096  # bytes that a disk fails to read at once, at least
BAD_SECONDS: Final = 5.0  # a place that cannot be read for so long is passed by

_BEGIN: Final = Kind.BEGIN  # said once, since it takes Python long to find a member of an enumeration
_END: Final = Kind.END
_WHOLE: Final = Kind.WHOLE


def epochs(directory: Path) -> dict[str, list[int]]:
    """Which relay starts have segments here, and which; the oldest start first."""
    found: dict[str, list[int]] = {}
    for name in sorted(os.listdir(directory)):
        match = NAME.fullmatch(name)
        if match is not None:
            found.setdefault(match["epoch"], []).append(int(match["index"]))
        elif (part := parts.NAME.fullmatch(name)) is not None:
            found.setdefault(part["epoch"], [])
    return found


@dataclass(slots=True)
class Segment:
    """One segment file: how far it has been read, and how many calls that began in it are not stored yet."""

    index: int
    path: Path
    fd: int
    offset: int = 0
    unstored: int = 0
    finished: bool = False  # nothing more will be written into it, and all of it has been read


class Tail:
    """The segments of one relay start, read from the oldest on."""

    def __init__(
        self,
        directory: Path,
        epoch: str,
        pread: Callable[[int, int, int], bytes] = os.pread,
        bad_seconds: float = BAD_SECONDS,
    ) -> None:
        self._directory = directory
        self.epoch = epoch
        self._pread = pread
        self._bad_seconds = bad_seconds
        self._bad_since: float | None = None  # when a place could not be read for the first time
        self._segments: deque[Segment] = deque()
        self._apart = list(parts.kept(directory, epoch))  # calls that have a part, until they are stored
        self._drafts = {draft.records[0].number: draft for draft in self._apart}
        self.ended = False  # its relay is gone and all of its journal has been read
        self.damaged = 0  # bytes that no record could be found in
        self.behind = False  # there is more than was read so far
        self.taken = 0  # bytes of records that were read
        self.reached = 0  # the time of the last record that was read, in microseconds of the relay's clock

    def read(self, indexes: list[int], most: int, calls: int = MOST_CALLS) -> Iterator[Draft]:
        """The calls that have ended, as their ends are read; stops after about `most` bytes, or so many `calls`."""
        self.behind = False
        known = self._segments[-1].index if self._segments else -1
        for index in indexes:
            if index > known:
                path = self._directory / f"{self.epoch}-{index:08d}.journal"
                self._segments.append(Segment(index, path, os.open(path, os.O_RDONLY | os.O_CLOEXEC)))
        for position, segment in enumerate(self._segments):
            if segment.finished:
                continue
            sealed = position < len(self._segments) - 1 or self._is_gone(segment)
            before = segment.offset
            for draft in self._read(segment, sealed):
                yield draft
                calls -= 1
                if calls <= 0 or segment.offset - before >= most:
                    self.behind = True
                    return
            most -= segment.offset - before
            if not sealed:
                return
            segment.finished = True
            if most <= 0 and position < len(self._segments) - 1:
                self.behind = True
                return
        if (self._segments or self._drafts) and all(segment.finished for segment in self._segments):
            while self._drafts:
                yield self._drafts.pop(next(iter(self._drafts)))
            self.ended = True

    def _is_gone(self, segment: Segment) -> bool:
        """Whether the relay that wrote it has ended: it holds a lock as long as it lives."""
        try:
            fcntl.flock(segment.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return not (self._directory / f"{self.epoch}-{segment.index + 1:08d}.journal").exists()

    def _read(self, segment: Segment, sealed: bool) -> Iterator[Draft]:
        size = CHUNK
        while True:
            data, holes = self._bytes(segment, size)
            at, base = 0, segment.offset
            while (record := record_at(data, at, base)) is not None:
                draft = self._take(segment, record)
                length = HEADER_SIZE + len(record.payload)
                at += length
                self.taken += length
                segment.offset = base + at  # one by one: whatever fails on the way, none is taken twice
                if draft is not None:
                    yield draft
            if at:
                size = CHUNK
                continue
            need = wanted(data, 0)
            if need > len(data) and len(data) == size:
                size = need
            elif (sealed or holes) and data.rstrip(b"\0"):
                skip = next_record(data, 1)
                if skip is None and not sealed:
                    return  # the bad place may be where nothing has been written so far
                self.damaged += len(data) if skip is None else skip
                segment.offset += len(data) if skip is None else skip
            else:
                self.damaged += holes if sealed else 0
                return

    def _bytes(self, segment: Segment, size: int) -> tuple[bytes, int]:
        """What comes next, about `size` bytes; and how many of them could not be read for long, and are zeros. Raises OSError."""
        data = b""
        try:
            while len(data) < size and (more := self._pread(segment.fd, size - len(data), segment.offset + len(data))):
                data += more
        except OSError:
            if record_at(data, 0) is not None:
                return data, 0  # what is before the bad place comes first
            now = time.monotonic()
            self._bad_since = now if self._bad_since is None else self._bad_since
            if now - self._bad_since < self._bad_seconds:
                raise
            return self._by_blocks(segment)
        self._bad_since = None
        return data, 0

    def _by_blocks(self, segment: Segment) -> tuple[bytes, int]:
        """The rest of the segment, with zeros where it cannot be read; and how many those are."""
        blocks, holes = [], 0
        at, end = segment.offset, os.fstat(segment.fd).st_size
        while at < end:
            length = min(BLOCK - at % BLOCK, end - at)
            try:
                blocks.append(self._pread(segment.fd, length, at))
            except OSError:
                blocks.append(bytes(length))
                holes += length
            at += length
        return b"".join(blocks), holes

    def _take(self, segment: Segment, record: Record) -> Draft | None:
        if faults.ARMED:
            faults.hit("recorder.record")
        kind, number, time, _, _ = record
        self.reached = time
        draft = self._drafts.get(number)
        if draft is not None and draft.covered >= segment.index:
            return None  # its part has this record already
        if kind is _BEGIN:
            self._drafts[number] = Draft(segment, [record], [segment.index])
            segment.unstored += 1
            return None
        if draft is None:
            return None  # a call that was stored before a restart of the desk: its beginning is forgotten already
        draft.records.append(record)
        draft.places.append(segment.index)
        if kind is _END or kind is _WHOLE:
            del self._drafts[number]
            return draft
        return None

    def relieve(self) -> None:
        """Where only calls that still run hold the oldest segment back, and many behind it: keep those calls apart."""
        if len(self._segments) > MOST_HELD:
            oldest = self._segments[0]
            running = sum(1 for draft in self._drafts.values() if draft.segment is oldest)
            if not oldest.finished or oldest.unstored != running:
                return
            for draft in self._drafts.values():
                if draft.goes_on_in(oldest.index):  # it began here, or has a part already and went on here
                    if draft.part is None:
                        self._apart.append(draft)
                    parts.set_apart(self._directory, self.epoch, draft, oldest.index)
                    draft.segment = None
            oldest.unstored = 0

    def oldest_done(self) -> Path | None:
        """The oldest segment, where nothing more will come and nothing in it is needed: its calls are stored or kept apart."""
        if not self._segments or not self._segments[0].finished or self._segments[0].unstored:
            return None
        self._apart = [draft for draft in self._apart if draft.part is not None]
        if any(draft.goes_on_in(self._segments[0].index) for draft in self._apart):
            return None
        return self._segments[0].path

    @property
    def oldest_bytes(self) -> int:
        """How many bytes of the oldest segment were records."""
        return self._segments[0].offset

    def forget_oldest(self) -> None:
        """The oldest segment's file is deleted, or has another use."""
        os.close(self._segments.popleft().fd)

    @property
    def empty(self) -> bool:
        """Whether no segment is left."""
        return not self._segments

    def blank(self, keep: Collection[int]) -> int:
        """Leave nothing of what has been read and is not needed any more; `keep` are calls that are not stored yet."""
        needed = {*keep, *self._drafts}
        return sum(blank(segment.path, segment.offset, needed) for segment in self._segments)

    def close(self) -> None:
        """Let go of the files."""
        while self._segments:
            self.forget_oldest()
