"""What is said on an upgraded connection, given to the journal: one call for each response that a model makes there.

Messages are kept whole and as plain frames, since a masked or a compressed one would hide its secrets from whoever looks for
them. The connection's own call goes to the end of its first response; each further response is a call of its own, which begins
with what is said after the one before. So every response is counted, journalled, read and stored like any other call, long before
the connection ends. What an upstream says right behind a response (a late transcript, its limits) still belongs to it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import orjson

from proxy.record import redact
from proxy.record.board import Column
from proxy.record.house import House
from proxy.record.http1 import ResponseHead
from proxy.record.prepare import Prepared
from proxy.record.redact_events import EventRedactor
from proxy.record.redact_paths import PathRedactor
from proxy.record.redact_said import SaidRedactor
from proxy.record.tap import Ids, Tap
from proxy.task import Ending
from proxy.wire.websocket import BINARY, CLOSE, PING, PONG, TEXT, Decoder, Message, negotiated, plain

LINGER_SECONDS: Final = 0.5  # for what comes behind a response: a task can be read within 1 s of its last byte
MOST_HELD: Final = 64 * 1024  # bytes of messages that wait for a response they belong to, or that are said again with each

_ENDS: Final[dict[str, tuple[bytes, ...]]] = {
    "realtime": (b'"response.done"',),
    "response": (b'"response.completed"', b'"response.failed"', b'"response.incomplete"'),
}
"""Types of the messages that end a response, by the kind of the call; what is said in other kinds is one call."""

_BEGINS: Final = (b'"response.create"', b'"response.created"')
_STATE: Final = (b'"session.created"', b'"session.updated"')
_LISTENING: Final = (b'"input_audio_buffer.append"',)
_SOUND: Final = (b'audio.delta"', b'input_audio_buffer.append"')


class Spoken:
    """One upgraded connection's witness. It never waits, and never raises into the call."""

    def __init__(self, house: House, prepared: Prepared, ids: Ids, tap: Tap, head: ResponseHead) -> None:
        self._house = house
        self._prepared = prepared
        self._id = ids.id
        self._head = head
        self._needles = tap.needles
        self._limit = house.tap_settings.max_body
        agreed = negotiated(b",".join(field.value for field in head.fields if field.name == b"sec-websocket-extensions"))
        self._caller = Decoder(None if agreed is None else agreed.caller_resets)
        self._upstream = Decoder(None if agreed is None else agreed.upstream_resets)
        self._ends = _ENDS.get(prepared.route.kind, ())
        self._tap: Tap | None = tap  # of the part that is being said; None between two of them
        self._gate = 0  # its beginning must be written before the caller hears of it
        self._left = {True: self._limit, False: self._limit}  # bytes of it that may still be kept: the caller's, the upstream's
        self._short: set[str] = set()  # bodies of it of which something was not kept
        self._done = False  # its response is
        self._settling: asyncio.TimerHandle | None = None
        self._state: Message | None = None  # what the session is: said again at the beginning of every part
        self._held: list[Message] = []  # from the upstream, between two parts
        self._passed = (0, 0)  # bytes that went by between two parts
        self._deaf = False
        self._waiting = False  # a response was asked for, or has begun, and is not done
        self._rules = prepared.rules
        self._words = self._redactor()  # of what the upstream says in fragments
        self.closed_by: Ending | None = None  # who has said first that it closes, as the ending that this is in a response
        tap.frames(b"", sent=False)

    def from_caller(self, data: bytes) -> None:
        """Bytes on their way upstream."""
        self._hear(self._caller, data, sent=True)
        self._pass(len(data), 0)

    def from_upstream(self, data: bytes) -> int:
        """Bytes on their way to the caller. Returns what must be written before they go on."""
        sequence = self._hear(self._upstream, data, sent=False)
        self._pass(0, len(data))
        return sequence or self._gate

    def ending(self, left: Ending, *, clean: bool) -> Ending:
        """What the connection's end is; `left`: who left it, unless a side had said before that it closes."""
        if self._waiting:
            return self.closed_by or left
        return Ending.COMPLETED if clean or self.closed_by is not None else left

    def end(self, ending: Ending) -> None:
        """The connection is over, in this way."""
        self._settle(ending)
        self._deaf = True

    def note(self, problem: str) -> None:
        """Something that could not be done as asked."""
        if self._tap is not None:
            self._tap.note(problem)

    def _pass(self, sent: int, received: int) -> None:
        if self._tap is not None:
            self._tap.passed(sent, received)
        else:
            self._passed = (self._passed[0] + sent, self._passed[1] + received)

    def _hear(self, decoder: Decoder, data: bytes, *, sent: bool) -> int:
        if self._deaf or _fault(decoder) is not None:
            return 0
        sequence = 0
        try:
            for message in decoder.feed(data):
                if message.opcode == CLOSE and self.closed_by is None:
                    self.closed_by = Ending.CALLER_LEFT if sent else Ending.UPSTREAM_BROKE
                if message.opcode in (PING, PONG):
                    continue
                if sent:
                    self._asked(message)
                else:
                    sequence = self._said(message) or sequence
            fault = _fault(decoder)
            if fault is not None:
                self._begin()
                self.note(f"of what the {'caller' if sent else 'upstream'} says from here on nothing is kept: {fault}")
        except Exception as error:  # nothing that goes wrong here may touch the connection
            self._deaf = True
            self.note(f"the record is not whole: {type(error).__name__} while it was made")
        return sequence

    def _asked(self, message: Message) -> None:
        """A message from the caller: after a response is done, it begins the next part."""
        if self._done or self._tap is None:
            if message.opcode == CLOSE:
                return
            if self._done and _type(message.data, _LISTENING):
                self._keep(message, sent=True)  # an open microphone must not cut off what still comes of the response
                return
            self._settle()
            self._begin()
        if self._ends and _type(message.data, _BEGINS):
            self._waiting = True
        self._keep(message, sent=True)

    def _said(self, message: Message) -> int:
        """A message from the upstream. Returns what must be written before it goes on, where it ends a response."""
        if not self._ends:
            self._keep(message, sent=False)
            return 0
        if _type(message.data, _STATE):
            self._state = message if len(message.data) <= MOST_HELD else None
        if self._done or self._tap is None:
            if _goes_on(message):
                self._settle()
                self._begin()
            elif self._tap is None:
                self._hold(message)
                return 0
        if _type(message.data, _BEGINS):
            self._waiting = True
        self._keep(message, sent=False)
        if self._tap is not None and not self._done and _type(message.data, self._ends):
            self._done, self._waiting = True, False
            for clean in self._waiting_words():
                self._keep_clean(self._tap, clean, sent=False)
            self._settling = self._house.loop.call_later(LINGER_SECONDS, self._settle)
            return self._tap.mark()
        return 0

    def _hold(self, message: Message) -> None:
        if message.opcode != CLOSE:
            self._held.append(message)
        while sum(len(each.data) for each in self._held) > MOST_HELD:
            del self._held[0]

    def _begin(self) -> None:
        """Begin the next part, unless one is being said."""
        if self._tap is not None:
            return
        house, ids = self._house, self._house.another(self._id)
        tap = self._tap = Tap(house.journal, house.row, house.tap_settings, ids, self._prepared)
        self._gate = tap.begin(ids, b"", True)
        tap.answer(self._head.status, self._head.reason, self._head.fields)
        tap.first_byte = None
        tap.passed(*self._passed)
        self._passed = (0, 0)
        self._left = {True: self._limit, False: self._limit}
        self._short.clear()
        self._done = False
        before, self._held = self._held, []
        if self._state is not None and self._state not in before:
            before = [self._state, *before]
        tap.frames(b"", sent=True)  # the head
        for message in before:
            self._keep(message, sent=False)

    def _keep(self, message: Message, *, sent: bool) -> None:
        """Give a message to the journal, without its secrets; sound may take half of the room, so that text finds some."""
        tap = self._tap
        if tap is None:
            return
        if self._rules is not None and message.opcode == TEXT:
            for clean in self._without(message, sent):
                self._keep_clean(tap, clean, sent=sent)
            return
        self._keep_clean(tap, message, sent=sent)

    def _redactor(self) -> EventRedactor | None:
        return None if self._rules is None else EventRedactor(self._rules, self._needles)

    def _without(self, message: Message, sent: bool) -> list[Message]:
        """What may be kept by now, with this message, of what that side said: a word that has not ended waits."""
        tap, rules, words, data = self._tap, self._rules, self._words, message.data
        if rules is None or words is None or tap is None:
            return [message]
        if rules.paths:
            paths = PathRedactor(rules.paths)
            data = paths.feed(data) + paths.finish()
            if paths.redacted:
                tap.redacted("request.body" if sent else "response.body")
        if sent or data.find(b"\n") >= 0:
            if not rules.looks:
                return [Message(TEXT, data)]
            whole = SaidRedactor(rules)
            data = whole.feed(data) + whole.finish()
            if whole.redacted:
                tap.redacted("request.body" if sent else "response.body")
            before = [] if sent else self._waiting_words()
            return [*before, Message(TEXT, data)]
        given = words.feed(data + b"\n")
        if words.redacted:
            tap.redacted("response.body")
        return [Message(TEXT, line) for line in given.split(b"\n") if line]

    def _waiting_words(self) -> list[Message]:
        """What waited for the end of a word: none is to come."""
        words = self._words
        if words is None:
            return []
        given = words.settle()
        if words.redacted and self._tap is not None:
            self._tap.redacted("response.body")
        return [Message(TEXT, line) for line in given.split(b"\n") if line]

    def _keep_clean(self, tap: Tap, message: Message, *, sent: bool) -> None:
        data, changed = redact.redacted_whole(message.data, self._needles) if message.data else (message.data, False)
        where = "request.body" if sent else "response.body"
        if changed:
            tap.redacted(where)
        kept = plain(Message(message.opcode, data))
        floor = self._limit // 2 if message.opcode == BINARY or any(data.find(name) >= 0 for name in _SOUND) else 0
        if self._left[sent] - len(kept) < floor or not self._house.journal.has_room:
            if where not in self._short:
                self._short.add(where)
                self._house.row[Column.BODIES_DROPPED] += 1
                tap.note(f"{where.replace('.', ' ')}: not all that was said was kept")
            return
        self._left[sent] -= len(kept)
        tap.frames(kept, sent=sent)

    def _settle(self, ending: Ending = Ending.COMPLETED) -> None:
        """The part that is being said is over."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        tap = self._tap
        if tap is not None:
            for clean in self._waiting_words():
                self._keep_clean(tap, clean, sent=False)
            self._words = self._redactor()
        self._tap = None
        if tap is not None:
            tap.end(Ending.COMPLETED if self._done else ending)
        self._gate = 0
        self._done = False


def _fault(decoder: Decoder) -> str | None:
    """What is wrong with what it was fed. Asked by a call: compiled code believes that what was None a line ago still is."""
    return decoder.broken


def _goes_on(message: Message) -> bool:
    """Whether a message that comes after a response is of another one."""
    kind = _json(message.data).get("type")
    return isinstance(kind, str) and kind.startswith("response.")


def _type(data: bytes, names: tuple[bytes, ...]) -> bool:
    """Whether a message is of one of these types; most are seen not to be without a look at their JSON."""
    return any(data.find(name) >= 0 and _json(data).get("type") == name[1:-1].decode() for name in names)


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
