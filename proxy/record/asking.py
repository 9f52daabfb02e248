"""Carries one call whose stream is asked for its usage (`capture.inject_usage`): all that is not as it came from the caller.

The body is held until it is whole, and the option is put into it. Where the upstream refuses that, the caller's own request
follows at once; if that one is taken, the upstream is not asked again.
"""

from __future__ import annotations

from proxy.record.carry import Carry
from proxy.record.http1 import UNTIL_CLOSE, ResponseHead, chunk
from proxy.record.usage_asked import ASKED, LEFT_IN, MOST_BYTES, REFUSALS, REFUSED, Sieve, asking_body, asking_head
from proxy.task import Ending


class Asking(Carry):
    """One call, on its way from a caller to an upstream and back, with a question more on its way there."""

    _head = b""  # for the upstream, as the caller's is
    _gathered: list[bytes] | None = None  # the body as far as it has come, until it is sent
    _size = 0
    _asked = False
    _refused = False
    _sieve: Sieve | None = None
    _chunks = False
    _owed = 0  # what must be in the journal before the next bytes go out: some of those before may be in them

    def start(self, head: bytes, payload: bytes, done: bool) -> None:
        self._uploaded = done
        self._gate = self._tap.begin(self._ids, payload, done)
        self._head = head
        self._gathered = [payload]
        self._size = len(payload)
        if done or self._size > MOST_BYTES:
            self._ask(done)

    def request_data(self, payload: bytes, done: bool) -> None:
        if self._gathered is None or self._done or self.over:
            super().request_data(payload, done)
            return
        self._uploaded = done
        self._tap.sent(payload, done)
        self._since = self._loop.time()
        self._gathered.append(payload)
        self._size += len(payload)
        if done or self._size > MOST_BYTES:
            self._ask(done)

    def _ask(self, whole: bool) -> None:
        """Send what has come: with the option in it, where it is whole and takes it."""
        body = b"".join(self._gathered or ())
        edited = asking_body(body) if whole else None
        if edited is None:
            self._gathered = None
            self._send(self._head + body, len(body))
        else:
            self._gathered = [body]
            self._asked = True
            self._send(asking_head(self._head, len(edited)) + edited, len(edited))

    def answer(self, head: ResponseHead) -> None:
        if self._asked and not self._refused and head.status in REFUSALS:
            self._refused = True
            body = b"".join(self._gathered or ())
            self._gathered = None
            self._drop_connection()
            self._tap.note(REFUSED % head.status)
            self._since = self._loop.time()
            self._send(self._head + body, len(body))
            return
        self._gathered = None
        super().answer(head)
        if self._refused:
            if head.status < 300:
                self._upstream.tells_usage = False
        elif self._asked and head.status == 200:
            self._sift(head)

    def _sift(self, head: ResponseHead) -> None:
        """Take the chunk with the usage out of what follows, if it is a stream that can be looked into."""
        names = {field.name: field.value.lower() for field in head.fields}
        if not names.get(b"content-type", b"").startswith(b"text/event-stream"):
            return
        coded = names.get(b"content-encoding", b"identity") != b"identity"
        if coded or b"trailer" in names or not (head.chunked or head.length == UNTIL_CLOSE):
            self._tap.note(LEFT_IN)
            return
        self._tap.note(ASKED)
        self._sieve = Sieve()
        self._chunks = head.chunked and not self._dechunk
        self._dechunk = True  # what goes on is payload, in chunks of its own

    def _forward(self, raw: bytes, payload: bytes, sequence: int) -> None:
        if self._sieve is None:
            super()._forward(raw, payload, sequence)
            return
        passed = self._sieve.feed(payload)
        if self._done:
            passed += self._sieve.rest()
        self._pass(passed, sequence)

    def _pass(self, passed: bytes, sequence: int) -> None:
        out = chunk(passed) + (b"0\r\n\r\n" if self._done else b"") if self._chunks else passed
        if self._answer_head is not None:
            out = self._answer_head + out
            self._answer_head = None
        self._owed = max(self._owed, sequence)
        if out or self._done:
            self._outlet.put(out, self._owed)

    def _break(self, ending: Ending) -> None:
        if self._sieve is not None:
            held = self._sieve.rest()
            if held:
                self._pass(held, self._gate)
        super()._break(ending)
