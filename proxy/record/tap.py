"""Sees the bytes of one call go by and gives them to the journal. Never waits, never raises into the call, ends once.

What it gives has lost its secrets: credential fields are left out, and `redact` has gone over targets and bodies. How a call ended is a
value; the first `end` counts, a second one does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import orjson

from proxy.record import faults, redact
from proxy.record.board import Column
from proxy.record.assembly import pack_begin, pack_head, pack_whole
from proxy.record.frames import Kind
from proxy.record.fields import BODY, CAREFUL, CREDENTIAL, KEPT, KEPT_BACK, PROVIDER_KEY, Line, line
from proxy.record.http1 import RequestHead
from proxy.record.journal import Journal
from proxy.record.routes import MARKER_LENGTH, Route, markers
from proxy.task import JSON, Ending, Fields

_STREAMS = (b"text/event-stream", b"application/x-ndjson", b"application/jsonl", b"application/stream+json")
_FORM: Final = b"application/x-www-form-urlencoded"
MOST_SECRETS_KNOWN: Final = 1024


@dataclass(frozen=True, slots=True)
class TapSettings:
    """What of a call is kept, and with which key its API key is fingerprinted."""

    max_body: int
    pepper: bytes


@dataclass(frozen=True, slots=True)
class Ids:
    """A call's number in this journal, the id its caller is given, and an id of ours in case that one is taken."""

    number: int
    id: str
    own: str
    retry_of: str | None = None


class _Secrets:
    """What is known of one set of credentials: the same callers send the same ones."""

    __slots__ = ("fingerprint", "needles")

    def __init__(self, fields: list[Line], target: bytes, more: Iterable[bytes], pepper: bytes) -> None:
        self.needles = redact.needles(_pairs(fields), target, more)
        key = next((field.value for field in fields if field.role & PROVIDER_KEY), None)
        if key is not None and key[:7].lower() == b"bearer ":
            key = key[7:]
        self.fingerprint = redact.fingerprint(key, pepper) if key else None


_known_secrets: dict[tuple[bytes, ...], _Secrets] = {}


class _Body:
    """One body on its way into the record."""

    __slots__ = ("_coding", "_form", "_left", "_limit", "_needles", "_redactor", "dropped", "redacted", "size")

    def __init__(self, needles: tuple[bytes, ...], coding: str | None, form: bool, limit: int) -> None:
        self._needles = needles
        self._coding = coding
        self._form = form
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
            self._redactor = redact.Redactor(self._needles, coding=self._coding, form=self._form, limit=self._limit)
        return self._within(self._redactor.feed(data))

    def last(self, data: bytes, journal: Journal) -> bytes:
        """What of the last bytes, and of what was held back, may be written."""
        if self._redactor is None and data and self._coding is None and not self._form and len(data) <= self._limit and journal.has_room():
            self.size += len(data)
            kept, self.redacted = redact.redacted_whole(data, self._needles)  # all at once, as most bodies are: no state is needed
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


class Tap:
    """One call's witness."""

    __slots__ = (
        "_began", "_coded", "_head", "_journal", "_markers", "_needles", "_number", "_problems", "_redactions", "_request", "_response",
        "_row", "_settings", "_status", "_streams", "_tail", "_uploaded", "ended", "error_code", "first_byte", "marked", "recorded",
    )  # fmt: skip

    def __init__(self, journal: Journal, row: memoryview, settings: TapSettings, ids: Ids) -> None:
        self._journal = journal
        self._row = row
        self._settings = settings
        self._number = ids.number
        self._problems: list[str] = []
        self._redactions: list[str] = []
        self._needles: tuple[bytes, ...] = ()
        self._request: _Body | None = None
        self._response: _Body | None = None
        self._head: bytes | None = None
        self._status: int | None = None
        self._markers: tuple[bytes, ...] = ()
        self._streams = False
        self._coded = False
        self._tail = b""
        self._began = 0
        self._uploaded = False
        self.first_byte: int | None = None
        self.marked = False
        self.ended = False
        self.error_code: str | None = None
        self.recorded = True

    def begin(
        self, ids: Ids, request: RequestHead, route: Route, more: tuple[bytes, ...], problems: list[str], payload: bytes, done: bool
    ) -> int:
        """The call has come, with the beginning of its body. Returns what must be written before its caller gets a byte."""
        self._row[Column.BEGUN] += 1
        self._problems += problems
        journal = self._journal
        if not journal.has_any_room():
            self.recorded = False
            return 0
        found = self._sort(request.fields, KEPT)
        secrets = self._secrets(found.credentials, request.target, more)
        self._needles = secrets.needles
        lines = self._scrubbed(found, True)
        target, cleaned = redact.clean_target(request.target)
        target = self._scrubbed_text(target)
        if cleaned:
            self._redactions.append("target")
        self._request = _Body(self._needles, found.coding, found.content_type.startswith(_FORM), self._settings.max_body)
        self._began = time.monotonic_ns() // 1000
        self._markers = markers(route.kind)
        meta = {
            "id": self._scrubbed_text(ids.id.encode()).decode(),
            "own": ids.own,
            "retry_of": ids.retry_of,
            "at": time.time_ns() // 1000,
            "upstream": route.upstream,
            "kind": route.kind,
            "key": secrets.fingerprint,
            "method": request.method.decode("ascii"),
            "target": target.decode("ascii"),
        }
        body = self._request
        kept = body.last(payload, journal) if done else body.keep(payload, journal) if payload else b""
        self._uploaded = done
        return journal.append(Kind.BEGIN, self._number, pack_begin(meta, lines, kept))

    def sent(self, data: bytes) -> None:
        """Some of the request's body has come from the caller."""
        body = self._request
        if body is None:
            return
        kept = body.keep(data, self._journal)
        if kept:
            self._journal.append(Kind.SENT, self._number, kept)

    def answer(self, status: int, reason: bytes, fields: list[Line]) -> None:
        """The answer's head has come; it is written with the first piece of its body."""
        self._status = status
        self.first_byte = time.monotonic_ns() // 1000 - self._began
        if not self.recorded:
            return
        found = self._sort(fields, KEPT_BACK)
        if found.credentials:
            self._needles = tuple(dict.fromkeys((*self._needles, *redact.needles(_pairs(found.credentials), b"/", ()))))
        lines = self._scrubbed(found, False)
        self._head = b"".join((b"%d " % status, self._scrubbed_text(reason), b"\r\n", lines, b"\r\n\r\n"))
        self._response = _Body(self._needles, found.coding, False, self._settings.max_body)
        self._streams = found.content_type.startswith(_STREAMS)
        self._coded = found.coding is not None

    def data(self, payload: bytes) -> int:
        """A piece of the answer has come. Returns what must be written before it goes on: 0 for nothing but the beginning."""
        if faults.ARMED:
            faults.hit("tap.data")
        body = self._response
        if body is None:
            return 0
        kept = body.keep(payload, self._journal)
        sequence = 0
        if self._head is not None:
            sequence = self._journal.append(Kind.HEAD, self._number, pack_head(self._head, kept))
            self._head = None
        elif kept:
            sequence = self._journal.append(Kind.DATA, self._number, kept)
        if not self._streams:
            return 0
        if self._coded:
            return sequence  # an end marker cannot be seen in here, so every piece is written before it goes on
        if not self.marked and self._ends_here(payload):
            self.marked = True
            return self._journal.append(Kind.MARK, self._number, b"")
        return 0

    def _ends_here(self, payload: bytes) -> bool:
        window = self._tail + payload if self._tail else payload
        for marker in self._markers:
            if marker in window:
                return True
        self._tail = window[-MARKER_LENGTH:]
        return False

    def end(self, ending: Ending, payload: bytes = b"") -> int:
        """The call is over, in this way, with these last bytes. Returns what must be written before they go out."""
        if self.ended:
            return 0
        self.ended = True
        if faults.ARMED:
            faults.hit("tap.end")
        row = self._row
        row[Column.ENDED] += 1
        if not self.recorded:
            row[Column.LOST] += 1
            return 0
        journal, request, response = self._journal, self._request, self._response
        last = b""
        now: JSON = {"ending": ending, "first": self.first_byte}
        if request is not None:
            rest = b"" if self._uploaded else request.last(b"", journal)
            if rest:
                journal.append(Kind.SENT, self._number, rest)
            self._close("request", request, now)
        if response is not None:
            if self._streams and not self.marked:
                self.marked = self._ends_here(payload)
            last = response.last(payload, journal)
            self._close("response", response, now)
        if self.error_code is not None:
            now["error"] = self.error_code
        if self.marked:
            now["marked"] = True
        if self._redactions:
            now["redactions"] = self._redactions
        if self._problems:
            now["problems"] = self._problems
        packed = orjson.dumps(now)
        if self._head is not None:
            return journal.append(Kind.WHOLE, self._number, pack_whole(self._head, last, packed))
        if last:
            journal.append(Kind.DATA, self._number, last)
        return journal.append(Kind.END, self._number, packed)

    def _close(self, name: str, body: _Body, now: JSON) -> None:
        """What has to be said of a body at its end."""
        now[name] = body.size
        if body.redacted:
            self._redactions.append(name + ".body")
            if body.switched_at is not None:
                now[name + "_switched"] = body.switched_at
        if body.problem is not None:
            self._problems.append(f"{name} body: {body.problem}")
        if body.dropped:
            self._row[Column.BODIES_DROPPED] += 1
            self._problems.append(f"{name} body: only its beginning was kept")

    def passed(self, sent: int, received: int) -> None:
        """Bytes of an upgraded connection went by: they are counted."""
        if self._request is not None:
            self._request.size += sent
        if self._response is not None:
            self._response.size += received

    def note(self, problem: str) -> None:
        """Something that could not be done as asked."""
        self._problems.append(problem)

    # -- what is kept of heads

    def _sort(self, fields: list[Line], kept_role: int) -> _Sorted:
        """Which lines to keep, which hold credentials, and what the body is."""
        found = _Sorted()
        kept = found.kept
        for field in fields:
            role = field[3]
            if role & kept_role:
                kept.append(field[0])
                if role & BODY:
                    found.learn(field)
                elif role & CAREFUL:
                    found.careful = True
            elif role & CREDENTIAL:
                found.credentials.append(field)
        return found

    def _secrets(self, credentials: list[Line], target: bytes, more: tuple[bytes, ...]) -> _Secrets:
        query = target if b"?" in target or not target.startswith(b"/") else b"/"
        key = (query, *more, *[field[0] for field in credentials])
        secrets = _known_secrets.get(key)
        if secrets is None:
            if len(_known_secrets) >= MOST_SECRETS_KNOWN:
                _known_secrets.clear()
            secrets = _known_secrets[key] = _Secrets(credentials, query, more, self._settings.pepper)
        return secrets

    def _scrubbed(self, found: _Sorted, request: bool) -> bytes:
        """The kept lines as they were, but for secrets in them."""
        where = "request.headers" if request else "response.headers"
        lines = b"\r\n".join(found.kept)
        if found.careful:
            pairs = _pairs(line(raw) for raw in found.kept)
            clean = redact.kept(pairs, self._needles, request)
            if clean != pairs:
                self._redactions.append(where)
                lines = b"\r\n".join(name + b": " + value for name, value in clean)
            return lines
        clean_lines = self._scrubbed_text(lines)
        if clean_lines is not lines:
            self._redactions.append(where)
        return clean_lines

    def _scrubbed_text(self, text: bytes) -> bytes:
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, redact.REDACTED)
        return text


class _Sorted:
    """The fields of one head, sorted by what the record does with them."""

    __slots__ = ("careful", "coding", "content_type", "credentials", "kept")

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.credentials: list[Line] = []
        self.careful = False
        self.coding: str | None = None
        self.content_type = b""

    def learn(self, field: Line) -> None:
        """Content-Type or Content-Encoding."""
        if field.name == b"content-type":
            self.content_type = field.value.lower()
        else:
            value = field.value.decode("latin-1").strip().lower()
            if value not in ("", "identity"):
                self.coding = value if self.coding is None else f"{self.coding}, {value}"


def _pairs(fields: Iterable[Line]) -> Fields:
    return tuple((field.raw.partition(b":")[0], field.value) for field in fields)
