"""Keyed hashes of what was said: a call's history as keys that can be compared, and from which nothing said can be read. Pure.

A key is a signed 64-bit integer. Its first 16 bits are the caller's, so that the keys of one caller lie together in an index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

from proxy.record.summaries import LOOKED_UP, is_told_to, may_quote, pieces
from proxy.wire.dialogue import Reference
from proxy.wire.remark import SIDES, Remark

REPLY, ASKED, SAID, QUOTED = b"r", b"a", b"s", b"q"
"""What a key is of: all that was said up to an answer; all before one; an answer by itself; a piece of a summary."""

CACHED = 8192  # remarks whose digest is remembered: a history comes again with each call
CACHED_LENGTH = 2048  # characters of the longest one

_NUMBER: Final = Struct(">q")
_MARK: Final = Struct(">I")

LONG = 80  # characters of an answer that is known by itself

DATED = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:mon|tue|wed|thu|fri|sat|sun)\b"
    r"|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+\d{1,2}(?:st|nd|rd|th)?|\b\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?"
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*|\b(?:19|20)\d\d\b|\b\d{10}(?:\d{3})?\b|\b[ap]\.?m\b",
    re.IGNORECASE,
)
"""Dates and times, with which apps stamp their instructions."""


class Said(NamedTuple):
    """An answer in a history, or a call's own."""

    key: int  # as `SAID`
    before: int  # a mark of the message before it
    weight: int  # characters that it is known by
    length: int  # messages of the history up to its end


class Quoted(NamedTuple):
    """A piece of a text that may be one of a summary."""

    key: int  # as `QUOTED`
    weight: int  # characters that it is known by


class Place(NamedTuple):
    """Where a history may have been a whole call before: at an answer in it."""

    key: int
    length: int  # messages up to there


def mark(digest: bytes) -> int:
    """A few bits of a digest, to choose by among the few tasks that a key finds."""
    number: int = _MARK.unpack_from(digest)[0] if digest else 0
    return number >> 1


class Keys:
    """Makes the keys, with a secret. Of use to one thread at a time."""

    def __init__(self, pepper: bytes) -> None:
        secret = blake2b(pepper, digest_size=32, person=b"conversation").digest()
        whats = (b"scope", b"system", b"piece", *(side.encode() for side in SIDES))
        self._begun = {what: blake2b(digest_size=16, key=secret, person=what) for what in whats}
        self._digest = lru_cache(CACHED)(self._digest_of)
        self.scope = lru_cache(1024)(self._scope_of)
        self.instructions = lru_cache(256)(self._instructions_of)
        self.is_told_to_sum_up = lru_cache(256)(is_told_to)
        self.told_of = lru_cache(256)(self._told_of)  # the pieces of instructions in which a summary may be

    def _scope_of(self, project_id: str, caller_key: str | None, user_id: str | None) -> Scope:
        said = "\0".join((project_id, caller_key or "", "" if user_id is None else f"={user_id}"))
        return Scope(self._hash(said.encode("utf-8", "surrogatepass"), b"scope"))

    def _instructions_of(self, text: str) -> int:
        """A mark of instructions that stays the same when only a date in them changes."""
        return mark(self._hash(DATED.sub("#", text).encode("utf-8", "surrogatepass"), b"system"))

    def _hash(self, data: bytes, what: bytes) -> bytes:
        hash = self._begun[what].copy()
        hash.update(data)
        return hash.digest()

    def _digest_of(self, remark: Remark) -> bytes:
        told = remark.text if not remark.calls else "\0".join((remark.text, *("\1".join(call) for call in remark.calls)))
        return self._hash(told.encode("utf-8", "surrogatepass"), remark.side.encode())

    def digest(self, remark: Remark) -> bytes:
        """What tells a remark from others."""
        return self._digest_of(remark) if len(remark.text) > CACHED_LENGTH else self._digest(remark)

    def said(self, scope: Scope, answer: Remark, before: Remark | None, count: int) -> Said:
        """An answer by itself, or a short one with what it answers; ids of tool calls are left out: frameworks make new ones."""
        weight = len(answer.text)
        if answer.calls:
            weight += sum([len(id) + len(arguments) for id, _, arguments in answer.calls])
            answer = answer._replace(calls=tuple([("", name, arguments) for _, name, arguments in answer.calls]))
        digest = self.digest(answer)
        asked = b"" if before is None else self.digest(before)
        if weight < LONG:
            digest += asked
            weight += 0 if before is None else len(before.text)
        return tuple.__new__(Said, (scope.key(SAID, digest), mark(asked), weight, count))

    def quoted(self, scope: Scope, pieces: Iterable[str]) -> tuple[Quoted, ...]:
        """Pieces of a summary, or of what may quote one."""
        return tuple(
            [
                Quoted(scope.key(QUOTED, self._hash(piece.encode("utf-8", "surrogatepass"), b"piece")), len(piece))
                for piece in pieces
            ]
        )

    def _told_of(self, instructions: str) -> tuple[str, ...]:
        return tuple(pieces(instructions, LOOKED_UP)) if may_quote(instructions) else ()

    def reference(self, project_id: str, reference: Reference) -> int:
        """Of what a provider gave as a handle: it is no guess, so the caller and the user do not matter."""
        return self.scope(project_id, None, None).key(reference.kind.encode(), reference.value.encode("utf-8", "surrogatepass"))


class Scope:
    """Within which histories are compared: never those of two callers, users or projects."""

    __slots__ = ("_begun", "_prefix")

    def __init__(self, seed: bytes) -> None:
        self._prefix = seed[:2]
        self._begun = blake2b(seed, digest_size=6)

    def begin(self) -> Chain:
        return Chain(self._begun.copy(), self._prefix)

    def key(self, what: bytes, digest: bytes) -> int:
        hash = self._begun.copy()
        hash.update(what + digest)
        return _key(self._prefix, hash)


class Chain:
    """A history while it is followed, message by message."""

    __slots__ = ("_hash", "_prefix", "add")

    def __init__(self, hash: blake2b, prefix: bytes) -> None:
        self._hash = hash
        self._prefix = prefix
        self.add = hash.update

    def key(self, what: bytes, digest: bytes = b"") -> int:
        """The key of what was said so far and `digest` after it."""
        hash = self._hash.copy()
        hash.update(what + digest)
        return _key(self._prefix, hash)


def _key(prefix: bytes, hash: blake2b) -> int:
    found: int = _NUMBER.unpack(prefix + hash.digest())[0]
    return found
