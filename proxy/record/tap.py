"""Sees the bytes of one call go by and gives them to the journal. Never waits, never raises into the call, ends once.

What it gives has lost its secrets: credential fields are left out, and `redact` has gone over targets and bodies. How a call ended is a
value; the first `end` counts, a second one does nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import orjson

from proxy.record import faults, redact
from proxy.record.assembly import pack_begin, pack_head, pack_whole
from proxy.record.board import Column
from proxy.record.fields import KEPT, KEPT_BACK, Line
from proxy.record.frames import Kind
from proxy.record.http1 import RequestHead
from proxy.record.journal import Journal
from proxy.record.kept_body import KeptBody
from proxy.record.kept_head import Sorted, pairs, scrubbed, secrets
from proxy.record.routes import MARKER_LENGTH, Route, markers
from proxy.task import JSON, Ending

_STREAMS = (b"text/event-stream", b"application/x-ndjson", b"application/jsonl", b"application/stream+json")


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


class Tap:
    """One call's witness."""

    __slots__ = (
        "_began", "_coded", "_head", "_journal", "_markers", "_needles", "_number", "_problems", "_redactions", "_request", "_response",
        "_row", "_settings", "_streams", "_tail", "_uploaded", "drained", "ended", "error_code", "first_byte", "marked", "recorded",
    )  # fmt: skip

    def __init__(self, journal: Journal, row: memoryview, settings: TapSettings, ids: Ids) -> None:
        self._journal = journal
        self._row = row
        self._settings = settings
        self._number = ids.number
        self._problems: list[str] = []
        self._redactions: list[str] = []
        self._needles: tuple[bytes, ...] = ()
        self._request: KeptBody | None = None
        self._response: KeptBody | None = None
        self._head: bytes | None = None
        self._markers: tuple[bytes, ...] = ()
        self._streams = False
        self._coded = False
        self._tail = b""
        self._began = 0
        self._uploaded = False
        self.first_byte: int | None = None
        self.marked = False
        self.ended = False
        self.drained = False  # what came after this went to nobody: the caller had left
        self.error_code: str | None = None
        self.recorded = False  # whether the journal has its beginning

    def begin(
        self, ids: Ids, request: RequestHead, route: Route, more: tuple[bytes, ...], problems: list[str], payload: bytes, done: bool
    ) -> int:
        """The call has come, with the beginning of its body. Returns what must be written before its caller gets a byte."""
        self._row[Column.BEGUN] += 1
        try:
            return self._begin(ids, request, route, more, problems, payload, done)
        except Exception as error:  # nothing that goes wrong here may touch the call
            return self._stumbled(error)

    def _stumbled(self, error: Exception) -> int:
        """Keep no more of this call than its end, and say why."""
        self._problems.append(f"the record is not whole: {type(error).__name__} while it was made")
        for body in (self._request, self._response):
            if body is not None:
                body.dropped = True
        return 0

    def _begin(
        self, ids: Ids, request: RequestHead, route: Route, more: tuple[bytes, ...], problems: list[str], payload: bytes, done: bool
    ) -> int:
        self._problems += problems
        journal = self._journal
        if faults.ARMED:
            faults.hit("tap.begin")
        if not journal.has_any_room():
            return 0
        found = Sorted(request.fields, KEPT)
        known = secrets(found.credentials, request.target, more, self._settings.pepper)
        needles = self._needles = known.needles
        lines, cleaned = found.lines(needles, request=True)
        if cleaned:
            self._redactions.append("request.headers")
        target, cleaned = redact.clean_target(request.target)
        target = scrubbed(target, needles)
        if cleaned:
            self._redactions.append("target")
        self._request = KeptBody(needles, found.coding, found.content_type, self._settings.max_body)
        self._began = time.monotonic_ns() // 1000
        self._markers = markers(route.kind)
        meta = {
            "id": scrubbed(ids.id.encode(), needles).decode(),
            "own": ids.own,
            "retry_of": ids.retry_of,
            "at": time.time_ns() // 1000,
            "upstream": route.upstream,
            "kind": route.kind,
            "key": known.fingerprint,
            "method": request.method.decode("ascii"),
            "target": target.decode("ascii"),
        }
        body = self._request
        kept = body.last(payload, journal) if done else body.keep(payload, journal) if payload else b""
        self._uploaded = done
        sequence = journal.append(Kind.BEGIN, self._number, pack_begin(meta, lines, kept))
        self.recorded = True
        if faults.ARMED:
            faults.hit("tap.begun")
        return sequence

    def sent(self, data: bytes) -> None:
        """Some of the request's body has come from the caller."""
        body = self._request
        if body is None:
            return
        try:
            kept = body.keep(data, self._journal)
            if kept:
                self._journal.append(Kind.SENT, self._number, kept)
        except Exception as error:
            self._stumbled(error)

    def answer(self, status: int, reason: bytes, fields: list[Line]) -> None:
        """The answer's head has come; it is written with the first piece of its body."""
        self.first_byte = time.monotonic_ns() // 1000 - self._began
        if not self.recorded:
            return
        try:
            self._answer(status, reason, fields)
        except Exception as error:
            self._stumbled(error)

    def _answer(self, status: int, reason: bytes, fields: list[Line]) -> None:
        found = Sorted(fields, KEPT_BACK)
        if found.credentials:
            self._needles = tuple(dict.fromkeys((*self._needles, *redact.needles(pairs(found.credentials), b"/", ()))))
        lines, cleaned = found.lines(self._needles, request=False)
        if cleaned:
            self._redactions.append("response.headers")
        self._head = b"".join((b"%d " % status, scrubbed(reason, self._needles), b"\r\n", lines, b"\r\n\r\n"))
        self._response = KeptBody(self._needles, found.coding, found.content_type, self._settings.max_body)
        self._streams = found.content_type.lower().startswith(_STREAMS)
        self._coded = found.coding is not None

    def data(self, payload: bytes) -> int:
        """A piece of the answer has come. Returns what must be written before it goes on: 0 for nothing but the beginning."""
        try:
            return self._data(payload)
        except Exception as error:
            return self._stumbled(error)

    def _data(self, payload: bytes) -> int:
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
        self._row[Column.ENDED] += 1
        if not self.recorded:
            self._row[Column.LOST] += 1
            return 0
        try:
            return self._end(ending, payload)
        except Exception as error:
            self._stumbled(error)
            now = {"ending": ending, "first": self.first_byte, "problems": self._problems}
            return self._journal.append(Kind.END, self._number, orjson.dumps(now))

    def _end(self, ending: Ending, payload: bytes) -> int:
        if faults.ARMED:
            faults.hit("tap.end")
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
        if self.marked and not self.drained:
            now["marked"] = True
        if self.drained:
            now["drained"] = True
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

    def _close(self, name: str, body: KeptBody, now: JSON) -> None:
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
