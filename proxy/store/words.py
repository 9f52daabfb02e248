"""What a word is to a search: letters and digits, without case or accents, as SQLite's `unicode61` cuts them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from proxy.store.unspaced import is_unspaced, seamed


class _Folded(dict[int, str | None]):
    """What each character is to a search: a letter or digit without case and accents, nothing, or the end of a word."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        category = unicodedata.category(character)
        folded: str | None = " "
        if category[0] in "LN" or category == "Co":
            folded = unicodedata.normalize("NFD", character)[0].lower()
        elif category == "Mn":
            folded = None  # an accent on its own belongs to the letter before it
        if folded and is_unspaced(character):
            folded = f" {folded} "  # a word by itself: no spaces tell where one begins
        self[code] = folded
        return folded


_FOLDED = _Folded()


def terms(text: str) -> list[str]:
    """The words of `text` in order; in scripts that put no spaces between words each character is one.

    SQLite's own tables are those of Unicode 6.1, ours are Python's: letters younger than that may be cut differently.
    """
    return [word for word in seamed(text).translate(_FOLDED).split(" ") if word]


def phrases(words: Iterable[str]) -> list[str]:
    """The words and phrases that can be looked for; those without a letter or digit are left out."""
    return [word for word in (word.replace("\0", " ") for word in words) if terms(word)]


def expression(words: Iterable[str]) -> str:
    """An FTS5 query for texts that may hold all of `words`, each of which is quoted, so that nothing in it is an operator.

    It asks for no phrases, since the index does not know where words stand. Empty: the index has nothing to say to this.
    """
    return " ".join(f'"{token}"' for token in dict.fromkeys(token for phrase in phrases(words) for token in _tokens(phrase)))


_OLDER = unicodedata.ucd_3_2_0
_ACCENTS = (0x08029FDF, 0x000361F8)
"""Which characters from U+0300 and from U+0320 on `unicode61` leaves out of words; other marks end one for it."""


def _tokens(phrase: str) -> list[str]:
    """What `unicode61` surely cuts out of a phrase: parts with letters younger than it are left out."""
    parts = "".join(_as_cut(character) for character in phrase).split(" ")
    return [part for part in parts if "\0" not in part and terms(part)]


def _as_cut(character: str) -> str:
    """The character where it is of a word, a space where it ends one, NUL where that is not known.

    For the index all between two spaces is a word, in any script: a part of it is not in there.
    """
    if is_unspaced(character):
        return "\0"
    category, older = unicodedata.category(character), _OLDER.category(character)
    if older == "Cn" or (category == "Mn" != older):
        return "\0"
    if category == "Mn":
        place = ord(character) - 0x300
        return character if 0 <= place < 64 and _ACCENTS[place // 32] >> place % 32 & 1 else " "
    now, then = (kind[0] in "LN" or kind == "Co" for kind in (category, older))
    return "\0" if now != then else character if now else " "


def wanted(words: Iterable[str]) -> tuple[str, ...]:
    """What `holds` looks for: words and phrases as `terms` cuts them, between spaces."""
    return tuple(_spaced(phrase) for phrase in phrases(words))


def holds(wanted: tuple[str, ...], texts: Iterable[str | None]) -> bool:
    """Whether each of what is `wanted` is in one of `texts`; False where there is nothing to look for."""
    held = [_spaced(text) for text in texts if text]
    return bool(wanted) and all(any(phrase in text for text in held) for phrase in wanted)


def match(words: Iterable[str], texts: Iterable[str | None]) -> bool:
    """Whether each of `words` is in one of `texts`; False where there is nothing to look for."""
    return holds(wanted(words), texts)


def _spaced(text: str) -> str:
    """Its words, each between two spaces that it shares with its neighbours."""
    spaced = f" {seamed(text).translate(_FOLDED)} "
    while "  " in spaced:  # a third of the time that cutting and joining takes
        spaced = spaced.replace("  ", " ")
    return spaced
