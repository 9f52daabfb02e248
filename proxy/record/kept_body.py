"""One body on its way into the record: without secrets, up to a limit, and with a gap never bridged.

Of one that is longer than the limit the beginning and the end are kept, with a line between them that says what is not. Of one
with a content coding the end could not be read: its beginning is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from proxy.record import redact
from proxy.record.journal import Journal
from proxy.record.prepare import BodyKind
from proxy.record.redact_keys import KeyRedactor

MOST_END: Final = 256 * 1024  # bytes of the end of a body that is too long: they are in memory until it ends
LEAST_END: Final = 192  # bytes: a shorter end is not worth its mark
_MARK_BYTES: Final = 64


def left_out(size: int) -> bytes:
    """What stands for the bytes between the kept beginning and the kept end of a body; in a stream it is no event."""
    return b"\n\n[tasktap: %d bytes are left out here]\n\n" % size


class KeptBody:
    """What the tap gives of a body that comes in pieces."""

    __slots__ = (
        "_end",
        "_end_bytes",
        "_feed",
        "_feed_events",
        "_in_time",
        "_left",
        "_most_end",
        "_redactor",
        "_streams",
        "cut",
        "dropped",
        "left_out",
        "size",
        "withheld",
    )

    def __init__(self, needles: tuple[bytes, ...], kind: BodyKind, limit: int, *, withheld: bool = False) -> None:
        self._redactor: redact.Redactor | KeyRedactor
        if kind.keys:
            self._redactor = KeyRedactor(needles, kind.coding, limit)
        else:
            self._redactor = redact.Redactor(
                needles,
                coding=kind.coding,
                form=kind.form,
                parts=kind.parts,
                limit=limit,
                rules=kind.rules,
                streams=kind.streams,
            )
        self._in_time = self._redactor.in_time if kind.streams else None
        self._feed = self._redactor.feed
        self._feed_events = self._redactor.feed_events
        end = min(limit // 4, MOST_END)
        self._most_end = 0 if kind.coding is not None or kind.keys or end < LEAST_END else end
        self._streams = kind.streams
        self._left = limit - self._most_end  # of the beginning
        self._end: deque[bytes] = deque()  # what came after it, the last of it
        self._end_bytes = 0
        self.left_out = 0  # bytes between the beginning and the end that are not kept
        self.size = 0
        self.withheld = withheld  # nothing of it is to be kept
        self.dropped = False  # not all of it is kept
        self.cut = False  # ... because it is longer than the limit

    def keep(self, data: bytes, journal: Journal, events: Sequence[bytes] = ()) -> bytes:
        """What of `data` may be written now; `events` are what it was put together from."""
        self.size += len(data)
        if self.withheld:
            return b""
        if self.dropped or self._is_full() or not journal.has_room:
            self.cut = self.cut or (self._is_full() and bool(data))
            self.dropped = self.dropped or bool(data)  # for good: behind a gap nobody could tell where a secret begins
            return b""
        feed = self._feed_events if events else None
        return self._within(self._feed(data) if feed is None else feed(data, events))

    @property
    def in_time(self) -> bool:
        """Whether `keep_in_time` is to be used: what may be written may have come earlier."""
        return self._in_time is not None

    def keep_in_time(self, times: list[int], pieces: list[bytes], journal: Journal) -> tuple[list[int], list[bytes]]:
        """What of the pieces of a stream may be written now, and when it had come."""
        if self._in_time is None or self.withheld or self.dropped or self._is_full() or not journal.has_room:
            kept = self.keep(b"".join(pieces), journal)
            return (times[-1:], [kept]) if kept else ([], [])
        self.size += sum(map(len, pieces))
        times, pieces = self._in_time.feed_in_time(times, pieces)
        pieces = [self._within(piece) for piece in pieces]
        return times, pieces

    def settled(self) -> bytes:
        """What was held back of a stream whose end marker has come."""
        if self.dropped or self.withheld:
            return b""
        kept = b"" if self._in_time is None else self._within(self._in_time.settle())
        return kept + self._taken_end() if self._end else kept

    def rest(self) -> bytes:
        """What was held back."""
        if self.dropped or self.withheld:
            return b""
        kept = self._within(self._redactor.finish())
        return kept + self._taken_end() if self._end else kept

    def _is_full(self) -> bool:
        """Whether nothing more can be kept."""
        return self._left <= 0 and not self._most_end

    def _within(self, kept: bytes) -> bytes:
        """What of `kept` belongs to the beginning; the rest may be of the end."""
        if len(kept) <= self._left:
            self._left -= len(kept)
            return kept
        over = kept[self._left :]
        kept = kept[: self._left]
        self._left = 0
        if not self._most_end:
            self.cut = self.dropped = True
            return kept
        end = self._end
        end.append(over)
        self._end_bytes += len(over)
        while self._end_bytes - len(end[0]) >= self._most_end:
            first = len(end.popleft())
            self._end_bytes -= first
            self.left_out += first
        return kept

    def _taken_end(self) -> bytes:
        """The end, with the mark of what is left out; nothing is kept after it."""
        end = b"".join(self._end)
        self._end.clear()
        most, self._most_end = self._most_end, 0
        if not self.left_out and len(end) <= most:
            return end
        self.cut = True
        kept = end[max(0, len(end) - most + _MARK_BYTES) :]
        if self._streams:  # from a whole line on
            kept = kept[kept.find(b"\n") + 1 :]
        self.left_out += len(end) - len(kept)
        return left_out(self.left_out) + kept

    @property
    def redacted(self) -> bool:
        """Whether something was taken out."""
        return self._redactor.redacted

    @property
    def switched_at(self) -> int | None:
        """How many of the kept bytes are still coded, where the rest is plain."""
        return self._redactor.switched_at

    @property
    def problem(self) -> str | None:
        """What could not be looked through, or was not kept."""
        return self._redactor.problem
