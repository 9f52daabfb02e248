"""Sums that take long are asked for once, for a while, and not past a forgetting."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import replace

from aiohttp.test_utils import TestClient

from proxy.query.api import build
from proxy.query.dashboard.kept import KEPT_SECONDS, Kept
from proxy.store.memory import MemoryStore
from proxy.task import Status, Task
from tests.query.examples import OPEN, DeskServer, desk, others


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


async def test_an_overview_has_what_came_just_now_and_what_was_days_ago():
    store = MemoryStore()
    now = time.time_ns() // 1000
    day = 86_400_000_000
    one, *more = others(8)

    def at(task: Task, moment: int, name: str) -> Task:
        return replace(task, id=name, origin=f"e.{name}", created_at=moment, ended_at=moment + 1000)

    await store.save([at(one, now - ago * day, f"d{ago}") for ago in range(7)])
    client = TestClient(DeskServer(desk(store)))
    await client.start_server()

    async def told() -> tuple[int, int]:
        """The tile of tasks, and what its bars come to."""
        async with client.get("/", headers={"Accept": "text/html"}) as answer:
            text = await answer.text()
        plot = text[text.index('aria-label="Tasks over time"', text.index("<figure")) :]
        bars = plot.partition("</svg>")[0]
        return int(re.findall(r"<dt>Tasks</dt><dd>(\d+)", text)[0]), sum(map(int, re.findall(r"\ncompleted: (\d+)", bars)))

    assert await told() == (7, 7)
    await store.save([at(each, now - number * 60_000_000, f"n{number}") for number, each in enumerate(more)])
    assert await told() == (14, 14)
    await client.close()
