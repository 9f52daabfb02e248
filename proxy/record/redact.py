"""Keeps credentials out of the copy of a body that goes to the journal; the bytes that are relayed never come here.

A body with a content coding is decoded beside, and kept as it came while nothing is found. From the first find on the copy goes
on as plain text: `switched_at` says where, and `joined` puts the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from proxy.record.redact_echo import without_echoes
from proxy.record.redact_fields import clean_target, fingerprint, kept, needles, parameter_name
from proxy.record.redact_layers import Layer, Layers, layered
from proxy.record.redact_multipart import MultipartRedactor
from proxy.record.redact_names import REDACTED, is_secret_name
from proxy.record.redact_rules import Rules
from proxy.record.redact_text import AT, BACKSLASH, TextRedactor, has_no_secret, is_clean, plan, with_userinfo
from proxy.wire.coding import Decoder, UnknownCodingError, codings, decode

__all__ = ["REDACTED", "Redactor", "clean_target", "fingerprint", "joined", "kept", "needles", "redacted_whole", "without_echoes"]

_WORD = rb"u00([46][1-9a-fA-F]|[57][0-9aA]|3[0-9]|5[fF]|2[dD])"  # nobody spells a letter so, but to hide it
_LETTER = re.compile(rb"\\" + _WORD)
_ESCAPE = re.compile(rb"\\(?:" + _WORD + rb"|.)", re.DOTALL)  # each escape whole, so that the second half of \\ begins none
_BEGUN_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)\Z")
_FORM_NAME = 1024  # bytes of a form field's name that are looked at
_FORM_NAME_END = re.compile(b"[=&]")
_FORM_VALUE_END = re.compile(b"&")


class Redactor:
    """One body. `feed` gives what may be written now (`data` itself where nothing was found), `finish` what was held back.

    `coding` is the Content-Encoding, `form` says that the body is application/x-www-form-urlencoded, `parts` is the
    boundary of one that is multipart/form-data, `limit` is the most bytes
    that are decoded: of a body that decodes to more, nothing more is kept. `rules` are those of the configuration, `streams` says
    that events come. `problem` says what could not be done.
    """

    __slots__ = ("_coded", "_layers", "_scan", "feed", "feed_events", "finish")

    feed: Callable[[bytes], bytes]
    feed_events: Callable[[bytes, Sequence[bytes]], bytes] | None
    finish: Callable[[], bytes]

    def __init__(
        self,
        known: tuple[bytes, ...],
        *,
        coding: str | None = None,
        form: bool = False,
        parts: bytes | None = None,
        limit: int = 64 << 20,
        rules: Rules | None = None,
        streams: bool = False,
    ) -> None:
        plain = _Spelled(TextRedactor(known))
        self._layers = layered(rules, known, plain, streams=streams, form=form, parts=parts is not None) if rules else None
        text: Layer = plain if self._layers is None else self._layers
        self._scan: Layer = _Form(text) if form else MultipartRedactor(text, parts) if parts else text
        self._coded = _Coded(self._scan, known, coding, limit, rules is not None) if coding and codings(coding) else None
        door = self._coded or self._scan  # called directly: the road of most bytes has no step between
        self.feed = door.feed
        self.feed_events = plain.feed if door is plain else None  # as `feed`, told what its data was put together from
        self.finish = door.finish

    @property
    def in_time(self) -> Layers | None:
        """What takes pieces with their times; `None`: nothing does."""
        return self._layers if self._coded is None and self._scan is self._layers else None

    @property
    def redacted(self) -> bool:
        """Whether something has been taken out so far."""
        return self._scan.redacted or (self._coded is not None and self._coded.raw.redacted)

    @property
    def switched_at(self) -> int | None:
        """How many of the bytes given out are still coded, those after them being plain; `None`: all are as they came."""
        return self._coded.switched_at if self._coded else None

    @property
    def decoded(self) -> bool:
        """Whether the copy goes on as plain text."""
        return self.switched_at is not None

    @property
    def problem(self) -> str | None:
        """What could not be looked through, or was not kept."""
        return self._coded.problem if self._coded else None


def joined(kept_bytes: bytes, switched_at: int | None, coding: str | None) -> bytes:
    """A kept body as one text: what came before the switch decoded, the rest as it is. Without a switch: the body as it is."""
    if switched_at is None:
        return kept_bytes
    return decode(kept_bytes[:switched_at], coding)[0] + kept_bytes[switched_at:]


def redacted_whole(text: bytes, known: tuple[bytes, ...] = ()) -> tuple[bytes, bool]:
    """A whole text without credentials, and whether something was taken out; `text` itself where nothing was."""
    if AT in text:
        known = with_userinfo(plan(known), text).needles
    if text.find(b"\\u00") < 0 and has_no_secret(text, known):
        return text, False
    spelled_out = text.find(b"\\u00") >= 0 and _LETTER.search(text) is not None
    plain = _ESCAPE.sub(_letter, text) if spelled_out else text
    if is_clean(plain, known):
        return text, False
    scan = TextRedactor(known)
    return scan.feed(plain) + scan.finish(), scan.redacted


def _letter(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[1] is None else bytes((int(escape[1], 16),))


class _Spelled:
    """Writes letters that are spelled out (`\\u0061`) as letters before they are looked at: that is done to hide them."""

    __slots__ = ("_rest", "_text")

    def __init__(self, text: TextRedactor) -> None:
        self._text = text
        self._rest = b""  # an escape that is not whole

    @property
    def redacted(self) -> bool:
        return self._text.redacted

    @redacted.setter
    def redacted(self, value: bool) -> None:
        self._text.redacted = value

    @property
    def holding(self) -> bool:
        return self._text.holding or self._rest != b""

    def feed(self, data: bytes, events: Sequence[bytes] = ()) -> bytes:
        if self._rest:
            data, self._rest, events = self._rest + data, b"", ()
        if BACKSLASH not in data:
            return self._text.feed(data, events)
        if data.find(b"\\", max(0, len(data) - 6)) >= 0:
            begun = _BEGUN_ESCAPE.search(data, max(0, len(data) - 64))
            if begun is not None:
                self._rest, data, events = data[begun.start(1) :], data[: begun.start(1)], ()
        if data.find(b"\\u00") >= 0 and _LETTER.search(data) is not None:
            plain = _ESCAPE.sub(_letter, data)
            if plain != data:
                self._text.redacted = True  # it is not what it was
                data, events = plain, ()
        return self._text.feed(data, events)

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        return self._text.feed(rest) + self._text.finish()


class _Coded:
    """A body with a content coding: decoded beside, looked through, kept as it came until something is found."""

    __slots__ = (
        "_coded_out",
        "_decoder",
        "_lags",
        "_left",
        "_pending",
        "_plain",
        "_scan",
        "_stopped",
        "_strict",
        "problem",
        "raw",
        "switched_at",
    )

    def __init__(self, scan: Layer, known: tuple[bytes, ...], coding: str, limit: int, strict: bool) -> None:
        self.problem: str | None = None
        self.switched_at: int | None = None
        self.raw = TextRedactor(known)  # for what cannot be decoded: it may be plain text after all
        self._scan = scan
        self._left = limit
        self._coded_out = 0
        self._pending: list[bytes] = []  # coded pieces that are held back,
        self._plain: list[bytes] = []  # and what they say, as it may be written
        self._lags = "zstd" in codings(coding)  # gives text by the block: a piece's own text may come with a later piece
        self._stopped = False
        self._strict = strict  # what cannot be looked through is not kept
        self._decoder: Decoder | None = None
        try:
            self._decoder = Decoder(coding, limit)
        except UnknownCodingError as unknown:
            self._stopped = strict
            self.problem = f"{unknown}: " + ("it was not kept" if strict else "only its bytes were searched for credentials")

    def feed(self, data: bytes) -> bytes:
        if self._stopped:
            return b""
        if self._decoder is None:
            return self.raw.feed(data)
        plain = self._decoder.feed(data)
        self._left -= len(plain)
        if self._decoder.problem is not None:
            return self._gave_up(data, plain)
        safe = self._scan.feed(plain)
        if self.switched_at is not None:
            return safe
        self._plain.append(safe)
        if self._scan.redacted:
            return self._switch()
        if self._scan.holding or (self._lags and not plain):
            self._pending.append(data)
            return b""
        if self._lags:
            # This piece may go on into a block that is not complete; those before it are wholly decoded.
            out, self._pending = b"".join(self._pending), [data]
            self._plain = [plain]
        else:
            out, self._pending, self._plain = b"".join((*self._pending, data)) if self._pending else data, [], []
        self._coded_out += len(out)
        return out

    def finish(self) -> bytes:
        if self._stopped:
            return b""
        if self._decoder is None:
            return self.raw.finish()
        safe = self._scan.finish()
        if self.switched_at is not None:
            return safe
        if self._scan.redacted:
            self._plain.append(safe)
            return self._switch()
        return self.raw.feed(b"".join(self._pending)) + self.raw.finish()

    def _switch(self) -> bytes:
        self.switched_at = self._coded_out
        out, self._plain, self._pending = b"".join(self._plain), [], []
        return out

    def _gave_up(self, data: bytes, plain: bytes) -> bytes:
        """What to do with data that cannot be decoded on: keep it as it is, unless it may hide what was already found."""
        assert self._decoder is not None  # noqa: S101  # for the type checker
        self.problem = self._decoder.problem
        if self._left <= 0 or self._strict:
            self._stopped = True
            self.problem = f"{self.problem}, nor kept"
            return b""
        safe = self._scan.feed(plain)
        self._plain.append(safe)
        if self._scan.redacted:
            self._stopped = True
            self.problem = f"{self.problem}; the rest was not kept, because a credential was in it"
            return (self._switch() if self.switched_at is None else safe) + self._scan.finish()
        self._decoder = None
        out, self._pending = b"".join(self._pending), []
        return self.raw.feed(out + data)


class _Form:
    """application/x-www-form-urlencoded: fields with a secret's name lose their value, known credentials go everywhere."""

    __slots__ = ("_hiding", "_marked", "_name", "_text")

    def __init__(self, text: Layer) -> None:
        self._text = text
        self._name: bytes | None = b""  # of the field that is being named; None inside a value
        self._hiding = False  # this value is secret
        self._marked = False  # and something stands for it already

    @property
    def redacted(self) -> bool:
        return self._text.redacted

    @redacted.setter
    def redacted(self, value: bool) -> None:
        self._text.redacted = value

    @property
    def holding(self) -> bool:
        return self._text.holding

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        at = 0
        while at < len(data):
            found = (_FORM_VALUE_END if self._name is None else _FORM_NAME_END).search(data, at)
            end = found.start() if found else len(data)
            if self._name is not None:
                self._name = (self._name + data[at:end])[-_FORM_NAME:]
                out.append(data[at:end])
            elif not self._hiding:
                out.append(data[at:end])
            elif end > at and not self._marked:
                out.append(REDACTED)
                self._marked = self._text.redacted = True
            if found:
                out.append(found.group())
                value = found.group() == b"="
                self._hiding = value and is_secret_name(parameter_name(self._name or b""))
                self._name, self._marked = (None if value else b""), False
            at = end + 1
        text = b"".join(out)
        return self._text.feed(data if text == data else text)

    def finish(self) -> bytes:
        return self._text.finish()
