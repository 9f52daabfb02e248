"""Takes what rules name out of JSON and plain text that comes in pieces, string by string. Pure.

A string is searched as what it means, not as it is spelled, so that an escape hides nothing and none is broken.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from proxy.record.redact_rules import Hit, Rules, key_goes_on, mark, replaced

LONG_STRING: Final = 1 << 16  # bytes: of a longer one that is not whole, what is surely complete goes on
# No group here is possessive: before Python 3.11.5 `re` gets those wrong whose inside may go back (CPython issue 106052).
STRING: Final = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)("|(?=\\?\Z))', re.DOTALL)
"""A string: what is in it, and the quote that ends it; nothing where the text ends first, so that none is looked for inside."""
_WHOLE = re.compile(rb'[^"]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"]*)*', re.DOTALL)
_INSIDE = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_NUMBER = re.compile(rb"(?<=[:,\[ ])[0-9]{12,19}(?=[ ,\]}\r\n])")
_SEAM = re.compile(rb"(?:[.,;:!?]|\\n)(?: |\\n)(?=[^0-9+(A-Z])")  # no hit goes over it
_KEY: Final = mark("private_key")


def meant(raw: bytes) -> bytes | None:
    """What the inside of a JSON string says, as UTF-8; `None` where it is no sound JSON."""
    if raw.find(b"\\") < 0:
        return raw
    try:
        return str(json.loads(b'"' + raw + b'"', strict=False)).encode("utf-8", "surrogatepass")
    except ValueError:
        return None


def spelled(text: bytes, raw: bytes) -> bytes:
    """`text` as the inside of a JSON string, in the manner of `raw`."""
    said = text.decode("utf-8", "surrogatepass")
    return json.dumps(said, ensure_ascii=raw.isascii()).encode("utf-8", "surrogatepass")[1:-1]


def cleaned(raw: bytes, rules: Rules) -> bytes:
    """The inside of a JSON string without what is to be taken out; `raw` itself where that is nothing."""
    text = meant(raw)
    if text is None:
        return rules.clean(raw)
    clean = rules.clean(text)
    if clean is text:
        return raw
    return clean if text is raw else spelled(clean, raw)


class SaidRedactor:
    """One body that is no stream: JSON, or text. In the manner of a `TextRedactor`.

    The first piece is held: most bodies come in one, and then a quick look is enough.
    """

    __slots__ = ("_first", "_open", "_rest", "_rules", "_within_key", "redacted")

    def __init__(self, rules: Rules) -> None:
        self.redacted = False
        self._rules = rules
        self._rest = b""
        self._first = True
        self._open = False  # `_rest` is inside a string, whose beginning is given out
        self._within_key = False  # and inside a private key

    @property
    def holding(self) -> bool:
        return self._rest != b""

    def feed(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._first and not self._rest:
            self._rest = data
            return b""
        self._first = False
        return self._scan(self._rest + data, False)

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        if self._first:
            return self._all(rest)
        return self._scan(rest, True)

    def _all(self, text: bytes) -> bytes:
        """Whole strings and what is between them; a string that is not ended is one."""
        rules = self._rules
        if not text or not (self._within_key or rules.may_hold(text)):
            return text
        out: list[bytes] = []
        at = 0
        for found in STRING.finditer(text):
            if found[2] != b'"':
                break
            out += (self._between(text[at : found.start() + 1]), cleaned(found[1], rules))
            at = found.end() - 1
        tail = text[at:]
        lone = tail.find(b'"', 1) + 1  # of a string that was cut off; or nothing but the end
        out.append(self._between(tail) if not lone else self._between(tail[:lone]) + cleaned(tail[lone:], rules))
        return self._said(text, b"".join(out))

    def _between(self, text: bytes) -> bytes:
        """Numbers may be cards; and text that is no JSON may have anything between its quotes."""
        if len(text) < 8 and not self._within_key:
            return text
        rules = self._rules
        if "card" in rules.named and _NUMBER.search(text):
            return _NUMBER.sub(lambda found: found[0] if not rules.hits(found[0]) else b'"' + mark("card") + b'"', text)
        return replaced(text, self._hits(text))

    def _hits(self, text: bytes) -> list[Hit]:
        """What is taken out of a text that is a part of one."""
        hits = self._rules.hits(text)
        if "private_key" in self._rules.named:
            hits = with_open_key(text, hits, self._within_key)
            self._within_key = key_goes_on(text, self._within_key)
        return hits

    def _said(self, text: bytes, clean: bytes) -> bytes:
        if clean == text:
            return text
        self.redacted = True
        return clean

    def _scan(self, text: bytes, last: bool) -> bytes:
        out = b""
        if self._open:
            inside = _INSIDE.match(text)
            end = inside.end() if inside else 0
            if end == len(text) or text[end : end + 1] != b'"':
                return self._go_on(text, last)
            out, text = self._part(text[:end]), text[end:]
            out += text[:1]
            text = text[1:]
            self._open = self._within_key = False
        if last:
            return out + self._all(text)
        whole = _WHOLE.match(text)
        end = whole.end() if whole else 0
        if end == len(text):  # of text and numbers, the end may go on in the next piece
            end = max(text.rfind(b'"') + 1, self._rules.open_tail(text))
        out += self._all(text[:end])
        self._rest = text[end:]
        if len(self._rest) > LONG_STRING:
            quote, self._rest = self._rest[:1], self._rest[1:]
            self._open = True
            out += quote + self._go_on(self._rest, False)
        return out

    def _go_on(self, text: bytes, last: bool) -> bytes:
        """More of a long string that has not ended."""
        if last:
            return self._part(text)
        if len(text) <= LONG_STRING:
            self._rest = text
            return b""
        half = len(text) // 2
        seam = max((found.end() for found in _SEAM.finditer(text, half)), default=max(half, self._rules.open_tail(text)))
        while seam > 0 and text.find(b"\\", max(0, seam - 12), seam) >= 0 and text[seam - 2 : seam] != b"\\n":
            seam -= 1
        self._rest = text[seam:]
        return self._part(text[:seam])

    def _part(self, raw: bytes) -> bytes:
        """A part of a long string, whose other parts were or will be looked at alone."""
        if not self._rules.looks:
            return raw
        text = raw if (found := meant(raw)) is None else found
        hits = self._hits(text)
        if not hits:
            return raw
        self.redacted = True
        clean = replaced(text, hits)
        return clean if text is raw else spelled(clean, raw)


def with_open_key(text: bytes, hits: list[Hit], inside: bool) -> list[Hit]:
    """`hits` of a text that begins inside a private key, or does not."""
    if not inside:
        return hits
    from proxy.record.patterns import END_OF_KEY

    end = END_OF_KEY.search(text)
    until = end.end() if end else len(text)
    return [(0, until, b""), *(hit for hit in hits if hit[0] >= until)]


class FormRedactor:
    """application/x-www-form-urlencoded: each value is searched as what it means."""

    __slots__ = ("_rest", "_rules", "redacted")

    def __init__(self, rules: Rules) -> None:
        self.redacted = False
        self._rules = rules
        self._rest = b""

    @property
    def holding(self) -> bool:
        return self._rest != b""

    def feed(self, data: bytes) -> bytes:
        done, mark, self._rest = (self._rest + data).rpartition(b"&")
        return self._clean(done) + mark if mark else b""

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        return self._clean(rest)

    def _clean(self, text: bytes) -> bytes:
        return b"&".join(map(self._field, text.split(b"&")))

    def _field(self, field: bytes) -> bytes:
        name, mark, value = field.partition(b"=")
        plain = unquote_to_bytes(value.replace(b"+", b" "))
        clean = self._rules.clean(plain)
        if clean is plain:
            return field
        self.redacted = True
        return name + mark + quote_from_bytes(clean, safe="[]: ").replace(" ", "+").encode()
