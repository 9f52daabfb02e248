"""Pure: the language of a text, by its script and its commonest words; `None` where it does not show."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

FEW_WORDS = 4
"""Up to so many words, one common word is enough to tell the language."""

_COMMON = {
    "en": "the and is are you what how to of in that it for with this my can do please be not have on i a an we if why which",
    "fr": "le la les des est et vous que pour dans une un je pas avec sur qui ce comment pourquoi quel quelle mon ma du au ne",
    "de": "der die das und ist nicht ich ein eine wie mit für auf zu den von sie wir was warum welche mein kann bitte auch",
    "es": "el los las es y que en un una por para con como qué cómo mi del no se su más pero cuál porque está tengo puedo al",
    "it": "il lo gli è che di un una per con non come cosa perché mi sono della del nel quale mio anche posso ho si ma più",
    "pt": "o os as é e que em um uma por para com como não do da no na meu minha mais mas você por qual porque estou posso ao",
    "nl": "de het een en is niet ik van op met voor hoe wat waarom kan mijn dat die zijn aan ook maar welke naar je we deze",
    "pl": "i nie jest się na w z do jak co dlaczego czy mój to że po dla jestem mam który proszę ale od o przez",
    "sv": "och är inte jag en ett som på med för hur vad varför kan min det att av den till har om du vi men",
    "tr": "ve bir bu ne nasıl için ile da de mi ben çok neden var değil olan gibi daha kadar benim lütfen",
}
_NAMES = tuple(_COMMON)
_VOTES: dict[str, int] = {}  # of each word: a byte a language
for _number, _words in enumerate(_COMMON.values()):
    for _word in _words.split():
        _VOTES[_word] = _VOTES.get(_word, 0) + (1 << (8 * _number))
COMMON_WORDS = frozenset(_VOTES)

_SCRIPTS = (
    ("ja", 0x3040, 0x30FF), ("ko", 0xAC00, 0xD7AF), ("zh", 0x4E00, 0x9FFF), ("ru", 0x0400, 0x04FF), ("ar", 0x0600, 0x06FF),
    ("hi", 0x0900, 0x097F), ("he", 0x0590, 0x05FF), ("el", 0x0370, 0x03FF), ("th", 0x0E00, 0x0E7F),
)  # fmt: skip


def language(text: str, words: frozenset[str]) -> str | None:
    """Of a text of not more than some hundred characters and its words, both in lower case."""
    if not text.isascii() and (script := _script(text)):
        return script
    votes = sum(map(_VOTES.__getitem__, words & COMMON_WORDS))
    return _elected(votes, len(words) <= FEW_WORDS) if votes else None


@lru_cache(4096)
def _elected(votes: int, few: bool) -> str | None:
    counts = [(votes >> (8 * number)) & 0xFF for number in range(len(_NAMES))]
    most = max(counts)
    return _NAMES[counts.index(most)] if counts.count(most) == 1 and (most >= 2 or few) else None


def _script(text: str) -> str | None:
    """The language of a script that has one; Japanese before Chinese, whose characters it has too."""
    counts: Counter[str] = Counter()
    for character in text:
        code = ord(character)
        if code >= 0x0370:
            for name, low, high in _SCRIPTS:
                if low <= code <= high:
                    counts[name] += 1
                    break
    if not counts or 3 * sum(counts.values()) < sum(map(str.isalpha, text)):
        return None
    return "ja" if 10 * counts["ja"] >= sum(counts.values()) else counts.most_common(1)[0][0]
