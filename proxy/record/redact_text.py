"""Takes credentials out of text that comes in pieces: known values wherever they are, and JSON members by their names.

URLs lose their userinfo.

Nothing is held back but a tail that is a proper prefix of a known value, or the beginning of a URL. A member's name is not
secret, so it goes out at once; only a memory of it stays (`_carry`), so that the value is recognised when it comes. What comes
in one piece or in many gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from proxy.record.redact_names import REDACTED, is_secret_name

_NAME = 128  # bytes: a longer name is not looked at
_CARRY = 256  # bytes: a name, its quote and colon, and white space squeezed
_SAME = 1024  # bytes: more of an event is not compared with the one before
_SIGHT = 12  # bytes: more than `_COLON` looks back
_SPACE = re.compile(rb"[ \t\r\n]{2,}")

# A colon after a name that may be secret. One literal first makes the search a memchr, then letters at fixed places drop nearly
# all; what is left is looked at in `_member`. Two names are dropped here: logprobs are full of `token`, schemas of `required`.
_ENDING = rb"[kroisKROIS][eriERI][yntdgYNTDG]"
_ZATION = rb"[zZ][aA][tT][iI][oO][nN]"
_COLON = re.compile(
    rb':(?<=[yntdgYNTDG_\\" \t\r\n-][" \t\r\n]:)(?:(?<='
    + _ENDING
    + rb'":)(?<!"token":)(?<!"required":)|(?<=[\\nN_-]":)(?:(?<='
    + _ZATION
    + rb'":)'
    rb"|(?<=" + _ENDING + rb'\\":)(?<!"token\\":)|(?<=' + _ZATION + rb'\\":)|(?<=[\\_-]\\":)|(?<=[_-]":))|(?<=[ \t\r\n]:))'
)
_START = re.compile(rb'[ \t\r\n]*(?:\\{1,7}[nrt][ \t\r\n]*){0,4}(\\*)(["{\[0-9-])')  # \n is a line feed in JSON in a JSON string
_LEVELS = {0: 0, 1: 1, 3: 2, 7: 3, 15: 4}  # backslashes before a quote -> how often the JSON is inside a JSON string
_TOKEN = re.compile(rb'\\*"|[{}\[\]]')
_NUMBER = re.compile(rb"[-+.0-9eE]*")
_SPACES = b" \t\r\n"
_EVENTS_END = b"\n\n"  # no name goes on behind it
_USERINFO = re.compile(rb':(?:\\?/){2}[^\s/"\\@?#<>]{1,256}@')  # RFC 3986 section 3.2.1; some write / as \/ in JSON
_OPEN_URL = re.compile(rb':(?:\\|\\?/(?:\\|\\?/[^\s/"\\@?#<>]{0,256})?)?\Z')  # where an @ that is still to come may end one
_URL = 272  # bytes: no longer one is looked for
_SELDOM = b"QZXJKVWYUHGFPBMDLNROSCTIAE"  # the least frequent in English first; an answer has few capitals
BACKSLASH, _QUOTE, AT, _COLON_BYTE = b'\\"@:'
"""Bytes that are looked for as numbers: `in` finds one at a quarter of what it costs to call `find`."""

_OUTER, _CLOSES, _INSIDE = range(3)


@dataclass(frozen=True, slots=True)
class Plan:
    """Known values, made ready for the search."""

    needles: tuple[bytes, ...]  # none of them inside another
    searches: tuple[tuple[bytes, int], ...]  # each with a byte of it that texts seldom have, or -1: one byte is found fastest
    pattern: re.Pattern[bytes] | None
    tails: frozenset[int]  # bytes that a proper prefix of one may end with
    longest: int


@lru_cache(maxsize=512)
def plan(needles: tuple[bytes, ...]) -> Plan:
    """The search for `needles`. One that contains another is left out: the shorter one finds it."""
    few = tuple(n for n in dict.fromkeys(needles) if n and n not in REDACTED and not any(o != n and o in n for o in needles if o))
    pattern = re.compile(b"|".join(map(re.escape, few))) if few else None
    searches = tuple((n, next((byte for byte in _SELDOM if byte in n), -1)) for n in few)
    return Plan(few, searches, pattern, frozenset(b"".join(n[:-1] for n in few)), max(map(len, few), default=0))


class _Value:
    """A member's value that is being left out: a string, an object, an array or a number."""

    __slots__ = ("level", "nesting", "quoted", "run")

    def __init__(self, level: int, first: bytes) -> None:
        self.level = level
        self.quoted = first == b'"'
        self.nesting = 0 if self.quoted else 1 if first in b"{[" else -1
        self.run = 0  # backslashes at the end of the last piece

    def skip(self, text: bytes, at: int) -> tuple[int, int]:
        """Where the value ends in `text` (or `text` ends in it), and how: _CLOSES, _OUTER, or _INSIDE where it has not ended."""
        if self.nesting < 0:
            number = _NUMBER.match(text, at)
            at = number.end() if number else at
            return at, _CLOSES if at < len(text) else _INSIDE
        for found in _TOKEN.finditer(text, at):
            token = found.group()
            if token[-1] == _QUOTE:
                verdict = self._meaning(len(token) - 1 + (self.run if found.start() == at else 0))
                if verdict == _OUTER:
                    return found.end() - 1, _OUTER
                if verdict == _CLOSES:
                    self.quoted = not self.quoted
            elif not self.quoted:
                self.nesting += 1 if token in b"{[" else -1
            if not self.quoted and self.nesting == 0:
                return found.end(), _CLOSES
        rest = text[at:]
        trailing = len(rest) - len(rest.rstrip(b"\\"))
        self.run = trailing + (self.run if trailing == len(rest) else 0)
        return len(text), _INSIDE

    def _meaning(self, backslashes: int) -> int:
        """What a quote after that many backslashes does: each level of JSON in JSON halves them."""
        for _ in range(self.level):
            if backslashes % 2 == 0:
                return _OUTER  # it closes the string that this JSON is in
            backslashes //= 2
        return _CLOSES if backslashes % 2 == 0 else _INSIDE


class TextRedactor:
    """Feeds on text, gives back what may be written of it so far."""

    __slots__ = ("_apart", "_before", "_carry", "_ends", "_from", "_held", "_lessons", "_plan", "_same", "_value", "redacted")

    def __init__(self, needles: tuple[bytes, ...]) -> None:
        self.redacted = False
        self._plan = plan(needles)
        self._held = b""
        self._carry = b""  # what was given out last, as far as a name may be in it
        self._value: _Value | None = None
        self._same = b""  # what the events of this stream begin with: no secret name is in it
        self._ends = b""  # what they end with: nor is one in it
        self._from = 0  # what of the beginning need not be searched in any of them; 0: they are not alike enough
        self._apart = False  # no colon that they end with looks back at what is between
        self._before = b""  # what they were found out from: an event, or some
        self._lessons = 8  # how often all that may still be found out

    @property
    def holding(self) -> bool:
        """Whether a tail is held back."""
        return self._held != b""

    def feed(self, data: bytes, events: Sequence[bytes] = ()) -> bytes:
        """What may be written now; `data` itself where nothing had to be changed. `events` are what it was put together from."""
        if not data:
            return data
        if self._value is not None or self._held:
            return self._scan(data, False)
        for needle, seldom in self._plan.searches:
            if (seldom < 0 or seldom in data) and data.find(needle) >= 0:
                return self._scan(data, False)
        end = data[-1]
        if (AT in data and _USERINFO.search(data)) or (end > 34 and _OPEN_URL.search(data, max(0, len(data) - _URL))):
            return self._scan(data, False)
        text = self._carry + data if self._carry else data
        looked = self._but_for_what_is_alike(events) if self._from and events and not self._carry else text
        known = len(looked) < len(text)
        start = len(self._same) if not known and text.startswith(self._same) else 0
        if (looked and _COLON.search(looked, start) is not None) or end in self._plan.tails:
            return self._scan(data, False)
        if data[-3:] in (b"}\n\n", b"]\n\n"):  # as nearly every event ends, and `[DONE]`
            if self._lessons and len(looked) - start > len(text) // 2 and not self._carry:
                self._learn(data, events)
            self._carry = b""
        else:
            self._carry = _context(text)
        return data

    def finish(self) -> bytes:
        """What was held back, now that nothing more comes."""
        return self._scan(b"", True)

    def _learn(self, data: bytes, events: Sequence[bytes]) -> None:
        """Remember what events in which there was nothing begin and end with: of the next ones, it need not be searched again."""
        self._lessons -= 1
        if len(events) > 2 and events[-2][-2:] == b"\n\n":
            alike = list(events[1:])  # the very first is often of another kind
        else:
            alike = [self._before, data]
            self._before = data if len(data) <= 2 * _SAME else data[:_SAME] + data[-_SAME:]
        same, ends = alike[-1][:_SAME], alike[-1][-_SAME:]
        for event in alike:
            if not event.startswith(same):
                same = same[: _shared(same, event)]
            if not event.endswith(ends):
                ends = ends[len(ends) - _shared(ends[::-1], event[::-1]) :]
        self._same, self._ends = same, ends
        self._from = 0
        self._apart = ends.find(b":", 0, _SIGHT) < 0
        if len(self._ends) >= _SIGHT and self._ends[-2:] == b"\n\n":
            for at in range(len(self._same) - _SIGHT, _SIGHT, -1):
                if _COLON.search(self._ends[:_SIGHT] + self._same[at:]) is None:  # else it would seem to be one, cut off here
                    self._from = at
                    break

    def _but_for_what_is_alike(self, events: Sequence[bytes]) -> bytes:
        """What is to be searched of `events`: of what they all begin and end with only what is beside the rest, and that only
        where there is a colon in the rest.

        Before a colon that counts is a name, and no name goes on from one event into the next: so only what follows an event's
        end is taken for the beginning of another.
        """
        same, ends = self._same, self._ends
        if self._apart:
            first, last = len(same), len(ends)
            rest = [event[first : len(event) - last] for event in events if event.startswith(same) and event.endswith(ends)]
            if len(rest) == len(events) and _COLON_BYTE not in b"".join(rest):
                return b""
        first, last = self._from, len(ends) - _SIGHT
        parts: list[bytes] = []
        begins = True
        for event in events:
            if begins and event.startswith(same) and event.endswith(ends):
                parts.append(event[first : len(event) - last])
            else:
                parts.append(event)
                begins = event[-2:] == b"\n\n"
        return b"".join(parts)

    def _scan(self, data: bytes, last: bool) -> bytes:
        text = b"".join((self._carry, self._held, data)) if self._carry or self._held else data
        if AT in text:
            self._plan = with_userinfo(self._plan, text)
        at, floor, changed = len(self._carry), 0, False
        plain = self._held == b""
        out: list[bytes] = []
        hit: re.Match[bytes] | None = None
        cut = first = -1  # the next known value or the held tail; the first byte of the next secret member's value
        level = 0
        while True:
            if self._value is not None:
                changed = True
                at, how = self._value.skip(text, at)
                floor = at
                if how == _INSIDE:
                    self._held = self._carry = b""
                    return b"".join(out)
                if how == _CLOSES:  # else it is a fragment: the string goes on in the next one
                    out.append(_quote(self._value.level))
                self._value = None
            if cut < at:
                hit = self._plan.pattern.search(text, at) if self._plan.pattern else None
                cut = hit.start() if hit else len(text) if last else self._tail(text, at)
            if first < at:
                first, level = _member(text, floor, at)
            if first <= cut:
                mark = text[first : first + 1]
                out += (text[at : first + 1], REDACTED) if mark == b'"' else (text[at:first], _quote(level), REDACTED)
                self._value = _Value(level, mark)
                self.redacted = True
                at = first + (mark != b"-" and not mark.isdigit())
                continue
            if hit is None:
                break
            out += (text[at:cut], REDACTED)
            self.redacted = changed = True
            at = hit.end()
        self._held = text[cut:]
        self._carry = b"" if last else _context(text[floor:cut])
        if plain and not changed and not self._held:
            return data
        return b"".join((*out, text[at:cut]))

    def _tail(self, text: bytes, at: int) -> int:
        """Where the longest tail that a known value may begin with begins; the end of `text` where there is none."""
        end = len(text)
        url = _OPEN_URL.search(text, max(at, end - _URL))
        best = end if url is None else url.start()
        if end > at and text[-1] in self._plan.tails:
            for needle in self._plan.needles:
                start = text.find(needle[:1], max(at, end - len(needle) + 1))
                while 0 <= start < best:
                    if needle.startswith(text[start:]):
                        best = start
                        break
                    start = text.find(needle[:1], start + 1)
        return best


def _shared(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one.startswith(other[:middle]) else (low, middle - 1)
    return low


def with_userinfo(known: Plan, text: bytes) -> Plan:
    """The search for what is `known`, and for the userinfo of the URLs in `text`."""
    found = _USERINFO.findall(text)
    return plan(tuple(dict.fromkeys((*known.needles, *found)))) if found else known


def has_no_secret(text: bytes, known: tuple[bytes, ...]) -> bool:
    """Whether one look is enough to say that nothing in a whole text has to go."""
    for needle in known:
        if text.find(needle) >= 0:
            return False
    return _COLON.search(text) is None


def is_clean(text: bytes, known: tuple[bytes, ...]) -> bool:
    """Whether a whole text holds none of the known values and no member with a secret name."""
    return not any(text.find(needle) >= 0 for needle in plan(known).needles) and _member(text, 0, 0)[0] > len(text)


def members(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where the values are that secret names stand before in a whole text, and what is to stand there instead."""
    at = 0
    while True:
        first, level = _member(text, at, at)
        if first >= len(text):
            return
        mark = text[first : first + 1]
        number = mark == b"-" or mark.isdigit()
        end, how = _Value(level, mark).skip(text, first + (not number))
        if mark == b'"':
            yield first + 1, end - (len(_quote(level)) if how == _CLOSES else 0), REDACTED
        else:
            yield first, end, _quote(level) + REDACTED + _quote(level)
        at = max(end, first + 1)


def _quote(level: int) -> bytes:
    return b"\\" * ((1 << level) - 1) + b'"'


def _member(text: bytes, floor: int, at: int) -> tuple[int, int]:
    """The first byte, not before `at`, of the next value that a secret name stands before, and how deep it is in strings.

    Nothing before `floor` belongs to a name. Where there is none: a place behind the end. Numbers count (a password may be one);
    `null`, `true` and `false` say nothing and stay.
    """
    for found in _COLON.finditer(text, floor):
        value = _START.match(text, found.end())
        if value is None or value.start(2) < at:
            continue
        quote = found.start()
        while quote > floor and text[quote - 1] in _SPACES:
            quote -= 1
        quote -= 1
        end = quote
        while end > floor and text[end - 1] == BACKSLASH:
            end -= 1
        level = _LEVELS.get(quote - end)
        if level is None or text[quote : quote + 1] != b'"':
            continue
        if len(value.group(1)) != (quote - end if value.group(2) == b'"' else 0):
            continue
        start = text.rfind(b'"', max(floor, end - _NAME), end)
        if start >= 0 and text.find(_EVENTS_END, start, end) < 0 and is_secret_name(text[start + 1 : end]):
            return value.start(2), level
    return len(text) + 1, 0


def _context(text: bytes) -> bytes:
    """What of `text` a name may be in whose value comes next: from the last quote but one on, white space squeezed."""
    tail = _SPACE.sub(_squeezed, text[-2 * _CARRY :])
    if len(tail) < _CARRY < len(text):
        tail = _SPACE.sub(_squeezed, text)
    tail = tail[-_CARRY:]
    last = tail.rfind(b'"')
    return tail[max(tail.rfind(b'"', 0, last), 0) :] if last >= 0 else b""


def _squeezed(space: re.Match[bytes]) -> bytes:
    """Of much white space as much as says whether an event ends in it, or may with what comes next."""
    return _EVENTS_END if _EVENTS_END in space[0] else b" " + space[0][-1:]
