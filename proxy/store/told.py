"""What a task's row tells beyond its columns (facts, input, output): JSON, compressed with a dictionary that knows its like.

What it measures stands before that as it is (`heads`), to be added up.

SQL reads it through the function `told`, which every connection has.
"""

from __future__ import annotations

import sqlite3
import sys
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from proxy.store import heads
from proxy.store.record import dumps, loads

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_DICTIONARY: Final = Path(__file__).parent / "schema" / "row.zdict"
_MAGIC: Final = b"\x28\xb5\x2f\xfd"  # of every frame: not kept
_FIRST: Final = b"\x01"  # with the first dictionary; a row of another one would begin with another byte
HEADED: Final = b"\x02"
"""How a row begins that has a head, at `HEAD_AT`; the same follows."""

HEAD_AT: Final = 1
_Option = zstd.CompressionParameter


@cache
def _dictionary() -> zstd.ZstdDict:
    return zstd.ZstdDict(_DICTIONARY.read_bytes())


@cache
def _compressor() -> zstd.ZstdCompressor:
    # of use to any thread: it locks itself, and each call is a whole frame
    return zstd.ZstdCompressor(options={_Option.compression_level: 1, _Option.dict_id_flag: 0}, zstd_dict=_dictionary())


def written(values: dict[str, Any]) -> bytes:
    """`values` as JSON. Raises ValueError, TypeError, RecursionError for what has none."""
    return dumps(values)


def pack(values: dict[str, Any]) -> str | bytes:
    """What is kept of `values`: text where compression does not make it less. Raises as `written` does."""
    if (head := heads.write(values)) is None:
        plain = written(values)
        packed = _FIRST + _compressed(plain)
    else:
        rest = values.copy()
        for name in heads.MOVED:
            rest.pop(name, None)
        plain = written(rest)
        packed = HEADED + head + _compressed(plain)
    return packed if len(packed) < len(plain) else written(values).decode()


def said(input: str | None, output: str | None) -> bytes:
    """What a task's record is compressed with before its eyes: its bodies say again what was asked and answered.

    Raises ValueError, TypeError for what has no JSON.
    """
    return b"" if input is None and output is None else dumps([input, output])


def said_by(kept: str | bytes) -> bytes:
    """The same, of what is kept. Raises as `unpack` does."""
    values = unpack(kept)
    return said(values.get("input"), values.get("output"))


@lru_cache(4)  # a statement asks for one thing after another of a row
def text(kept: str | bytes | None) -> str | None:
    """The JSON. Raises ValueError, zstd.ZstdError for what `pack` did not make."""
    if not isinstance(kept, bytes):
        return kept
    plain, moved = _opened(kept)
    return (plain[:-1] + b"," + dumps(moved)[1:] if moved else plain).decode()  # nothing so short as `{}` is compressed


def unpack(kept: str | bytes) -> dict[str, Any]:
    """The values. Raises ValueError, zstd.ZstdError for what `pack` did not make."""
    plain, moved = _opened(kept) if isinstance(kept, bytes) else (kept, {})
    values: dict[str, Any] = loads(plain)
    values |= moved
    return values


def from_columns(facts: str, input: str | None, output: str | None) -> str | bytes:
    """A row of the sixth schema, which had its texts beside the facts. Raises as `written` does."""
    values = loads(facts)
    values.pop("parent_task_id", None)
    return pack(values | {name: said for name, said in (("input", input), ("output", output)) if said is not None})


def teach(db: sqlite3.Connection) -> None:
    """Let a connection read rows in SQL."""
    db.create_function("told", 1, text, deterministic=True)


def _compressed(plain: bytes) -> bytes:
    return _compressor().compress(plain, zstd.ZstdCompressor.FLUSH_FRAME)[len(_MAGIC) :]


def _opened(kept: bytes) -> tuple[bytes, dict[str, Any]]:
    """The JSON of what stands behind the head, and what the head says."""
    if kept[:1] == HEADED:
        moved, end = heads.read(kept, HEAD_AT)
        return zstd.decompress(_MAGIC + kept[end:], _dictionary()), moved
    if kept[:1] != _FIRST:
        raise ValueError("a row that a later version of tasktap wrote")
    return zstd.decompress(_MAGIC + kept[1:], _dictionary()), {}
