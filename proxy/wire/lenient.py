"""JSON as providers and callers really send it, read into values that every store can keep.

orjson reads what is right. What it refuses (bytes that are no UTF-8, half a surrogate pair, NaN, a control character in a
string) is read by the standard library, and then has to be mended: see `mend`.
"""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

DEPTH_LIMIT = 200
"""Levels of nesting. orjson writes no more than 254, and what is read here is written inside other values."""

SHORT = 1 << 14
"""Bytes of JSON that may be copied to look into it."""

_INT64 = range(-(2**63), 2**64)


def loads(data: bytes) -> tuple[Any, bool]:
    """The value in `data`, and whether it has to be mended. Raises ValueError for what is no JSON, or is nested too deeply."""
    mending = False
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(data.decode("utf-8", "replace").removeprefix("\ufeff"), strict=False)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        mending = True
    if len(data) > 2 * DEPTH_LIMIT and opens_more(data, DEPTH_LIMIT) and is_too_deep(value):
        raise ValueError("it is nested too deeply")
    return value, mending


def opens_more(data: bytes, most: int) -> bool:
    """Whether `data` has more than `most` brackets that open something."""
    if len(data) <= SHORT:  # what goes where they are taken out: a fifth of the time that it takes to find or to count them
        return 2 * len(data) - len(data.replace(b"{", b"")) - len(data.replace(b"[", b"")) > most
    for bracket in (b"{", b"["):
        at = data.find(bracket)
        while at >= 0:  # from one to the next: to count them takes a hundred times as long where they are few
            if not most:
                return True
            most -= 1
            at = data.find(bracket, at + 1)
    return False


def is_too_deep(value: Any) -> bool:
    """Whether `value` has more than DEPTH_LIMIT levels, counted by orjson, which is faster than we are."""
    for _ in range(254 - DEPTH_LIMIT):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError as error:
        return "recursion" in str(error).lower()
    return False


def mend(value: Any) -> Any:
    """`value` with what no store can keep made into what comes next to it.

    Two halves of a surrogate pair that have met (each chunk of a stream brought one) become their character, a half alone U+FFFD;
    an integer beyond 64 bits becomes a float; NaN and the infinities, which JSON has not, become null.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return value
    if isinstance(value, dict):
        return {mend(key): mend(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mend(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and value not in _INT64:
        try:
            return float(value)
        except OverflowError:
            return None
    return value
