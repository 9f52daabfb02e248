"""Pure: text in scripts that put no spaces between words (Chinese, Japanese, Thai, ...): compared by pairs of characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


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
