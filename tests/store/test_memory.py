from pathlib import Path

import pytest

from proxy.store import open_store
from tests.store.contract import StoreContract


@pytest.fixture
async def store(tmp_path: Path):
    store = await open_store("memory:", tmp_path, write=True)
    yield store
    await store.close()


class TestMemory(StoreContract):
    pass
