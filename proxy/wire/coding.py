"""Content codings undone, whole or piece by piece, with a limit: what a body says before it was compressed.

A `Decoder` is fed the pieces of a body as they came and gives what each of them adds. It never raises on what it is fed: data
that is broken, cut short, or larger than the limit gives what could be decoded, and `problem` says what is missing. The codings
are those of RFC 9110 8.4.1 and IANA's registry: gzip (and x-gzip), deflate (zlib, and raw as some servers send it), br, zstd,
and any stack of them ("gzip, br": gzip first, then br).
"""

from __future__ import annotations

from proxy.wire.stages import STAGES, Stage

OUTPUT_LIMIT = 64 * 1024 * 1024
"""The most bytes a body is decoded to, and the most of any stage below it: a bomb stops here."""

SLICE = 1024
"""Bytes decoded at a time: where data is broken, only what its slice would have given is missing."""

STACK_LIMIT = 5
"""More codings than this on one body are no body that anybody means."""


class UnknownCodingError(ValueError):
    """This content coding is none of gzip, deflate, br and zstd, or a stack of too many."""


def codings(value: str | None) -> tuple[str, ...]:
    """The names in a Content-Encoding value, in the order they were applied; `identity` is none.

    >>> codings("GZip, identity, br")
    ('gzip', 'br')
    """
    if not value:
        return ()
    names = (name.strip().lower() for name in value.split(","))
    return tuple("gzip" if name == "x-gzip" else name for name in names if name and name != "identity")


class Decoder:
    """One body, decoded as it comes.

    `problem` is what could not be decoded, in words; it may be set by any `feed`, and by `finish`. Raises UnknownCodingError.
    """

    def __init__(self, coding: str | None, limit: int = OUTPUT_LIMIT) -> None:
        names = codings(coding)
        if len(names) > STACK_LIMIT:
            raise UnknownCodingError(f"{len(names)} content codings on one body")
        for name in names:
            if name not in STAGES:
                raise UnknownCodingError(f"content coding {name[:40]!r} is not known")
        self.problem: str | None = None
        self._limit = limit
        self._stages: list[tuple[Stage, str]] = [(STAGES[name](), name) for name in reversed(names)]
        self._rooms = [limit] * (len(names) or 1)
        self._fed = False

    def feed(self, data: bytes) -> bytes:
        """What `data` adds to the decoded body; `data` itself where there is no coding."""
        if not self._stages and len(data) <= self._rooms[0]:
            self._rooms[0] -= len(data)
            return data
        if self.problem is not None or not data:
            return b""
        if not self._stages:
            data, self._rooms[0] = data[: self._rooms[0]], 0
            self._overflow()
            return data
        self._fed = True
        if len(data) <= SLICE:
            return self._step(data)
        return b"".join(self._step(data[at : at + SLICE]) for at in range(0, len(data), SLICE))

    def finish(self) -> bytes:
        """Say that nothing follows: `problem` now tells whether the data was cut. There are no bytes left to give."""
        if self._fed and self.problem is None:
            for stage, name in self._stages:
                if not stage.whole:
                    self.problem = f"the {name} data ends early"
                    break
        return b""

    def _step(self, data: bytes) -> bytes:
        if self.problem is not None:
            return b""
        for at, (stage, name) in enumerate(self._stages):
            data = stage.feed(data, self._rooms[at] + 1)  # one more than there is room for: the sign of an overflow
            if len(data) > self._rooms[at]:
                data = data[: self._rooms[at]]
                self._overflow()
            self._rooms[at] -= len(data)
            if stage.broken is not None and self.problem is None:
                self.problem = f"the {name} data is broken: {stage.broken}"
            if not data:
                break
        return data

    def _overflow(self) -> None:
        self.problem = f"the body decodes to more than {self._limit} bytes; the rest was not read"


def decode(data: bytes, coding: str | None, limit: int = OUTPUT_LIMIT) -> tuple[bytes, str | None]:
    """A whole body decoded, and what could not be; a coding that is not known leaves it as it is."""
    try:
        decoder = Decoder(coding, limit)
    except UnknownCodingError as unknown:
        return data, str(unknown)
    plain = decoder.feed(data) + decoder.finish()
    return plain, decoder.problem
