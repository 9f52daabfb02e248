"""Pure: text in scripts that put no spaces between words (Chinese, Japanese, Thai, ...): compared by pairs of characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_RANGES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_UNSPACED = re.compile(f"[{_RANGES}]")
_SEAM = re.compile(rf"(?<=[{_RANGES}])(?=[^\W{_RANGES}])|(?<=[^\W{_RANGES}])(?=[{_RANGES}])")

SEAM = "\uf8ff"
"""What a word has at its end that goes on in such a script, or comes out of one."""


def is_unspaced(text: str) -> bool:
    """Whether some of a text is in such a script."""
    return not text.isascii() and _UNSPACED.search(text) is not None


def in_pairs(words: Iterable[str]) -> Iterator[str]:
    """The words, and in the place of each that is in such a script the pairs of characters that follow one another in it."""
    for word in words:
        if len(word) > 2 and is_unspaced(word):
            for first in range(len(word) - 1):
                yield word[first : first + 2]
        else:
            yield word


def seamed(text: str) -> str:
    """The text with a mark wherever a word goes from one kind of script to the other: there it is one word all the same."""
    return _SEAM.sub(SEAM, text) if is_unspaced(text) else text
