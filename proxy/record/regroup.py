"""What a person says of sessions: this one is two, these two are one. The tasks keep that, so that nothing undoes it later.

Calls that go on from a task that was moved follow it: the store finds the task, and with it the session it is in now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from proxy.store import Store
from proxy.task import JSON, OWN_SESSION, Filter, Summary

PERSON = "person"
"""What `by` is in the evidence of a task that a person has moved."""

PAGE = 500


class NotThere(LookupError):
    """There is no such session, or no such task in it."""


class Pointless(ValueError):
    """Done so, nothing would change."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was done: into which session, and how many tasks."""

    project_id: str
    session_id: str
    tasks: int


async def split(
    store: Store, session_id: str, project_id: str | None, from_task: str, *, thread: bool, at: str, into: str | None = None
) -> Moved:
    """Move `from_task`, and what came after it, out of a session; with `thread` only what goes on from it.

    `at` is the moment, as it is to be told. Raises NotThere, Pointless, StoreUnavailable.
    """
    project, tasks = await _all(store, session_id, project_id)
    first = next((number for number, task in enumerate(tasks) if task.id == from_task), None)
    if first is None:
        raise NotThere(f'There is no task "{from_task}" in session "{session_id}".')
    moving = _thread(tasks[first:]) if thread else tasks[first:]
    if len(moving) == len(tasks):
        raise Pointless(f'Task "{from_task}" and what follows it are all that session "{session_id}" has.')
    if into is None:
        into = await _free(store, f"{OWN_SESSION}{from_task}", project)
    elif await store.session(into, project) is not None:
        raise Pointless(f'There is a session "{into}" already. To put them together, merge.')
    await _move(store, moving, into, "split", at)
    return Moved(project, into, len(moving))


async def merge(store: Store, session_id: str, project_id: str | None, into: str, *, at: str) -> Moved:
    """Move all tasks of a session into another one of its project. Raises NotThere, Pointless, StoreUnavailable."""
    if session_id == into:
        raise Pointless("A session cannot be merged into itself.")
    project, tasks = await _all(store, session_id, project_id)
    if await store.session(into, project) is None:
        raise NotThere(f'There is no session "{into}" in project "{project}".')
    count = 0
    while tasks:
        count += await _move(store, tasks, into, "merge", at)
        tasks = await _tasks(store, session_id, project)  # what has come in meanwhile
    return Moved(project, into, count)


def moved(task: Summary) -> bool:
    """Whether a person has said which session a task is of: then its labels say it no more."""
    return task.session_evidence is not None and task.session_evidence.get("by") == PERSON


async def _all(store: Store, session_id: str, project_id: str | None) -> tuple[str, list[Summary]]:
    session = await store.session(session_id, project_id)
    if session is None:
        raise NotThere(f'There is no session "{session_id}".')
    return session.project_id, await _tasks(store, session_id, session.project_id)


async def _tasks(store: Store, session_id: str, project_id: str) -> list[Summary]:
    """All of a session's tasks, oldest first."""
    found: list[Summary] = []
    cursor: str | None = None
    while True:
        whose = Filter(session_id=session_id, project_id=project_id)
        page = await store.find(whose, limit=PAGE, cursor=cursor, oldest_first=True)
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


def _thread(tasks: Sequence[Summary]) -> list[Summary]:
    """The first of `tasks`, and those that go on from it, be it by others."""
    ids = {tasks[0].id}
    found = [tasks[0]]
    for task in tasks[1:]:
        if _before(task.session_evidence) in ids:
            ids.add(task.id)
            found.append(task)
    return found


def _before(evidence: JSON | None) -> str | None:
    """Which task this one goes on from, as was found, whoever has moved it since."""
    while evidence is not None and evidence.get("by") == PERSON:
        evidence = evidence.get("found")
    return None if evidence is None or evidence.get("by") == "sibling" else evidence.get("task")


async def _free(store: Store, wanted: str, project_id: str) -> str:
    name, number = wanted, 1
    while await store.session(name, project_id) is not None:
        number += 1
        name = f"{wanted}-{number}"
    return name


async def _move(store: Store, tasks: Sequence[Summary], into: str, act: str, at: str) -> int:
    changed = [
        replace(
            task,
            session_id=into,
            session_evidence={"by": PERSON, "act": act, "at": at, "from": task.session_id, "found": _found(task)},
        )
        for task in tasks
    ]
    return await store.rewrite(changed, only=("session_id", "session_evidence"))


def _found(task: Summary) -> JSON | None:
    """What was found before any person moved it."""
    evidence = task.session_evidence
    return evidence.get("found") if evidence is not None and evidence.get("by") == PERSON else evidence
