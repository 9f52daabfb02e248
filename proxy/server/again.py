"""What the desk does over what is kept, as acts of its API: costs reckoned anew, bytes read again.

A command does the same where no desk runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.price.estimate import estimated
from proxy.price.pricer import Pricer, pricer_of
from proxy.query.answers import NotFound
from proxy.query.api import Act
from proxy.query.document import moment
from proxy.query.parameters import AGAIN, TASK, understand_body
from proxy.record.reprice import reprice
from proxy.record.reread import reread
from proxy.record.second_look import without_secrets
from proxy.record.vectors import with_vectors
from proxy.store import Store
from proxy.task import Task


@dataclass(frozen=True, slots=True)
class Rules:
    """What the acts need to know beside the store."""

    pricer: Pricer
    pepper: bytes
    estimate: bool
    vectors: bool

    @classmethod
    def of(cls, said: Mapping[str, Any], data_dir: Path) -> Rules:
        """The rules in what a desk is told (`proxy.server.parts.desk_part`)."""
        pepper = data_dir / "pepper"
        return cls(
            pricer_of(said["prices"], said["upstreams"]),
            pepper.read_bytes() if pepper.exists() else b"",
            said["estimate"],
            said["vectors"],
        )

    def complete(self, task: Task) -> Task:
        """What is done with each task once it is read."""
        return self.valued(without_secrets(task, self.pepper))

    def valued(self, task: Task) -> Task:
        """`task` with what it cost; with its vectors, and with an estimate of its tokens first, where those are asked for."""
        if self.vectors:
            task = with_vectors(task)
        return self.pricer.price(estimated(task) if self.estimate else task)


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
