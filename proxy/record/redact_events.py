"""Takes what rules name out of a stream whose text comes in fragments, an event each, as if the fragments were one text. Pure.

The lines of a stream (SSE's or JSON's) are read for the members that carry text; what such members of one kind say, event after
event, is one text. A line goes out once nothing that is still to come can change it: a word that has not ended keeps it waiting,
4 KiB of text at most. What is taken out leaves its mark in the fragment that it began in.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

from proxy.record.redact_rules import Hit, Rules, apart, key_goes_on, known
from proxy.record.redact_said import STRING, cleaned, meant, spelled, with_open_key

_FIELDS = re.compile(
    rb'"(?:(?:(?:output_|content_|summary_)?index|type|item_id)"[ ]?:[ ]?(?:"([^"\\]{0,256})"|([0-9]{1,9}))'
    rb"|(content|text|delta|partial_json|thinking|reasoning|reasoning_content|reasoning_text|refusal|arguments|response|transcript|input)"
    rb'"[ ]?:[ ]?"([^"\\]*(?:\\.[^"\\]*)*)")',
    re.DOTALL,
)
_LONGEST_LINE: Final = 1 << 20  # bytes that may wait for their line's end
_MOST_CHANNELS: Final = 256
_Kind = tuple[bytes, ...]


class _Line:
    """A line that waits for its texts to be judged."""

    __slots__ = ("cuts", "data", "edits", "open", "spans", "time")

    def __init__(self, data: bytes, time: int = 0) -> None:
        self.data = data
        self.time = time
        self.open = 0  # fragments in it that are not judged to their end
        self.spans: list[tuple[int, int]] = []  # where its fragments are
        self.cuts: list[list[Hit]] = []  # of each fragment, in what it means
        self.edits: list[tuple[int, int, bytes]] = []  # of other strings in it

    def rendered(self) -> bytes:
        """The line as it may be kept."""
        edits = self.edits
        for (start, end), cuts in zip(self.spans, self.cuts, strict=True):
            if cuts:
                raw = self.data[start:end]
                text = meant(raw) or b""
                out: list[bytes] = []
                at = 0
                for first, last, stands in cuts:
                    out += (text[at:first], stands)
                    at = last
                clean = b"".join((*out, text[at:]))
                as_is = text is raw and clean.find(b'"') < 0
                edits.append((start, end, clean if as_is else spelled(clean, raw)))
        if not edits:
            return self.data
        edits.sort()
        return _edited(self.data, edits)


def _edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    out: list[bytes] = []
    at = 0
    for start, end, new in edits:
        out += (data[at:start], new)
        at = end
    return b"".join((*out, data[at:]))


class _Channel:
    """One text that comes in fragments: what of it is not judged yet, and which fragments that is."""

    __slots__ = ("parts", "text", "within_key")

    def __init__(self) -> None:
        self.text: list[bytes] = []
        self.parts: deque[tuple[_Line, int, int, int]] = deque()  # line, fragment, how much of it is judged, how much is not
        self.within_key = False

    def add(self, line: _Line, text: bytes) -> None:
        """A fragment, the last of `line` so far."""
        line.open += 1
        self.text.append(text)
        self.parts.append((line, len(line.spans) - 1, 0, len(text)))

    def judged(self, until: int, hits: list[Hit]) -> None:
        """Everything before `until` is: `hits` are to be taken out of it."""
        text = b"".join(self.text)
        self.text = [text[until:]] if until < len(text) else []
        at = 0
        while self.parts:
            line, fragment, base, size = self.parts[0]
            if at + size > until:
                break
            self.parts.popleft()
            line.open -= 1
            if hits:
                _cut(line.cuts[fragment], hits, at, at + size, base)
            at += size
        if at < until and self.parts:
            line, fragment, base, size = self.parts[0]
            _cut(line.cuts[fragment], hits, at, until, base)
            self.parts[0] = line, fragment, base + until - at, size - (until - at)


def _cut(cuts: list[Hit], hits: list[Hit], start: int, end: int, base: int) -> None:
    for first, last, stands in hits:
        if first < end and last > start:
            cuts.append((max(first, start) - start + base, min(last, end) - start + base, stands if first >= start else b""))


class EventRedactor:
    """One stream. In the manner of a `TextRedactor`."""

    __slots__ = ("_channels", "_find", "_keys", "_lines", "_rest", "_rules", "_tail", "redacted")

    def __init__(
        self,
        rules: Rules,
        values: tuple[bytes, ...] = (),
        *,
        find: Callable[[bytes], list[Hit]] | None = None,
    ) -> None:
        """`values` are credentials that go out too; `find` finds what does in a whole text: nothing goes before its end."""
        self.redacted = False
        self._rules = rules
        self._keys = "private_key" in rules.named
        self._rest = b""
        self._lines: deque[_Line] = deque()
        self._channels: dict[_Kind, _Channel] = {}
        self._find: Callable[[bytes], list[Hit]] = rules.hits
        self._tail: Callable[[bytes], int] = rules.open_tail
        if find is not None:
            self._find, self._tail = find, _all_of_it
        elif values:
            self._find = lambda text: apart([*rules.hits(text), *known(text, values)])

    @property
    def holding(self) -> bool:
        return self._rest != b"" or len(self._lines) > 0

    def feed_in_time(self, times: list[int], pieces: list[bytes]) -> list[tuple[int, bytes]]:
        """Like `feed`, of several pieces; what is given has the times at which its lines had come."""
        lines: list[_Line] = []
        for time, piece in zip(times, pieces, strict=True):
            data = self._rest + piece if self._rest else piece
            end = data.rfind(b"\n") + 1
            if not end and len(data) > _LONGEST_LINE:
                end = len(data)
            self._rest = data[end:]
            lines += [_Line(text, time) for text in _lines(data[:end])]
        return self._take(lines, False) if lines else []

    def finish_in_time(self) -> list[tuple[int, bytes]]:
        """Like `finish`, with times."""
        rest, self._rest = self._rest, b""
        time = self._lines[-1].time if self._lines else 0
        return self._take([_Line(text, time) for text in _lines(rest)], True)

    def settle(self) -> bytes:
        """What was held back of whole lines: no more text is to come."""
        touched, self._channels = list(self._channels.values()), {}
        for channel in touched:
            self._judge(channel, True)
        return b"".join([data for _, data in self._given()])

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data if self._rest else data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > _LONGEST_LINE:
            end = len(data)
        self._rest = data[end:]
        return _bytes(self._take(list(map(_Line, _lines(data[:end]))), False)) if end else b""

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        return _bytes(self._take(list(map(_Line, _lines(rest))), True))

    def _take(self, lines: list[_Line], last: bool) -> list[tuple[int, bytes]]:
        rules = self._rules
        closer = rules.looks and rules.may_hold(b"".join([line.data for line in lines]))
        touched: dict[_Kind, _Channel] = dict(self._channels) if last else {}
        self._lines += lines
        for line in lines:
            text = line.data
            quoted = text.find(b'"') >= 0
            if quoted:
                self._read(line, touched)
            if closer and rules.may_hold(text):
                if quoted:
                    self._look(line)
                else:
                    line.data = rules.clean(text)
                    self.redacted = self.redacted or line.data is not text
        for channel in touched.values():
            self._judge(channel, last)
        return self._given()

    def _given(self) -> list[tuple[int, bytes]]:
        """The lines that nothing can change any more."""
        out: list[tuple[int, bytes]] = []
        lines = self._lines
        while lines and not lines[0].open:
            line = lines.popleft()
            data = line.rendered()
            if out and out[-1][0] == line.time:
                out[-1] = line.time, out[-1][1] + data
            else:
                out.append((line.time, data))
        return out

    def _read(self, line: _Line, touched: dict[_Kind, _Channel]) -> None:
        """Find the fragments in a line, and add each to the text that it goes on."""
        kind: list[bytes] = []
        seen: set[_Kind] = set()
        for found in _FIELDS.finditer(line.data):
            name = found[3]
            if name is None:
                kind.append(found[1] or found[2] or b"")
                continue
            whose: _Kind = (name, *kind)
            while whose in seen:
                whose = (*whose, b"+")
            seen.add(whose)
            text = meant(found[4])
            if not text:
                continue
            channel = self._channels.get(whose)
            if channel is None:
                if len(self._channels) >= _MOST_CHANNELS:
                    self._judge_all()
                channel = self._channels[whose] = _Channel()
            line.spans.append(found.span(4))
            line.cuts.append([])
            channel.add(line, text)
            touched[whose] = channel

    def _judge_all(self) -> None:
        for channel in self._channels.values():
            self._judge(channel, True)
        self._channels.clear()

    def _judge(self, channel: _Channel, last: bool) -> None:
        """Judge as much of a text as what comes next cannot change."""
        if not channel.text:
            return
        text = channel.text[0] if len(channel.text) == 1 else b"".join(channel.text)
        until = len(text) if last else self._tail(text)
        if not until:
            return
        hits = self._find(text)
        if channel.within_key:
            hits = with_open_key(text, hits, True)
        if hits and until < len(text):
            kept: list[Hit] = []
            for start, end, stands in hits:
                lasts = self._keys and end == len(text) and key_goes_on(text[start:], channel.within_key)
                if end > until > start and not lasts:
                    until = start
                elif start < until:
                    kept.append((start, min(end, until), stands))
            hits = kept
        if self._keys:
            channel.within_key = key_goes_on(text[:until], channel.within_key)
        self.redacted = self.redacted or bool(hits)
        channel.judged(until, hits)

    def _look(self, line: _Line) -> None:
        """Judge what else a line says, string by string."""
        spans = set(line.spans)
        for found in STRING.finditer(line.data):
            if found[2] != b'"':
                break
            if found.span(1) not in spans:
                raw = found[1]
                clean = cleaned(raw, self._rules)
                if clean is not raw:
                    line.edits.append((*found.span(1), clean))
                    self.redacted = True


def _lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    tail = lines.pop()
    out = [line + b"\n" for line in lines]
    if tail:
        out.append(tail)
    return out


def _all_of_it(_text: bytes) -> int:
    return 0


def _bytes(given: list[tuple[int, bytes]]) -> bytes:
    return given[0][1] if len(given) == 1 else b"".join([data for _, data in given])
