"""The part of a task that no list shows, as one value: bodies, headers, pieces and the provider's JSON.

One value and not five: compressed together (proxy/store/difference.py) they take a fifth less room and a quarter less time than
apart, since a streamed answer's JSON says the same as its events. JSON that is what a body says is not kept again but read from
the body, with the mark `"body"` in its place; how it was read when saving is how it is read when asked.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from functools import cache
from typing import Any, cast

import orjson

from proxy.quick import filled
from proxy.store import pieces as timings
from proxy.store.kept import Record
from proxy.task import Task

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LENGTHS = struct.Struct("<QQI")  # of the request body, the response body, the pieces; the JSON is the rest
REQUEST_AT = _LENGTHS.size
"""Where the request body begins in a record."""

_PLAIN_FIELDS = (
    "request_headers",
    "response_headers",
    "request_coding",
    "response_coding",
    "redactions",
    "carried",
    "evaluations",
)
_plain_of = filled(*_PLAIN_FIELDS)

DECODED_MOST = 64 * 2**20
"""Bytes that a coded body may grow to when its JSON is read from it; past this the JSON is kept by itself."""


def write(task: Task) -> bytes:
    """The record of `task`: what `read` reads.

    Raises ValueError, TypeError, OverflowError, RecursionError, struct.error for values that have no JSON or no bytes.
    """
    rest = _plain_of(task)
    request, response = task.request_body, task.response_body
    if (raw := task.raw_input) is not None:
        rest["raw_input"] = "body" if _was_read(task, raw, request) or _says(request, task.request_coding, raw) else [raw]
    if (raw := task.raw_output) is not None:
        rest["raw_output"] = "body" if _was_read(task, raw, response) or _says(response, task.response_coding, raw) else [raw]
    arrivals = timings.encode(task.pieces)
    return b"".join((_LENGTHS.pack(len(request), len(response), len(arrivals)), request, response, arrivals, dumps(rest)))


def read(data: bytes) -> Record:
    """The record that `write` made."""
    request, response, arrivals, written = _parts(data)
    rest = loads(written)
    request_coding, response_coding = rest.get("request_coding"), rest.get("response_coding")
    return Record(
        raw_input=_raw(rest.get("raw_input"), request, request_coding),
        raw_output=_raw(rest.get("raw_output"), response, response_coding),
        request_headers=tuple((name, value) for name, value in rest.get("request_headers", ())),
        response_headers=tuple((name, value) for name, value in rest.get("response_headers", ())),
        request_body=request,
        request_coding=request_coding,
        response_body=response,
        response_coding=response_coding,
        pieces=timings.decode(arrivals),
        redactions=tuple(rest.get("redactions", ())),
        carried=rest.get("carried", {}),
        evaluations=tuple(rest.get("evaluations", ())),
    )


def dumps(value: Any) -> bytes:
    """JSON; where orjson cannot write it (half a surrogate pair, integers past 64 bits) `json` does, after a space."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return b" " + json.dumps(value).encode()


def loads(data: bytes | str) -> Any:
    """What `dumps` was given; tuples come back as lists."""
    return json.loads(data) if data[:1] in (b" ", " ") else orjson.loads(data)


def _parts(data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    request, response, arrivals = _LENGTHS.unpack_from(data)
    ends = (_LENGTHS.size, _LENGTHS.size + request, _LENGTHS.size + request + response)
    last = ends[2] + arrivals
    return data[ends[0] : ends[1]], data[ends[1] : ends[2]], data[ends[2] : last], data[last:]


def _was_read(task: Task, raw: Any, body: bytes) -> bool:
    """Whether these very values were read, one from the other: whatever was changed since is another."""
    for value, data in task.as_read:  # noqa: SIM110  a generator would take twice as long
        if value is raw and data is body:
            return True
    return False


def _says(body: bytes, coding: str | None, raw: Any) -> bool:
    if coding is None and body[:1] not in (b"{", b"[", b" ", b"\n", b"\r", b"\t"):
        return False  # a stream's events: not worth trying
    try:
        if coding is None and orjson.dumps(raw) == body:
            return True  # as most callers write it; a third of the time that reading takes
        return bool(_read(body, coding) == raw)
    except (ValueError, TypeError, OverflowError, RecursionError, EOFError, zlib.error, zstd.ZstdError):
        return False


def _raw(kept: Any, body: bytes, coding: str | None) -> Any:
    if kept is None:
        return None
    return _read(body, coding) if kept == "body" else kept[0]


def _read(body: bytes, coding: str | None) -> Any:
    """The JSON in a body. Raises ValueError and others where there is none, or the coding is unknown, or it is too much."""
    plain = body if coding is None else _decoded(body, coding.strip().lower())
    try:
        return orjson.loads(plain)
    except ValueError:
        return json.loads(plain)  # it takes what orjson is too strict for: NaN, halves of surrogate pairs


def _decoded(body: bytes, coding: str) -> bytes:
    plain: bytes
    if coding in ("gzip", "x-gzip"):
        plain = zlib.decompressobj(wbits=31).decompress(body, DECODED_MOST + 1)
    elif coding == "deflate":
        plain = zlib.decompressobj().decompress(body, DECODED_MOST + 1)
    elif coding == "zstd":
        plain = zstd.ZstdDecompressor().decompress(body, DECODED_MOST + 1)
    elif coding == "br":
        plain = _brotli(body)
    else:
        raise ValueError(coding)
    if len(plain) > DECODED_MOST:
        raise ValueError("too long when decoded")
    return plain


@cache
def _brotli_module() -> Any:
    import brotli  # type: ignore[import-untyped]  # it has no types

    return brotli


def _brotli(body: bytes) -> bytes:
    brotli = _brotli_module()
    try:
        return cast("bytes", brotli.Decompressor().process(body, output_buffer_limit=DECODED_MOST + 1))
    except brotli.error as error:
        raise ValueError("not brotli") from error
