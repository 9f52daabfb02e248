"""Pure: the tasks of one session in their order, each told what the one before it said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxy.store.marks import Facets, Marks, facets, marks, spoken
from proxy.store.rollup import Place, SessionSum, excerpt
from proxy.task import Summary

Told = tuple[Summary, Marks, Facets]
"""A task, what it tells, and what it is counted by."""


def place(task: Summary) -> Place:
    """Where a task is in its session."""
    return task.created_at, task.id


def follow(session: SessionSum, tasks: Iterable[Summary]) -> Iterator[Told]:
    """Add `tasks`, in the order of `place` and all after what `session` has, and say what each tells."""
    for task in tasks:
        if task.parent_task_id is not None and task.parent_task_id == session.last_id:
            told, heard = spoken(task, None, None, None)  # a part that is told what the whole was told: nobody says it again
        else:
            told, heard = spoken(task, session.last_input, session.last_output, session.last_heard)
        counted = facets(task, told)
        session.count(task, told, counted, heard)
        yield task, told, counted


def next_to(before: Summary | None, task: Summary) -> Told:
    """What a task tells behind the one before it in its session: what `follow` says of it there."""
    if before is None or (task.parent_task_id is not None and task.parent_task_id == before.id):
        told = marks(task)
    else:
        told = marks(task, excerpt(before.input), excerpt(before.output))
    return task, told, facets(task, told)


def alone(task: Summary) -> Told:
    """A task that is in no session."""
    told = marks(task)
    return task, told, facets(task, told)


def begun(task: Summary) -> SessionSum:
    """The empty rollup of the session whose first task this is."""
    if task.session_id is None:
        raise ValueError("a task without a session")
    return SessionSum(task.project_id, task.session_id, task.created_at, task.ended_at)
