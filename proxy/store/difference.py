"""A record as the bytes that are kept of it: alone, or as its difference from another one; and back, exactly.

A chat sends its whole history with each turn, so a turn's record says again what the one before said. It is compressed with
that one before its eyes (zstd's prefix), and takes the room of what is new. To read it, the other is read first: so records
form runs, each against the one before; the head of a run is kept against the head of the run before it, and after `MOST_HEADS`
of those one is kept alone. Each carries its SHA-256, and none is given out that does not match it.

What a task's row says already (its input and output) is before the compressor's eyes too, so that it is not kept twice.
"""

from __future__ import annotations

import struct
import sys
from hashlib import sha256
from typing import NamedTuple

from proxy.store import reused, told

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 3
SHORT, LONG = 2**15, 2**20
"""Bytes of a record up to which zstd's level 1 is as good; of two past which it has to be told how far to look back."""

MOST_IN_RUN = 64
MOST_HEADS = 16
MOST_WORK = 64 * 2**20
"""Bytes that are unpacked on the way to one record, at most; and the longest that is kept as a difference, with its base."""

_Parameter = zstd.CompressionParameter
_HEADER = struct.Struct("<BBBI32s")
_PLAIN, _ZSTD = 0, 1  # as the first schema had them: one byte, then the record, without a digest
_ALONE, _ALONE_ZSTD, _DIFFERENCE = 2, 3, 4
_ALONE_SAID, _DIFFERENCE_SAID = 5, 6  # with what its task's row says before the compressor's eyes
_QUICK = 2**18  # bytes of a record and its base up to which level 1 finds what the two share; level 2 does up to `LONG`
_SHORTEST = 8  # bytes that zstd takes as a prefix
_WORTH = 64  # bytes of what is said from which on it is worth a compressor of its own

Link = tuple[bytes, str | bytes | None]
"""What is kept of a record, and the facts of its task (proxy/store/told.py)."""


class Damaged(Exception):
    """What is kept of this record is not what was written."""


class Place(NamedTuple):  # made for each record: a third of the time of a dataclass
    """Where a record stands: how far from the head of its run, that head from the one kept alone, and what reading it takes."""

    run: int = 0
    heads: int = 0
    work: int = 0  # KiB unpacked to read it, itself included

    def after(self, size: int) -> Place | None:
        """The place of a record of `size` bytes that is kept against the one here; None where the run has to end."""
        work = self.work + _kib(size)
        if self.run + 1 >= MOST_IN_RUN or work > MOST_WORK // 1024:
            return None
        return tuple.__new__(Place, (self.run + 1, self.heads, work))

    def below(self, size: int) -> Place | None:
        """The place of a record that begins a new run, kept against this head of one; None where it has to be kept alone."""
        work = self.work + _kib(size)
        return Place(0, self.heads + 1, work) if self.heads < MOST_HEADS and work <= MOST_WORK // 1024 else None


class Packer:
    """Packs records. Of use to one thread: it holds compressors, since a new one for each costs more than its work."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=LEVEL)
        self._quick = zstd.ZstdCompressor(level=1)
        self._beside: reused.Compress | None = None  # of level 1, with something before its eyes; made when it is needed

    def _quickly(self, record: bytes, prefix: bytes) -> bytes:
        if self._beside is None:
            self._beside = reused.again(1)
        return self._beside(record, prefix)

    def alone(self, record: bytes, said: bytes = b"") -> bytes:
        """`record` by itself, or with what its row has `said`."""
        if _is_worth(said, record):
            packed = self._quickly(record, said) if len(record) <= SHORT else reused.anew(LEVEL)(record, said)
            return _HEADER.pack(_ALONE_SAID, 0, 0, _kib(len(record)), sha256(record).digest()) + packed
        compressor = self._quick if len(record) <= SHORT else self._compressor
        packed = compressor.compress(record, zstd.ZstdCompressor.FLUSH_FRAME)
        kind, kept = (_ALONE_ZSTD, packed) if len(packed) < len(record) else (_ALONE, record)
        return _HEADER.pack(kind, 0, 0, _kib(len(record)), sha256(record).digest()) + kept

    def against(self, record: bytes, base: bytes, place: Place, said: bytes = b"") -> bytes | None:
        """`record` as its difference from `base`, at `place`; None where the two are too long for that, or `base` too short."""
        kind = _DIFFERENCE
        if _is_worth(said, record):
            kind, base = _DIFFERENCE_SAID, base + said
        together = len(record) + len(base)
        if together > MOST_WORK or len(base) < _SHORTEST:
            return None
        if together <= _QUICK:
            packed = self._quickly(record, base)
        elif together <= LONG:
            packed = reused.anew(2)(record, base)
        else:
            options: dict[int, int] = {
                _Parameter.compression_level: 1,
                _Parameter.window_log: together.bit_length(),
                _Parameter.enable_long_distance_matching: 1,
            }
            packed = zstd.compress(record, options=options, zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix)
        return _HEADER.pack(kind, place.run, place.heads, place.work, sha256(record).digest()) + packed


def place_of(data: bytes) -> Place:
    """Where the record that is kept as `data` stands."""
    if data[0] in (_PLAIN, _ZSTD):
        return Place(work=_kib(len(data)))
    _, run, heads, work, _ = _HEADER.unpack_from(data)
    return Place(run, heads, work)


def depends_on_said(data: bytes) -> bool:
    """Whether the record that is kept as `data` can be read only with what its row says."""
    return data[0] in (_ALONE_SAID, _DIFFERENCE_SAID)


def unpacked(chain: list[Link]) -> bytes:
    """The record whose kept bytes are the first of `chain`, where each is followed by what it is a difference from.

    Raises Damaged.
    """
    record = b""
    try:
        for data, facts in reversed(chain):
            said = b"" if facts is None or not depends_on_said(data) else told.said_by(facts)
            record = _unpacked(data, record, said)
    except (zstd.ZstdError, struct.error, IndexError, ValueError) as error:
        raise Damaged(str(error)) from error
    if not chain or (chain[0][0][0] not in (_PLAIN, _ZSTD) and sha256(record).digest() != _HEADER.unpack_from(chain[0][0])[4]):
        raise Damaged("its digest is another one")
    return record


def _is_worth(said: bytes, record: bytes) -> bool:
    return _WORTH <= len(said) <= 2 * len(record)


def _unpacked(data: bytes, base: bytes, said: bytes) -> bytes:
    kind = data[0]
    if kind == _PLAIN:
        return data[1:]
    if kind == _ZSTD:
        return zstd.decompress(data[1:])
    kept = data[_HEADER.size :]
    if kind == _ALONE:
        return kept
    if kind == _ALONE_ZSTD:
        return zstd.decompress(kept)
    if kind == _ALONE_SAID:
        base = b""
    if kind in (_DIFFERENCE, _DIFFERENCE_SAID, _ALONE_SAID):
        return zstd.decompress(kept, zstd.ZstdDict(base + said, is_raw=True).as_prefix)
    raise ValueError(f"kind {kind}")


def _kib(size: int) -> int:
    return (size + 1023) // 1024
