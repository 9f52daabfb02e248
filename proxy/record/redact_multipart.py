"""multipart/form-data (RFC 7578): fields with a secret's name lose their value, known credentials go everywhere."""

from __future__ import annotations

import re

from proxy.record.redact_layers import Layer
from proxy.record.redact_names import REDACTED, is_secret_name

_BOUNDARY = re.compile(rb'(?i)boundary=(?:"([^"\r\n]{1,200})"|([^;\s]{1,200}))')
_NAME = re.compile(rb'(?i)[;\s]name=(?:"([^"\r\n]*)"|([^;\s]+))')
_MOST_HEAD = 8192  # bytes: what is longer is no head of a part


def boundary(content_type: bytes) -> bytes | None:
    """The boundary that a Content-Type gives; `None`: this is no form of several parts."""
    if not content_type.lower().startswith(b"multipart/form-data"):
        return None
    match = _BOUNDARY.search(content_type)
    return None if match is None else match[1] or match[2]


class MultipartRedactor:
    """Feeds on a body, gives back what may be written of it so far.

    Heads of parts, and what may be a delimiter, are held until they are whole.
    """

    __slots__ = ("_begun", "_delimiter", "_in_head", "_rest", "_skipping", "_text")

    def __init__(self, text: Layer, boundary: bytes) -> None:
        self._text = text
        self._delimiter = b"\r\n--" + boundary
        self._rest = b"\r\n"  # so that the first delimiter is like all others; taken off again by `_given`
        self._begun = False  # it was taken off
        self._in_head = False
        self._skipping = False

    @property
    def redacted(self) -> bool:
        return self._text.redacted

    @redacted.setter
    def redacted(self, value: bool) -> None:
        self._text.redacted = value

    @property
    def holding(self) -> bool:
        return self._text.holding or self._rest != b""

    def feed(self, data: bytes) -> bytes:
        return self._text.feed(self._given(self._cut(data)))

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        left = b"" if self._skipping else rest
        return self._text.feed(self._given(left)) + self._text.finish()

    def _given(self, out: bytes) -> bytes:
        """`out` without the line's end that we put before the body: it is held, and then goes out, with what comes first."""
        if self._begun or not out:
            return out
        self._begun = True
        return out[2:]

    def _cut(self, data: bytes) -> bytes:
        data = self._rest + data
        out: list[bytes] = []
        at = 0
        while True:
            if self._in_head:
                end = data.find(b"\r\n\r\n", at)
                if end < 0:
                    if len(data) - at <= _MOST_HEAD:
                        break
                    end = len(data) - 4
                head = data[at : end + 4]
                at = end + 4
                out.append(head)
                self._in_head = False
                name = _NAME.search(head)
                if name is not None and is_secret_name(name[1] or name[2] or b""):
                    self._skipping = self._text.redacted = True
                    out.append(REDACTED)
                continue
            end = data.find(self._delimiter, at)
            if end < 0:
                hold = self._hold(data, at)
                if not self._skipping:
                    out.append(data[at:hold])
                at = hold
                break
            if not self._skipping:
                out.append(data[at:end])
            self._skipping = False
            out.append(self._delimiter)
            at = end + len(self._delimiter)
            self._in_head = True
        self._rest = data[at:]
        return b"".join(out)

    def _hold(self, data: bytes, at: int) -> int:
        """Where the tail begins that a delimiter may begin with."""
        for start in range(max(at, len(data) - len(self._delimiter) + 1), len(data)):
            if self._delimiter.startswith(data[start:]):
                return start
        return len(data)
