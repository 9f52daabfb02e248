"""Compresses one thing after another, each with another one before its eyes (zstd's prefix), with one compressor for all of them.

Python's module makes a new compressor for each prefix, which costs more than a small record's work: some 15 us on a virtual
machine, where zstd asks the processor what it is and the host answers. The library that the module stands on can give a new
prefix to a compressor that there is, so it is called by itself. What comes out is
read in the same way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MODULE: Final = "_zstd" if sys.version_info >= (3, 14) else "backports.zstd._zstd"
"""What carries the library, or is linked to it."""

MOST: Final = 2**18
"""Bytes of both together up to which the compressor is used again: what it holds in memory stays small, and past them its making
is little beside its work."""

_DICTIONARY: Final = b"\x37\xa4\x30\xec"
"""How a dictionary of zstd's begins: the one call that takes a prefix would take it for that."""

Compress = Callable[[bytes, bytes], bytes]
"""A frame of the first, with the second as its prefix: of use to one thread at a time."""


def anew(level: int) -> Compress:
    """With a new compressor each time."""

    def compress(data: bytes, prefix: bytes) -> bytes:
        compressor = zstd.ZstdCompressor(level, None, zstd.ZstdDict(prefix, is_raw=True).as_prefix)
        return compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)

    return compress


def again(level: int, module: str = MODULE) -> Compress:
    """With the same compressor each time, up to `MOST` bytes; as `anew` where `module` does not let us call its library."""
    new = anew(level)
    try:
        made = _again(level, module)
    except (ImportError, AttributeError, OSError):  # built in, or its symbols are hidden
        return new

    def compress(data: bytes, prefix: bytes) -> bytes:
        if len(data) + len(prefix) > MOST or prefix.startswith(_DICTIONARY):
            return new(data, prefix)
        found = made(data, prefix)
        return new(data, prefix) if found is None else found

    return compress


def _again(level: int, module: str) -> Callable[[bytes, bytes], bytes | None]:
    """The same, which gives `None` where it failed. Raises ImportError, AttributeError, OSError where it cannot be had."""
    import ctypes
    import weakref
    from importlib import import_module

    library = ctypes.CDLL(cast("str", import_module(module).__file__))  # lets other threads work meanwhile
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    make, drop, bound = library.ZSTD_createCCtx, library.ZSTD_freeCCtx, library.ZSTD_compressBound
    work = library.ZSTD_compress_usingDict
    make.argtypes, make.restype = [], pointer
    drop.argtypes, drop.restype = [pointer], size
    bound.argtypes, bound.restype = [size], size
    text = ctypes.c_char_p
    work.argtypes, work.restype = [pointer, pointer, size, text, size, text, size, ctypes.c_int], size
    context: int | None = make()
    room: int = bound(MOST)
    if context is None:
        raise OSError("zstd makes no compressor")
    buffer = ctypes.create_string_buffer(room)
    place, view = ctypes.addressof(buffer), memoryview(buffer).cast("B")

    def compress(data: bytes, prefix: bytes) -> bytes | None:
        length: int = work(context, place, room, data, len(data), prefix, len(prefix), level)
        return view[:length].tobytes() if length <= room else None  # every error is a number far above

    weakref.finalize(compress, drop, context).atexit = False
    return compress
