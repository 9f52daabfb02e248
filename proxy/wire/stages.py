"""One content coding each: compressed bytes in, at most so many plain bytes out.

None of them raises on what it is fed. `broken` says what is wrong with the data, once, and nothing comes out from then on.
brotli and zstd are imported where they are first needed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

ZSTD_WINDOW_LOG = 23  # RFC 9659: a zstd content coding needs no window above 8 MiB
GZIP_MAGIC = (b"\x1f\x8b",)
ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", *(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60)))  # RFC 8878: to read, to skip


class Stage(Protocol):
    """One coding of one body."""

    broken: str | None

    @property
    def whole(self) -> bool:
        """The data has come to its own end."""
        ...

    def feed(self, data: bytes, room: int) -> bytes:
        """At most `room` bytes (one or more); what comes after those is lost."""
        ...


class Deflate:
    """zlib (RFC 9110 8.4.1.2), or bare deflate where the first two bytes are no zlib header."""

    def __init__(self) -> None:
        self.broken: str | None = None
        self._head = b""
        self._stream: Any = None  # zlib's class has no public name

    @property
    def whole(self) -> bool:
        return self._stream is not None and self._stream.eof

    def feed(self, data: bytes, room: int) -> bytes:
        if self.broken is not None:
            return b""
        if self._stream is None:
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return b""
            zlib_header = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._stream = zlib.decompressobj(15 if zlib_header else -15)
        if self._stream.eof:
            self.broken = "there are bytes after its end"
            return b""
        try:
            plain: bytes = self._stream.decompress(data, room)
        except zlib.error as error:
            self.broken = str(error)
            return b""
        if self._stream.unused_data:
            self.broken = "there are bytes after its end"
        return plain


class Brotli:
    """RFC 7932."""

    def __init__(self) -> None:
        import brotli  # type: ignore[import-untyped]  # it ships no types

        self.broken: str | None = None
        self._error: type[Exception] = brotli.error
        self._stream = brotli.Decompressor()

    @property
    def whole(self) -> bool:
        return bool(self._stream.is_finished())

    def feed(self, data: bytes, room: int) -> bytes:
        out: list[bytes] = []
        while room > 0 and self.broken is None:
            if self._stream.is_finished():
                self.broken = "there are bytes after its end" if data else None
                break
            try:
                plain: bytes = self._stream.process(data, output_buffer_limit=room)
            except self._error as error:
                self.broken = str(error)
                break
            data = b""  # it holds what it has not read yet
            out.append(plain)
            room -= len(plain)
            if self._stream.can_accept_more_data():
                break
        return b"".join(out)


class Members:
    """A coding whose data is one compressed member or more, one after another: gzip (RFC 1952 2.2), zstd (RFC 8878 3.1)."""

    def __init__(self, new: Callable[[], Any], error: type[Exception], magics: tuple[bytes, ...]) -> None:
        self.broken: str | None = None
        self._new = new
        self._error = error
        self._magics = magics
        self._member = new()
        self._after = b""  # the first bytes after a member: too few to tell what they are

    @property
    def whole(self) -> bool:
        return bool(self._member.eof) and not self._after.strip(b"\0")

    def feed(self, data: bytes, room: int) -> bytes:
        out: list[bytes] = []
        while data and room > 0 and self.broken is None:
            if self._member.eof and not self._starts_another(data):
                break
            data, self._after = self._after + data, b""
            try:
                plain: bytes = self._member.decompress(data, room)
            except self._error as error:
                self.broken = str(error)
                break
            out.append(plain)
            room -= len(plain)
            data = self._member.unused_data if self._member.eof else b""
        return b"".join(out)

    def _starts_another(self, data: bytes) -> bool:
        head = self._after + data[: max(map(len, self._magics))]
        if head.startswith(self._magics):
            self._member = self._new()
            return True
        if any(magic.startswith(head) for magic in self._magics) or not (self._after + data).strip(b"\0"):
            self._after = (self._after + data)[:4]  # it may yet become one; zeros are padding, as gzip(1) has it
        else:
            self.broken = "there are bytes after its end"
        return False


def gzip() -> Stage:
    """gzip, a member or more."""
    return Members(lambda: zlib.decompressobj(31), zlib.error, GZIP_MAGIC)


def zstandard() -> Stage:
    """zstd, a frame or more."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14 and later
    except ImportError:
        from backports import zstd

    options = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
    return Members(lambda: zstd.ZstdDecompressor(options=options), zstd.ZstdError, ZSTD_MAGICS)


STAGES: dict[str, Callable[[], Stage]] = {"gzip": gzip, "deflate": Deflate, "br": Brotli, "zstd": zstandard}
"""How to undo each coding, by its name in Content-Encoding."""
