"""Tasks straight into the store, where nothing runs, under the locks of the data directory."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from proxy.cli.reach import locked
from proxy.task import JSON

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.task import Task

Send = Callable[[list[JSON]], Awaitable[list[JSON]]]


@asynccontextmanager
async def nowhere() -> AsyncIterator[Send]:
    """Checks tasks, and keeps none."""

    async def send(batch: list[JSON]) -> list[JSON]:
        return _read(batch)[1]

    yield send


@asynccontextmanager
async def straight(settings: Settings) -> AsyncIterator[Send]:
    """Keeps tasks durably, and says what became of each. Raises Problem, StoreUnavailable."""
    from proxy.server import data_dir
    from proxy.store import open_store

    data_dir.prepare(settings.data_dir)
    locks = locked(settings)
    try:
        store = await open_store(settings.store.url, settings.data_dir, write=True)
        try:

            async def send(batch: list[JSON]) -> list[JSON]:
                tasks, answers = _read(batch)
                there = len(tasks) - await store.save(tasks)
                for answer in answers:  # the store says how many were there before, not which
                    if there and answer["status"] == "stored":
                        answer["status"] = "merged"
                        there -= 1
                return answers

            yield send
        finally:
            await store.close()
    finally:
        for lock in locks:
            os.close(lock)


def _read(batch: list[JSON]) -> tuple[list[Task], list[JSON]]:
    """The tasks that can be kept, and what to say of each of the batch."""
    from proxy.record.imports.fields import BadRow
    from proxy.record.imports.keeping import task_of

    tasks: list[Task] = []
    answers: list[JSON] = []
    for item in batch:
        try:
            tasks.append(task_of(item, time.time_ns() // 1000))
            answers.append({"id": item["task_id"], "status": "stored"})
        except BadRow as wrong:
            answers.append({"id": item["task_id"], "status": "rejected", "error": str(wrong)})
    return tasks, answers
