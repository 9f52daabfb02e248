"""Pure: a task that is part of another one and names no session is in its parent's, whichever of the two comes first.

It takes the parent's session, and its user and project where it names none. A parent without a session gets one of its own with
its first part. An id that the app gave, and what a person has moved, stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy.task import OWN_SESSION, Source, Summary

PARENT: Final = "parent"
"""What `by` is in the evidence of a session that is the parent's."""

LABELS: Final = ("session_id", "session_source", "session_evidence", "user_id", "user_source", "project_id")
"""What a part may take from its parent."""

DEEPEST: Final = 64  # generations that one change goes through
_NOBODYS = "default"  # the project of what names none


@dataclass(frozen=True, slots=True)
class Kept:
    """How what is kept is looked up: tasks by their ids, those that name these as their parents, those of a session."""

    tasks: Callable[[Collection[str]], Iterable[Summary]]
    parts: Callable[[Collection[str]], Iterable[Summary]]
    of_session: Callable[[str, str], Iterable[Summary]]


def is_open(task: Summary) -> bool:
    """Whether nobody has said which session it is of."""
    evidence = task.session_evidence or {}
    return task.session_id is None or (task.session_source is Source.INFERRED and evidence.get("by") != "person")


def settled(fresh: Sequence[Summary], kept: Kept) -> list[Summary]:
    """The tasks whose labels change by `fresh`, which are new or have changed, as they are then; `fresh` ones among them.

    A conversation goes along: calls that were found to go on from a part follow it out of the session that it had begun.
    """
    family = _Family(fresh, kept)
    wave = [task.id for task in fresh]
    for _ in range(DEEPEST):
        if not wave:
            break
        wave = family.generation(wave)
    return family.changed()


class _Family:
    """Tasks as they were found and as they are now; it grows generation by generation."""

    def __init__(self, fresh: Sequence[Summary], kept: Kept) -> None:
        self._kept = kept
        self._was = {task.id: task for task in fresh}
        self._now = dict(self._was)
        self._parts: dict[str, list[str]] = {}  # of the fresh ones, by the name of the parent
        for task in fresh:
            if task.parent_task_id is not None:
                self._parts.setdefault(task.parent_task_id, []).append(task.id)
        self._waved: set[str] = set()
        self._touched: list[str] = []

    def changed(self) -> list[Summary]:
        return [task for id, task in self._now.items() if task is not self._was[id] and task != self._was[id]]

    def generation(self, wave: Sequence[str]) -> list[str]:
        """Place these and their parts; those that were touched are the next ones."""
        self._waved.update(wave)
        self._touched = []
        names = {name for id in wave for name in _names(self._now[id])}
        parts = [self._met(part) for part in self._kept.parts(names)]
        parts += [id for name in names if name in self._parts for id in self._parts[name]]
        those = dict.fromkeys((*wave, *parts))
        above = {name for id in those for name in _parents(self._now[id])} - self._now.keys()
        for task in self._kept.tasks(above) if above else ():
            self._met(task)
        done: set[str] = set()
        for id in those:
            if self._now[id].parent_task_id is not None:
                self._place(id, those, done)
        return [id for id in dict.fromkeys(self._touched) if id not in self._waved]

    def _met(self, task: Summary) -> str:
        if task.id not in self._now:
            self._was[task.id] = self._now[task.id] = task
        return task.id

    def _place(self, id: str, those: Collection[str], done: set[str]) -> None:
        line = []
        while id in those and id not in done:  # parents first; a ring ends where it began
            done.add(id)
            line.append(id)
            parent = self._parent(self._now[id])
            if parent is None:
                break
            id = parent.id
        for each in reversed(line):
            task = self._now[each]
            parent = self._parent(task)
            if parent is not None:
                self._take(task, parent)

    def _parent(self, task: Summary) -> Summary | None:
        for name in _parents(task):
            found = self._now.get(name)
            if found is not None and found.id != task.id and task.project_id in (found.project_id, _NOBODYS):
                return found
        return None

    def _take(self, task: Summary, parent: Summary) -> None:
        new = task
        if is_open(task):
            if parent.session_id is None:
                own = replace(
                    parent,
                    session_id=f"{OWN_SESSION}{parent.id}",
                    session_source=Source.INFERRED,
                    session_evidence=None,
                )
                parent = self._put(own)
            new = replace(
                new,
                project_id=parent.project_id,
                session_id=parent.session_id,
                session_source=Source.INFERRED,
                session_evidence={"by": PARENT, "task": parent.id},
            )
        if parent.user_id is not None and new.project_id == parent.project_id and _is_nobodys(new):
            new = replace(new, user_id=parent.user_id, user_source=Source.INFERRED)
        if new != task:
            self._put(new)
            if _began(task) and (new.project_id, new.session_id) != (task.project_id, task.session_id):
                self._follow(task, new)

    def _follow(self, old: Summary, new: Summary) -> None:
        """Take along what goes on from a call into the session that it is in now."""
        if old.session_id is None:
            return
        those = [self._met(task) for task in self._kept.of_session(old.project_id, old.session_id)]
        for id in dict.fromkeys((*those, *self._now)):
            task = self._now[id]
            if (task.project_id, task.session_id) == (old.project_id, old.session_id) and is_open(task) and id != old.id:
                self._put(replace(task, project_id=new.project_id, session_id=new.session_id))

    def _put(self, task: Summary) -> Summary:
        self._now[task.id] = task
        self._touched.append(task.id)
        return task


def _began(task: Summary) -> bool:
    """Whether its session is the one that was made for it."""
    return (
        task.session_source is Source.INFERRED
        and task.session_evidence is None
        and (task.session_id or "").startswith(OWN_SESSION)
    )


def _is_nobodys(task: Summary) -> bool:
    """Whether the app has named no user."""
    return task.user_id is None or task.user_source is Source.INFERRED


def _names(task: Summary) -> tuple[str, ...]:
    """What parts may call their parent: by its id, or by the one that it asked for and that another project has."""
    asked = task.id.removeprefix(f"{task.project_id}:")
    return (task.id,) if asked == task.id else (task.id, asked)


def _parents(task: Summary) -> tuple[str, ...]:
    """Under which ids the parent of a task may be, the likeliest first."""
    name = task.parent_task_id
    if name is None:
        return ()
    return (name,) if task.project_id == _NOBODYS else (f"{task.project_id}:{name}", name)
