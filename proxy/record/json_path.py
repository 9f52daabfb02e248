"""JSON paths, as far as `redact.paths` has them: `$.messages[*].content`, `$..email`, `$.input[0]['odd name']`. Pure.

A subset of RFC 9535: names, places, `*` and `..NAME`.
"""

from __future__ import annotations

import re
from typing import Final

Step = str | int | None
"""A name, a place in an array, or `None` for any."""

ANY: Final[Step] = None
_STEP = re.compile(
    r"""(\.\.)?(?:\.?([A-Za-z_\x80-\U0010ffff][\w$-]*)|(\.\*|\[\*\]|\*)|\[([0-9]{1,9})\]"""
    r"""|\['([^'\\]+)'\]|\["([^"\\]+)"\])"""
)


class JsonPath:
    """One path."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str, steps: tuple[tuple[bool, Step], ...]) -> None:
        self.text = text
        self._steps = steps  # whether it may be anywhere below, and the step

    def leads_to(self, place: list[Step]) -> bool:
        """Whether a value at `place` is meant."""
        return _matches(self._steps, place, 0, 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonPath) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


def path_of(text: str) -> JsonPath:
    """Raises ValueError."""
    steps: list[tuple[bool, Step]] = []
    at = 1
    while text[:1] == "$" and at < len(text):
        found = _STEP.match(text, at)
        if found is None or (found[2] and not found[1] and text[at] != ".") or (found[1] and found[0][2:3] == "."):
            break
        deep, name, star, place, single, double = found.groups()
        if star == "*" and not deep:
            break
        steps.append((bool(deep), ANY if star else int(place) if place else name or single or double))
        at = found.end()
    if text[:1] != "$" or at < len(text) or not steps:
        raise ValueError(f'"{text}" is no path. It must be like "$.messages[*].content" or "$..email"')
    return JsonPath(text, tuple(steps))


def _matches(steps: tuple[tuple[bool, Step], ...], place: list[Step], step: int, at: int) -> bool:
    if step == len(steps):
        return at == len(place)
    deep, wanted = steps[step]
    last = len(place) if deep else min(at + 1, len(place))
    for here in range(at, last):
        found = place[here]
        if (wanted is ANY or (wanted == found and type(wanted) is type(found))) and _matches(steps, place, step + 1, here + 1):
            return True
    return False
