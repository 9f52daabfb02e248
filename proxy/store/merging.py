"""What a task becomes when more is said of it: an app's own words, a call that was carried under the same id, feedback. Pure.

What was measured on the wire stays as it was measured. An app's words about a carried call are kept beside it too
(`Task.logged`), so that a call that is read again can be told them again. Saying the same thing again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from proxy.store import events
from proxy.store.entries import Amended, Entry, Logged, Said
from proxy.store.story import LABELS, PARENT
from proxy.task import JSON, Ending, Feedback, Source, Task, Usage

TEXTS = ("input", "output", "system_prompt", "name", "parent_task_id")
"""What an app may say of any task, beside the labels and `metadata`."""

MEASURED = (
    *("kind", "model", "model_requested", "response_id", "stream", "cost", "ended_at", "seconds_to_first_token"),
    *("finish_reasons", "usage", "ending", "raw_input", "raw_output"),
)
"""What an app may say of a task that was not carried; of a carried call the wire has told it."""

WORDS = frozenset(
    (*TEXTS, *MEASURED, "session_id", "user_id", "project_id", "session_final", "metadata", "problems", "events", "created_at")
)
"""All that `Logged.words` may hold."""

_TOLD = ("model", "model_requested", "response_id", "stream", "cost", "seconds_to_first_token", "raw_input")
_PERSONS = ("session_id", "user_id")


class Change(NamedTuple):
    """One task: what was kept of it (`None`: nothing), and what is to be kept now."""

    old: Task | None
    new: Task


def relabelled(change: Change) -> bool:
    """Whether it may be in another place now: another session, user, project or parent."""
    old, new = change.old, change.new
    return old is not None and any(getattr(old, name) != getattr(new, name) for name in (*LABELS, "parent_task_id"))


def settled(
    entries: Iterable[Entry], kept: Callable[[str], Task | None], answered: Callable[[str], str | None]
) -> tuple[list[Change], list[Entry]]:
    """What `entries` change, in their order, and those that are about tasks which are not there yet.

    `kept` finds a task by its id, `answered` the id of the task that has a response id.
    """
    changes: dict[str, Change] = {}

    def there(id: str) -> Task | None:
        if id not in changes and (old := kept(id)) is not None:
            changes[id] = Change(old, old)
        return changes[id].new if id in changes else None

    def answer(response_id: str) -> str | None:
        here = (id for id, change in changes.items() if change.new.response_id == response_id)
        return next(here, None) or answered(response_id)

    def take(entry: Entry) -> bool:
        id = _target(entry, there, answer)
        task = None if id is None else there(id)
        if id is not None and task is not None:
            changes[id] = Change(changes[id].old, told(task, entry))
        elif id is not None and isinstance(entry, Logged):
            changes[id] = Change(None, replace(task_of(entry), id=id))
        else:
            return False
        return True

    early = [entry for entry in entries if not take(entry)]
    waiting = [entry for entry in early if not take(entry)]
    return [change for change in changes.values() if change.new != change.old], waiting


def _target(entry: Entry, there: Callable[[str], Task | None], answered: Callable[[str], str | None]) -> str | None:
    """The id of the task that an entry is about. Ids of two projects that happen to be the same name two tasks."""
    if isinstance(entry, Said):
        id = entry.task_id
        if entry.response_id is not None and (id is None or there(id) is None):
            id = answered(entry.response_id) or id
        project = entry.project_id
    else:
        id = entry.id
        project = entry.words.get("project_id") if isinstance(entry, Logged) else None
    if id is None or project is None:
        return id
    task = there(id)
    return id if task is None or task.project_id in (project, "default") else f"{project}:{id}"


def task_of(entry: Logged) -> Task:
    """The task that an app logged, first time."""
    words = entry.words
    created_at: int = words["created_at"] if "created_at" in words else words.get("ended_at") or entry.at
    ended_at: int = max(created_at, words.get("ended_at") or created_at)
    values: JSON = {name: words[name] for name in (*TEXTS, *_TOLD) if name in words}
    for name in _PERSONS:
        if name in words:
            values |= {name: words[name], _source_of(name): _source(entry, name)}
    return Task(
        id=entry.id,
        origin=entry.origin,
        project_id=words.get("project_id", "default"),
        created_at=created_at,
        ended_at=ended_at,
        kind=words.get("kind", "custom"),
        ending=Ending(words.get("ending", Ending.COMPLETED)),
        usage=_usage(words.get("usage")),
        metadata=dict(words.get("metadata", {})),
        session_final=bool(words.get("session_final", False)),
        finish_reasons=tuple(words.get("finish_reasons", ())),
        problems=tuple(words.get("problems", ())),
        events=tuple(words.get("events", ())),
        raw_output=words.get("raw_output"),
        seconds_total=(ended_at - created_at) / 1e6 if {"created_at", "ended_at"} <= words.keys() else None,
        **values,
    )


def told(task: Task, entry: Entry) -> Task:
    """`task`, once the entry is known."""
    if isinstance(entry, Said):
        return with_feedback(task, (entry.feedback,))
    if isinstance(entry, Amended):
        return _amended(task, entry.words)
    return _with_words(task, entry)


def joined(call: Task, logged: Task) -> Task:
    """A carried call whose id the app had logged before it was kept: the call, and the app's words about it."""
    entry = Logged(id=call.id, origin=logged.origin, at=logged.created_at, words=_words_of(logged), weak=_weak_of(logged))
    return with_feedback(_with_words(call, entry), logged.feedback)


def told_again(call: Task, logged: JSON) -> Task:
    """A carried call that was read again, with what the app had said of it (`Task.logged`)."""
    return replace(_amended(replace(call, logged=None), logged), logged=logged)


def with_feedback(task: Task, more: Iterable[Feedback]) -> Task:
    """The task with this feedback too, in the order of its times; its flag is the latest that anybody gave."""
    known = {one.id for one in task.feedback}
    new = [one for one in more if one.id not in known]
    if not new:
        return task
    feedback = sorted((*task.feedback, *new), key=lambda one: one.created_at)  # of equals the one that was heard last counts
    flags = [one.flag for one in feedback if one.flag is not None]
    return replace(task, feedback=tuple(feedback), flag=flags[-1] if flags else task.flag)


def _with_words(task: Task, entry: Logged) -> Task:
    words, carried = entry.words, task.upstream is not None
    changes: JSON = {name: words[name] for name in TEXTS if name in words}
    if entry.growing and (task.output or "").startswith(words.get("output") or ""):
        changes.pop("output", None)
    for name in _PERSONS:
        if name in words and _gives_way(task, name, entry):
            changes[name] = words[name]
            changes[_source_of(name)] = _source(entry, name)
            changes |= _evidence(task, name)
    if "project_id" in words and task.project_id == "default":
        changes["project_id"] = words["project_id"]
    if "metadata" in words:
        changes["metadata"] = {**task.metadata, **words["metadata"]}
    if words.get("session_final"):
        changes["session_final"] = True
    if "problems" in words:
        changes["problems"] = tuple(dict.fromkeys((*task.problems, *words["problems"])))
    if "events" in words:
        changes["events"] = events.together(task.events, words["events"])
    if not carried:
        changes |= _measured(task, words)
        return replace(task, **changes)
    kept = {name: changes[name] for name in (*TEXTS, *_PERSONS, "project_id") if name in changes}
    if "metadata" in words:
        kept["metadata"] = {**(task.logged or {}).get("metadata", {}), **words["metadata"]}
    return replace(task, **changes, logged={**(task.logged or {}), **kept} or None)


def _amended(task: Task, words: JSON) -> Task:
    """The words of somebody who decides. Of a carried call, what the wire told stays."""
    carried = task.upstream is not None
    changes: JSON = {name: words[name] for name in TEXTS if name in words}
    for name in _PERSONS:
        if name in words:
            changes[name] = words[name]
            changes[_source_of(name)] = None if words[name] is None else Source.CLIENT
            changes |= _evidence(task, name)
    if words.get("project_id") is not None:
        changes["project_id"] = words["project_id"]
    if "session_final" in words:
        changes["session_final"] = bool(words["session_final"])
    if "metadata" in words:
        changes["metadata"] = _patched(task.metadata, words["metadata"] or dict.fromkeys(task.metadata))
    if "events" in words:
        changes["events"] = tuple(words["events"] or ())
    if not carried:
        changes |= {name: words[name] for name in ("kind", "raw_input", "raw_output", "model", "cost") if name in words}
        if changes.get("kind", "") is None:
            changes["kind"] = "custom"
        if "usage" in words:
            changes["usage"] = _usage(words["usage"])
        if words.get("ended_at") is not None:
            changes |= _ended(task, words["ended_at"])
        return replace(task, **changes)
    kept = {name: words[name] for name in (*TEXTS, *_PERSONS, "project_id", "session_final") if name in words}
    if "metadata" in words:
        kept["metadata"] = {**(task.logged or {}).get("metadata", {}), **(words["metadata"] or {})}
    return replace(task, **changes, logged={**(task.logged or {}), **kept} or None)


def _measured(task: Task, words: JSON) -> JSON:
    """What a later version of a logged task changes of the rest. It began when it began first."""
    changes: JSON = {name: words[name] for name in ("kind", *_TOLD) if name in words}
    if "usage" in words:
        changes["usage"] = _usage(words["usage"])
    if "ending" in words:
        changes["ending"] = Ending(words["ending"])
    if "finish_reasons" in words:
        changes["finish_reasons"] = tuple(words["finish_reasons"])
    if "raw_output" in words:
        changes["raw_output"] = _grown(task.raw_output, words["raw_output"])
    if "ended_at" in words:
        changes |= _ended(task, max(task.ended_at, words["ended_at"]))
    return changes


def _ended(task: Task, ended_at: int) -> JSON:
    ended_at = max(task.created_at, ended_at)
    return {"ended_at": ended_at, "seconds_total": (ended_at - task.created_at) / 1e6}


def _grown(old: Any, new: Any) -> Any:
    """Two lists are parts of one stream: what came later goes behind; one that holds the other stays. Else the later one."""
    if not isinstance(old, list) or not isinstance(new, list):
        return new
    if old[: len(new)] == new or old[len(old) - len(new) :] == new:
        return old
    return new if new[: len(old)] == old else old + new


def _gives_way(task: Task, name: str, entry: Logged) -> bool:
    """Whether the label that the task has is no better than the one that is said."""
    if getattr(task, name) is None:
        return True
    source = getattr(task, _source_of(name))
    return name not in entry.weak and source in (None, Source.INFERRED, Source.CLIENT)


def _evidence(task: Task, name: str) -> JSON:
    """A session that is said is no longer the parent's."""
    of_parent = name == "session_id" and (task.session_evidence or {}).get("by") == PARENT
    return {"session_evidence": None} if of_parent else {}


def _source_of(name: str) -> str:
    """The field that says where a label was found."""
    return f"{name.removesuffix('_id')}_source"


def _source(entry: Logged, name: str) -> Source:
    return Source.INFERRED if name in entry.weak else Source.CLIENT


def _words_of(task: Task) -> JSON:
    """What an app had said of a task that was not carried."""
    words: JSON = {name: value for name in (*TEXTS, *_PERSONS) if (value := getattr(task, name)) is not None}
    if task.project_id != "default":
        words["project_id"] = task.project_id
    if task.metadata:
        words["metadata"] = task.metadata
    if task.problems:
        words["problems"] = list(task.problems)
    if task.session_final:
        words["session_final"] = True
    if task.events:
        words["events"] = list(task.events)
    return words


def _weak_of(task: Task) -> tuple[str, ...]:
    return ("session_id",) if task.session_source is Source.INFERRED else ()


def _patched(kept: Any, patch: Any) -> Any:
    """RFC 7396: members of objects are set one by one, null takes one away."""
    if not isinstance(patch, dict):
        return patch
    found = dict(kept) if isinstance(kept, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _patched(found.get(name), value)
    return found


def _usage(said: Any) -> Usage | None:
    return Usage(**said) if isinstance(said, dict) else None
