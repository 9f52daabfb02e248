"""What the desk does over what is kept, as acts of its API: costs reckoned anew, bytes read again.

A command does the same where no desk runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.query.answers import NotFound
from proxy.query.api import Act
from proxy.query.document import moment
from proxy.query.parameters import AGAIN, TASK, understand_body
from proxy.record.reprice import reprice
from proxy.record.reread import reread
from proxy.server.finish import Rules
from proxy.store import Store


def acts(store: Store, rules: Rules) -> dict[str, Act]:
    """By the names of their routes."""

    async def reprice_page(_id: str, body: bytes, _headers: Mapping[str, str]) -> tuple[int, Any]:
        asked = understand_body(body, AGAIN)
        done = await reprice(
            store, rules.pricer.price, asked.filter, limit=asked.limit, cursor=asked.cursor, dry_run=asked.dry_run
        )
        return 200, {**done.document(), "at": None if done.at is None else moment(done.at)}

    async def reread_page(_id: str, body: bytes, _headers: Mapping[str, str]) -> tuple[int, Any]:
        asked = understand_body(body, (*AGAIN, TASK))
        done = await reread(
            store,
            rules.complete,
            asked.filter,
            limit=asked.limit,
            cursor=asked.cursor,
            id=asked.task_id,
            dry_run=asked.dry_run,
        )
        if asked.task_id is not None and not done.read:
            raise NotFound(f'There is no task "{asked.task_id}".')
        return 200, {**done.document(), "at": None if done.at is None else moment(done.at)}

    return {"reprice": reprice_page, "reread": reread_page}
