"""HTTP/1.1 message framing, strict, with no I/O: bytes in, heads and body lengths out.

Two rules make smuggling impossible: what is not exactly the grammar of RFC 9112 is refused, and what was accepted is sent
on as the very bytes that were judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy.record.fields import FRAMING, TOKEN, BadLine, Line, line, lines

_REQUEST = re.compile(rb"(" + TOKEN + rb") ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])")  # no "#": a target has no fragment
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_DIGITS = re.compile(rb"[0-9]{1,18}")

MAX_FIELDS = 1000  # fields in one head
MAX_CHUNK_LINE = 4096  # bytes of one chunk-size line with its extensions
MAX_TRAILERS = 65536  # bytes of all trailers of a message
UNTIL_CLOSE: Final = -1


class BadMessage(Exception):
    """The bytes are no HTTP/1.1 message that a proxy may pass on.

    `status` and `code` are what a caller is told; towards an upstream only the text counts.
    """

    def __init__(self, message: str, status: int = 400, code: str = "bad_request") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def _fields(block: bytes) -> list[Line]:
    """The field lines of a head, without its first line. Raises BadMessage."""
    if not block:
        return []
    raws = block.split(b"\r\n")
    if len(raws) > MAX_FIELDS:
        raise BadMessage(f"More than {MAX_FIELDS} header lines.", 431, "head_too_large")
    try:
        return lines(raws)
    except BadLine as bad:
        raise BadMessage(str(bad)) from None


class RequestHead:
    """A request's head: what was asked, and how its body is framed."""

    __slots__ = ("chunked", "connection", "expects", "fields", "keep_alive", "length", "method", "minor", "target", "upgrade")

    def __init__(self, method: bytes, target: bytes, minor: int, fields: list[Line]) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.fields = fields
        self.length = 0  # bytes of body; without meaning where `chunked`
        self.chunked = False
        self.keep_alive = minor == 1
        self.connection: frozenset[bytes] = frozenset()  # options and field names that `Connection` gives
        self.expects = False
        self.upgrade: bytes | None = None


def request_head(head: bytes, max_target: int) -> RequestHead:
    """Judge a request head, given up to and without its last CRLF CRLF. Raises BadMessage.

    RFC 9112 sections 2.2, 3, 5, 6; RFC 9110 section 7.2 for `Host`.
    """
    first, _, block = head.partition(b"\r\n")
    match = _REQUEST.fullmatch(first)
    if match is None:
        raise _bad_request_line(first, max_target)
    if match[1] == b"CONNECT":
        raise BadMessage("CONNECT is not served here.", 405, "method_not_allowed")
    target = match[2]
    if len(target) > max_target:
        raise BadMessage(f"The request target is longer than {max_target} bytes.", 414, "target_too_long")
    request = RequestHead(match[1], target, 1 if match[3] == b"1" else 0, _fields(block))
    hosts = 0
    lengths: list[bytes] = []
    codings: list[bytes] = []
    for _, name, value, role in request.fields:
        if not role & FRAMING:
            continue
        if name == b"host":
            hosts += 1
            if _HOST.fullmatch(value) is None:
                raise BadMessage("The Host header is not a host.")
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"connection":
            request.connection |= _tokens(value)
        elif name == b"expect":
            request.expects = value.lower() == b"100-continue"
        else:
            request.upgrade = value
    if hosts > 1 or (hosts == 0 and request.minor == 1):
        raise BadMessage("HTTP/1.1 needs exactly one Host header.")
    if b"close" in request.connection:
        request.keep_alive = False
    elif request.minor == 0 and b"keep-alive" in request.connection:
        request.keep_alive = True
    if codings:
        if lengths:
            raise BadMessage("Content-Length and Transfer-Encoding together.")
        if request.minor == 0:
            raise BadMessage("Transfer-Encoding in an HTTP/1.0 request.")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadMessage("The only transfer coding that can be used is `chunked`.")
        request.chunked = True
    elif lengths:
        request.length = _length(lengths)
    return request


def _bad_request_line(first: bytes, max_target: int) -> BadMessage:
    if len(first) > max_target:
        return BadMessage(f"The request target is longer than {max_target} bytes.", 414, "target_too_long")
    if re.fullmatch(TOKEN + rb" [^ ]+(?: HTTP/[0-9]+(?:\.[0-9]+)?)?", first) and not re.search(rb" HTTP/1\.[01]$", first):
        return BadMessage("Only HTTP/1.1 and HTTP/1.0 are spoken here.", 505, "http_version")
    return BadMessage("The request line is malformed.")


def _tokens(value: bytes) -> frozenset[bytes]:
    return frozenset(token.strip(b" \t").lower() for token in value.split(b",") if token.strip(b" \t"))


def _length(values: list[bytes]) -> int:
    if len(values) > 1 or _DIGITS.fullmatch(values[0]) is None:
        raise BadMessage("Content-Length must be there once, as plain digits.")
    return int(values[0])


class ResponseHead:
    """A response's head. `length` is `UNTIL_CLOSE` where only the end of the connection ends the body."""

    __slots__ = ("chunked", "connection", "fields", "keep_alive", "length", "reason", "status", "status_line")

    def __init__(self, status_line: bytes, status: int, reason: bytes, fields: list[Line]) -> None:
        self.status_line = status_line
        self.status = status
        self.reason = reason
        self.fields = fields
        self.length = 0
        self.chunked = False
        self.keep_alive = True
        self.connection: frozenset[bytes] = frozenset()


def response_head(head: bytes, method: bytes) -> ResponseHead:
    """Judge a response head to a request of `method`; given without its last CRLF CRLF. Raises BadMessage.

    RFC 9112 section 6.3: where the framing is not clear the message is refused, as nginx does.
    """
    first, _, block = head.partition(b"\r\n")
    match = _STATUS.fullmatch(first)
    if match is None:
        raise BadMessage("The upstream's status line is malformed.")
    status = int(match[2])
    response = ResponseHead(first, status, match[3] or b"", _fields(block))
    lengths: list[bytes] = []
    codings: list[bytes] = []
    for _, name, value, _ in [field for field in response.fields if field[3] & FRAMING]:
        if name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"connection":
            response.connection |= _tokens(value)
    minor = match[1]
    response.keep_alive = minor == b"1" and b"close" not in response.connection
    if codings:
        if lengths:
            raise BadMessage("The upstream sent Content-Length and Transfer-Encoding together.")
        if minor == b"0" or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadMessage("The upstream sent a transfer coding other than `chunked`.")
    length = _length(lengths) if lengths else UNTIL_CLOSE
    if method == b"HEAD" or status < 200 or status in (204, 304):
        response.length = 0
    elif codings:
        response.chunked = True
    else:
        response.length = length
        if length == UNTIL_CLOSE:
            response.keep_alive = False
    return response


_SIZES: dict[bytes, int] = {}


def _chunk_size(size_line: bytes) -> int:
    size = _SIZES.get(size_line)
    if size is None:
        match = _CHUNK.fullmatch(size_line)
        if match is None:
            raise BadMessage("A chunk-size line is malformed.")
        size = int(match[1], 16)
        if size >= 1 << 62:
            raise BadMessage("A chunk is too large.")
        if len(_SIZES) < 4096 and len(size_line) <= 16:
            _SIZES[size_line] = size
    return size


def _whole_chunks(data: bytes, parts: list[bytes]) -> int:
    """Take the whole chunks at the start of `data` that are plain to see, and say where they end: the road of most events."""
    at, size = 0, len(data)
    known = _SIZES.get
    while True:
        end = data.find(b"\r\n", at, at + 18)
        length = known(data[at:end]) if end > at else None
        if not length:
            return at
        stop = end + 2 + length
        if stop + 2 > size or data[stop : stop + 2] != b"\r\n":
            return at
        parts.append(data[end + 2 : stop])
        at = stop + 2


class Chunked:
    """Follows a chunked body (RFC 9112 section 7.1) through any cut of its bytes.

    `feed` judges; the caller of it decides whether the bytes themselves or only the payload goes on.
    """

    __slots__ = ("_inside", "_left", "_tail", "_trailing", "done", "trailers")

    def __init__(self) -> None:
        self._left = 0  # payload bytes of the current chunk still to come
        self._inside = False  # in a chunk, its CRLF included
        self._tail = b""  # an unfinished line, or the CR of an unfinished CRLF
        self._trailing = False
        self.done = False
        self.trailers: list[Line] = []

    def one(self, data: bytes) -> bytes | None:
        """The payload where `data` is just one whole chunk, as most events come; None where `feed` has to look."""
        length = len(data)
        if self._left or self._inside or self._trailing or self._tail or length < 6:
            return None
        size = at = 0
        while at < 5:  # digit by digit: compiled, that is a tenth of what a search and a look-up cost
            digit = data[at]
            if 48 <= digit <= 57:
                size = size * 16 + digit - 48
            elif 97 <= digit <= 102:
                size = size * 16 + digit - 87
            else:
                break
            at += 1
        if at == 0 or size == 0 or length != at + 4 + size:
            return None
        if data[at] != 13 or data[at + 1] != 10 or data[length - 2] != 13 or data[length - 1] != 10:
            return None
        return data[at + 2 : length - 2]

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """The payload in `data`, and how many of its bytes belong to this message. Raises BadMessage."""
        tail = len(self._tail)
        if tail:
            data = self._tail + data
            self._tail = b""
        parts: list[bytes] = []
        at = 0 if self._left or self._inside or self._trailing else _whole_chunks(data, parts)
        size = len(data)
        while at < size:
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                self._left -= len(part)
                at += len(part)
                continue
            if self._inside:  # the CRLF behind a chunk
                if size - at == 1:
                    if data[at] != 13:
                        raise BadMessage("A chunk is not followed by CRLF.")
                    self._tail = data[at:]
                    break
                if data[at : at + 2] != b"\r\n":
                    raise BadMessage("A chunk is not followed by CRLF.")
                at += 2
                self._inside = False
                continue
            end = data.find(b"\n", at)
            limit = MAX_TRAILERS if self._trailing else MAX_CHUNK_LINE
            if end < 0:
                if size - at > limit:
                    raise BadMessage("A chunk-size line or the trailers are too long.")
                self._tail = data[at:]
                break
            if end - at > limit or end == at or data[end - 1] != 13:
                raise BadMessage("A line of a chunked body does not end in CRLF, or is too long.")
            text = data[at : end - 1]
            at = end + 1
            if self._trailing:
                if not text:
                    self.done = True
                    break
                self._trailer(text)
                continue
            left = _chunk_size(text)
            if left:
                self._left = left
                self._inside = True
            else:
                self._trailing = True
        return (parts[0] if len(parts) == 1 else b"".join(parts)), at + len(self._tail) - tail

    def _trailer(self, text: bytes) -> None:
        try:
            trailer = line(text)
        except BadLine as bad:
            raise BadMessage(str(bad)) from None
        if trailer.role & FRAMING or len(self.trailers) >= MAX_FIELDS:
            raise BadMessage("A trailer must not frame or route a message.")
        self.trailers.append(trailer)


def chunk(payload: bytes) -> bytes:
    """One chunk; nothing for no payload, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


def joined(first: bytes, raws: Iterable[bytes]) -> bytes:
    """A head out of its first line and its field lines."""
    return b"\r\n".join((first, *raws, b"", b""))
