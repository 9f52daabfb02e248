"""How phospho's acts are kept: written to the intake's journal, with or without waiting for the store, and shown again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from proxy.record import phospho_shapes as shapes
from proxy.record.intake import Intake, IntakeBusy, TooLarge, Written, written
from proxy.record.intake_acts import IN_A_THREAD, Answer, new_id, refused
from proxy.store import Store, StoreUnavailable
from proxy.store.entries import Entry, Logged
from proxy.task import JSON, Feedback, Flag
from proxy.wire.lenient import mend
from proxy.wire.shallow import loads_all


class Keeper:
    """Writes what is said."""

    def __init__(self, intake: Intake, store: Store) -> None:
        self._intake = intake
        self._store = store

    async def keep(self, writing: Sequence[Written]) -> Answer | None:
        """Write them; the answer where they cannot be: the client tries again."""
        try:
            await self._intake.keep(writing)
        except IntakeBusy as busy:
            return refused("intake_busy", str(busy), status=503)
        return None

    async def settled(self, entries: Sequence[Entry]) -> Answer | None:
        """Write them, and wait a little for the store: whoever asks next wants to see it."""
        try:
            await self._intake.settled(await self._intake.keep([written(entry) for entry in entries]))
        except TooLarge as wrong:
            return refused("too_large", str(wrong), status=413)
        except IntakeBusy as busy:
            return refused("intake_busy", str(busy), status=503)
        return None

    async def shown(self, id: str, project: str | None, feedback: Feedback | None) -> JSON:
        try:
            task = await self._store.get(id)
        except StoreUnavailable:
            task = None
        return shapes.unknown_task(id, project or "default", feedback) if task is None else shapes.task_of(task)


def fitting(entry: Entry) -> Written | None:
    """Ready for the journal; where it is too long for that without what is raw, and `None` where even that is."""
    try:
        return written(entry)
    except TooLarge:
        if not isinstance(entry, Logged):
            return None
    words = {name: value for name, value in entry.words.items() if name not in ("raw_input", "raw_output")}
    words["problems"] = [*words.get("problems", ()), "raw input and output are not kept: the event is longer than 64 MiB"]
    try:
        return written(replace(entry, words=words))
    except TooLarge:
        return None


def thought(flag: Any, notes: Any, source: Any) -> Feedback | None:
    """Feedback as it was given; None where nothing was."""
    known = Flag(flag) if flag in tuple(Flag) else None
    comment = notes if isinstance(notes, str) and notes else None
    if known is None and comment is None:
        return None
    return Feedback(
        id=new_id(), created_at=clock(), flag=known, comment=comment, source=source if isinstance(source, str) else None
    )


async def read(body: bytes) -> Any:
    """Raises ValueError."""
    if not body:
        return {}
    try:
        return mend((await asyncio.to_thread(loads_all, body) if len(body) > IN_A_THREAD else loads_all(body))[0])
    except ValueError as wrong:
        raise ValueError(f"This is not JSON: {wrong}") from None


async def object_in(body: bytes) -> JSON:
    """The object in a body; an empty one where it is no object: on these routes nothing has to be there."""
    try:
        found = await read(body)
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def clock() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
