"""Tasks straight into the store, where nothing runs, under the locks of the data directory."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from proxy.cli.reach import locked
from proxy.task import JSON

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.record.items import Item
    from proxy.record.redact_rules import Redaction
    from proxy.store import Store

Send = Callable[[list[JSON]], Awaitable[list[JSON]]]


@asynccontextmanager
async def nowhere() -> AsyncIterator[Send]:
    """Checks tasks, and keeps none."""

    async def send(batch: list[JSON]) -> list[JSON]:
        items = _read(batch, count(), "")
        return [{"id": item.id, "status": _status(item, there=False), "error": item.error} for item in items]

    yield send


@asynccontextmanager
async def straight(settings: Settings) -> AsyncIterator[Send]:
    """Keeps tasks durably, as the desk would, and says what became of each. Raises Problem, StoreUnavailable."""
    from proxy.record.redact_rules import redaction_of
    from proxy.server import data_dir
    from proxy.server.parts import redact_part
    from proxy.store import open_store

    redaction = redaction_of(redact_part(settings))
    data_dir.prepare(settings.data_dir)
    locks = locked(settings)
    numbers, epoch = count(), f"{secrets.token_hex(8)}i{time.time_ns():x}"
    try:
        store = await open_store(settings.store.url, settings.data_dir, write=True)
        try:

            async def send(batch: list[JSON]) -> list[JSON]:
                return await _kept(store, _read(batch, numbers, epoch), redaction)

            yield send
        finally:
            await store.close()
    finally:
        for lock in locks:
            os.close(lock)


async def _kept(store: Store, items: list[Item], redaction: Redaction) -> list[JSON]:
    from proxy.record.redact_entries import without
    from proxy.store import StoreRejected

    known = set(await store.known([item.id for item in items if item.id is not None]))
    answers: list[JSON] = []
    taken: list[Item] = []
    for item in items:
        there = item.id in known
        error = item.error or (None if item.begins or there else "input: is not there. A task has an input.")
        if error is None and item.id is not None:
            taken.append(item)
            if item.is_task:
                known.add(item.id)
        answers.append({"id": item.id, "status": "rejected" if error else _status(item, there=there), "error": error})
    try:
        await store.absorb([without(entry, redaction) for item in taken for entry in item.entries])
    except StoreRejected as refused:
        if len(items) == 1:
            return [{"id": items[0].id, "status": "rejected", "error": str(refused)}]
        return [answer for item in items for answer in await _kept(store, [item], redaction)]  # the others are kept
    return answers


def _status(item: Item, *, there: bool) -> str:
    return "rejected" if item.error else "merged" if there else "stored" if item.is_task else "waiting"


def _read(batch: list[JSON], numbers: Iterator[int], epoch: str) -> list[Item]:
    """What is to be kept of each of the batch, under an origin that is never used again."""
    from proxy.record.items import read_item
    from proxy.store.entries import Logged

    now = time.time_ns() // 1000
    found: list[Item] = []
    for given in batch:
        item = read_item(given, now, lambda: f"{epoch}.{next(numbers)}")
        entries = tuple(
            replace(entry, origin=f"{epoch}.{next(numbers)}") if isinstance(entry, Logged) else entry for entry in item.entries
        )
        found.append(replace(item, entries=entries))
    return found
