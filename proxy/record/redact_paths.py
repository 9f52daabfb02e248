"""Takes the values out of JSON that paths lead to, while it comes in pieces; several documents in a row are as many. Pure."""

from __future__ import annotations

import re

from proxy.record.json_path import JsonPath, Step
from proxy.record.redact_rules import PATH_MARK

_TOKEN = re.compile(rb'"|[{}\[\],:]|[^"{}\[\],:\s]+')
_INSIDE = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_MOST_NAME = 4096  # bytes: a longer name is not looked at
_MARKED = b'"' + PATH_MARK + b'"'


class PathRedactor:
    """One body. In the manner of a `TextRedactor`."""

    __slots__ = ("_away", "_in_string", "_name", "_paths", "_place", "_rest", "redacted")

    def __init__(self, paths: tuple[JsonPath, ...]) -> None:
        self.redacted = False
        self._paths = paths
        self._rest = b""
        self._place: list[Step] = []  # of what comes next: for each object a name, for each array a number
        self._name = False  # the next string is a name
        self._away = -1  # how deep the value is that is being left out; -1: none is
        self._in_string = False  # whose beginning is given out, or left out

    @property
    def holding(self) -> bool:
        return self._rest != b""

    def feed(self, data: bytes) -> bytes:
        return self._scan(self._rest + data, False)

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        return self._scan(rest, True)

    def _scan(self, text: bytes, last: bool) -> bytes:
        out: list[bytes] = []
        at = given = 0  # up to `given` all is in `out`, or left out
        self._rest = b""
        while at < len(text):
            if self._in_string:
                inside = _INSIDE.match(text, at)
                end = inside.end() if inside else at
                if end == len(text) or text[end : end + 1] != b'"':  # a lone backslash at the end waits for its letter
                    at = end if not last else len(text)
                    break
                at = end + 1
                self._in_string = False
                if self._away == len(self._place):
                    self._away, given = -1, at
                continue
            token = _TOKEN.search(text, at)
            if token is None:
                at = len(text)
                break
            start, at = token.span()
            letter = text[start : start + 1]
            if at == len(text) and not last and letter not in b'"{}[],:' and at - start < _MOST_NAME:
                at = start  # a number may go on
                break
            if letter == b'"' and self._name and self._away < 0:
                inside = _INSIDE.match(text, at)
                end = inside.end() if inside else at
                if text[end : end + 1] != b'"' and len(text) - start < _MOST_NAME and not last:
                    at = start  # a name that is not whole waits
                    break
                self._place[-1] = text[at:end].decode("utf-8", "replace")
                self._name = False
                at = end + 1 if text[end : end + 1] == b'"' else end
                continue
            if letter in (b"}", b"]"):
                if self._place:
                    self._place.pop()
                self._name = False
                if self._away == len(self._place):
                    self._away, given = -1, at
                continue
            if letter == b",":
                if self._place:
                    here = self._place[-1]
                    if isinstance(here, int):
                        self._place[-1] = here + 1
                    else:
                        self._name = True
                continue
            if letter == b":":
                continue
            # a value begins
            if self._away < 0 and self._place and any(path.leads_to(self._place) for path in self._paths):
                out += (text[given:start], _MARKED)
                self.redacted = True
                self._away, given = len(self._place), start
                if letter not in (b'"', b"{", b"["):
                    self._away, given = -1, at
                    continue
            if letter == b'"':
                self._in_string = True
            elif letter == b"{":
                self._place.append("")
                self._name = True
            elif letter == b"[":
                self._place.append(0)
                self._name = False
        if not last:
            self._rest = text[at:]
        if self._away < 0:
            out.append(text[given:at] if not last else text[given:])
        return b"".join(out)
