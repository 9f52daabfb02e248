"""Events of a stream that differ from the one before them in one string, as nearly all of a chat's do: their text, and no more.

A stream says the same of each of its tokens: its id, its model, its time. Once one event has been read, one with the same bytes
around another text need not be: the text is all that it adds. What is found so is what reading each event would have found: bytes
that could mean anything else (an escape, a quote, a control character, broken UTF-8) are given back to be read.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

LONGEST = 1 << 16
"""Bytes of a piece: a longer one is read."""

LESSONS = 6
"""How often in a stream an event is taken for the pattern of others and none comes that is alike."""

_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_PROBE = b"\x7f?"  # no text that a model says


class Alike:
    """The bytes around a text, and the texts that came between them since."""

    __slots__ = ("_before", "_behind", "_end", "_into", "_noise", "_start", "taken")

    def __init__(self, before: bytes, noise: bytes | None, behind: bytes, into: list[str]) -> None:
        self._before = before
        self._noise = noise  # where the text ends and noise begins, which says nothing: a provider's padding
        self._behind = behind
        self._start = len(before)
        self._end = len(behind)
        self._into = into
        self.taken: list[bytes] = []

    def take(self, block: bytes) -> bool:
        """Whether an event (without its empty line) is alike; if it is, its text is taken."""
        last = len(block) - self._end
        # first of all, since mypyc cannot take a slice that ends before it starts
        if last < self._start or not (block.startswith(self._before) and block.endswith(self._behind)):
            return False
        if self._noise is None:
            text = block[self._start : last]
        else:
            end = block.find(self._noise, self._start)
            padding = end + len(self._noise)
            if end < 0 or padding > last or not block[padding:last].isalnum():
                return False
            text = block[self._start : end]
        if text.find(b"\\") >= 0:
            return False
        self.taken.append(text)
        return True

    def flush(self) -> list[bytes]:
        """Let the texts grow into what they belong to; or give back the events they came in, where they have to be read."""
        taken, self.taken = self.taken, []
        if not taken:
            return []
        whole = b"".join(taken)
        if _PLAIN.fullmatch(whole) is not None:
            try:
                # one by one where it is more than ASCII: half a character here and half in the next event are two that are broken
                self._into.append(whole.decode("ascii") if whole.isascii() else "".join([text.decode() for text in taken]))
            except UnicodeDecodeError:
                pass
            else:
                return []
        noise = b"" if self._noise is None else self._noise
        return [self._before + text + noise + self._behind + b"\n\n" for text in taken]


def alike(data: bytes, chunk: Any, said: str, noise: str | None, into: list[str]) -> Alike | None:
    """The pattern of an event's `data`, in which `said` stands once, and `noise` too if it is given; None where it has none.

    `chunk` is what it was read as. The pattern is tried: with another text in it, it must be read as the same chunk with that.
    """
    plain = b'"%b"' % said.encode("utf-8", "surrogatepass")
    if data.count(plain) != 1 or _PLAIN.fullmatch(plain, 1, len(plain) - 1) is None:
        return None
    start = data.find(plain) + 1
    before, behind = data[:start], data[start + len(plain) - 2 :]
    between: bytes | None = None
    padding = b""
    if noise is not None:
        padding = b'"%b"' % noise.encode("utf-8", "surrogatepass")
        if behind.count(padding) != 1 or not noise.isalnum() or not noise.isascii():
            return None
        at = behind.find(padding) + 1
        between, behind = behind[:at], behind[at + len(padding) - 2 :]
    try:
        other = orjson.dumps(orjson.loads(before + _PROBE + (b"" if between is None else between + b"p") + behind))
        swapped = orjson.dumps(chunk).replace(plain, b'"%b"' % _PROBE)
    except (ValueError, TypeError):  # the second for what orjson cannot write
        return None
    # Where `plain` is found, but not as a string, what comes of it is no JSON, and so not what `other` is.
    if (swapped.replace(padding, b'"p"') if padding else swapped) != other:
        return None
    return Alike(b"data: " + before, between, behind, into)
