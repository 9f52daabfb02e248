"""Pure: what the last tasks of sessions are like, against all others: what they tell, their words, what they come after."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from proxy.query import statistics
from proxy.query.found import plain
from proxy.store.insight import FacetSum
from proxy.store.unspaced import in_pairs, is_unspaced
from proxy.task import JSON

_WORD = re.compile(r"[^\W_]+")
TERMS = 20
FEWEST = 5
"""A term that fewer last messages have is not told."""


def ends(facets: Sequence[FacetSum]) -> list[JSON]:
    """What the last tasks of sessions are, against all others: shares of each, how much likelier, and how surely."""
    tasks, lasts = _whole(facets)
    others = tasks - lasts
    found = []
    for facet in facets:
        rest = facet.tasks - facet.lasts
        z, p = statistics.surprise(facet.lasts, lasts, rest, others)
        share, share_of_others = _share(facet.lasts, lasts), _share(rest, others)
        found.append(
            {
                "name": facet.name,
                "value": facet.value,
                "lasts": facet.lasts,
                "others": rest,
                "share_of_lasts": share,
                "share_of_others": share_of_others,
                "lift": share / share_of_others if share is not None and share_of_others else None,
                "z": z,
                "p": p,
            }
        )
    return sorted(found, key=lambda each: (-abs(each["z"]), each["name"], each["value"]))


def rows(told: JSON) -> list[JSON]:
    """What `sessions` tells of last messages as rows with the same names: what they are like, and then their words, as `term`."""
    ends = [{**each, "g2": None} for each in told["ends"]]
    nothing = dict.fromkeys(ends[0]) if ends else {}
    return ends + [
        {**nothing, "name": "term", "value": each["term"], **{name: each[name] for name in ("lasts", "others", "g2", "p")}}
        for each in told["terms"]
    ]


def abandoned(facets: Sequence[FacetSum]) -> list[JSON]:
    """How often a session ends after a task like this: slow, failed, refused."""
    tasks, lasts = _whole(facets)
    return [
        {
            "name": facet.name,
            "value": facet.value,
            "tasks": facet.tasks,
            "ended": facet.lasts,
            "share": facet.lasts / facet.tasks,
            "of_all": _share(lasts, tasks),
        }
        for facet in facets
        if facet.name in ("latency", "sign", "flag", "event") and facet.tasks > 0
    ]


def _whole(facets: Sequence[FacetSum]) -> tuple[int, int]:
    """How many tasks there are, and how many are the last of their session: every task has one ending."""
    endings = [facet for facet in facets if facet.name == "ending"]
    return sum(facet.tasks for facet in endings), sum(facet.lasts for facet in endings)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole > 0 else None


def _words(text: str) -> set[str]:
    """Those of more than two letters; where no spaces tell them apart, pairs of characters."""
    return {word for word in in_pairs(_WORD.findall(plain(text))) if len(word) > 2 or (len(word) == 2 and is_unspaced(word))}


def terms(lasts: Sequence[str], others: Sequence[str]) -> list[JSON]:
    """Words that last messages have more often than others do, the surest first."""
    mine, theirs = (Counter(word for text in texts for word in _words(text)) for texts in (lasts, others))
    found: list[JSON] = []
    for term, count in mine.items():
        more = bool(lasts and others) and count / len(lasts) > theirs[term] / len(others)
        if count >= FEWEST and more:
            score = statistics.likelihood(count, len(lasts), theirs[term], len(others))
            chance = statistics.chance(score)
            found.append({"term": term, "lasts": count, "others": theirs[term], "g2": score, "p": chance})
    return sorted(found, key=lambda each: (-float(each["g2"]), str(each["term"])))[:TERMS]
