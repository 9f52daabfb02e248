"""One body on its way into the record: without secrets, up to a limit, and with a gap never bridged."""

from __future__ import annotations

from proxy.record import redact
from proxy.record.journal import Journal
from proxy.record.prepare import BodyKind
from proxy.record.redact_keys import KeyRedactor


class KeptBody:
    """What the tap gives of a body that comes in pieces."""

    __slots__ = ("_feed", "_in_time", "_left", "_redactor", "cut", "dropped", "size", "withheld")

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
        self._left = limit
        self.size = 0
        self.withheld = withheld  # nothing of it is to be kept
        self.dropped = False  # not all of it is kept
        self.cut = False  # ... because it is longer than the limit

    def keep(self, data: bytes, journal: Journal) -> bytes:
        """What of `data` may be written now."""
        self.size += len(data)
        if self.withheld:
            return b""
        if self.dropped or self._left <= 0 or not journal.has_room:
            self.cut = self.cut or (self._left <= 0 and bool(data))
            self.dropped = self.dropped or bool(data)  # for good: behind a gap nobody could tell where a secret begins
            return b""
        return self._within(self._feed(data))

    @property
    def in_time(self) -> bool:
        """Whether `keep_in_time` is to be used: what may be written may have come earlier."""
        return self._in_time is not None

    def keep_in_time(self, times: list[int], pieces: list[bytes], journal: Journal) -> tuple[list[int], list[bytes]]:
        """What of the pieces of a stream may be written now, and when it had come."""
        if self._in_time is None or self.withheld or self.dropped or self._left <= 0 or not journal.has_room:
            kept = self.keep(b"".join(pieces), journal)
            return (times[-1:], [kept]) if kept else ([], [])
        self.size += sum(map(len, pieces))
        times, pieces = self._in_time.feed_in_time(times, pieces)
        pieces = [self._within(piece) for piece in pieces]
        return times, pieces

    def settled(self) -> bytes:
        """What was held back of a stream whose end marker has come."""
        if self._in_time is None or self.dropped or self.withheld:
            return b""
        return self._within(self._in_time.settle())

    def rest(self) -> bytes:
        """What was held back."""
        return b"" if self.dropped or self.withheld else self._within(self._redactor.finish())

    def _within(self, kept: bytes) -> bytes:
        if len(kept) > self._left:
            kept = kept[: self._left]
            self.cut = self.dropped = True
        self._left -= len(kept)
        return kept

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
