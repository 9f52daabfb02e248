"""Says in the log when recording becomes impaired, when it is well again, and when something was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from proxy.server import logs
from proxy.task import Status

LOOK_SECONDS: Final = 1.0


async def tell(status: Callable[[], Awaitable[Status]]) -> None:
    """Look, and tell what has changed, until cancelled."""
    known: frozenset[str] = frozenset()
    lost = dropped = 0
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = await status()
        reasons = frozenset(now.reasons)
        for reason in sorted(reasons - known):
            logs.warning("recording is impaired", why=reason)
        if known and not reasons:
            logs.info("recording is well again")
        known = reasons
        if now.lost > lost:
            logs.warning("calls left no record", lost=now.lost - lost, in_all=now.lost)
        if now.bodies_dropped > dropped:
            fresh = now.bodies_dropped - dropped
            logs.warning("bodies were not kept: the journal is full", dropped=fresh, in_all=now.bodies_dropped)
        lost, dropped = now.lost, now.bodies_dropped
