"""JSON whose deepest parts are text: what is nested too deeply to be read is kept as it was written. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from proxy.wire.lenient import DEPTH_LIMIT, loads

DEEPEST: Final = DEPTH_LIMIT // 2
"""Levels that stay; what is read is written inside other values."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def loads_all(data: bytes) -> tuple[Any, bool]:
    """As `lenient.loads`, but for how deep it is nested. Raises ValueError for what is no JSON."""
    try:
        return loads(data)
    except ValueError:
        if not (cut := shallow(data)):
            raise
        return loads(cut)


def shallow(data: bytes) -> bytes:
    """`data` with what is deeper than DEEPEST levels as texts; empty where nothing is, or where it does not end."""
    depth, begun, done = 0, 0, 0
    parts: list[bytes] = []
    for token in _TOKEN.finditer(data):
        sign = token[0]
        if sign in b"[{":
            depth += 1
            if depth == DEEPEST + 1:
                begun = token.start()
        elif sign in b"]}":
            depth -= 1
            if depth == DEEPEST:
                parts += (data[done:begun], orjson.dumps(data[begun : token.end()].decode("utf-8", "replace")))
                done = token.end()
    return b"".join((*parts, data[done:])) if parts and depth == 0 else b""
