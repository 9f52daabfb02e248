"""Which tasks of a batch are new, and under which id each is kept."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from proxy.store import StoreRejected
from proxy.task import Task


def named(tasks: Sequence[Task], origins: Container[str], ids: Container[str]) -> list[Task]:
    """The tasks whose origin is neither in `origins` nor earlier in the batch, each under an id that is free.

    One whose id is taken goes under its `own_id`, and `retry_of` names the first. Raises StoreRejected where that is taken too.
    """
    new: list[Task] = []
    seen: set[str] = set()
    taken: set[str] = set()
    for task in tasks:
        if task.origin in origins or task.origin in seen:
            continue
        seen.add(task.origin)
        if task.id in ids or task.id in taken:
            own = task.own_id
            if own is None or own in ids or own in taken:
                raise StoreRejected(f"task {task.id}: its id is taken, and it has no free one of its own")
            new.append(replace(task, id=own, retry_of=task.id))
        else:
            new.append(task)
        taken.add(new[-1].id)
    return new


def epoch_of(origin: str) -> str:
    """The epoch in an origin, `"<epoch>.<number>"`."""
    return origin.rpartition(".")[0]
