"""Calls that outlast their segments: what was read of each is kept apart, so that the journal can let go of the rest.

A stream of hours, or a WebSocket, would otherwise hold back every segment from the one it began in on, until the journal is
full. A part is written whole under a new name before the segment goes, and its name says up to which segment it covers the
call: what is read again behind a crash is known by that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy.record.frames import Record, frame, records

if TYPE_CHECKING:
    from proxy.record.segments import Segment

NAME: Final = re.compile(r"(?P<epoch>[A-Za-z0-9]+)-(?P<number>[0-9]+)-(?P<covered>[0-9]{8})\.part")


class Draft:
    """A call of which not everything has been read yet, or that is not stored yet."""

    __slots__ = ("covered", "part", "places", "records", "segment")

    def __init__(
        self, segment: Segment | None, records: list[Record], places: list[int], covered: int = -1, part: Path | None = None
    ) -> None:
        self.segment = segment  # that it began in; None where only its part is left
        self.records = records
        self.places = places  # of each record, the index of the segment it is in
        self.covered = covered  # index of the last segment that its part makes up for
        self.part = part

    def goes_on_in(self, index: int) -> bool:
        """Whether segment `index`, or one before it, holds records of this call that its part does not have."""
        return any(self.covered < place <= index for place in self.places)

    def stored(self) -> None:
        """It is off our hands: nothing of it needs to be kept any more."""
        if self.segment is not None:
            self.segment.unstored -= 1
            self.segment = None
        if self.part is not None:
            self.part.unlink(missing_ok=True)
            self.part = None


def set_apart(directory: Path, epoch: str, draft: Draft, index: int) -> None:
    """Keep what segments up to `index` hold of this call in a part that makes up for them."""
    number = draft.records[0].number
    path = directory / f"{epoch}-{number}-{index:08d}.part"
    new = path.with_suffix(".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as file:
        for record in [record for record, place in zip(draft.records, draft.places, strict=True) if place <= index]:
            file.write(frame(record.kind, record.number, record.time, record.payload))
            file.write(record.payload)
        file.flush()
        os.fdatasync(file.fileno())
    new.replace(path)
    old, draft.part, draft.covered = draft.part, path, index
    if old is not None and old != path:
        old.unlink(missing_ok=True)


def kept(directory: Path, epoch: str) -> Iterator[Draft]:
    """The calls of this relay start that have a part; of two parts of one call the one that covers more."""
    found: dict[int, tuple[int, Path]] = {}
    for path in sorted(directory.glob(f"{epoch}-*.part")):
        match = NAME.fullmatch(path.name)
        if match is None:
            continue
        number, covered = int(match["number"]), int(match["covered"])
        if number in found:
            found[number][1].unlink(missing_ok=True)
        found[number] = (covered, path)
    for covered, path in found.values():
        of_it = list(records(path.read_bytes()))
        if of_it:
            yield Draft(None, of_it, [covered] * len(of_it), covered, path)
