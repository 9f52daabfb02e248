"""OpenAI's stored-completions API over the local record, on the calls door under `/tasktap/v1`.

The SDK's `chat.completions.list`, `retrieve`, `messages.list`, `update` and `delete`. A completion's id is the provider's
own; where a task has none, it is the task's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from proxy.record.intake import Intake, IntakeBusy, TooLarge, written
from proxy.record.intake_acts import Answer, refused
from proxy.record.phospho_routes import Served
from proxy.record.words import without_secrets
from proxy.store import Store
from proxy.store.entries import Amended
from proxy.task import JSON, Filter, Summary, Task
from proxy.wire.lenient import loads, mend

DEFAULT, MOST, PAGE = 20, 100, 200
LOOKED_AT: Final = 5000  # tasks looked at for one page, where `metadata` leaves few

Path = Mapping[str, str]
Query = Sequence[tuple[str, str]]

ROUTES: Final = (
    Served("GET", "/tasktap/v1/chat/completions", "listed"),
    Served("GET", "/tasktap/v1/chat/completions/{id}", "retrieve"),
    Served("POST", "/tasktap/v1/chat/completions/{id}", "update"),
    Served("DELETE", "/tasktap/v1/chat/completions/{id}", "delete"),
    Served("GET", "/tasktap/v1/chat/completions/{id}/messages", "messages"),
)


class StoredDoor:
    """The acts of `ROUTES`."""

    def __init__(self, intake: Intake, store: Store) -> None:
        self._intake = intake
        self._store = store

    async def listed(self, _path: Path, query: Query, _body: bytes, _fields: Path) -> Answer:
        """Completions, in the order of time; `after` is the id of the last one of the page before."""
        given = dict(query)
        metadata = {name[9:-1]: value for name, value in query if name.startswith("metadata[") and name.endswith("]")}
        try:
            limit = int(given.get("limit", DEFAULT))
        except ValueError:
            limit = 0
        order = given.get("order", "asc")
        if not 1 <= limit <= MOST or order not in ("asc", "desc"):
            return refused("bad_parameter", f"limit must be 1 to {MOST}, order asc or desc.")
        after: Task | None = None
        if "after" in given:
            after = await self._found(given["after"])
            if after is None:
                return refused("bad_parameter", f'after: there is no completion "{given["after"]}".')
        tasks = await self._page(given.get("model"), metadata, after, limit + 1, oldest_first=order == "asc")
        data = [completion_of(task) for each in tasks[:limit] if (task := await self._store.get(each.id)) is not None]
        return 200, _listed(data, more=len(tasks) > limit)

    async def retrieve(self, path: Path, _query: Query, _body: bytes, _fields: Path) -> Answer:
        """One completion."""
        task = await self._found(path["id"])
        return _missing(path["id"]) if task is None else (200, completion_of(task))

    async def update(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """The metadata of a completion, which is set anew."""
        task = await self._found(path["id"])
        if task is None:
            return _missing(path["id"])
        try:
            metadata = mend(loads(body)[0])["metadata"]
        except (ValueError, TypeError, KeyError):
            return refused("bad_body", 'Give {"metadata": {...}}.')
        words: JSON = {**dict.fromkeys(task.metadata), **(metadata if isinstance(metadata, dict) else {})}
        words = without_secrets({"metadata": words})
        try:
            entry = written(Amended(id=task.id, at=time.time_ns() // 1000, words=words))
            await self._intake.settled(await self._intake.keep([entry]))
        except TooLarge as wrong:
            return refused("too_large", str(wrong), status=413)
        except IntakeBusy as busy:
            return refused("intake_busy", str(busy), status=503)
        changed = await self._store.get(task.id)
        return 200, completion_of(changed or task)

    async def delete(self, path: Path, _query: Query, _body: bytes, _fields: Path) -> Answer:
        """A completion, forgotten: its task and all that is kept of it in the store."""
        task = await self._found(path["id"])
        if task is None:
            return _missing(path["id"])
        await self._store.forget([task.id])
        return 200, {"object": "chat.completion.deleted", "id": path["id"], "deleted": True}

    async def messages(self, path: Path, query: Query, _body: bytes, _fields: Path) -> Answer:
        """The messages that a completion answered."""
        task = await self._found(path["id"])
        if task is None:
            return _missing(path["id"])
        given = dict(query)
        raw = task.raw_input.get("messages") if isinstance(task.raw_input, dict) else None
        messages = [
            {"id": f"{path['id']}-{at}", "name": None, "content_parts": None, **each}
            for at, each in enumerate(raw if isinstance(raw, list) else ())
            if isinstance(each, dict)
        ]
        if given.get("order") == "desc":
            messages.reverse()
        ids = [message["id"] for message in messages]
        start = ids.index(given["after"]) + 1 if given.get("after") in ids else 0
        limit = int(given["limit"]) if given.get("limit", "").isdigit() else DEFAULT
        return 200, _listed(messages[start : start + limit], more=start + limit < len(messages))

    async def _found(self, id: str) -> Task | None:
        """By the provider's id, or by ours."""
        return await self._store.get(await self._store.answered(id) or id)

    async def _page(
        self, model: str | None, metadata: Mapping[str, str], after: Task | None, count: int, *, oldest_first: bool
    ) -> list[Summary]:
        """The next `count` chat tasks behind `after`."""
        since = after.created_at if after is not None and oldest_first else None
        until = after.created_at + 1 if after is not None and not oldest_first else None
        filter = Filter(kind="chat", model=model, since=since, until=until)
        found: list[Summary] = []
        cursor, waiting, looked = None, after is not None, 0
        while len(found) < count and looked < LOOKED_AT:
            page = await self._store.find(filter, limit=PAGE, cursor=cursor, oldest_first=oldest_first)
            looked += len(page.items)
            for task in page.items:
                if waiting and after is not None:  # equals of its moment that come before it were on the page before
                    waiting = task.id != after.id
                elif all(task.metadata.get(name) == value for name, value in metadata.items()):
                    found.append(task)
            if (cursor := page.next) is None:
                break
        return found[:count]


def completion_of(task: Task) -> JSON:
    """The chat completion that a task's call answered."""
    raw: JSON = task.raw_output if isinstance(task.raw_output, dict) else {}
    asked: JSON = task.raw_input if isinstance(task.raw_input, dict) else {}
    settings = (
        "temperature",
        "top_p",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "tools",
        "tool_choice",
        "response_format",
    )
    return {
        "choices": [],
        "usage": None,
        "model": task.model or task.model_requested or "",
        **{name: asked.get(name) for name in settings},
        **raw,
        "object": "chat.completion",
        "id": task.response_id or task.id,
        "created": raw.get("created") if isinstance(raw.get("created"), int) else task.created_at // 1_000_000,
        "request_id": task.upstream_request_id,
        "metadata": {name: value for name, value in task.metadata.items() if isinstance(value, str)},
        "input_user": task.user_id,
        "task_id": task.id,
    }


def _listed(data: list[JSON], *, more: bool) -> JSON:
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more}


def _missing(id: str) -> Answer:
    return refused("not_found", f'There is no completion "{id}".', status=404)
