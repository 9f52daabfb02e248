"""A store with some tasks, and a way to ask a desk that is served as in earnest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp.test_utils import TestClient

from proxy.query.api import Desk
from proxy.store.memory import MemoryStore
from proxy.task import Status
from tests.query.examples import BARE, FULL, OPEN, WELL, DeskServer, desk, others

Ask = Callable[..., Awaitable[TestClient]]


@pytest.fixture
async def store() -> MemoryStore:
    kept = MemoryStore()
    await kept.save([FULL, BARE, *others(5)])
    return kept


@pytest.fixture
async def ask(store: MemoryStore) -> AsyncIterator[Ask]:
    """Start a desk; give a client that asks it."""
    clients: list[TestClient] = []

    async def start(who: Desk = OPEN, status: Status = WELL, over: object = None) -> TestClient:
        client = TestClient(DeskServer(desk(over or store, who, status)))  # type: ignore[arg-type]
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()
