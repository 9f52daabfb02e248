"""Answers that hand out a key (`/v1/realtime/client_secrets`): held until they are whole, so that it can be found in them.

Such a key has no telling name: `{"value": "ek_...", "session": {...}}`. It is known by how it begins.
"""

from __future__ import annotations

import re

from proxy.record import redact
from proxy.wire.coding import codings, decode

_KEY = re.compile(rb"(?<![A-Za-z0-9_-])ek_[A-Za-z0-9_-]{8,}")


class KeyRedactor:
    """One body; nothing of it is given before its end. In the place of a `Redactor`."""

    def __init__(self, known: tuple[bytes, ...], coding: str | None, limit: int) -> None:
        self.redacted = False
        self.in_time = self.feed_events = None
        self.switched_at: int | None = None
        self.problem: str | None = None
        self._known = known
        self._coding = coding
        self._limit = limit
        self._parts: list[bytes] = []
        self._left = limit

    def feed(self, data: bytes) -> bytes:
        """Hold `data`."""
        self._left -= len(data)
        if self._left >= 0:
            self._parts.append(data)
        return b""

    def finish(self) -> bytes:
        """The body without keys; decoded where one was in it."""
        body = b"".join(self._parts)
        self._parts.clear()
        if self._left < 0:
            self.problem = "it is too long to be searched for keys, and was not kept"
            return b""
        coded = bool(self._coding and codings(self._coding))
        text, problem = decode(body, self._coding, self._limit) if coded else (body, None)
        if problem is not None:
            self.problem = f"{problem}: it could not be searched for keys, and was not kept"
            return b""
        clean, self.redacted = redact.redacted_whole(text, (*self._known, *dict.fromkeys(_KEY.findall(text))))
        if coded and self.redacted:
            self.switched_at = 0
        return clean if self.redacted else body
