"""Gives tasks their sessions as the recorder does, and leaves those that it was given as they are."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.record.threads import InThread, Threads
from proxy.task import Task, changed


async def linked(threads: Threads, tasks: Sequence[Task], in_thread: InThread) -> list[Task]:
    """The tasks with their sessions and traces, in the order given. Raises StoreUnavailable."""
    calls = [threads.followed(changed(task)) for task in tasks]
    await threads.link(calls, in_thread)
    return [call.task for call in calls]
