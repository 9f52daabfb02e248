"""The desk's act of forgetting; a command does the same where no desk runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from proxy.query.api import Act
from proxy.query.parameters import FORGET, BadFilter, understand_body
from proxy.record.absorber import Absorber
from proxy.record.forget import forget
from proxy.record.recorder import Recorder
from proxy.store import Store, StoreUnavailable
from proxy.task import Forget

SETTLE_SECONDS: Final = 5.0  # for what has ended to be stored


def acts(
    store: Store,
    recorder: Recorder,
    absorber: Absorber,
    one_at_a_time: asyncio.Lock,
    *,
    running: bool,
    patience: float = SETTLE_SECONDS,
) -> dict[str, Act]:
    """By the names of their routes; `running`: the two work by themselves, else what is in the journals is stored first."""

    async def settle() -> bool:
        if running:
            settled = all(await asyncio.gather(*(each.settled(patience) for each in (recorder, absorber))))
            if not settled and not (recorder.caught_up and absorber.caught_up):
                raise StoreUnavailable(
                    "The journal is still being read: what is forgotten now would come back from it. Ask again."
                )
            return settled
        recorder.sweep()
        await recorder.drain()
        await absorber.drain()
        return True

    async def act(_id: str, body: bytes, _headers: Mapping[str, str]) -> tuple[int, Any]:
        asked = understand_body(body, FORGET)
        narrow = asked.filter
        what = Forget(
            task_id=asked.task_id,
            session_id=narrow.session_id,
            user_id=narrow.user_id,
            project_id=narrow.project_id,
            before=narrow.until,
        )
        if (what.task_id, what.session_id, what.user_id, what.before) == (None,) * 4:
            raise BadFilter("body", "says nothing to forget by. Give `user_id`, `session_id`, `task_id` or `before`.")
        if asked.dry_run:
            return 200, {"tasks": await store.doomed_count(what), "dry_run": True}
        async with one_at_a_time:
            report = await forget(store, (recorder, absorber), what, time.time_ns() // 1000, settle)
        return 200, {**report.document(), "dry_run": False}

    return {"forget": act}
