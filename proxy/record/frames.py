"""The journal's format: framed records, written by one hand and read by another. Pure.

A segment file is a row of records from offset 0; behind the last one there are zeros. A record is its header, little-
endian:

    u32 length of the payload | u32 CRC-32 of the payload, begun with the rest | u32 call number | u64 microseconds | u8 kind

then the payload. The microseconds come from the writing relay's monotonic clock. A record is believed only when its CRC
agrees, so a torn or half-visible write reads as "nothing here yet".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

_HEADER = struct.Struct("<IIIQB")
HEADER_SIZE: Final[int] = _HEADER.size
MAX_PAYLOAD: Final = 64 * 1024 * 1024
"""No record is larger, in bytes: a larger length is damage."""


class Kind(IntEnum):
    """What a record says of its call."""

    BEGIN = 1  # the request's head, and what of its body came with it
    SENT = 2  # more of the request's body
    HEAD = 3  # the response's head, and what of its body came with it
    DATA = 4  # more of the response's body
    MARK = 5  # the end marker is about to go to the caller
    END = 6  # how it ended
    WHOLE = 7  # HEAD, the whole body and END in one: an answer that came at once
    PIECES = 8  # several DATA in one, each with its time


_KINDS: Final = (Kind.BEGIN, *Kind)  # by number, from 1 on: a sixth of the time that `Kind(number)` takes
_LAST_KIND: Final = len(Kind)


class Record(NamedTuple):
    """One record, read back."""

    kind: Kind
    number: int
    time: int
    payload: bytes
    offset: int
    """Where it begins in its segment."""


_pack: Final = _HEADER.pack
_unpack: Final = _HEADER.unpack_from
_crc: Final = zlib.crc32


def frame(kind: int, number: int, time: int, payload: bytes) -> bytes:
    """The header of a record; its payload follows it in the file."""
    seed = (number * 2654435761 ^ time ^ time >> 32 ^ kind << 24) & 0xFFFFFFFF  # as `_seed`: spelled out where it is hot
    return _pack(len(payload), _crc(payload, seed), number, time, kind)


def _seed(number: int, time: int, kind: int) -> int:
    """Where the CRC begins: a header that is not the one that was written gives another."""
    return (number * 2654435761 ^ time ^ time >> 32 ^ kind << 24) & 0xFFFFFFFF


def record_at(data: bytes, at: int, base: int = 0) -> Record | None:
    """The record at `at` in `data`; `None` where there is none, or not all of one. `base` is where `data` is in its segment."""
    body = at + HEADER_SIZE
    if body > len(data):
        return None
    header: tuple[int, int, int, int, int] = _unpack(data, at)
    length, crc, number, time, kind = header
    if not 1 <= kind <= _LAST_KIND or length > MAX_PAYLOAD or body + length > len(data):
        return None
    payload = data[body : body + length]
    if _crc(payload, _seed(number, time, kind)) != crc:
        return None
    return tuple.__new__(Record, (_KINDS[kind], number, time, payload, base + at))  # a third of the time of calling it


def wanted(data: bytes, at: int) -> int:
    """How many bytes the record that seems to begin at `at` needs, header included; 0 where there is no sign of one."""
    if at + HEADER_SIZE > len(data):
        return 0
    length, _, _, _, kind = _unpack(data, at)
    return HEADER_SIZE + int(length) if 1 <= kind <= _LAST_KIND and length <= MAX_PAYLOAD else 0


def records(data: bytes, base: int = 0) -> Iterator[Record]:
    """All whole records from the start of `data` to the first place where there is none."""
    at = 0
    while (record := record_at(data, at, base)) is not None:
        yield record
        at += HEADER_SIZE + len(record.payload)


def next_record(data: bytes, at: int) -> int | None:
    """Where the next believable record begins after `at`: how a reader gets past damage. Slow, and only then."""
    for place in range(at, len(data) - HEADER_SIZE + 1):
        if data[place : place + 8] != b"\0\0\0\0\0\0\0\0" and record_at(data, place) is not None:
            return place
    return None
