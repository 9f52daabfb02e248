"""Pure: the turns of a session in the order they are read in: parts below their whole, silences, forks, how each was found."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from proxy.query.dashboard import figures
from proxy.query.nesting import nested
from proxy.task import JSON, Summary

GAP_SECONDS = 300.0
"""A silence that is worth a line of its own."""

DEEPEST = 4
"""Parts of parts are set in no further."""

_CALL = re.compile(r"([\w.:/-]{1,128})\((.*)\)", re.DOTALL)
_CALLED = frozenset({"tool_calls", "tool_use", "function_call"})


@dataclass(frozen=True, slots=True)
class Step:
    """One task of a session, and what is to be said before it."""

    task: Summary
    gap: float | None = None  # seconds of silence before it, where they are many
    fork: str | None = None  # why it does not follow the one before
    begins: str | None = None  # the turn that it goes on from, where that is another one
    evidence: str | None = None  # how it was found to belong here, where nobody said so
    depth: int = 0  # how many tasks it is a part of, one inside the other
    whole: str | None = None  # what the task that it is a part of is called


def following(tasks: tuple[Summary, ...]) -> tuple[Step, ...]:
    """The tasks, the parts of each below it, with the silences between them and the forks."""
    steps: list[Step] = []
    names = {task.id: task.name for task in tasks}
    before: Summary | None = None  # the turn before; a part is none
    ended = None
    for depth, task in nested(tasks):
        silence = 0.0 if ended is None else (task.created_at - ended) / 1e6
        ended = task.ended_at if ended is None else max(ended, task.ended_at)
        if depth:
            steps.append(Step(task, depth=min(depth, DEEPEST), whole=names.get(task.parent_task_id or "")))
            continue
        fork, begins = _fork(task, before)
        evidence = told(task.session_evidence) if task.session_evidence else None
        steps.append(Step(task, silence if silence >= GAP_SECONDS else None, fork, begins, evidence))
        before = task
    return tuple(steps)


def _fork(task: Summary, before: Summary | None) -> tuple[str | None, str | None]:
    """Why a turn does not follow the one before, and which one it goes on from."""
    if task.retry_of is not None:
        return "sent again", task.retry_of
    found = task.session_evidence or {}
    while found.get("by") == "person":
        found = found.get("found") or {}
    begins = found.get("task")
    if before is None or not isinstance(begins, str):
        return None, None
    if found.get("by") == "sibling":
        return "another answer to what was asked before", begins
    return ("goes on from an earlier turn", begins) if begins != before.id else (None, None)


_WAYS = {
    "reply": "the history it brought along",
    "changed": "a history with answers that the app had changed",
    "trimmed": "what was left of a trimmed history",
    "quoted": "a conversation that it quotes to have it summed up",
    "summary": "a summary that it quotes",
    "sibling": "the same question, asked again",
}


def told(evidence: JSON) -> str:
    """How a turn was found to belong to its session, in words."""
    if evidence.get("by") == "person":
        came = evidence.get("from")
        return f"moved here by a person{f', out of {came}' if came else ''}"
    matched, of = evidence.get("messages_matched"), evidence.get("messages")
    by = str(evidence.get("by"))
    parts = [f"found by {_WAYS.get(by, figures.words(by))}"]
    if matched is not None and of:
        parts.append(f"{matched} of {of} messages are the same")
    if evidence.get("reply_matched"):
        parts.append("the recorded answer is among them")
    if isinstance(confidence := evidence.get("confidence"), int | float):
        parts.append(f"confidence {figures.percent(confidence)}")
    return ", ".join(parts)


def spoken(task: Summary) -> tuple[str, tuple[tuple[str, object], ...]]:
    """What was answered as text, and the tools that were called: (name, arguments). Only what ended with calls is taken apart."""
    lines = (task.output or "").split("\n")
    calls: list[tuple[str, object]] = []
    while lines and _CALLED.intersection(map(str, task.finish_reasons)) and (found := _CALL.fullmatch(lines[-1])):
        try:
            calls.append((found[1], json.loads(found[2] or "null")))
        except ValueError:
            break
        lines.pop()
    return "\n".join(lines).strip("\n"), tuple(reversed(calls))
