"""Pure: what a task tells by itself, and next to the one before it in its session: language, refusal, repeat, frustration.

Everything is offline and comes out the same each time. Where a kind has no conversation in it, only what is measured is told.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

from proxy.store import events, language, phrases
from proxy.store.rollup import EXCERPT_LENGTH, Heard
from proxy.store.unspaced import in_pairs, is_unspaced
from proxy.task import Ending, Flag, Summary

TALK = frozenset(
    {"chat", "completion", "response", "message", "ollama_chat", "ollama_generate", "gemini", "converse", "realtime", "custom"}
)
"""Kinds that have a question and an answer in words."""

TOOL_RESULT = "[tool]"
"""What an input begins with where no person spoke: the result of a tool that the answer before had asked for."""

LOOKED_AT = EXCERPT_LENGTH
"""Characters of an input that are looked at; what a session keeps of its last input is as long."""

REPHRASED = 0.5
"""Share of words two inputs have in common, from which one is the other said anew."""

FEWEST_WORDS = 3
"""Inputs of fewer words are not compared: "yes" after "yes please" is nothing."""

_NO_LETTER = {code: " " for code in range(128) if not chr(code).isalpha()} | dict.fromkeys(
    map(ord, "’‘“”«»…–—¿¡、。，！？「」"), " "
)
_LETTERS = bytes(code if chr(code).isalpha() and code < 128 else 32 for code in range(256))
"""The same for text that is ASCII, in bytes: half the time."""

_MODERATED = frozenset(
    {
        "content_filter",
        "SAFETY",
        "PROHIBITED_CONTENT",
        "BLOCKLIST",
        "refusal",
        "RECITATION",
        "SPII",
        "guardrail_intervened",
        "content_filtered",
    }
)
_CALLING = frozenset({"tool_calls", "function_call", "tool_use"})
"""Why answers end that ask for a tool."""

Facet = tuple[str, str]
"""What tasks are counted by: a name and a value."""

Facets = tuple[Facet, ...]
"""All that a task is counted by."""

_LENGTHS = (100, 500, 2000, 10_000)
_SECONDS = (1, 3, 10, 30)
_DOLLARS = (0.001, 0.01, 0.1)


def _named(name: str, *values: str) -> tuple[Facet, ...]:
    return tuple((name, value) for value in values)


# made once: a save makes ten for each task
_OF_LENGTH = _named("length", "under 100", "100-500", "500-2000", "2000-10000", "over 10000")
_OF_SECONDS = _named("latency", "under 1 s", "1-3 s", "3-10 s", "10-30 s", "over 30 s")
_OF_COST = _named("cost", "under $0.001", "$0.001-0.01", "$0.01-0.1", "over $0.1")
_OF_ENDING = {ending: ("ending", ending.value) for ending in Ending}
_OF_FLAG = {None: ("flag", "none")} | {flag: ("flag", flag.value) for flag in Flag}


class Marks(NamedTuple):  # six times as quickly made as a dataclass, and one is made for every task
    """What one task tells. `turn`: a person spoke, not a tool."""

    turn: bool
    refusal: bool = False
    moderated: bool = False
    limited: bool = False  # the provider said: too many requests
    repeated: bool = False
    rephrased: bool = False
    frustrated: bool = False
    loop: bool = False  # it asked for the same tool with the same arguments as the answer before
    language: str | None = None


SIGNS = ("refusal", "moderated", "limited", "repeated", "rephrased", "frustrated", "loop")
"""The marks that are counted where they hold."""


def words_of(text: str) -> frozenset[str]:
    """The words of a text in lower case; where no spaces tell them apart, pairs of characters."""
    if text.isascii():
        return frozenset(text.encode("ascii").translate(_LETTERS).decode("ascii").split())
    found = text.translate(_NO_LETTER).split()
    return frozenset(in_pairs(found) if is_unspaced(text) else found)


def marks(task: Summary, last_input: str | None = None, last_output: str | None = None, last_heard: Heard | None = None) -> Marks:
    """What `task` tells after one whose input and output began so; without them, by itself.

    `last_heard` is what `last_input` tells, where that is known already.
    """
    return spoken(task, last_input, last_output, last_heard)[0]


def spoken(
    task: Summary, last_input: str | None, last_output: str | None, last_heard: Heard | None
) -> tuple[Marks, Heard | None]:
    """See `marks`; and what its input tells, where a person spoke."""
    reasons = task.finish_reasons
    moderated = not _MODERATED.isdisjoint(reasons) if reasons else False
    limited = task.http_status == 429
    if task.kind not in TALK:
        flagged = task.kind == "moderation" and task.output is not None and task.output.startswith("flagged")
        return Marks(task.input is not None, False, moderated or flagged, limited), None
    said, answer = task.input, task.output
    refusal = looped = False
    if answer is not None:
        refusal = phrases.refuses(answer) or "refusal" in reasons
        looped = not _CALLING.isdisjoint(reasons) and answer[:EXCERPT_LENGTH] == last_output
    if said is None or said.startswith(TOOL_RESULT):
        return Marks(False, refusal, moderated, limited, False, False, False, looped), None
    text = said[:LOOKED_AT].lower()
    before = None if last_input is None or last_input.startswith(TOOL_RESULT) else last_input.lower()
    heard = last_heard if last_heard is not None and before == text else _heard(text)
    known, spoken_in, frustrated = heard
    repeated = rephrased = False
    if before is not None and len(known) >= FEWEST_WORDS:
        if before == text:
            repeated = True
        else:
            earlier = words_of(before) if last_heard is None else last_heard[0]
            both = len(known & earlier)
            rephrased = len(earlier) >= FEWEST_WORDS and both >= REPHRASED * (len(known) + len(earlier) - both)
    told = (True, refusal, moderated, limited, repeated, rephrased, frustrated, looped, spoken_in)
    return tuple.__new__(Marks, told), heard


def _heard(text: str) -> Heard:
    words = words_of(text)
    return words, language.language(text, words), phrases.frustrated(text, words) is not None


def facets(task: Summary, told: Marks) -> Facets:
    """What a task can be counted by; what is not known is left out."""
    return _together(
        task.ending,
        task.kind,
        task.flag,
        task.model if task.model is not None else task.model_requested,
        told.language,
        None if task.output is None else bisect_right(_LENGTHS, len(task.output)),
        None if task.seconds_total is None else bisect_right(_SECONDS, task.seconds_total),
        None if task.cost is None else bisect_right(_DOLLARS, task.cost),
        tuple(events.names(task.events)) if task.events else (),
        told[1:8],
    )


@lru_cache(4096)  # most tasks are like others
def _together(
    ending: Ending,
    kind: str,
    flag: Flag | None,
    model: str | None,
    language: str | None,
    length: int | None,
    seconds: int | None,
    dollars: int | None,
    named: tuple[str, ...],
    signs: tuple[bool, ...],
) -> Facets:
    found = [_OF_ENDING[ending], ("kind", kind), _OF_FLAG[flag]]
    if model is not None:
        found.append(("model", model))
    if language is not None:
        found.append(("language", language))
    if length is not None:
        found.append(_OF_LENGTH[length])
    if seconds is not None:
        found.append(_OF_SECONDS[seconds])
    if dollars is not None:
        found.append(_OF_COST[dollars])
    if ending is not Ending.COMPLETED:
        found.append(("sign", "error"))
    found += [("event", name) for name in named]
    found += [("sign", name) for name, holds in zip(SIGNS, signs, strict=True) if holds]
    return tuple(found)


def ended_badly(ending: Ending, flag: Flag | None, refusal: bool) -> bool:
    """Whether a session whose last task was so was given up rather than done: it failed, was refused or flagged a failure."""
    return ending is not Ending.COMPLETED or flag is Flag.FAILURE or refusal
