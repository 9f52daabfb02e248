"""What the desk does at the intake's routes: tasks are logged and amended, feedback is given. Each answers once it is durable."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from proxy.record.ids import uuid7
from proxy.record.intake import Intake, IntakeBusy, TooLarge, Written, written
from proxy.record.items import Item, read_item
from proxy.record.words import amendment_of, feedback_of
from proxy.store import Store, StoreUnavailable
from proxy.store.entries import Amended, Entry, Said
from proxy.task import JSON
from proxy.wire.shallow import loads_all

MOST_ITEMS: Final = 100_000
IN_A_THREAD: Final = 1 << 16  # bytes of a body that is long enough to be read beside the loop
Answer = tuple[int, Any]

_bits = random.SystemRandom().getrandbits


def new_id() -> str:
    """A task id of ours."""
    return uuid7(time.time_ns() // 1000, _bits(80))


class _Packed(NamedTuple):
    """One item of a body, and what is to be written for it."""

    item: Item
    writing: tuple[Written, ...]
    error: str | None


class Acts:
    """The intake's routes, by name; see `proxy.query.api.Act`."""

    def __init__(self, intake: Intake, store: Store) -> None:
        self._intake = intake
        self._store = store

    async def log_tasks(self, _id: str, body: bytes, _fields: Mapping[str, str]) -> Answer:
        """POST /api/tasks: one task or many, each taken or not by itself."""
        try:
            items = await _beside(body, _items)
        except ValueError as wrong:
            return refused("bad_body", str(wrong))
        known = await self._known([item.id for item, _, _ in items if item.named and item.id is not None])
        made: set[str] = set()
        answers, taken = list[JSON](), list[Written]()
        for item, writing, error in items:
            there = item.id in known or item.id in made
            if error is None and not item.begins and not there:
                error = "input: is not there. A task has an input."  # noqa: PLW2901  that it begins nothing is an error of this one
            if error is not None or item.id is None:
                answers.append({"id": item.id, "status": "rejected", "error": error})
                continue
            taken += writing
            if item.is_task:
                made.add(item.id)
            answers.append({"id": item.id, "status": "merged" if there else "stored" if item.is_task else "waiting"})
        return await self._kept(taken, {"items": answers})

    async def amend_task(self, id: str, body: bytes, _fields: Mapping[str, str]) -> Answer:
        """PATCH /api/tasks/{id}: words that win over what is there."""
        try:
            item = _object(body)
            now = time.time_ns() // 1000
            entries: list[Entry] = []
            words = amendment_of(item)
            if words:
                entries.append(Amended(id=id, at=now, words=words))
            if item.get("flag") is not None:
                entries.append(Said(task_id=id, feedback=feedback_of({"flag": item["flag"]}, id=new_id(), at=now)))
            writing = [written(entry) for entry in entries]
        except ValueError as wrong:
            return refused("bad_body", str(wrong))
        if not writing:
            return refused("bad_body", "There is nothing in it to change.")
        there = bool(await self._known([id]))
        return await self._kept(writing, {"id": id, "status": "merged" if there else "waiting"}, 200 if there else 202)

    async def give_feedback(self, id: str, body: bytes, _fields: Mapping[str, str]) -> Answer:
        """POST /api/tasks/{id}/feedback; the id may be the provider's own of the answer."""
        try:
            feedback = feedback_of(_object(body), id=new_id(), at=time.time_ns() // 1000)
            writing = [written(Said(task_id=id, response_id=id, feedback=feedback))]
        except ValueError as wrong:
            return refused("bad_body", str(wrong))
        there = await self._named(id)
        status = {"id": there or id, "status": "stored" if there else "waiting", "feedback_id": feedback.id}
        return await self._kept(writing, status, 200 if there else 202)

    async def _kept(self, writing: Sequence[Written], document: JSON, status: int = 200) -> Answer:
        try:
            await self._intake.keep(writing)
        except IntakeBusy as busy:
            return refused("intake_busy", str(busy), status=503)
        return status, document

    async def _known(self, ids: Sequence[str]) -> frozenset[str]:
        """Which of these there are, or will be in a moment."""
        waiting = frozenset(id for id in ids if id in self._intake.pending)
        try:
            return waiting | (await self._store.known(ids) if ids else frozenset())
        except StoreUnavailable:
            return waiting  # whoever asks has given enough: it is kept until the store is back

    async def _named(self, id: str) -> str | None:
        """The task of this id, or whose answer has it."""
        if id in await self._known([id]):
            return id
        try:
            return await self._store.answered(id)
        except StoreUnavailable:
            return None


def refused(code: str, message: str, *, status: int = 400) -> Answer:
    """An error's answer, in the one shape."""
    type = "invalid_request_error" if status < 500 else "server_error"
    return status, {"error": {"message": message, "type": type, "code": code, "param": None}}


async def _beside(body: bytes, read: Any) -> Any:
    return read(body) if len(body) < IN_A_THREAD else await asyncio.to_thread(read, body)


def _json(body: bytes) -> Any:
    try:
        return loads_all(body)[0]
    except ValueError as wrong:
        raise ValueError(f"This is not JSON: {wrong}") from None


def _object(body: bytes) -> JSON:
    found = _json(body)
    if not isinstance(found, dict):
        raise ValueError("This is not a JSON object.")
    return found


def _items(body: bytes) -> list[_Packed]:
    found = _json(body)
    if isinstance(found, dict):
        found = found["tasks"] if isinstance(found.get("tasks"), list) else [found]
    if not isinstance(found, list):
        raise ValueError('Give one task, a list of tasks, or {"tasks": [...]}.')
    if len(found) > MOST_ITEMS:
        raise ValueError(f"These are more than {MOST_ITEMS} tasks. Send them in several batches.")
    now = time.time_ns() // 1000
    return [_packed(read_item(each, now, new_id)) for each in found]


def _packed(item: Item) -> _Packed:
    try:
        return _Packed(item, tuple(map(written, item.entries)), item.error)
    except TooLarge as wrong:
        return _Packed(item, (), str(wrong))
