"""Sums that take long are asked for once, for a while, and not past a forgetting."""

from __future__ import annotations

import asyncio
import json

from aiohttp.test_utils import TestClient

from proxy.query.api import build
from proxy.query.dashboard.kept import KEPT_SECONDS, Kept
from proxy.store.memory import MemoryStore
from proxy.task import Status
from tests.query.examples import OPEN, DeskServer, others


class Counting:
    """Answers with how often it was asked, once it may."""

    def __init__(self, fails: bool = False) -> None:
        self.asked = 0
        self.may = asyncio.Event()
        self._fails = fails

    async def answer(self) -> int:
        self.asked += 1
        await self.may.wait()
        if self._fails and self.asked == 1:
            raise ValueError("not now")
        return self.asked


async def test_who_asks_meanwhile_and_soon_after_gets_the_same_answer():
    now, counting = [0.0], Counting()
    kept = Kept(lambda: now[0])
    first = [asyncio.ensure_future(kept.get("a", counting.answer)) for _ in range(3)]
    await asyncio.sleep(0)
    counting.may.set()
    assert await asyncio.gather(*first) == [1, 1, 1]
    now[0] = KEPT_SECONDS
    assert await kept.get("a", counting.answer) == 1
    assert await kept.get("b", counting.answer) == 2
    now[0] += 0.1
    assert await kept.get("a", counting.answer) == 3
    kept.forget()
    assert await kept.get("a", counting.answer) == 4


async def test_an_answer_that_failed_is_not_kept():
    counting = Counting(fails=True)
    counting.may.set()
    kept = Kept()
    (wrong,) = await asyncio.gather(kept.get("a", counting.answer), return_exceptions=True)
    assert isinstance(wrong, ValueError)
    assert await kept.get("a", counting.answer) == 2


async def test_who_goes_away_takes_no_answer_from_others():
    counting, kept = Counting(), Kept()
    one, other = (asyncio.ensure_future(kept.get("a", counting.answer)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    counting.may.set()
    assert await other == 1


async def test_a_forgotten_user_is_in_no_insight_any_more():
    store = MemoryStore()
    await store.save(others(5))

    async def forget(_id: str, body: bytes, _fields: object) -> tuple[int, object]:
        assert json.loads(body)["user_id"] == "bob"
        await store.forget([f"t-{number:03}" for number in range(5)])
        return 200, {}

    async def state() -> Status:
        return Status(relays=1)

    client = TestClient(DeskServer(build(store, state, OPEN, lambda data, _: data, {"forget": forget})))  # type: ignore[dict-item]
    await client.start_server()

    async def page() -> str:
        async with client.get("/insights?by=user_id&from=2020-01-01&to=2100-01-01") as answer:
            return await answer.text()

    assert ">bob<" in await page()
    async with client.post("/forget", data={"what": "user", "id": "bob", "sure": "yes"}, allow_redirects=False) as answer:
        assert answer.status == 303
    assert ">bob<" not in await page()
    await client.close()
