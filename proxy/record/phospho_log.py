"""What phospho's clients tell: logs, spans, feedback, tasks and tables that are changed.

A 4xx on the log path ends the Python client's thread for the life of the app, so nothing about the content of a log gives one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from proxy.record import phospho_shapes as shapes
from proxy.record.intake import Written, written
from proxy.record.intake_acts import IN_A_THREAD, Answer, new_id, refused
from proxy.record.phospho_events import logged_of
from proxy.record.phospho_keep import Keeper, clock, fitting, object_in, read, thought
from proxy.record.phospho_routes import Path, Query
from proxy.record.phospho_spans import entries_of
from proxy.record.words import without_secrets
from proxy.store import Store
from proxy.store.entries import Amended, Entry, Said
from proxy.task import JSON, Feedback, Flag
from proxy.wire.otlp import NotProtobufError, spans_of


class Telling:
    """The acts that tell something; each is given the path's parts, the query, the plain body and the fields."""

    def __init__(self, keeper: Keeper, store: Store, project_of: Callable[[Any], Awaitable[str]]) -> None:
        self._keeper = keeper
        self._store = store
        self._project_of = project_of

    async def log(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """A batch of events; each is answered by itself, and none of them with a 4xx."""
        try:
            batch = await read(body)
        except ValueError as wrong:
            return refused("bad_body", str(wrong))
        events = batch.get("batched_log_events") if isinstance(batch, dict) else batch
        if not isinstance(events, list):
            events = [] if events is None else [events]
        project = path["project"]
        heard = await asyncio.to_thread(_heard, events, project) if len(body) > IN_A_THREAD else _heard(events, project)
        if (busy := await self._keeper.keep([each for event in heard for each in event.writing])) is not None:
            return busy
        return 200, {"logged_events": [event.answer for event in heard]}

    async def spans(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """OTLP: each span that says what it did is a task, nested under the one it names."""
        try:
            spans = await asyncio.to_thread(spans_of, body)
        except NotProtobufError as wrong:
            return refused("bad_body", f"This is no OTLP in protobuf: {wrong}.")
        now = time.time_ns() // 1000
        kept = [each for entry in entries_of(spans, path["project"], at=now) if (each := fitting(entry)) is not None]
        if (busy := await self._keeper.keep(kept)) is not None:
            return busy
        return 200, {}

    async def human_eval(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """What a user thinks of a task, which may come later."""
        given = await object_in(body)
        flag = given.get("human_eval", given.get("flag"))
        source = given.get("source") or given.get("flag_source")
        feedback = thought(flag, given.get("notes"), source)
        project = given.get("project_id") if isinstance(given.get("project_id"), str) else None
        if feedback is None:
            return 200, await self._keeper.shown(path["id"], project, None)
        said = Said(task_id=path["id"], response_id=path["id"], project_id=project, feedback=feedback)
        if (busy := await self._keeper.settled([said])) is not None:
            return busy
        return 200, await self._keeper.shown(path["id"], project, feedback)

    async def create_task(self, _path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """A task that is logged one at a time."""
        given = await object_in(body)
        id = str(given.get("id") or given.get("task_id") or new_id())
        event = {
            "task_id": id,
            "session_id": given.get("session_id"),
            "user_id": given.get("sender_id"),
            "input": given.get("input"),
            "output": given.get("output"),
            "metadata": {"data": given["data"]} if given.get("data") else {},
            **{f"raw_{name}": given[f"additional_{name}"] for name in ("input", "output") if given.get(f"additional_{name}")},
        }
        project = str(given.get("project_id") or await self._project_of(given.get("session_id")))
        entry, _ = logged_of(event, project, at=clock(), own_id=id)
        if (busy := await self._keeper.settled([entry])) is not None:
            return busy
        return 200, await self._keeper.shown(entry.id, project, None)

    async def update_task(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """Metadata, notes and flag of a task."""
        given, id = await object_in(body), path["id"]
        metadata = dict(given["metadata"]) if isinstance(given.get("metadata"), dict) else {}
        if isinstance(given.get("data"), dict):
            metadata["data"] = given["data"]
        entries: list[Entry] = []
        if metadata:
            entries.append(Amended(id=id, at=clock(), words=without_secrets({"metadata": metadata})))
        feedback = thought(given.get("flag"), given.get("notes"), given.get("flag_source"))
        if feedback is not None:
            entries.append(Said(task_id=id, feedback=feedback))
        if (busy := await self._keeper.settled(entries)) is not None:
            return busy
        return 200, await self._keeper.shown(id, None, feedback)

    async def update_flat(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """Rows of such a table, changed. What is null, or is not there, stays."""
        given = await object_in(body)
        entries: list[Entry] = []
        for row in given["flattened_tasks"] if isinstance(given.get("flattened_tasks"), list) else ():
            if isinstance(row, dict) and isinstance(row.get("task_id"), str):
                entries += await self._changed(row, path["project"])
        if (busy := await self._keeper.settled(entries)) is not None:
            return busy
        return 200, {"updated": len(entries)}

    async def _changed(self, row: JSON, project: str) -> list[Entry]:
        id = row["task_id"]
        kept = await self._store.get(id)
        metadata = dict(row["task_metadata"]) if isinstance(row.get("task_metadata"), dict) else {}
        metadata |= {name[14:]: value for name, value in row.items() if name.startswith("task_metadata.") and value is not None}
        shown = {} if kept is None else shapes.metadata_of(kept)
        words: JSON = {name: row[f"task_{name}"] for name in ("input", "output") if isinstance(row.get(f"task_{name}"), str)}
        if kept is not None:
            words = {name: value for name, value in words.items() if value != (getattr(kept, name) or "")}
        if metadata := {name: value for name, value in metadata.items() if shown.get(name) != value}:
            words["metadata"] = metadata
        found: list[Entry] = [Amended(id=id, at=clock(), words=without_secrets(words))] if words else []
        if row.get("task_eval") in tuple(Flag) and (kept is None or kept.flag != row["task_eval"]):
            feedback = thought(row["task_eval"], None, row.get("task_eval_source"))
            if feedback is not None:
                found.append(Said(task_id=id, project_id=project, feedback=feedback))
        return found


class _Heard(NamedTuple):
    """One event: what is to be written for it, and what it is answered."""

    writing: tuple[Written, ...]
    answer: JSON


def _heard(events: list[Any], project: str) -> list[_Heard]:
    now = clock()
    return [_one(event, project, now) for event in events]


def _one(event: Any, project: str, now: int) -> _Heard:
    entry, flag = logged_of(event, project, at=now, own_id=new_id())
    first = fitting(entry)
    if first is None:
        return _Heard((), {"error_in_log": "The event is longer than 64 MiB, without its raw input and output, too."})
    writing = [first]
    if flag is not None:
        feedback = Feedback(id=f"logged-{flag}", created_at=now, flag=Flag(flag), source="log")
        writing.append(written(Said(task_id=entry.id, project_id=project, feedback=feedback)))
    echo = event if isinstance(event, dict) else {}
    labels = {"task_id": entry.id, "session_id": entry.words.get("session_id"), "project_id": project}
    return _Heard(tuple(writing), {**{name: echo.get(name) for name in ("input", "output")}, **labels})
