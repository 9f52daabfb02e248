"""Hours that are asked for in part: what is kept of them serves where it says the same, and busy ones are read in halves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from proxy.store import open_store, sqlite_groups
from proxy.store.insight import CUBE, Grouping, TooMuch
from proxy.store.measures import HOUR
from proxy.task import Filter
from tests.store.tasks import NOON as A_MOMENT
from tests.store.tasks import a_task

NOON = A_MOMENT // HOUR * HOUR
MINUTE = HOUR // 60
BY_HOUR = Grouping(("model",), HOUR)


@pytest.fixture
async def store(tmp_path: Path):
    store = await open_store("sqlite:", tmp_path, write=True)
    tasks = [
        a_task(number, created_at=NOON + minute * MINUTE, model=f"m{number % 3}")
        for number, minute in enumerate(range(3, 170, 2))
    ]
    await store.save(tasks)
    yield store
    await store.close()


async def counted(store, since: int | None, until: int | None) -> Counter[tuple[int, str]]:
    """Tasks by hour and model, between two minutes after noon."""
    times = Filter(since=None if since is None else NOON + since * MINUTE, until=None if until is None else NOON + until * MINUTE)
    groups = await store.insights.groups(times, BY_HOUR)
    return Counter({((group.at - NOON) // HOUR, group.values[0]): group.measures.tasks for group in groups})


def expected(since: int, until: int) -> Counter[tuple[int, str]]:
    minutes = enumerate(range(3, 170, 2))
    return Counter((minute // 60, f"m{number % 3}") for number, minute in minutes if since <= minute < until)


@pytest.mark.parametrize("times", [(0, 170), (2, 171), (3, 175), (None, 170), (1, None), (3, 60), (120, 170)], ids=str)
async def test_an_hour_with_nothing_beside_what_is_asked_for_is_added_up_from_what_is_kept(store, monkeypatch, times):
    monkeypatch.setattr(sqlite_groups, "SCANNED_MOST", 0)  # so that no task can be read
    first, end = times
    assert await counted(store, *times) == expected(first or 0, end or 180)


@pytest.mark.parametrize("times", [(0, 169), (4, 170), (4, 50), (50, 70), (50, 130), (61, 119), (30, 31), (31, 31)], ids=str)
@pytest.mark.parametrize("most", [1, 4, 1000])
async def test_a_part_of_a_busy_hour_is_read_in_halves(store, monkeypatch, times, most):
    monkeypatch.setattr(sqlite_groups, "SCANNED_MOST", most)
    monkeypatch.setattr(sqlite_groups, "PART_MOST", 3600 * most)  # halves down to a second
    assert await counted(store, *times) == expected(*times)


async def test_too_many_tasks_at_once_are_refused(store, monkeypatch):
    await store.save([a_task(number, created_at=NOON + 61 * MINUTE + number) for number in range(100, 109)])
    monkeypatch.setattr(sqlite_groups, "SCANNED_MOST", 8)
    with pytest.raises(TooMuch):
        await counted(store, 61, 62)
    with pytest.raises(TooMuch):  # what no sums are kept for is never halved
        await store.insights.groups(Filter(user_id="u1"), Grouping(CUBE))
