"""Pure: why a search found a task, in a few words around the hits, and which of the found ones say it best."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from proxy.store.unspaced import SEAM, is_unspaced
from proxy.store.words import phrases, terms
from proxy.task import Summary

Snippet = list[tuple[str, bool]]
"""Text in parts, each with whether it is what was looked for."""

WIDTH = 160
LOOKED_AT = 20_000
"""Characters of an input or output in which hits are shown and counted."""

BEST_OF = 300
"""The newest of so many are put in the order of how well they fit."""

_K, _B = 1.2, 0.75  # of BM25


def pattern(words: Sequence[str]) -> re.Pattern[str] | None:
    """What finds any of the words and phrases in a `plain` text."""
    wanted = [_one([term.strip(SEAM) or term for term in terms(phrase)]) for phrase in phrases(words)]
    return re.compile("|".join(sorted(wanted, key=len, reverse=True))) if wanted else None


def _one(terms: Sequence[str]) -> str:
    """These words one after the other; what tells a word from its neighbours is not there in every script."""
    parts = ["" if is_unspaced(terms[0]) else r"(?<!\w)", re.escape(terms[0])]
    for before, term in pairwise(terms):
        parts += [r"\W*" if is_unspaced(before) or is_unspaced(term) else r"\W+", re.escape(term)]
    return "".join([*parts, "" if is_unspaced(terms[-1]) else r"(?!\w)"])


def plain(text: str) -> str:
    """Without case and accents, and as long as it was."""
    if text.isascii():
        return text.lower()
    return text.translate(_PLAIN)


class _Plain(dict[int, str]):
    """Each character as it was made plain the first time that it was met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        made = self[code] = (unicodedata.normalize("NFD", character)[0].lower() or character)[:1]
        return made


_PLAIN = _Plain()


def snippet(task: Summary, words: Sequence[str]) -> Snippet | None:
    """The stretch of input or output with the most hits; `None` where none is near the beginning."""
    if (wanted := pattern(words)) is None:
        return None
    best: tuple[int, str, list[re.Match[str]], int] | None = None
    for text in (task.input, task.output):
        if text is None:
            continue
        cut = text[:LOOKED_AT]
        hits = list(wanted.finditer(plain(cut)))
        for place, hit in enumerate(hits[:50]):
            near = [other for other in hits[place:] if other.end() <= hit.start() + WIDTH] or [hit]
            score = len({other[0] for other in near}) * 1000 + len(near)
            if best is None or score > best[0]:
                best = score, cut, near, hit.start()
    return None if best is None else _parts(*best[1:])


def _parts(text: str, hits: Sequence[re.Match[str]], first: int) -> Snippet:
    begin = max(0, first - WIDTH // 4)
    if begin and (space := text.find(" ", begin, first)) >= 0:
        begin = space + 1
    end = min(len(text), max(begin + WIDTH, hits[-1].end()))
    parts: Snippet = [("…", False)] if begin else []
    at = begin
    for hit in hits:
        if hit.start() > at:
            parts.append((text[at : hit.start()], False))
        parts.append((text[hit.start() : hit.end()], True))
        at = hit.end()
    if at < end:
        parts.append((text[at:end], False))
    return [*parts, ("…", False)] if end < len(text) else parts


def ranked(tasks: Sequence[Summary], words: Sequence[str]) -> list[Summary]:
    """The best first, by BM25 among themselves; equals as they were."""
    wanted = [found for word in words if (found := pattern([word])) is not None]
    texts = [plain("\n".join(text[:LOOKED_AT] for text in (task.input, task.output) if text is not None)) for task in tasks]
    counts = [[len(found.findall(text)) for found in wanted] for text in texts]
    mean = sum(map(len, texts)) / len(texts) if texts else 1.0
    weights = [math.log(1 + (len(tasks) + 0.5) / (0.5 + sum(1 for row in counts if row[n]))) for n in range(len(wanted))]

    def score(place: int) -> float:
        length = _K * (1 - _B + _B * len(texts[place]) / (mean or 1.0))
        return sum(weight * count * (_K + 1) / (count + length) for weight, count in zip(weights, counts[place], strict=True))

    return [tasks[place] for place in sorted(range(len(tasks)), key=lambda place: -score(place))]
