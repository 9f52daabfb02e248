"""Pure: what a task measures, in the few bytes that its row begins with: it is added up without reading the rest of it.

A byte of flags says which of the figures follow: three counts of tokens, the cost, two durations; and then the version, after a
byte with its length. Cost and durations are not kept again in the rest of the row.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from proxy.store import histogram
from proxy.store.measures import PICODOLLARS, Measures, version_of
from proxy.task import JSON

_TOKENS: Final = ("input_tokens", "output_tokens", "cached_input_tokens")
MOVED: Final = ("cost", "seconds_total", "seconds_to_first_token")
"""The values that are in a head and not beside it."""

_LEAST: Final = (-1e5, 0.0, 0.0)
_MOST: Final = (1e5, 1e9, 1e9)
"""Past these a figure is not added up as it is: what `Measures.count` holds back has no head."""

_VERSION: Final = 64
_COUNTS: Final = 7  # the flags of tokens
_LAYOUTS: Final = tuple(
    struct.Struct("<" + "I" * (kind & _COUNTS).bit_count() + "d" * (kind >> 3).bit_count()) for kind in range(_VERSION)
)


def write(values: JSON) -> bytes | None:
    """The head of `values`; `None` where a figure is not what it has room for, so that there is none."""
    flags = 0
    figures: list[int | float] = []
    usage = values.get("usage") or {}
    for place, name in enumerate(_TOKENS):
        if (count := usage.get(name)) is not None:
            if type(count) is not int or not 0 <= count < 2**32:
                return None
            flags |= 1 << place
            figures.append(count)
    for place, name in enumerate(MOVED):
        if (value := values.get(name)) is not None:
            if type(value) is not float or not _LEAST[place] <= value < _MOST[place]:
                return None
            flags |= 8 << place
            figures.append(value)
    head = _LAYOUTS[flags].pack(*figures)
    if (version := version_of(values.get("metadata") or {})) is None:
        return bytes((flags,)) + head
    text = version.encode()
    return None if len(text) > 255 else bytes((flags | _VERSION,)) + head + bytes((len(text),)) + text


def end(data: bytes, at: int) -> int:
    """Where the head ends that begins at a place."""
    past = at + 1 + _LAYOUTS[data[at] & ~_VERSION].size
    return past + 1 + data[past] if data[at] & _VERSION else past


def moved(data: bytes, at: int) -> JSON:
    """The values of `MOVED` that are known."""
    flags = data[at] & ~_VERSION
    figures = _LAYOUTS[flags].unpack_from(data, at + 1)[(flags & _COUNTS).bit_count() :]
    return dict(zip([name for place, name in enumerate(MOVED) if flags & 8 << place], figures, strict=True))


def version(data: bytes, at: int) -> str | None:
    """Under which version a task is counted."""
    if not data[at] & _VERSION:
        return None
    past = at + 1 + _LAYOUTS[data[at] & ~_VERSION].size
    return data[past + 1 : past + 1 + data[past]].decode()


def add_up(found: Sequence[bytes], at: int) -> Measures:
    """What tasks measure whose heads begin at `at` and have the same flags; of errors and flags a head does not tell."""
    sums = Measures(tasks=len(found))
    flags = found[0][at] & ~_VERSION
    unpack = _LAYOUTS[flags].unpack_from
    columns = zip(*[unpack(data, at + 1) for data in found], strict=True)
    if flags & 1:
        sums.input_tokens = sum(next(columns))
    if flags & 2:
        tokens = next(columns)
        sums.output_tokens, sums.output_square = sum(tokens), float(sum([count * count for count in tokens]))
    if flags & 4:
        sums.cached_tokens = sum(next(columns))
    if flags & 8:
        costs = next(columns)
        sums.priced, sums.cost = len(costs), sum([round(cost * PICODOLLARS) for cost in costs])
        sums.cost_square = sum([cost * cost for cost in costs])
    if flags & 16:
        seconds = next(columns)
        sums.micros, sums.seconds = sum([round(each * 1e6) for each in seconds]), histogram.of(seconds)
    if flags & 32:
        sums.first_token = histogram.of(next(columns))
    return sums
