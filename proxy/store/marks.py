"""Pure: what a task tells by itself, and next to the one before it in its session: language, refusal, repeat, frustration.

Everything is offline and comes out the same each time. Where a kind has no conversation in it, only what is measured is told.
"""

from __future__ import annotations

from typing import NamedTuple

from proxy.store import language, phrases
from proxy.store.rollup import EXCERPT_LENGTH
from proxy.task import Ending, Flag, Summary

TALK = frozenset({"chat", "completion", "response", "message", "ollama_chat", "ollama_generate", "gemini", "realtime", "custom"})
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
_MODERATED = frozenset({"content_filter", "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "refusal", "RECITATION", "SPII"})
_LENGTHS = ((100, "under 100"), (500, "100-500"), (2000, "500-2000"), (10_000, "2000-10000"))
_SECONDS = ((1, "under 1 s"), (3, "1-3 s"), (10, "3-10 s"), (30, "10-30 s"))
_DOLLARS = ((0.001, "under $0.001"), (0.01, "$0.001-0.01"), (0.1, "$0.01-0.1"))


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


def marks(task: Summary, last_input: str | None = None, last_output: str | None = None) -> Marks:
    """What `task` tells after one whose input and output began so; without them, by itself."""
    reasons = task.finish_reasons
    moderated = not _MODERATED.isdisjoint(reasons) if reasons else False
    if task.kind not in TALK:
        flagged = task.kind == "moderation" and task.output is not None and task.output.startswith("flagged")
        return Marks(task.input is not None, moderated=moderated or flagged, limited=task.http_status == 429)
    said, answer = task.input, task.output
    refusal = answer is not None and (phrases.refuses(answer) or "refusal" in reasons)
    looped = answer is not None and answer[:EXCERPT_LENGTH] == last_output and "tool_calls" in reasons
    if said is None or said.startswith(TOOL_RESULT):
        return Marks(False, refusal, moderated, task.http_status == 429, loop=looped)
    text = said[:LOOKED_AT].lower()
    known = frozenset(text.translate(_NO_LETTER).split())
    repeated = rephrased = False
    if last_input is not None and len(known) >= FEWEST_WORDS and not last_input.startswith(TOOL_RESULT):
        before = last_input.lower()
        if before == text:
            repeated = True
        else:
            earlier = frozenset(before.translate(_NO_LETTER).split())
            both = len(known & earlier)
            rephrased = len(earlier) >= FEWEST_WORDS and both >= REPHRASED * (len(known) + len(earlier) - both)
    return Marks(
        turn=True,
        refusal=refusal,
        moderated=moderated,
        limited=task.http_status == 429,
        repeated=repeated,
        rephrased=rephrased,
        frustrated=phrases.frustrated(text, known) is not None,
        loop=looped,
        language=language.language(text, known),
    )


def facets(task: Summary, told: Marks) -> list[tuple[str, str]]:
    """What a task can be counted by, as (name, value); what is not known is left out."""
    found = [("ending", task.ending.value), ("kind", task.kind), ("flag", task.flag.value if task.flag else "none")]
    model = task.model if task.model is not None else task.model_requested
    if model is not None:
        found.append(("model", model))
    if told.language is not None:
        found.append(("language", told.language))
    if task.output is not None:
        found.append(("length", _bucket(len(task.output), _LENGTHS, "over 10000")))
    if task.seconds_total is not None:
        found.append(("latency", _bucket(task.seconds_total, _SECONDS, "over 30 s")))
    if task.cost is not None:
        found.append(("cost", _bucket(task.cost, _DOLLARS, "over $0.1")))
    if task.ending is not Ending.COMPLETED:
        found.append(("sign", "error"))
    if told.refusal:
        found.append(("sign", "refusal"))
    if told.moderated:
        found.append(("sign", "moderated"))
    if told.limited:
        found.append(("sign", "limited"))
    if told.repeated:
        found.append(("sign", "repeated"))
    if told.rephrased:
        found.append(("sign", "rephrased"))
    if told.frustrated:
        found.append(("sign", "frustrated"))
    if told.loop:
        found.append(("sign", "loop"))
    return found


def ended_badly(ending: Ending, flag: Flag | None, refusal: bool) -> bool:
    """Whether a session whose last task was so was given up rather than done: it failed, was refused or flagged a failure."""
    return ending is not Ending.COMPLETED or flag is Flag.FAILURE or refusal


def _bucket(value: float, edges: tuple[tuple[float, str], ...], beyond: str) -> str:
    for edge, name in edges:
        if value < edge:
            return name
    return beyond
