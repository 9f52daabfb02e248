"""Costs reckoned anew over what is kept."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from proxy.record.reprice import reprice
from proxy.store import StoreUnavailable, open_store
from proxy.task import Filter, Task
from tests.store.tasks import a_task


@pytest.fixture(params=["memory:", "sqlite:"])
async def store(request, tmp_path):
    store = await open_store(request.param, tmp_path, write=True)
    yield store
    await store.close()


def double(task: Task) -> Task:
    return replace(task, cost=None if task.usage is None else 0.002, price={"source": "test"})


async def test_what_costs_something_else_is_put_right_in_every_sum(store):
    await store.save([a_task(n, session_id="s", user_id="u") for n in range(4)])
    await store.save([a_task(4, session_id="s", user_id="u", usage=None)])

    done = await reprice(store, double, Filter(), limit=500)

    assert done.document()["models"] == [
        {"model": "gpt-5-2026-01-01", "changed": 5, "learned": 0, "forgotten": 1, "before": pytest.approx(0.005), "after": 0.008}
    ]
    assert (done.read, done.next) == (5, None)
    assert (await store.get("id-1")).price == {"source": "test"}
    assert (await store.get("id-4")).cost is None
    assert (await store.session("s")).cost == (await store.user("u")).cost == pytest.approx(0.008)
    assert (await reprice(store, double, Filter(), limit=500)).by_model == {}


async def test_a_dry_run_says_the_same_and_changes_nothing(store):
    await store.save([a_task(1)])
    done = await reprice(store, double, Filter(), limit=500, dry_run=True)
    assert done.document()["changed"] == 1
    assert (await store.get("id-1")).cost == 0.001


async def test_it_goes_page_by_page_over_what_the_filter_finds(store):
    await store.save([a_task(n, model="m" if n % 2 else "other") for n in range(10)])
    read, cursor, pages = 0, None, 0
    while True:
        done = await reprice(store, double, Filter(model="m"), limit=2, cursor=cursor)
        read, pages, cursor = read + done.read, pages + 1, done.next
        if cursor is None:
            break
    assert (read, pages) == (5, 3)
    assert [task.cost for task in (await store.find(Filter(), limit=50)).items] == [0.002, 0.001] * 5


async def test_a_task_that_cannot_be_read_is_counted_and_does_not_stop_the_others(tmp_path):
    store = await open_store("sqlite:", tmp_path, write=True)
    await store.save([a_task(n, session_id=None) for n in range(4)])
    await store.close()
    with sqlite3.connect(tmp_path / "tasktap.db") as db:
        key = db.execute("SELECT key FROM task WHERE id = 'id-2'").fetchone()
        db.execute("UPDATE record SET data = substr(data, 1, length(data) - 7) WHERE key = ?", key)
    db.close()
    store = await open_store("sqlite:", tmp_path, write=True)
    done = await reprice(store, double, Filter(), limit=9)
    assert (done.read, done.unreadable, done.document()["changed"]) == (3, 1, 3)
    assert [task.cost for task in (await store.find(Filter(), limit=9)).items] == [0.002, 0.001, 0.002, 0.002]
    with pytest.raises(StoreUnavailable, match="damaged"):
        await reprice(store, double, Filter(since=a_task(2).created_at, until=a_task(3).created_at), limit=9)
    await store.close()


async def test_what_was_said_of_a_task_meanwhile_is_not_undone(store):
    """Somebody names a session while the price is looked up: only the price is written."""
    await store.save([a_task(1)])
    kept = await store.get("id-1")

    page_of = store.find

    async def find_and_change(*args, **more):
        page = await page_of(*args, **more)
        await store.rewrite([replace(kept, input="changed meanwhile")])
        return page

    class Store:
        find, get, rewrite = staticmethod(find_and_change), staticmethod(lambda _id: _then(kept)), store.rewrite

    await reprice(Store(), double, Filter(), limit=5)
    task = await store.get("id-1")
    assert (task.input, task.cost) == ("changed meanwhile", 0.002)


async def _then(task: Task) -> Task:
    return task
