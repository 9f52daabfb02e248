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

_TOKENS: Final = ((1, "input_tokens"), (2, "output_tokens"), (4, "cached_input_tokens"))
MOVED: Final = ("cost", "seconds_total", "seconds_to_first_token")
"""The values that are in a head and not beside it."""

_FIGURES: Final = ((8, MOVED[0], -1e5, 1e5), (16, MOVED[1], 0.0, 1e9), (32, MOVED[2], 0.0, 1e9))
"""Their flags, and from where to where each is added up as it is: what `Measures.count` holds back has no head."""

_VERSION: Final = 64
_COUNTS: Final = 7  # the flags of tokens
_LAYOUTS: Final = tuple(
    struct.Struct("<" + "I" * (kind & _COUNTS).bit_count() + "d" * (kind >> 3).bit_count()) for kind in range(_VERSION)
)
_KEPT: Final = tuple(
    (
        tuple(name for place, name in enumerate(MOVED) if kind & 8 << place),
        struct.Struct("<" + "4x" * (kind & _COUNTS).bit_count() + "d" * (kind >> 3).bit_count()),
    )
    for kind in range(_VERSION)
)
"""Of each kind of head, the values that are only there, and what reads them."""


def write(values: JSON) -> bytes | None:
    """The head of `values`; `None` where a figure is not what it has room for, so that there is none."""
    flags = 0
    figures: list[int | float] = []
    usage = values.get("usage") or {}
    for flag, name in _TOKENS:
        if (count := usage.get(name)) is not None:
            if type(count) is not int or not 0 <= count < 2**32:
                return None
            flags |= flag
            figures.append(count)
    for flag, name, least, most in _FIGURES:
        if (value := values.get(name)) is not None:
            if type(value) is not float or not least <= value < most:
                return None
            flags |= flag
            figures.append(value)
    head = _LAYOUTS[flags].pack(*figures)
    if (version := version_of(values.get("metadata") or {})) is None:
        return bytes((flags,)) + head
    text = version.encode()
    return None if len(text) > 255 else bytes((flags | _VERSION,)) + head + bytes((len(text),)) + text


def read(data: bytes, at: int) -> tuple[JSON, int]:
    """The values of `MOVED` that are known, of the head that begins at a place; and where it ends."""
    flags = data[at]
    names, layout = _KEPT[flags & ~_VERSION]
    past = at + 1 + layout.size
    return dict(zip(names, layout.unpack_from(data, at + 1), strict=True)), past + 1 + data[past] if flags & _VERSION else past


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
