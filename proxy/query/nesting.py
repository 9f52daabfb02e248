"""Pure: the tasks of a session with their parts below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from proxy.task import Summary


class Nested(NamedTuple):
    """A task, and how many tasks it is a part of, one inside the other."""

    depth: int
    task: Summary


def depths(tasks: Sequence[Summary], known: dict[str, int] | None = None) -> list[int]:
    """How deep each of `tasks` is. `known` are those of the pages before, and are added to.

    A part whose parent is not among them is at 1.
    """
    known = {} if known is None else known
    here = {task.id: task for task in tasks}
    for task in tasks:
        line: list[str] = []
        above: Summary | None = task
        while above is not None and above.id not in known and above.id not in line:
            line.append(above.id)
            above = here.get(above.parent_task_id or "")
        for id in reversed(line):
            parent = here[id].parent_task_id
            known[id] = 0 if parent is None else 1 if parent == id else known.get(parent, 0) + 1
    return [known[task.id] for task in tasks]


def nested(tasks: Sequence[Summary], known: dict[str, int] | None = None) -> list[Nested]:
    """`tasks`, which are in their order, with the parts of each below it, in theirs."""
    deep = dict(zip((task.id for task in tasks), depths(tasks, known), strict=True))
    parts: dict[str, list[Summary]] = {}
    for task in tasks:
        if task.parent_task_id in deep and task.parent_task_id != task.id:
            parts.setdefault(task.parent_task_id, []).append(task)
    below = {task.id for those in parts.values() for task in those}
    left = {task.id: task for task in tasks}

    def told(first: Summary) -> Iterator[Nested]:
        ahead = [first]
        while ahead:
            task = ahead.pop()
            if left.pop(task.id, None) is not None:
                yield Nested(deep[task.id], task)
                ahead += reversed(parts.get(task.id, ()))

    found = [each for task in tasks if task.id not in below for each in told(task)]
    return found + [each for task in tasks for each in told(task)]  # what is left is a ring of parents
