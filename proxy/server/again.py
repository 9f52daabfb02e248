"""What the desk does over what is kept, as acts of its API: costs reckoned anew. A command does the same where no desk runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.price.pricer import Pricer, pricer_of
from proxy.query.api import Act
from proxy.query.document import moment
from proxy.query.parameters import AGAIN, understand_body
from proxy.record.reprice import reprice
from proxy.store import Store


@dataclass(frozen=True, slots=True)
class Rules:
    """What the acts need to know beside the store."""

    pricer: Pricer

    @classmethod
    def of(cls, said: Mapping[str, Any], data_dir: Path) -> Rules:
        """The rules in what a desk is told (`proxy.server.parts.desk_part`)."""
        return cls(pricer_of(said["prices"], said["upstreams"]))


def acts(store: Store, rules: Rules) -> dict[str, Act]:
    """By the names of their routes."""

    async def reprice_page(_id: str, body: bytes, _headers: Mapping[str, str]) -> tuple[int, Any]:
        asked = understand_body(body, AGAIN)
        done = await reprice(
            store, rules.pricer.price, asked.filter, limit=asked.limit, cursor=asked.cursor, dry_run=asked.dry_run
        )
        return 200, {**done.document(), "at": None if done.at is None else moment(done.at)}

    return {"reprice": reprice_page}
