"""Splitting and merging sessions, as acts of the desk's API. A command does the same where no desk runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from proxy.query.answers import NotFound
from proxy.query.api import Act
from proxy.query.document import moment, of_error, of_session
from proxy.query.parameters import MERGE, SPLIT, members
from proxy.record.regroup import Moved, NotThere, Pointless, merge, split
from proxy.store import Store


def acts(store: Store, now: Callable[[], int] = lambda: time.time_ns() // 1000) -> dict[str, Act]:
    """By the names of their routes; `now` gives microseconds since the epoch."""

    async def split_session(id: str, body: bytes, _headers: Mapping[str, str]) -> tuple[int, Any]:
        said = members(body, SPLIT)
        done = split(
            store,
            id,
            said.get("project_id"),
            said["from_task"],
            thread=bool(said.get("thread")),
            at=moment(now()),
            into=said.get("into"),
        )
        return await _told(store, id, done)

    async def merge_session(id: str, body: bytes, _headers: Mapping[str, str]) -> tuple[int, Any]:
        said = members(body, MERGE)
        return await _told(store, id, merge(store, id, said.get("project_id"), said["into"], at=moment(now())))

    return {"split_session": split_session, "merge_session": merge_session}


async def _told(store: Store, id: str, doing: Any) -> tuple[int, Any]:
    try:
        done: Moved = await doing
    except NotThere as missing:
        raise NotFound(str(missing)) from None
    except Pointless as refused:
        return 409, of_error(str(refused), type="invalid_request_error", code="nothing_to_do")
    session, left = await store.session(done.session_id, done.project_id), await store.session(id, done.project_id)
    return 200, {
        "moved": done.tasks,
        "session": None if session is None else of_session(session),
        "left": None if left is None else of_session(left),
    }
