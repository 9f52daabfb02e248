"""Pure: a document as UTF-8 JSON text, whatever a provider put into it.

orjson writes nearly all of them. It refuses lone surrogates, integers over 64 bits and deep nesting, all of which real JSON may
hold; those documents are written by the slow way below, which knows no depth.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

import orjson


def encode(document: Any, *, indent: bool = False) -> bytes:
    """JSON without a line feed at its end. `NaN` and the infinities, which JSON does not have, are null."""
    try:
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else 0)
    except orjson.JSONEncodeError:
        return "".join(_written(document)).encode("ascii")


def _written(document: Any) -> Iterator[str]:
    """Piece by piece, with a stack of our own where `json.dumps` would meet Python's recursion limit."""
    stack: list[tuple[Iterator[Any], str, bool]] = []  # what is left of each open list or object, how it closes, whether keyed
    value = document
    while True:
        if isinstance(value, dict):
            yield "{"
            stack.append((iter(value.items()), "}", True))
            fresh = True
        elif isinstance(value, list | tuple):
            yield "["
            stack.append((iter(value), "]", False))
            fresh = True
        else:
            yield _plain(value)
            fresh = False
        while stack:
            rest, close, keyed = stack[-1]
            try:
                value = next(rest)
            except StopIteration:
                yield close
                stack.pop()
                fresh = False
                continue
            if not fresh:
                yield ","
            if keyed:
                key, value = value
                yield json.dumps(str(key)) + ":"
            break
        else:
            return


def _plain(value: Any) -> str:
    if isinstance(value, float) and not isfinite(value):
        return "null"
    return json.dumps(value)
