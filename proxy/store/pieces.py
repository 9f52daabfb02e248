"""When each piece of a response came, in about three bytes a piece: differences, laid out so that they compress."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

Pieces = Sequence[tuple[float, int]]
"""(seconds since the call was accepted, bytes) of each piece."""

_SHAPES = {4: "I", 8: "q"}
_ONE = struct.Struct("<Bqq")
_WIDE = 2**32


def encode(pieces: Pieces) -> bytes:
    """Times are kept to the microsecond. Raises ValueError, OverflowError or struct.error past 64 bits."""
    if not pieces:
        return b""
    if len(pieces) == 1:
        return _ONE.pack(1, round(pieces[0][0] * 1e6), pieces[0][1])  # most calls; and planes would not help
    times = [round(at * 1e6) for at, _ in pieces]
    values = [times[0], *(later - earlier for earlier, later in pairwise(times)), *(size for _, size in pieces)]
    width = 4 if min(values) >= 0 and max(values) < _WIDE else 8
    packed = struct.pack(f"<{len(values)}{_SHAPES[width]}", *values)
    # All lowest bytes, then all second ones, ...: the high ones are nearly all zero, and cost nothing once compressed
    return bytes([width]) + b"".join(packed[plane::width] for plane in range(width))


def decode(data: bytes) -> tuple[tuple[float, int], ...]:
    """What `encode` was given, times to the microsecond."""
    if not data:
        return ()
    if data[0] == 1:
        _, microseconds, size = _ONE.unpack(data)
        return ((microseconds / 1e6, size),)
    width, planes = data[0], data[1:]
    count = len(planes) // width
    packed = bytearray(len(planes))
    for plane in range(width):
        packed[plane::width] = planes[plane * count : (plane + 1) * count]
    values = struct.unpack(f"<{count}{_SHAPES[width]}", packed)
    at = 0
    pieces = []
    for difference, size in zip(values[: count // 2], values[count // 2 :], strict=True):
        at += difference
        pieces.append((at / 1e6, size))
    return tuple(pieces)
