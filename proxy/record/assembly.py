"""The records of one call -> the Call. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import orjson

from proxy.quick import maker
from proxy.record.frames import Kind, Record
from proxy.record.redact import joined
from proxy.task import JSON, Call, Ending, Fields, Piece

_call: Final = maker(Call)
_loads: Final = orjson.loads

# Said once: Python takes ten times as long to find a member of an enumeration as to find one of these.
_COMPLETED: Final = Ending.COMPLETED
_CALLER_LEFT: Final = Ending.CALLER_LEFT
_PROXY_DIED: Final = Ending.PROXY_DIED
_SENT: Final = Kind.SENT
_HEAD: Final = Kind.HEAD
_DATA: Final = Kind.DATA
_MARK: Final = Kind.MARK
_END: Final = Kind.END
_WHOLE: Final = Kind.WHOLE
_PIECES: Final = Kind.PIECES

_ENDINGS: Final = {ending.value: ending for ending in Ending}
_SIZE = struct.Struct("<I")
LONGEST: Final = 2048  # bytes of a request's fields that are remembered: callers send the same ones again and again
MOST_KNOWN: Final = 512

DIED: Final = "the relay died during this call: what the journal had of it is here"


def pack_begin(meta: bytes, lines: bytes, body: bytes) -> bytes:
    """The payload of a BEGIN record; `meta` is a JSON object."""
    return b"".join((_SIZE.pack(len(meta)), meta, _SIZE.pack(len(lines)), lines, body))


def pack_head(head: bytes, body: bytes) -> bytes:
    """The payload of a HEAD record."""
    return b"".join((_SIZE.pack(len(head)), head, body))


def pack_whole(head: bytes, body: bytes, end: bytes) -> bytes:
    """The payload of a WHOLE record."""
    return b"".join((_SIZE.pack(len(head)), head, _SIZE.pack(len(body)), body, end))


def pack_pieces(times: list[int], pieces: list[bytes], data: bytes) -> bytes:
    """The payload of a PIECES record; `times` are microseconds of the relay's clock, `data` is the pieces in one."""
    return _numbers(len(pieces)).pack(len(pieces), *times, *[len(piece) for piece in pieces]) + data


@lru_cache(maxsize=128)
def _numbers(count: int) -> struct.Struct:
    """How many pieces there are, when each came, and how long each is."""
    return struct.Struct(f"<I{count}Q{count}I")


def _pieces(begun: int, payload: bytes) -> list[Piece]:
    count = _SIZE.unpack_from(payload)[0]
    numbers = _numbers(count).unpack_from(payload)[1:]
    at = 4 + 12 * count
    found = []
    for time, size in zip(numbers[:count], numbers[count:], strict=True):
        found.append(_piece((time - begun) / 1e6, payload[at : at + size]))
        at += size
    return found


def _piece(at: float, data: bytes) -> Piece:
    return tuple.__new__(Piece, (at, data))  # a third of the time of calling it


def _unpacked(payload: bytes, at: int = 0) -> tuple[bytes, int]:
    """What stands at `at` with its size before it, and where it ends."""
    begin = at + 4
    end: int = begin + _SIZE.unpack_from(payload, at)[0]
    return payload[begin:end], end


def call(epoch: str, records: Sequence[Record]) -> Call:
    """The call whose records these are, BEGIN first. Without an END it is a call that the relay's death cut off."""
    _, number, begun, payload, _ = records[0]
    packed, at_lines = _unpacked(payload)
    lines, at_body = _unpacked(payload, at_lines)
    sent_first = payload[at_body:]
    meta: JSON = _loads(packed)
    sent: list[Piece] = [_piece(0.0, sent_first)] if sent_first else []
    pieces: list[Piece] = []
    status, reason, fields = None, "", Fields()
    first: float | None = None
    end: JSON | None = None
    marked = False
    last = begun
    for kind, _, time, payload, _ in records[1:]:
        last = time
        at = (time - begun) / 1e6
        if kind is _DATA:
            pieces.append(_piece(at, payload))
        elif kind is _PIECES:
            pieces += _pieces(begun, payload)
        elif kind is _SENT:
            sent.append(_piece(at, payload))
        elif kind is _HEAD or kind is _WHOLE:
            head, at_body = _unpacked(payload)
            status, reason, fields = _head(head)
            first = at
            if kind is _WHOLE:
                body, at_end = _unpacked(payload, at_body)
                end = _loads(payload[at_end:])
            else:
                body = payload[at_body:]
            if body:
                pieces.append(_piece(at, body))
        elif kind is _MARK:
            marked = True
        elif kind is _END:
            end = _loads(payload)
            break
    if first is not None and pieces:
        first = min(first, pieces[0].at)  # the head is written with the first pieces, a little after they came
    request_fields = _fields(lines)
    problems: list[str] = []
    unclosed: Ending | None = None
    if end is None:
        ending, unclosed = (_COMPLETED, _PROXY_DIED) if marked else (_PROXY_DIED, None)
        problems.append(DIED)
        end = {"marked": marked}
    else:
        ending = _ENDINGS[end["ending"]]
        if end.get("left"):
            unclosed = _CALLER_LEFT
        if end.get("first") is not None:
            first = end["first"] / 1e6
    problems += end.get("problems", ())
    request_body = sent[0].data if len(sent) == 1 else b"".join([piece.data for piece in sent])
    if end.get("request_switched") is not None:
        request_body = joined(request_body, end["request_switched"], _coding(request_fields))
    response = tuple(pieces)
    if end.get("response_switched") is not None:
        response = _plain(response, end["response_switched"], _coding(fields))
    return _call(
        origin=f"{epoch}.{number}",
        id=meta["id"],
        own_id=meta["own"],
        retry_of=meta["retry_of"],
        part_of=meta.get("of"),
        created_at=meta["at"],
        ended_at=meta["at"] + max(0, last - begun),
        ending=ending,
        upstream=meta["upstream"],
        kind=meta["kind"],
        method=meta["method"],
        target=meta["target"],
        caller_key=meta["key"],
        request_fields=request_fields,
        request_body=request_body,
        sent=tuple(sent) if status == 101 else (),
        request_size=end.get("request", len(request_body)),
        request_decoded=end.get("request_switched") is not None,
        http_status=status,
        reason=reason,
        response_fields=fields,
        response=response,
        response_size=end["response"] if "response" in end else sum([len(piece.data) for piece in response]),
        response_decoded=end.get("response_switched") is not None,
        seconds_to_first_byte=first,
        seconds_to_connect=_seconds(end.get("reached")),
        seconds_to_sent=_seconds(end.get("sent")),
        marked=bool(end.get("marked")),
        unclosed=unclosed,
        drained=bool(end.get("drained")),
        error_code=end.get("error"),
        redactions=tuple(end.get("redactions", ())),
        problems=tuple(problems),
    )


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1e6


def _head(head: bytes) -> tuple[int, str, Fields]:
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    status, _, reason = lines[0].partition(b" ")
    return int(status), reason.decode("latin-1"), tuple([_field(line) for line in lines[1:]])


def _fields(lines: bytes) -> Fields:
    """The fields of a request, of whose kind there are others: they are remembered."""
    return _remembered(lines) if len(lines) <= LONGEST else _split(lines)


def _split(lines: bytes) -> Fields:
    return tuple([_field(line) for line in lines.split(b"\r\n")]) if lines else ()


_remembered: Final = lru_cache(MOST_KNOWN)(_split)


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t")


def _coding(fields: Fields) -> str | None:
    values = [value.decode("latin-1") for name, value in fields if name.lower() == b"content-encoding"]
    return ", ".join(values) or None


def _plain(pieces: tuple[Piece, ...], switched_at: int, coding: str | None) -> tuple[Piece, ...]:
    """The pieces of a body whose copy went from coded to plain: the coded ones become one, decoded."""
    coded: list[bytes] = []
    rest: list[Piece] = []
    seen = 0
    for piece in pieces:
        part = piece.data[: max(0, switched_at - seen)]
        seen += len(piece.data)
        coded.append(part)
        if len(part) < len(piece.data):
            rest.append(Piece(piece.at, piece.data[len(part) :]))
    head = joined(b"".join(coded), switched_at, coding)
    return (Piece(pieces[0].at, head), *rest) if head else tuple(rest)
