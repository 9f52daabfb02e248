"""OTLP traces (`ExportTraceServiceRequest` of opentelemetry-proto 1.x) out of protobuf's wire format, as far as spans need it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.task import JSON

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
MOST_DEPTH: Final = 32  # levels of lists and maps inside an attribute


class NotProtobufError(ValueError):
    """These bytes are no protobuf message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span. Times are nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    name: str = ""
    scope: str = ""
    start: int = 0
    end: int = 0
    attributes: JSON = field(default_factory=dict)
    resource: JSON = field(default_factory=dict)
    failed: bool = False
    message: str | None = None  # of its status
    events: tuple[tuple[str, JSON], ...] = ()  # (name, attributes)


def spans_of(data: bytes) -> list[Span]:
    """The spans of an export request, in its order. Raises NotProtobufError."""
    found: list[Span] = []
    for resource_spans in [value for number, value in _fields(data) if number == 1]:
        parts = list(_fields(_message(resource_spans)))
        resource = next((_attributes(_message(value), 1) for number, value in parts if number == 1), {})
        for scope_spans in [value for number, value in parts if number == 2]:
            inner = list(_fields(_message(scope_spans)))
            scope = next((_text_in(_message(value), 1) for number, value in inner if number == 1), "")
            found += [_span(_message(value), scope, resource) for number, value in inner if number == 2]
    return found


def _span(data: bytes, scope: str, resource: JSON) -> Span:
    values: dict[int, Any] = {}
    attributes: JSON = {}
    events: list[tuple[str, JSON]] = []
    for number, value in _fields(data):
        if number == 9:
            attributes |= _pair(_message(value))
        elif number == 11:
            event = _message(value)
            events.append((_text_in(event, 2), _attributes(event, 3)))
        else:
            values[number] = value
    status = dict(_fields(_message(values.get(15, b""))))
    parent = _message(values.get(4, b"")).hex()
    message = _message(status.get(2, b"")).decode("utf-8", "replace")
    return Span(
        trace_id=_message(values.get(1, b"")).hex(),
        span_id=_message(values.get(2, b"")).hex(),
        parent_span_id=parent or None,
        name=_message(values.get(5, b"")).decode("utf-8", "replace"),
        scope=scope,
        start=_number(values.get(7, 0)),
        end=_number(values.get(8, 0)),
        attributes=attributes,
        resource=resource,
        failed=status.get(3) == 2,
        message=message or None,
        events=tuple(events),
    )


def _attributes(data: bytes, number: int) -> JSON:
    found: JSON = {}
    for each, value in _fields(data):
        if each == number:
            found |= _pair(_message(value))
    return found


def _pair(data: bytes, depth: int = 0) -> JSON:
    key, value = "", None
    for number, each in _fields(data):
        if number == 1:
            key = _message(each).decode("utf-8", "replace")
        elif number == 2:
            value = _any(_message(each), depth)
    return {key: value}


def _any(data: bytes, depth: int) -> Any:
    if depth > MOST_DEPTH:
        raise NotProtobufError("an attribute is nested too deeply")
    for number, value in _fields(data):
        if number == 1:
            return _message(value).decode("utf-8", "replace")
        if number == 2:
            return bool(value)
        if number == 3:
            figure = _number(value)
            return figure - (1 << 64) if figure >> 63 else figure
        if number == 4:
            return struct.unpack("<d", struct.pack("<Q", _number(value)))[0]
        if number == 5:
            return [_any(_message(each), depth + 1) for inner, each in _fields(_message(value)) if inner == 1]
        if number == 6:
            found: JSON = {}
            for inner, each in _fields(_message(value)):
                if inner == 1:
                    found |= _pair(_message(each), depth + 1)
            return found
        if number == 7:
            return _message(value).hex()
    return None


def _text_in(data: bytes, number: int) -> str:
    return next((_message(value).decode("utf-8", "replace") for each, value in _fields(data) if each == number), "")


def _message(value: bytes | int) -> bytes:
    if not isinstance(value, bytes):
        raise NotProtobufError("a number stands where a message should be")
    return value


def _number(value: bytes | int) -> int:
    if not isinstance(value, int):
        raise NotProtobufError("a message stands where a number should be")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a message: (number, bytes of a length-delimited one, or the number that it is)."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise NotProtobufError(f"there is no wire type {kind}")
        if size > end - at:
            raise NotProtobufError("it is cut")
        piece = data[at : at + size]
        at += size
        yield number, piece if kind == _BYTES else int.from_bytes(piece, "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise NotProtobufError("a number has no end")
