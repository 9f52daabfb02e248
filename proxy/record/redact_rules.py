"""What the configuration has taken out of bodies (`[redact]`): named patterns, one's own, and JSON paths. Pure.

Own patterns are run by RE2, whose time is linear in the text whatever the pattern is. What is taken out leaves a mark that says
which rule it was, and nothing of what stood there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, Final

from proxy.record import patterns
from proxy.record.json_path import JsonPath, path_of
from proxy.record.redact_names import REDACTED

Hit = tuple[int, int, bytes]
"""From where to where in a text, and what stands there instead."""

OWN_REACH: Final = 256  # bytes of text in fragments that an own pattern is sure to see at once
TAIL_BYTES: Final = 4096  # the longest tail of a text that waits for what comes next
MISSING: Final = "own patterns need RE2: pip install 'tasktap[redact]'"
_BLOB: Final = 4096  # bytes: a longer text of nothing but base64's letters is not searched

# The end of a text, read backwards, that may be the beginning of something: a word, and before it groups as numbers have them.
_OPEN = re.compile(
    rb"(?:[A-Za-z0-9._%%+'/=@\\-]|[\x80-\xbf][\xc3-\xd4]){0,%d}"
    rb"(?:[ ()./-]{1,3}(?:[0-9A-Z+()-]{1,12}|[0-9]{2}[A-Za-z]{2})){0,14}[(+-]{0,5}" % TAIL_BYTES
)


def mark(name: str) -> bytes:
    """What stands for something that the rule `name` took out."""
    return b"[redacted:%b]" % name.encode()


PATH_MARK: Final = mark("path")


@dataclass(frozen=True, eq=False)
class Rules:
    """What is taken out of a call's bodies."""

    named: tuple[str, ...] = ()
    own: tuple[tuple[str, str], ...] = ()  # name and pattern
    paths: tuple[JsonPath, ...] = field(default=())

    @cached_property
    def _own(self) -> tuple[tuple[bytes, Any], ...]:
        return tuple((mark(name), expression(pattern)) for name, pattern in self.own)

    @property
    def looks(self) -> bool:
        """Whether text is searched at all."""
        return bool(self.named or self.own)

    @cached_property
    def _finders(self) -> tuple[tuple[Any, Any, bytes], ...]:
        return tuple((patterns.HINTS[name], patterns.NAMED[name], mark(name)) for name in patterns.NAMED if name in self.named)

    def may_hold(self, raw: bytes) -> bool:
        """A quick look at text or JSON. False is final."""
        if raw.find(b"\\u00") >= 0 or self._own:
            return True
        return any(hint(raw) for hint, _, _ in self._finders)

    def hits(self, text: bytes) -> list[Hit]:
        """What is taken out of a plain text, in its order; none overlaps another."""
        if len(text) > _BLOB and _is_blob(text):
            return []
        found = [(*span, mark) for hint, find, mark in self._finders if hint(text) for span in find(text)]
        for stands, own in self._own:
            found += [(*each.span(), stands) for each in own.finditer(text) if each.end() > each.start()]
        return apart(found)

    def clean(self, text: bytes) -> bytes:
        """A whole plain text without what is to be taken out; `text` itself where that is nothing."""
        return replaced(text, self.hits(text))

    def open_tail(self, text: bytes) -> int:
        """Where the end of `text` begins that what comes next may complete to something."""
        window = text[: -TAIL_BYTES - 256 : -1]
        found = _OPEN.match(window)
        held = min(found.end() if found else 0, TAIL_BYTES)
        return max(0, len(text) - max(held, OWN_REACH if self.own else 0))


@dataclass(frozen=True, eq=False)
class Redaction:
    """The rules of the configuration: of all calls, and those of projects that have their own."""

    general: Rules | None = None
    projects: Mapping[bytes, Rules | None] = field(default_factory=dict)

    def of(self, project: bytes | None) -> Rules | None:
        """The rules of a call of this project."""
        return self.general if project is None else self.projects.get(project, self.general)


def apart(found: list[Hit]) -> list[Hit]:
    """Hits in their order, those that overlap as one."""
    if len(found) < 2:
        return found
    found.sort(key=lambda hit: (hit[0], -hit[1]))
    out = [found[0]]
    for start, end, stands in found[1:]:
        before = out[-1]
        if start >= before[1]:
            out.append((start, end, stands))
        elif end > before[1]:
            out[-1] = (before[0], end, before[2])
    return out


def replaced(text: bytes, hits: list[Hit]) -> bytes:
    """`text` with what is said instead of each hit."""
    if not hits:
        return text
    out: list[bytes] = []
    at = 0
    for start, end, stands in hits:
        out += (text[at:start], stands)
        at = end
    return b"".join((*out, text[at:]))


def known(text: bytes, values: tuple[bytes, ...]) -> Iterator[Hit]:
    """Where known credentials are in a text."""
    for value in values:
        at = text.find(value)
        while at >= 0:
            yield at, at + len(value), REDACTED
            at = text.find(value, at + len(value))


def key_goes_on(text: bytes, inside: bool) -> bool:
    """Whether `text` ends inside a private key, having begun inside one or not."""
    begin = max((found.end() for found in patterns.OPEN_KEY.finditer(text)), default=0 if inside else -1)
    return begin >= 0 and patterns.END_OF_KEY.search(text, begin) is None


def expression(pattern: str) -> Any:
    """An own pattern, for RE2. Raises ImportError where that is not installed, ValueError where RE2 does not take it."""
    try:
        re2: Any = import_module("re2")  # it has no types, and compiling reads them
    except ImportError:
        raise ImportError(MISSING) from None
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as wrong:
        said = wrong.args[0] if wrong.args else ""
        raise ValueError(f"RE2 does not take this pattern: {said.decode() if isinstance(said, bytes) else said}") from None


def rules_of(said: Mapping[str, Any]) -> Rules | None:
    """The rules that are told as plain values; `None` where they are none."""
    made = Rules(
        tuple(said["patterns"]), tuple((name, pattern) for name, pattern in said["own"]), tuple(map(path_of, said["paths"]))
    )
    return made if made.looks or made.paths else None


def redaction_of(said: Mapping[str, Any]) -> Redaction:
    """What the configuration's `[redact]` is, told as plain values."""
    return Redaction(rules_of(said["general"]), {name.encode(): rules_of(rules) for name, rules in said["projects"].items()})


def _is_blob(text: bytes) -> bool:
    return not any(text.find(letter) >= 0 for letter in (b" ", b'"', b"@", b".", b"-----"))
