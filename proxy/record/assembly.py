"""The records of one call -> the Call. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import orjson

from proxy.record.frames import Kind, Record
from proxy.record.redact import joined
from proxy.task import JSON, Call, Ending, Fields, Piece

_ENDINGS: Final = {ending.value: ending for ending in Ending}
_SIZE = struct.Struct("<I")
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
    """The payload of a PIECES record; `times` are nanoseconds of the relay's clock, `data` is the pieces in one."""
    numbers = [at // 1000 for at in times]
    numbers += [len(piece) for piece in pieces]
    return _numbers(len(pieces)).pack(len(pieces), *numbers) + data


@lru_cache(maxsize=128)
def _numbers(count: int) -> struct.Struct:
    """How many pieces there are, when each came, and how long each is."""
    return struct.Struct(f"<I{count}Q{count}I")


def _pieces(begun: int, payload: bytes) -> Iterator[Piece]:
    count = _SIZE.unpack_from(payload)[0]
    numbers = _numbers(count).unpack_from(payload)[1:]
    at = 4 + 12 * count
    for time, size in zip(numbers[:count], numbers[count:], strict=True):
        yield Piece((time - begun) / 1e6, payload[at : at + size])
        at += size


def _unpacked(payload: bytes) -> tuple[bytes, bytes]:
    size = _SIZE.unpack_from(payload)[0]
    return payload[4 : 4 + size], payload[4 + size :]


def call(epoch: str, records: Sequence[Record]) -> Call:
    """The call whose records these are, BEGIN first. Without an END it is a call that the relay's death cut off."""
    begin = records[0]
    packed, rest = _unpacked(begin.payload)
    lines, sent_first = _unpacked(rest)
    meta: JSON = orjson.loads(packed)
    sent: list[Piece] = [Piece(0.0, sent_first)] if sent_first else []
    pieces: list[Piece] = []
    status, reason, fields = None, "", Fields()
    first: float | None = None
    end: JSON | None = None
    marked = False
    last = begin
    for record in records[1:]:
        last = record
        at = (record.time - begin.time) / 1e6
        if record.kind is Kind.DATA:
            pieces.append(Piece(at, record.payload))
        elif record.kind is Kind.PIECES:
            pieces += _pieces(begin.time, record.payload)
        elif record.kind is Kind.SENT:
            sent.append(Piece(at, record.payload))
        elif record.kind in (Kind.HEAD, Kind.WHOLE):
            head, body = _unpacked(record.payload)
            status, reason, fields = _head(head)
            first = at
            if record.kind is Kind.WHOLE:
                body, packed = _unpacked(body)
                end = orjson.loads(packed)
            if body:
                pieces.append(Piece(at, body))
        elif record.kind is Kind.MARK:
            marked = True
        elif record.kind is Kind.END:
            end = orjson.loads(record.payload)
            break
    if first is not None and pieces:
        first = min(first, pieces[0].at)  # the head is written with the first pieces, a little after they came
    request_fields = _fields(lines)
    problems: list[str] = []
    unclosed: Ending | None = None
    if end is None:
        ending, unclosed = (Ending.COMPLETED, Ending.PROXY_DIED) if marked else (Ending.PROXY_DIED, None)
        problems.append(DIED)
        end = {"marked": marked}
    else:
        ending = _ENDINGS[end["ending"]]
        if end.get("left"):
            unclosed = Ending.CALLER_LEFT
        if end.get("first") is not None:
            first = end["first"] / 1e6
    problems += end.get("problems", ())
    request_body = sent[0].data if len(sent) == 1 else b"".join([piece.data for piece in sent])
    if end.get("request_switched") is not None:
        request_body = joined(request_body, end["request_switched"], _coding(request_fields))
    response = tuple(pieces)
    if end.get("response_switched") is not None:
        response = _plain(response, end["response_switched"], _coding(fields))
    return Call(
        origin=f"{epoch}.{begin.number}",
        id=meta["id"],
        own_id=meta["own"],
        retry_of=meta["retry_of"],
        part_of=meta.get("of"),
        created_at=meta["at"],
        ended_at=meta["at"] + max(0, last.time - begin.time),
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
        response_size=end.get("response", sum(len(piece.data) for piece in response)),
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
    first, _, rest = head.partition(b"\r\n")
    status, _, reason = first.partition(b" ")
    return int(status), reason.decode("latin-1"), _fields(rest.removesuffix(b"\r\n\r\n"))


def _fields(lines: bytes) -> Fields:
    if not lines:
        return ()
    pairs = [line.partition(b":") for line in lines.split(b"\r\n")]
    return tuple([(name, value.strip(b" \t")) for name, _, value in pairs])


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
