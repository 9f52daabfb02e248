"""One body on its way into the record: without secrets, up to a limit, and with a gap never bridged."""

from __future__ import annotations

from proxy.record import redact
from proxy.record.journal import Journal
from proxy.record.redact_multipart import boundary


class KeptBody:
    """What the tap gives of one body."""

    __slots__ = ("_coding", "_form", "_left", "_limit", "_needles", "_parts", "_redactor", "dropped", "redacted", "size")

    def __init__(self, needles: tuple[bytes, ...], coding: str | None, content_type: bytes, limit: int) -> None:
        self._needles = needles
        self._coding = coding
        self._form = content_type[:33].lower() == b"application/x-www-form-urlencoded"
        self._parts = boundary(content_type)
        self._limit = self._left = limit
        self._redactor: redact.Redactor | None = None
        self.size = 0
        self.dropped = False
        self.redacted = False

    def keep(self, data: bytes, journal: Journal) -> bytes:
        """What of `data` may be written now."""
        self.size += len(data)
        if self.dropped or self._left <= 0 or not journal.has_room():
            self.dropped = self.dropped or bool(data)  # for good: behind a gap nobody could tell where a secret begins
            return b""
        if self._redactor is None:
            self._redactor = redact.Redactor(self._needles, coding=self._coding, form=self._form, parts=self._parts, limit=self._limit)
        return self._within(self._redactor.feed(data))

    def last(self, data: bytes, journal: Journal) -> bytes:
        """What of the last bytes, and of what was held back, may be written."""
        plain = self._coding is None and not self._form and self._parts is None
        if plain and self._redactor is None and data and len(data) <= self._limit and journal.has_room():
            self.size += len(data)  # all at once, as most bodies are: no state is needed
            kept, self.redacted = redact.redacted_whole(data, self._needles)
            return self._within(kept)
        kept = self.keep(data, journal) if data else b""
        if self._redactor is None:
            return kept
        if not self.dropped:
            kept += self._within(self._redactor.finish())
        self.redacted = self._redactor.redacted
        return kept

    def _within(self, kept: bytes) -> bytes:
        if len(kept) > self._left:
            kept = kept[: self._left]
            self.dropped = True
        self._left -= len(kept)
        return kept

    @property
    def switched_at(self) -> int | None:
        return None if self._redactor is None else self._redactor.switched_at

    @property
    def problem(self) -> str | None:
        return None if self._redactor is None else self._redactor.problem
