"""What a word is to a search: letters and digits, without case or accents, as SQLite's `unicode61` cuts them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def terms(text: str) -> list[str]:
    """The words of `text` in order.

    SQLite's own tables are those of Unicode 6.1, ours are Python's: letters younger than that may be cut differently.
    """
    found: list[str] = []
    word: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        if category[0] in "LN" or category == "Co":
            word.append(unicodedata.normalize("NFD", character)[0].lower())
        elif category == "Mn" and word:
            continue  # an accent on its own belongs to the letter before it
        elif word:
            found.append("".join(word))
            word = []
    if word:
        found.append("".join(word))
    return found


def phrases(words: Iterable[str]) -> list[str]:
    """The words and phrases that can be looked for; those without a letter or digit are left out."""
    return [word for word in (word.replace("\0", " ") for word in words) if terms(word)]


def expression(words: Iterable[str]) -> str:
    """An FTS5 query in which every word is a quoted phrase, so that nothing in it is an operator; empty: nothing to look for."""
    return " ".join('"' + phrase.replace('"', '""') + '"' for phrase in phrases(words))


def match(words: Iterable[str], texts: Iterable[str | None]) -> bool:
    """Whether each of `words` is in one of `texts`; False where there is nothing to look for."""
    wanted = [terms(phrase) for phrase in phrases(words)]
    held = [terms(text) for text in texts if text is not None]
    return bool(wanted) and all(any(_holds(words_of, phrase) for words_of in held) for phrase in wanted)


def _holds(held: list[str], phrase: list[str]) -> bool:
    return any(held[at : at + len(phrase)] == phrase for at in range(len(held) - len(phrase) + 1))
