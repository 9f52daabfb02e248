"""Callers who call all the time, the upstream they call, and what they noticed of a disturbance: the ground of the long runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fire.traffic import Caller, World, provide
from tests.proc import Tasktap
from tests.sockets import PATIENCE

CONFIG = """
default_upstream = "fire"
[upstreams.fire]
url = "http://127.0.0.1:{port}"
[journal]
patience_ms = {patience}
segment_bytes = "{segment}"
durability = "{durability}"
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """How a house is set up for a run."""

    callers: int = 8
    pause: float = 0.1  # seconds that a caller rests between two calls, on average
    patience_ms: int = 50
    segment: str = "1MiB"
    durability: str = "process"
    more: str = ""  # of the configuration
    environment: dict[str, str] = field(default_factory=dict)

    def config(self, port: int) -> str:
        said = CONFIG.format(port=port, patience=self.patience_ms, segment=self.segment, durability=self.durability)
        return said + self.more


class Load:
    """A house under load."""

    def __init__(self, house: Tasktap, world: World, callers: list[asyncio.Task[None]]) -> None:
        self.house, self.world = house, world
        self._callers = callers

    async def end(self) -> None:
        """Every caller ends its call, and makes no other."""
        self.world.over = True
        await asyncio.gather(*self._callers)


@contextlib.asynccontextmanager
async def load(place: Path, ground: Ground) -> AsyncIterator[Load]:
    """Start a house and its callers; nothing is left of them behind it."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        serving.add(own)
        own.add_done_callback(serving.discard)
        await provide(reader, writer)

    upstream = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20)
    house = Tasktap(place, ground.config(upstream.sockets[0].getsockname()[1]), ground.environment)
    callers: list[asyncio.Task[None]] = []
    try:
        await asyncio.to_thread(house.start)
        world = World(lambda: house.calls, pause=ground.pause)
        callers = [asyncio.create_task(Caller(world, number).live()) for number in range(ground.callers)]
        yield Load(house, world, callers)
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await asyncio.to_thread(house.kill_all)
        upstream.close()
        if serving:
            await asyncio.wait(serving, timeout=PATIENCE)  # their connections have ended


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them do not exceed; 0.0 where there are none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0
