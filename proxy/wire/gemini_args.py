"""The arguments of a Gemini function call that were streamed piece by piece (`partialArgs`), put together.

Each piece names its place by a JSON path (`$.orders[0].note`, RFC 9535) and brings a string, which goes on with what is there
already, or a number, a boolean or null.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from proxy.task import JSON
from proxy.wire.growth import Text

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,6})\]|\['([^']*)'\]|\["([^"]*)"\]""")
_VALUES = ("numberValue", "boolValue")
STEPS = 50
"""A path with more is not followed."""

Step = str | int


def args_of(pieces: list[Any]) -> JSON | None:
    """What the pieces add up to; None where one of them has no place, or nothing to say."""
    root: JSON = {}
    for piece in pieces:
        if not isinstance(piece, dict) or not _put(root, _steps(piece.get("jsonPath")), _value(piece)):
            return None
    whole: JSON = _joined(root)
    return whole


def _steps(path: Any) -> list[Step]:
    if not isinstance(path, str) or not path.startswith("$"):
        return []
    steps: list[Step] = []
    at = 1
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or len(steps) == STEPS:
            return []
        at = found.end()
        steps.append(int(found[2]) if found[2] else found[1] or found[3] or found[4] or "")
    return steps


def _value(piece: JSON) -> Any:
    """A string as a text that can grow; None for null, and where there is nothing."""
    text = piece.get("stringValue")
    return Text((text,)) if isinstance(text, str) else next((piece[key] for key in _VALUES if key in piece), None)


def _put(root: JSON, steps: list[Step], value: Any) -> bool:
    """Set a value, or go on with the string that is there; whether there is such a place."""
    holder: Any = root
    for step, inner in pairwise(steps):
        have = _have(holder, step)
        if not isinstance(have, (dict, list)):
            have = {} if isinstance(inner, str) else []
            if not _set(holder, step, have):
                return False
        holder = have
    if not steps:
        return False
    have = _have(holder, steps[-1])
    if type(have) is Text and type(value) is Text:
        have += value
        return True
    return _set(holder, steps[-1], value)


def _have(holder: Any, step: Step) -> Any:
    if type(holder) is dict:
        return holder.get(step)
    return holder[step] if type(holder) is list and isinstance(step, int) and step < len(holder) else None


def _set(holder: Any, step: Step, value: Any) -> bool:
    if type(holder) is dict and isinstance(step, str):
        holder[step] = value
    elif type(holder) is list and isinstance(step, int) and step <= len(holder):
        holder[step : step + 1] = [value]
    else:
        return False
    return True


def _joined(value: Any) -> Any:
    if type(value) is Text:
        return "".join(value)
    if type(value) is dict:
        return {key: _joined(item) for key, item in value.items()}
    return [_joined(item) for item in value] if type(value) is list else value
