"""Which earlier task does this one continue? Pure: from keys of what was said (`keys.py`) and the tasks that are found by them.

B continues A when B's history begins with A's and A's recorded answer: that is certain, and holds across edits (an earlier task
is the longest such A: a fork) and tool loops. Where there is no such A, what is likely is taken, with less confidence: the same
call made again (a sibling), an answer that the app changed, a history that was trimmed or summed up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from proxy.record import summaries
from proxy.record.keys import ASKED, REPLY, Keys, Place, Quoted, Said, Scope
from proxy.task import JSON, Task, Trace, Traced
from proxy.wire.dialogue import answers_of, handles_of, history_of, references_of
from proxy.wire.remark import ANSWER, PROMPT, Remark, joined

COUNTING = ("/count_tokens", ":countTokens", "/input_tokens")
"""How paths end that only count what a call would cost: they are no part of a conversation."""

MOST_PLACES = 128  # answers of a history, the last ones, that are looked up
LAST_ANSWERS = 3  # of a history that may have been trimmed: how many are looked up by themselves
LAST_QUOTED = 8  # of one that is quoted as a text

ENOUGH_PAIRED = 40  # weight of answers that, with the message before one of them, tell a conversation
ENOUGH_ALONE = 80  # of answers alone, while their session goes on
ENOUGH_LATER = 200  # of one alone, after that

Found = Mapping[int, Sequence[Traced]]
"""Tasks by key."""


class Link(NamedTuple):
    """The session of a task, and why."""

    session_id: str
    by: str  # "reply", "sibling", "changed", "trimmed", "quoted", "summary", or what a provider calls it
    task_id: str
    messages: int  # of its history, how many matched
    of: int
    reply: bool  # whether the answer of `task_id` was among them
    confidence: float

    @property
    def evidence(self) -> JSON:
        """As it is kept with the task."""
        return {
            "by": self.by,
            "task": self.task_id,
            "messages_matched": self.messages,
            "messages": self.of,
            "reply_matched": self.reply,
            "confidence": self.confidence,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What is looked up where the first look found nothing."""

    places: tuple[Place, ...] = ()  # the longest first
    changed: tuple[Place, ...] = ()  # calls whose answer is not the one in this history; the longest first
    said: tuple[Said, ...] = ()  # the last one first
    pieces: tuple[Quoted, ...] = ()  # of what may quote a summary
    of: int = 0  # messages of a conversation that is quoted as a text

    @property
    def keys(self) -> Iterable[int]:
        """All of them."""
        yield from (place.key for place in self.places)
        yield from (place.key for place in self.changed)
        yield from (said.key for said in self.said)
        yield from (piece.key for piece in self.pieces)


class History:
    """A call's history as keys. (Compiled, a class like this one is made in a tenth of the time of a tuple.)"""

    def __init__(
        self,
        *,
        at: int,
        length: int,
        instructions: int,
        references: tuple[tuple[str, int], ...] = (),
        last: Place | None = None,
        asked: int | None = None,
        traces: tuple[Trace, ...] = (),
        remarks: tuple[Remark, ...] = (),
        scope: Scope | None = None,
        system: str | None = None,
        summing: bool = False,
    ) -> None:
        self.at = at  # when the call began
        self.length = length  # messages
        self.instructions = instructions  # a mark
        self.references = references  # what it goes on from by name: what that is, and its key
        self.last = last  # its last answer
        self.asked = asked  # all of it
        self.traces = traces  # what this call leaves behind
        self.remarks = remarks
        self.scope = scope
        self.system = system
        self.summing = summing  # the model was asked to sum up a conversation

    @property
    def keys(self) -> Iterable[int]:
        """What is looked up first."""
        yield from (key for _, key in self.references)
        if self.last is not None:
            yield self.last.key
        if self.asked is not None:
            yield self.asked


def history(keys: Keys, task: Task) -> History | None:
    """The history of a call; `None` where it is no conversation."""
    remarks = history_of(task.kind, task.raw_input)
    references = references_of(task.kind, task.raw_input)
    if (not remarks and not references) or (task.path or "").partition("?")[0].endswith(COUNTING):
        return None
    scope = keys.scope(task.project_id, task.caller_key, task.user_id)
    instructions = 0 if task.system_prompt is None else keys.instructions(task.system_prompt)
    handles = [Trace(keys.reference(task.project_id, handle), 0) for handle in handles_of(task.kind, task.raw_output)]
    if references:  # what came along is not all of the history
        named = tuple((reference.kind, keys.reference(task.project_id, reference)) for reference in references)
        return History(
            at=task.created_at, length=len(remarks), instructions=instructions, references=named, traces=tuple(handles)
        )
    answers = answers_of(task.kind, task.raw_input, task.raw_output)
    summing = False
    if remarks[0].side == PROMPT:
        asked, left = _prompted(keys, scope, remarks, answers, instructions)
        last = None
    else:
        last, asked, left = _walked(keys, scope, remarks, answers, instructions)
        told_to = task.system_prompt is not None and keys.is_told_to_sum_up(task.system_prompt)
        summing = summaries.is_asked(remarks, told_to)
        if summing and task.output is not None:
            told = summaries.pieces(summaries.summary_of(task.output), summaries.LEFT)
            whole = sum(map(len, told))
            left += [Trace(piece.key, whole) for piece in keys.quoted(scope, told)]
    return History(
        at=task.created_at,
        length=len(remarks),
        instructions=instructions,
        last=last,
        asked=asked,
        traces=(Trace(asked, instructions), *left, *handles),
        remarks=remarks,
        scope=scope,
        system=task.system_prompt,
        summing=summing,
    )


def looks(keys: Keys, history: History) -> Looks | None:
    """Where to look further; `None` where there is nothing more to look for."""
    remarks, scope = history.remarks, history.scope
    if scope is None:
        return None
    chain = scope.begin()
    places: list[Place] = []
    if remarks[0].side == PROMPT:
        for count, piece in enumerate(remarks, 1):
            chain.add(keys.digest(piece))
            if count > len(remarks) - MOST_PLACES:
                places.append(Place(chain.key(REPLY), count))
        return Looks(places=tuple(reversed(places)))
    told = [*(keys.told_of(history.system) if history.system is not None else ())]
    for text in summaries.places(remarks, history.summing):
        told += summaries.pieces(text, summaries.LOOKED_UP)
    pieces = keys.quoted(scope, dict.fromkeys(told))
    if history.last is None:
        talk = summaries.quoted(remarks[-1].text) if history.summing else []
        quoted = _quoted(keys, scope, talk)
        return Looks(said=quoted, pieces=pieces, of=len(talk)) if quoted or pieces else None
    changed: list[Place] = []
    said: list[Said] = []
    run: list[Remark] = []
    before: Remark | None = None
    following = (*remarks[1:], None)
    for count, (remark, after) in enumerate(zip(remarks, following, strict=True), 1):
        if remark.side != ANSWER:
            before = remark
            chain.add(keys.digest(remark))
            continue
        if not run:
            changed.append(Place(chain.key(ASKED), count - 1))
        run.append(remark)
        so_far = joined(run)
        places.append(Place(chain.key(REPLY, keys.digest(so_far)), count))
        if after is None or after.side != ANSWER:
            said.append(keys.said(scope, so_far, before, count))
            chain.add(keys.digest(so_far))
            run.clear()
    return Looks(
        places=tuple(places[: -MOST_PLACES - 1 : -1]),
        changed=tuple(changed[: -MOST_PLACES - 1 : -1]),
        said=tuple([each for each in said[: -LAST_ANSWERS - 1 : -1] if each.weight >= ENOUGH_PAIRED]),
        pieces=pieces,
    )


def link(history: History, looks: Looks | None, found: Found, idle: int) -> Link | None:
    """What the task continues, as far as `found` tells; `idle` is in microseconds."""
    for kind, key in history.references:
        if (task := _best(history, found.get(key, ()))) is not None:
            return Link(task.session_id, kind, task.task_id, 0, history.length, True, 1.0)
    places = (history.last,) if history.last is not None else ()
    for place in (*places, *(looks.places if looks is not None else ())):
        if (task := _best(history, found.get(place.key, ()))) is not None:
            confidence = 1.0 if _sessions(history, found[place.key]) == 1 else 0.6
            return Link(task.session_id, "reply", task.task_id, place.length, history.length, True, confidence)
    if history.asked is None:
        return None
    return (
        _sibling(history, found, idle)
        or (looks and _trimmed(history, looks, found, idle))
        or (looks and _summed(history, looks.pieces, found, idle))
        or (looks and _changed(history, looks.changed, found, idle))
        or None
    )


def _walked(
    keys: Keys, scope: Scope, remarks: Sequence[Remark], answers: Sequence[Sequence[Remark]], instructions: int
) -> tuple[Place | None, int, list[Trace]]:
    """The key at the last answer of the history, the key of all of it, and what is left for others to find."""
    blocks: list[Remark] = []  # answers that follow one another are one
    for remark in remarks:
        if remark.side == ANSWER and blocks and blocks[-1].side == ANSWER:
            blocks[-1] = joined((blocks[-1], remark))
        else:
            blocks.append(remark)
    digests = [keys.digest(block) for block in blocks]
    begun = blocks.pop() if blocks[-1].side == ANSWER else None  # the beginning of the answer that is asked for
    chain, done = scope.begin(), 0
    last: Place | None = None
    for count in range(len(remarks), 0, -1):
        if remarks[count - 1].side == ANSWER:
            done = len(blocks) if begun is not None else len(blocks) - len(remarks) + count - 1
            chain.add(b"".join(digests[:done]))
            last = Place(chain.key(REPLY, digests[done]), count)
            break
    chain.add(b"".join(digests[done : len(blocks)]))
    asked = chain.key(ASKED, digests[-1] if begun is not None else b"")
    left = []
    for answer in answers:
        whole = joined(answer if begun is None else (begun, *answer))
        left.append(tuple.__new__(Trace, (chain.key(REPLY, keys.digest(whole)), instructions)))
        for alone in (whole,) if begun is None else (whole, joined(answer)):  # what a history is compacted to comes without it
            said = keys.said(scope, alone, blocks[-1] if blocks else None, 0)
            if said.weight >= ENOUGH_PAIRED:
                left.append(tuple.__new__(Trace, (said.key, said.before)))
    return last, asked, left


def _prompted(
    keys: Keys, scope: Scope, remarks: Sequence[Remark], answers: Sequence[Sequence[Remark]], instructions: int
) -> tuple[int, list[Trace]]:
    chain = scope.begin()
    for remark in remarks:
        chain.add(keys.digest(remark))
    left = []
    for answer in answers:
        whole = scope.begin()
        for remark in answer:
            whole.add(keys.digest(remark))
        left.append(Trace(whole.key(REPLY), instructions))
    return chain.key(ASKED), left


def _best(history: History, found: Sequence[Traced]) -> Traced | None:
    """Of tasks that began before: rather one with the same instructions, then the latest."""
    before = [each for each in found if each.created_at < history.at]
    return max(before, key=lambda each: (each.mark == history.instructions, each.created_at), default=None)


def _sessions(history: History, found: Sequence[Traced]) -> int:
    """How many sessions it may be, as far as is known."""
    before = [each for each in found if each.created_at < history.at]
    alike = [each for each in before if each.mark == history.instructions] or before
    return len({each.session_id for each in alike})


def _sibling(history: History, found: Found, idle: int) -> Link | None:
    """The same call made again: a retry, a regeneration."""
    if history.asked is None:
        return None
    alike = [each for each in _living(history, found.get(history.asked, ()), idle) if each.mark == history.instructions]
    alike = [each for each in alike if each.created_at - history.at <= idle]  # one that began later may have ended before
    if not alike:
        return None
    task = max(alike, key=lambda each: each.created_at)
    return Link(task.session_id, "sibling", task.task_id, history.length, history.length, False, 0.9)


def _changed(history: History, changed: Sequence[Place], found: Found, idle: int) -> Link | None:
    """All of an earlier call, and then another answer than the one that is on record."""
    for place in changed:
        alike = [each for each in _living(history, found.get(place.key, ()), idle) if each.mark == history.instructions]
        if (task := _best(history, alike)) is not None:
            return Link(task.session_id, "changed", task.task_id, place.length, history.length, False, 0.7)
    return None


def _trimmed(history: History, looks: Looks, found: Found, idle: int) -> Link | None:
    """Answers that are on record, in a history whose beginning is not: the more of them, and the longer, the better."""
    votes: dict[str, list[tuple[Said, Traced]]] = {}
    for each in looks.said:
        known = [task for task in found.get(each.key, ()) if not task.explicit and task.created_at < history.at]
        known = [task for task in known if task.mark == each.before] or known
        known = [task for task in known if history.at - task.last_at <= idle] or known
        if known and len({task.session_id for task in known}) == 1:
            votes.setdefault(known[0].session_id, []).append((each, max(known, key=lambda task: task.created_at)))
    if not votes:
        return None
    session_id, matched = max(votes.items(), key=lambda item: sum(each.weight for each, _ in item[1]))
    weight = sum(each.weight for each, _ in matched)
    paired = sum(1 for each, task in matched if each.before == task.mark)
    task = matched[0][1]  # the last answer comes first
    alone = ENOUGH_ALONE if history.at - task.last_at <= idle else ENOUGH_LATER
    if weight < (ENOUGH_PAIRED if paired else ENOUGH_ALONE if len(matched) > 1 else alone):
        return None
    return Link(
        session_id,
        "quoted" if looks.of else "trimmed",
        task.task_id,
        len(matched) + paired,
        looks.of or history.length,
        True,
        0.8 if paired or len(matched) > 1 else 0.6,
    )


def _summed(history: History, pieces: Sequence[Quoted], found: Found, idle: int) -> Link | None:
    """A message or instructions that quote what the model had summed up: more than half of it, and hardly of anything else."""
    weights: dict[str, int] = {}  # by task: what of its summary is quoted
    tasks: dict[str, Traced] = {}
    for piece in pieces:
        for each in found.get(piece.key, ()):
            if not each.explicit and each.created_at < history.at:
                weights[each.task_id] = weights.get(each.task_id, 0) + piece.weight
                tasks[each.task_id] = each
    whole = [id for id, weight in weights.items() if 2 * weight > tasks[id].mark and weight >= _enough(history, tasks[id], idle)]
    if not whole:
        return None
    task = tasks[max(whole, key=lambda each: (weights[each], tasks[each].created_at))]
    others = [weight for id, weight in weights.items() if tasks[id].session_id != task.session_id]
    if 2 * max(others, default=0) > weights[task.task_id]:
        return None
    return Link(task.session_id, "summary", task.task_id, 1, history.length, True, 0.7)


def _enough(history: History, task: Traced, idle: int) -> int:
    """Characters of a summary that tell it, the more of them the longer it was silent."""
    return summaries.ENOUGH if history.at - task.last_at <= idle else ENOUGH_LATER


def _quoted(keys: Keys, scope: Scope, remarks: Sequence[Remark]) -> tuple[Said, ...]:
    """The answers of a conversation that is quoted as a text, the last one first."""
    said: list[Said] = []
    before: Remark | None = None
    for remark in remarks:
        if remark.side == ANSWER:
            said.append(keys.said(scope, remark, before, 1))
        before = remark
    return tuple([each for each in reversed(said) if each.weight >= ENOUGH_PAIRED][:LAST_QUOTED])


def _living(history: History, found: Iterable[Traced], idle: int) -> list[Traced]:
    """Those whose session nobody named, and that is not over yet."""
    return [each for each in found if not each.explicit and history.at - each.last_at <= idle]
