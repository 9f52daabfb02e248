"""Pure: a conversation that was summed up. Which call asked the model for that, and where its answer is quoted later on.

Apps that run out of context let the model sum up what was said, in a call that brings the history along or quotes it as a text
("Human: ...", "AI: ..."), and then begin a new history with that summary, within a message or the instructions. What is quoted is
found by its pieces: sentences and lines that are long enough to be nobody else's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from heapq import nlargest
from typing import Final

from proxy.wire.remark import ANSWER, THOUGHT, USER, Remark, spoken

ASKING: Final = (
    *("summar", "compact", "condens", "compress", "recap", "handoff", "state_snapshot", "continuing our conversation"),
    *("zusammenfass", "resum", "résum", "riassu", "samenvat", "sammanfat", "streszcz", "özet", "кратк", "резюм"),
    *("总结", "總結", "摘要", "要約", "まとめ", "요약"),
)
"""What instructions to sum up have in them, in lower case."""

TELLING: Final = (*ASKING, "so far", "previous", "continue", "snapshot", "earlier", "conversation")
"""What a message has near its beginning that quotes a summary."""

WORK: Final = (
    "summarize",
    "summarise",
    "sum up",
    "zusammenfassen",
    "fasse ",
    "résume",
    "resume ",
    "riassumi",
    "vat ",
    "要約して",
)
"""What a message has near its beginning or end that wants a text summed up."""

TOLD: Final = (
    *("conversation so far", "conversation to date", "summary so far", "previous conversation", "earlier conversation"),
    *("summary of the conversation", "summary of conversation", "summary of our", "conversation summary", "current conversation"),
    *("zusammenfassung des gespräch", "bisheriges gespräch", "résumé de la conversation", "resumen de la conversación"),
    *(
        "riassunto della conversazione",
        "resumo da conversa",
        "samenvatting van het gesprek",
        "对话摘要",
        "对话总结",
        "会話の要約",
        "대화 요약",
    ),
)
"""What instructions have in them that quote a summary."""

HEAD: Final = 240  # characters of a message in which such words are looked for; as many at its end
LONGEST: Final = 1 << 14  # characters of a text that are taken to pieces
QUOTED: Final = 1 << 16  # characters of a text in which a conversation may be
BEGINNING: Final = 8192  # characters of it in which an answer has begun
ANSWERERS: Final = ("AI", "ssistant", "SSISTANT", "odel", "ot:")  # of which one is in any conversation that is quoted
SHORTEST: Final = 30  # characters of a piece, without white space
LEFT: Final = 8  # pieces of a summary that are left to be found by, the longest ones
LOOKED_UP: Final = 16  # pieces of a message, likewise
ENOUGH: Final = 45  # characters of pieces that tell a summary

_ENDS: Final = (". ", "! ", "? ", ": ", "。", "！", "？")
_TAG = re.compile(r"</?[A-Za-z_]{2,20}>")
_SPEAKERS = re.compile(
    r"^[^\S\n]*(?:#{1,4}[^\S\n]*)?[*_\[<(]{0,2}(human|user|ai|assistant|model|bot)[*_\])>]{0,2}[^\S\n]*(?::|\n)[*_]{0,2}",
    re.IGNORECASE | re.MULTILINE,
)
_PEOPLE: Final = frozenset(("human", "user"))
_BREAK = re.compile(r"\n\s*\n")
_MARKED = re.compile(r"<(summary|state_snapshot)>(.*?)(?:</\1>|\Z)", re.DOTALL)


def is_asked(remarks: Sequence[Remark], by_instructions: bool) -> bool:
    """Whether a call lets the model sum up a conversation: its history, or one that it quotes (as its instructions say)."""
    last = remarks[-1]
    if last.side != USER:
        return False
    if len(remarks) > 1:
        return _says(last.text, ASKING) and any(remark.side == ANSWER for remark in remarks)
    return _is_answered(last.text) and (by_instructions or _says(last.text, ASKING)) and bool(quoted(last.text))


def is_told_to(instructions: str) -> bool:
    """Whether instructions let the model sum up whatever it is given."""
    return _says(instructions, ASKING)


def quoted(text: str) -> list[Remark]:
    """The conversation that a text quotes, speaker by speaker; empty where no answer is in it."""
    found: list[Remark] = []
    if not _is_answered(text):
        return found
    text = text[:QUOTED]
    marks = list(_SPEAKERS.finditer(text))
    for mark, following in zip(marks, (*marks[1:], None)[: len(marks)], strict=True):
        said = text[mark.end() : len(text) if following is None else following.start()].strip()
        if following is None and mark.group(1).lower() not in _PEOPLE:
            said = _BREAK.split(said, maxsplit=1)[0].strip()  # instructions may come behind it
        if said:
            found.append(Remark(USER, said) if mark.group(1).lower() in _PEOPLE else spoken(said))
    return found if any(remark.side == ANSWER for remark in found) else []


def pieces(text: str, most: int) -> list[str]:
    """The longest sentences and lines of a text, without their white space and what they end with."""
    text = text[:LONGEST]
    if "<" in text:
        text = _TAG.sub("\n", text)
    for end in _ENDS:  # a tenth of the time that a regular expression takes
        text = text.replace(end, "\n")
    parts = [part for part in text.split("\n") if len(part) >= SHORTEST]
    if len(parts) > 3 * most:
        parts = nlargest(3 * most, parts, key=len)
    found = {piece for part in parts if len(piece := "".join(part.split()).rstrip(".!?:")) >= SHORTEST}
    return sorted(found, key=lambda piece: (-len(piece), piece))[:most]


def summary_of(answer: str) -> str:
    """What of an answer is the summary: apps let models think aloud before it, and take that off again."""
    marked = _MARKED.search(answer)
    return marked.group(2) if marked is not None else THOUGHT.sub("", answer, count=1)


def places(remarks: Sequence[Remark], summing: bool) -> list[str]:
    """The messages that may quote a summary: among the first and the last ones of a person.

    Many apps ask for nothing but to sum up some text; no conversation goes on from there.
    """
    said = [remark.text for remark in remarks if remark.side == USER and len(remark.text) >= SHORTEST]
    some = said if len(said) <= 4 else said[:2] + said[-2:]
    return [text for text in some if _says(text, TELLING) and (summing or not _says(text, WORK))]


def may_quote(instructions: str) -> bool:
    """Whether a summary may be among the instructions."""
    lower = instructions.lower()
    return any(word in lower for word in TOLD)


def _is_answered(text: str) -> bool:
    """Whether a conversation may be quoted in `text`."""
    beginning = text[:BEGINNING]
    return any(name in beginning for name in ANSWERERS)


def _says(text: str, words: Sequence[str]) -> bool:
    looked_at = (text if len(text) <= 2 * HEAD else f"{text[:HEAD]}\n{text[-HEAD:]}").lower()
    for word in words:  # noqa: SIM110  `any` would take twice as long
        if word in looked_at:
            return True
    return False
