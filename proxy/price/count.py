"""How many tokens a text is, about: with a real tokenizer where one is installed, else by a rule of thumb. Pure.

The rule of thumb counts as byte-pair encoders cut: short words are one token, long ones one for every few letters, digits go by
threes, letters of other scripts cost more. README.md says how far off it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

LONGEST = 100_000
"""Characters of one text that are counted; a longer one is taken to go on as it began."""

_PARTS = re.compile(r"[A-Za-z]+| ?[0-9]{1,3}|[^\W\d_a-zA-Z]+|[^\w\s]+|_+|\n+[ \t]*|[ \t]{2,}")
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")  # Chinese, Japanese, Korean
_SHORT = 8  # letters of a word that is one token
_MORE = 5  # letters for each further one
_FOREIGN = 3.1  # letters of alphabets that are not Latin, or with accents, to a token
_OLD = re.compile(r"gpt-4(?!o|\.)|gpt-3\.5|text-embedding-(?:ada|3)")


def tokens(texts: list[str], model: str | None) -> int:
    """About how many tokens `texts` are to `model`."""
    cut = [text[:LONGEST] for text in texts]
    counted = _tokenizer()
    counts = map(by_rule, cut) if counted is None else counted(cut, "cl100k_base" if _OLD.match(model or "") else "o200k_base")
    return sum(round(count * len(text) / len(part)) for count, text, part in zip(counts, texts, cut, strict=True) if part)


def by_rule(text: str) -> int:
    """About how many tokens `text` is, by rule of thumb."""
    count = 0.0
    for part in _PARTS.findall(text):
        first = part[0]
        if first < "\x80":
            if first.isalpha():
                count += 1 if len(part) <= _SHORT else 1 + (len(part) - _SHORT) / _MORE
            elif part[-1].isdigit():
                count += 1 if first.isdigit() else 2  # the blank before a number is a token, too
            elif first in "\n\t ":
                count += 0.6
            else:
                count += 1 + (len(part) - 1) // 3
        else:
            wide = len(_WIDE.findall(part))
            count += wide * 0.75 + (len(part) - wide) / _FOREIGN
    return round(count)


@lru_cache(maxsize=1)
def _tokenizer() -> Callable[[list[str], str], Any] | None:
    try:
        counted: Callable[[list[str], str], Any] = import_module("toktok").batch_count
    except ImportError:
        return None
    return counted
