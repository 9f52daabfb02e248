"""Sees the bytes of one call go by and gives them to the journal. Never waits, never raises into the call, ends once.

What it gives has lost its secrets: credential fields are left out, and `redact` has gone over targets and bodies. How a call
ended is a value; the first `end` counts, a second one does nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from proxy.record import faults, redact
from proxy.record.assembly import pack_begin, pack_head, pack_pieces, pack_whole
from proxy.record.board import Column
from proxy.record.fields import KEPT_BACK, Line
from proxy.record.frames import Kind
from proxy.record.journal import Journal
from proxy.record.kept_body import KeptBody
from proxy.record.kept_head import Sorted, pairs, scrubbed
from proxy.record.prepare import BodyKind, Prepared, body_kind
from proxy.record.privacy import RECORD, REQUEST, RESPONSE
from proxy.record.routes import MARKER_LENGTH
from proxy.task import JSON, Ending

_MOST_PIECES: Final = 64  # pieces that wait to become one record
_SMALL: Final = 4096  # bytes: a larger piece does not wait
_LF: Final = 10
_BEGIN, _SENT, _HEAD, _DATA, _MARK, _END, _WHOLE, _PIECES = map(int, Kind)
_BEGUN, _ENDED, _LOST, _DROPPED, _CUT, _UNDECODED, _STREAMS, _UNRECORDED = map(
    int,
    (
        Column.BEGUN,
        Column.ENDED,
        Column.LOST,
        Column.BODIES_DROPPED,
        Column.CUT,
        Column.UNDECODED,
        Column.STREAMS,
        Column.UNRECORDED,
    ),
)
_ENDINGS = {ending: Column.ENDINGS + at for at, ending in enumerate(Ending)}


@dataclass(frozen=True, slots=True)
class TapSettings:
    """What of a call is kept, and with which key its API key is fingerprinted."""

    max_body: int
    pepper: bytes


class Ids(NamedTuple):
    """A call's number in this journal, the id its caller is given, and an id of ours in case that one is taken."""

    number: int
    id: str
    own: str
    retry_of: str | None = None
    of: str | None = None  # the id that the connection was given, of which this is a later part


class Tap:
    """One call's witness."""

    # most calls change few of these: a new tap costs what it sets, and no more
    _request: KeptBody | None = None  # of a body that comes in pieces
    _request_size = 0
    _uploaded = False
    _response: KeptBody | None = None
    _response_kind: BodyKind | None = None
    _head: bytes | None = None
    _quick: bytes | None = None  # the only end marker, while a look at each event for it is enough
    _seldom = -1  # a byte of it that an event of this stream did not have: most have not, and need no closer look
    _tail = b""
    _received = 0  # bytes of an upgraded connection
    _problems: list[str] | None = None
    _redactions: list[str] | None = None
    first_byte: int | None = None  # microseconds after the beginning
    _reached: int | None = None  # likewise, where a connection had to be made
    _sent_at: int | None = None  # likewise, where the request's body came in pieces
    marked = False  # the end marker has been given to the journal
    ended = False
    drained = False  # what came after this went to nobody: the caller had left
    left = False  # ... behind the end marker
    error_code: str | None = None
    recorded = False  # whether the journal has its beginning
    _untold = False  # nothing of it is to be in the record

    def __init__(self, journal: Journal, row: memoryview, settings: TapSettings, ids: Ids, prepared: Prepared) -> None:
        self._journal = journal
        self._row = row
        self._settings = settings
        self._number = ids.number
        self._prepared = prepared
        self._needles = prepared.needles
        self._privacy = prepared.privacy
        self._began = time.monotonic_ns() // 1000
        self._pieces: list[bytes] = []  # gathered, not given to the journal yet
        self._times: list[Any] = []  # microseconds of the relay's clock
        self._awaited = False

    def begin(self, ids: Ids, payload: bytes, done: bool) -> int:
        """The call has come, with the beginning of its body. Returns what must be written before its caller gets a byte."""
        if self._privacy & RECORD:
            self._untold = True
            self._row[_UNRECORDED] += 1
            return 0
        self._row[_BEGUN] += 1
        try:
            return self._begin(ids, payload, done)
        except Exception as error:  # nothing that goes wrong here may touch the call
            return self._stumbled(error)

    def _stumbled(self, error: Exception) -> int:
        """Keep no more of this call than its end, and say why."""
        self.note(f"the record is not whole: {type(error).__name__} while it was made")
        for body in (self._request, self._response):
            if body is not None:
                body.dropped = True
        return 0

    def _begin(self, ids: Ids, payload: bytes, done: bool) -> int:
        if faults.ARMED:
            faults.hit("tap.begin")
        journal, prepared = self._journal, self._prepared
        if not journal.has_any_room:
            return 0
        if prepared.redactions:
            self._redactions = list(prepared.redactions)
        if prepared.problem is not None:
            self.note(prepared.problem)
        self._uploaded = done
        if (
            not self._privacy & REQUEST
            and done
            and prepared.body.plain
            and len(payload) <= self._settings.max_body
            and journal.has_room
        ):
            self._request_size = len(payload)  # all at once, as most bodies are: no state is needed
            kept, changed = redact.redacted_whole(payload, self._needles) if payload else (payload, False)
            if changed:
                self._redacted("request.body")
        else:
            body = self._request = KeptBody(
                self._needles,
                prepared.body,
                self._settings.max_body,
                withheld=bool(self._privacy & REQUEST) or prepared.body.blind,
            )
            kept = body.keep(payload, journal) if payload else b""
            if done:
                kept += body.rest()
        retry_of = b"null" if ids.retry_of is None else orjson.dumps(ids.retry_of)
        meta = b'{"id":"%b","own":"%b","retry_of":%b,"at":%d,%b' % (
            scrubbed(ids.id.encode(), self._needles),
            ids.own.encode(),
            scrubbed(retry_of, self._needles),
            time.time_ns() // 1000,
            prepared.meta if ids.of is None else b'"of":%b,%b' % (scrubbed(orjson.dumps(ids.of), self._needles), prepared.meta),
        )
        sequence = journal.append(_BEGIN, self._number, pack_begin(meta, prepared.kept, kept))
        self.recorded = True
        if faults.ARMED:
            faults.hit("tap.begun")
        return sequence

    def reached(self) -> None:
        """A new connection to the upstream has been made."""
        self._reached = time.monotonic_ns() // 1000 - self._began

    def sent(self, data: bytes, done: bool) -> None:
        """Some of the request's body has come from the caller."""
        body = self._request
        if body is None:
            return
        if done:
            self._sent_at = time.monotonic_ns() // 1000 - self._began
        try:
            kept = body.keep(data, self._journal)
            if done:
                self._uploaded = True
                kept += body.rest()
            if kept:
                self._journal.append(_SENT, self._number, kept)
        except Exception as error:
            self._stumbled(error)

    def answer(self, status: int, reason: bytes, fields: list[Line]) -> None:
        """The answer's head has come; it is written with the first piece of its body."""
        self.first_byte = time.monotonic_ns() // 1000 - self._began
        if not self.recorded:
            return
        try:
            found = Sorted(fields, KEPT_BACK)
            if found.credentials:
                self._needles = tuple(dict.fromkeys((*self._needles, *redact.needles(pairs(found.credentials), b"/", ()))))
            lines, cleaned = found.lines(self._needles, request=False)
            if cleaned:
                self._redacted("response.headers")
            self._head = b"%d %b\r\n%b\r\n\r\n" % (status, scrubbed(reason, self._needles), lines)
            prepared = self._prepared
            kind = self._response_kind = body_kind(found.coding, found.content_type, prepared.gives_keys, prepared.rules)
            if kind.streams:
                self._row[_STREAMS] += 1
        except Exception as error:
            self._stumbled(error)

    def data(self, payload: bytes, at: Any) -> int:
        """A piece of the answer has come. Returns what must be written before it goes on: 0 for nothing but the beginning."""
        pieces = self._pieces
        size = len(payload)
        if (  # an event of a stream like those before it
            self._quick is not None
            and 2 <= size < _SMALL
            and payload[size - 1] == _LF
            and payload[size - 2] == _LF
            and ((self._seldom >= 0 and self._seldom not in payload) or payload.find(self._quick) < 0)
            and len(pieces) < _MOST_PIECES
        ):
            pieces.append(payload)
            self._times.append(at)
            if not self._awaited:
                self._awaited = True
                self._journal.later(self._later)
            return 0
        try:
            return self._gather(payload, at)
        except Exception as error:
            return self._stumbled(error)

    def _gather(self, payload: bytes, at: Any) -> int:
        kind = self._response_kind
        if kind is None:
            return 0
        pieces = self._pieces
        if payload:
            pieces.append(payload)
            self._times.append(at)
        if not self._awaited:
            self._awaited = True
            self._journal.later(self._later)
        if kind.streams:
            if kind.coding is not None:
                return self._flush()  # an end marker cannot be seen in here, so every piece is written before it goes on
            if not self.marked and self._ends_here(payload):
                self.marked = True
                self._quick = None
                self._flush()
                if self._response is not None and (kept := self._response.settled()):
                    self._journal.append(_DATA, self._number, kept)  # what waited for the end of a word
                return self._journal.append(_MARK, self._number, b"")
            # where one marker ends this dialect and none has begun, small whole events need no closer look
            alone = len(self._prepared.markers) == 1 and not self._tail and not self.marked
            self._quick = self._prepared.markers[0] if alone else None
            if self._quick is not None and (self._seldom < 0 or self._seldom in payload):
                self._seldom = next((byte for byte in self._quick if byte not in payload), -1)
        return self._flush() if len(pieces) >= _MOST_PIECES or len(payload) >= _SMALL else 0

    def _later(self) -> None:
        """The time to gather has passed."""
        self._awaited = False
        if not self.ended:
            self._flush()

    def _flush(self) -> int:
        """Give the journal the pieces that were gathered."""
        try:
            return self._give()
        except Exception as error:
            return self._stumbled(error)

    def _give(self) -> int:
        if faults.ARMED:
            faults.hit("tap.data")
        kind, body = self._response_kind, self._response
        if body is None:
            assert kind is not None  # noqa: S101 - without it there are no pieces
            body = self._response = self._response_body(kind)
        pieces, times = self._pieces, self._times
        self._pieces, self._times = [], []
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if body.in_time and data:
            return self._give_in_time(body, times, pieces)
        kept = body.keep(data, self._journal, pieces) if data else data
        at = times[-1] if times else 0
        sequence = 0
        if self._head is not None:
            alone = kept if len(pieces) == 1 else b""
            sequence = self._journal.append(_HEAD, self._number, pack_head(self._head, alone), at)
            self._head = None
            kept = b"" if alone else kept
        if kept is data and len(pieces) > 1:
            return self._journal.append(_PIECES, self._number, pack_pieces(times, pieces, data), at)
        return self._journal.append(_DATA, self._number, kept, at) if kept else sequence

    def _give_in_time(self, body: KeptBody, times: list[int], pieces: list[bytes]) -> int:
        """As `_give`, where what goes out now may have come some pieces ago."""
        sequence = 0
        if self._head is not None:
            sequence = self._journal.append(_HEAD, self._number, pack_head(self._head, b""))
            self._head = None
        times, pieces = body.keep_in_time(times, pieces, self._journal)
        if pieces:
            sequence = self._journal.append(_PIECES, self._number, pack_pieces(times, pieces, b"".join(pieces)))
        return sequence

    def _ends_here(self, payload: bytes) -> bool:
        window = self._tail + payload if self._tail else payload
        for marker in self._prepared.markers:
            if window.find(marker) >= 0:
                return True
        self._tail = b"" if payload[-2:] == b"\n\n" else window[-MARKER_LENGTH:]
        return False

    def end(self, ending: Ending, payload: bytes = b"") -> int:
        """The call is over, in this way, with these last bytes. Returns what must be written before they go out."""
        if self.ended:
            return 0
        self.ended = True
        if self._untold:
            return 0
        row = self._row
        row[_ENDED] += 1
        row[_ENDINGS[ending]] += 1
        if self._response_kind is not None and self._response_kind.streams:
            row[_STREAMS] -= 1
        if not self.recorded:
            self._row[_LOST] += 1
            return 0
        try:
            return self._end(ending, payload)
        except Exception as error:
            self._stumbled(error)
            now = {"ending": ending, "first": self.first_byte, "problems": self._problems}
            return self._journal.append(_END, self._number, orjson.dumps(now))

    def _end(self, ending: Ending, payload: bytes) -> int:
        if faults.ARMED:
            faults.hit("tap.end")
        journal = self._journal
        if self._is_plain(payload):  # as most calls end
            return self._end_plainly(ending, payload)
        now: JSON = {"ending": ending, "first": self.first_byte}
        body = self._request
        if body is None:
            now["request"] = self._request_size
        else:
            rest = b"" if self._uploaded else body.rest()
            if rest:
                journal.append(_SENT, self._number, rest)
            self._close("request", body, now)
        last = b"" if self._response_kind is None else self._last(payload, now)
        if self._received:
            now["response"] = self._received
        if self._reached is not None:
            now["reached"] = self._reached
        if self._sent_at is not None:
            now["sent"] = self._sent_at
        if self.error_code is not None:
            now["error"] = self.error_code
        if self.drained:
            now["drained"] = True
        elif self.marked:
            now["marked"] = True
            if self.left:
                now["left"] = True
        if self._redactions:
            now["redactions"] = self._redactions
        if self._problems:
            now["problems"] = self._problems
        packed = orjson.dumps(now)
        if self._head is not None:
            return journal.append(_WHOLE, self._number, pack_whole(self._head, last, packed))
        if last:
            journal.append(_DATA, self._number, last)
        return journal.append(_END, self._number, packed)

    def _is_plain(self, payload: bytes) -> bool:
        """Whether both bodies came whole and uncoded, and there is nothing to say of the call."""
        return (
            self._request is None
            and self._response is None
            and self._head is not None
            and not (self._pieces or self._problems or self._redactions or self.drained or self.error_code)
            and self._response_kind is not None
            and not self._privacy
            and self._response_kind.plain
            and not self._response_kind.streams
            and len(payload) <= self._settings.max_body
            and self._journal.has_room
        )

    def _end_plainly(self, ending: Ending, payload: bytes) -> int:
        kept, changed = redact.redacted_whole(payload, self._needles) if payload else (payload, False)
        end = b'{"ending":"%b","first":%d,"request":%d,"response":%d%b%b}' % (
            ending.encode(),
            self.first_byte or 0,
            self._request_size,
            len(payload),
            b',"redactions":["response.body"]' if changed else b"",
            b"" if self._reached is None else b',"reached":%d' % self._reached,
        )
        return self._journal.append(_WHOLE, self._number, pack_whole(self._head or b"", kept, end))

    def _last(self, payload: bytes, now: JSON) -> bytes:
        """What of the answer is still to be kept, with these last bytes of it."""
        if self._response_kind is not None and self._response_kind.streams and not self.marked:
            self.marked = self._ends_here(payload)
        if self._pieces:
            self._give()
        journal, kind, body = self._journal, self._response_kind, self._response
        assert kind is not None  # noqa: S101 - asked by the caller
        if (
            body is None
            and kind.plain
            and not self._privacy & RESPONSE
            and len(payload) <= self._settings.max_body
            and journal.has_room
        ):
            now["response"] = len(payload)
            kept, changed = redact.redacted_whole(payload, self._needles) if payload else (payload, False)
            if changed:
                self._redacted("response.body")
            return kept
        if body is None:
            body = self._response = self._response_body(kind)
        kept = body.keep(payload, journal) if payload else b""
        kept += body.rest()
        self._close("response", body, now)
        return kept

    def _response_body(self, kind: BodyKind) -> KeptBody:
        return KeptBody(self._needles, kind, self._settings.max_body, withheld=bool(self._privacy & RESPONSE) or kind.blind)

    def _close(self, name: str, body: KeptBody, now: JSON) -> None:
        """What has to be said of a body at its end."""
        now[name] = body.size
        if body.withheld:
            if body.size:
                self._redacted(name + ".body")
            return
        if body.redacted:
            self._redacted(name + ".body")
            if body.switched_at is not None:
                now[name + "_switched"] = body.switched_at
        if body.problem is not None:
            self._row[_UNDECODED] += 1
            self.note(f"{name} body: {body.problem}")
        if body.dropped or body.cut:
            self._row[_CUT if body.cut else _DROPPED] += 1
            lost = body.left_out
            self.note(
                f"{name} body: {lost} bytes in its middle were not kept"
                if lost and not body.dropped
                else f"{name} body: only its beginning was kept"
            )

    # -- an upgraded connection (see spoken.py)

    @property
    def needles(self) -> tuple[bytes, ...]:
        """The credentials that this call carried, both ways."""
        return self._needles

    def passed(self, sent: int, received: int) -> None:
        """Bytes of an upgraded connection went by: they are counted."""
        self._request_size += sent
        self._received += received

    def frames(self, kept: bytes, *, sent: bool) -> None:
        """Some of what was said, without secrets, as frames."""
        if not self.recorded:
            return
        if kept and self._privacy & (REQUEST if sent else RESPONSE):
            self.redacted("request.body" if sent else "response.body")
            kept = b""
            if self._head is None:
                return
        if not sent and self.first_byte is None:
            self.first_byte = time.monotonic_ns() // 1000 - self._began
        if self._head is not None:
            head, self._head = self._head, None
            self._journal.append(_HEAD, self._number, pack_head(head, b"" if sent else kept))
        else:
            self._journal.append(_SENT if sent else _DATA, self._number, kept)

    def mark(self) -> int:
        """The end marker has come. Returns what must be written before it goes on."""
        self.marked = True
        return self._journal.append(_MARK, self._number, b"") if self.recorded else 0

    def redacted(self, where: str) -> None:
        """Something was taken out of what is kept."""
        if self._redactions is None or where not in self._redactions:
            self._redacted(where)

    def note(self, problem: str) -> None:
        """Something that could not be done as asked."""
        if self._problems is None:
            self._problems = []
        self._problems.append(problem)

    def _redacted(self, where: str) -> None:
        if self._redactions is None:
            self._redactions = []
        self._redactions.append(where)
