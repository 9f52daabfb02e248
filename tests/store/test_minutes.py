"""Sums by minute: any time of the last day is added up from them, while they come, change and go."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from proxy.store import open_store, sqlite_groups, sqlite_minutes
from proxy.store.insight import CUBE, Grouping, TooMuch
from proxy.store.measures import DAY, HOUR, MINUTE
from proxy.store.memory import MemoryStore
from proxy.store.sqlite_minutes import KEPT
from proxy.store.sqlite_ranges import DAYS, HOURS, MINUTES, Part, parts
from proxy.task import Filter
from tests.store.insight_contract import some_tasks
from tests.store.minutes import keep_minutes
from tests.store.tasks import NOON as A_MOMENT
from tests.store.tasks import a_task

NOON = A_MOMENT // DAY * DAY + 12 * HOUR
SECOND = MINUTE // 60


class Clock:
    now = NOON

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sqlite_minutes, "now", clock)
    return clock


@pytest.fixture
async def store(tmp_path: Path):
    store = await open_store("sqlite:", tmp_path, write=True)
    keep_minutes(tmp_path, NOON - KEPT)
    yield store
    await store.close()


def minutes(folder: Path) -> list[tuple[int, int]]:
    db = sqlite3.connect(folder / "tasktap.db")
    found = db.execute(f"SELECT at, sum(tasks) FROM cell WHERE span = {MINUTES} GROUP BY at ORDER BY at").fetchall()
    db.close()
    return found


def test_a_time_is_days_then_hours_then_minutes_and_what_is_left():
    first, end = NOON + 3 * MINUTE + 4, NOON + 2 * DAY + 2 * HOUR + 5 * MINUTE + 6
    midnight = NOON + 12 * HOUR
    wanted = [
        Part(first, NOON + 4 * MINUTE, None),
        Part(NOON + 4 * MINUTE, NOON + HOUR, MINUTES),
        Part(NOON + HOUR, midnight, HOURS),
        Part(midnight, midnight + DAY, DAYS),
        Part(midnight + DAY, NOON + 2 * DAY + 2 * HOUR, HOURS),
        Part(NOON + 2 * DAY + 2 * HOUR, end - 6, MINUTES),
        Part(end - 6, end, None),
    ]
    assert list(parts(first, end, None, 0)) == list(parts(first, end, DAY, 0)) == wanted
    assert [part.span for part in parts(first, end, HOUR, 0)] == [None, MINUTES, HOURS, MINUTES, None]
    assert [part.span for part in parts(first, end, MINUTE, 0)] == [None, MINUTES, None]
    known = NOON + 2 * DAY + 2 * HOUR + MINUTE // 2  # of the minutes before it there are no sums
    assert list(parts(first, end, None, known))[-3:] == [
        Part(NOON + 2 * DAY + 2 * HOUR, NOON + 2 * DAY + 2 * HOUR + MINUTE, None),
        Part(NOON + 2 * DAY + 2 * HOUR + MINUTE, end - 6, MINUTES),
        Part(end - 6, end, None),
    ]
    assert list(parts(first, first, None, 0)) == []


@pytest.mark.parametrize("seed", range(40))
def test_the_parts_of_a_time_are_all_of_it_each_once(seed):
    dice = random.Random(seed)
    first, end = sorted(NOON + dice.randrange(3 * DAY) // (step := dice.choice((1, SECOND, MINUTE, HOUR))) * step for _ in "ab")
    known = NOON + dice.randrange(-DAY, 4 * DAY)
    step = dice.choice((None, MINUTE, HOUR, DAY))
    found = list(parts(first, end, step, known))
    assert all(one.end == next.first for one, next in pairwise(found))
    assert not found if first == end else (found[0].first, found[-1].end) == (first, end)
    lengths = {HOURS: HOUR, DAYS: DAY, MINUTES: MINUTE}
    for part in found:
        assert part.first < part.end
        if part.span is not None:
            assert part.first % lengths[part.span] == part.end % lengths[part.span] == 0
            assert part.span != MINUTES or part.first >= known
            assert step is None or step % lengths[part.span] == 0
        else:
            assert part.end <= max(known + MINUTE, part.first + MINUTE)


@pytest.mark.parametrize("seed", range(3))
async def test_any_time_adds_up_to_what_is_in_it_while_tasks_come_change_and_go(store, clock, seed):
    dice, other = random.Random(seed), MemoryStore()
    kept = [replace(task, created_at=NOON + dice.randrange(-30 * HOUR, 30 * HOUR) // 1000 * 1000) for task in some_tasks(seed)]
    kept = [replace(task, created_at=task.created_at + n, ended_at=task.created_at + n + 5000) for n, task in enumerate(kept)]
    for start in range(0, len(kept), 20):
        clock.now = NOON + start * HOUR // 4
        for each in (store, other):
            await each.save(kept[start : start + 20])
            await each.forget([task.id for task in kept[start : start + 3]])
            await each.rewrite([replace(task, model="n", cost=2.0) for task in kept[start + 4 : start + 7]])
        for _ in range(25):
            unit = dice.choice((1, SECOND, MINUTE))
            times = sorted(NOON + dice.randrange(-32 * HOUR, 32 * HOUR) // unit * unit for _ in "ab")
            filter = Filter(since=times[0], until=times[1], project_id=dice.choice((None, "p")), model=dice.choice((None, "m")))
            grouping = Grouping(dice.choice(((), CUBE, ("model",))), dice.choice((None, MINUTE, HOUR, DAY)))
            found, wanted = [sorted(map(repr, await each.insights.groups(filter, grouping))) for each in (store, other)]
            assert found == wanted


async def test_whole_minutes_are_added_up_without_their_tasks(store, clock, monkeypatch):
    await store.save([a_task(n, created_at=NOON + n * 20 * SECOND) for n in range(720)])
    monkeypatch.setattr(sqlite_groups, "SCANNED_MOST", 0)
    for first, end, step in ((10, 130, None), (10, 130, HOUR), (59, 61, MINUTE), (0, 240, DAY)):
        times = Filter(since=NOON + first * MINUTE, until=NOON + end * MINUTE)
        assert sum(group.measures.tasks for group in await store.insights.groups(times, Grouping((), step))) == 3 * (end - first)
    by_minute = await store.insights.groups(Filter(since=NOON + MINUTE, until=NOON + 3 * MINUTE), Grouping((), MINUTE))
    assert sorted((group.at, group.measures.tasks) for group in by_minute) == [(NOON + MINUTE, 3), (NOON + 2 * MINUTE, 3)]
    until_now = Filter(since=NOON + 3 * HOUR, until=NOON + 720 * 20 * SECOND - 15 * SECOND)  # amid the last minute that has any
    assert sum(group.measures.tasks for group in await store.insights.groups(until_now, Grouping((), MINUTE))) == 180
    with pytest.raises(TooMuch):
        await store.insights.groups(replace(until_now, since=NOON + 30 * SECOND), Grouping((), None))


async def test_minutes_go_after_a_day_and_what_was_in_them_is_read_from_tasks(store, clock, tmp_path):
    days_tasks = [a_task(n, created_at=NOON + n * 30 * MINUTE) for n in range(100)]
    for task in days_tasks:
        clock.now = task.created_at
        await store.save([task])
    left = minutes(tmp_path)
    assert left == [(task.created_at, 1) for task in days_tasks if task.created_at >= clock.now // HOUR * HOUR - KEPT]
    assert 2 * KEPT // HOUR <= len(left) <= 2 * KEPT // HOUR + 2
    asked = Filter(since=NOON + HOUR + MINUTE, until=clock.now + 1)
    [found] = await store.insights.groups(asked, Grouping())
    assert found.measures.tasks == 97


async def test_a_clock_that_was_a_year_ahead_keeps_no_minutes_from_today(store, clock, tmp_path):
    clock.now = NOON + 365 * DAY
    ahead = [a_task(n, created_at=clock.now + n * MINUTE) for n in range(3)]
    await store.save(ahead)
    clock.now = NOON
    await store.save([a_task(10, created_at=NOON + 20 * SECOND)])  # the first of today is not in a sum yet
    later = [a_task(n, created_at=NOON + n * MINUTE) for n in range(11, 40)]
    await store.save(later)
    assert minutes(tmp_path) == [(task.created_at, 1) for task in (*later, *ahead)]
    for since, until, wanted in ((0, 60 * MINUTE, 30), (12 * MINUTE, 20 * MINUTE, 8), (0, 366 * DAY, 33)):
        groups = await store.insights.groups(Filter(since=NOON + since, until=NOON + until), Grouping((), MINUTE))
        assert sum(group.measures.tasks for group in groups) == wanted


async def test_minutes_that_go_amid_a_question_are_asked_for_anew(store, clock, monkeypatch):
    await store.save([a_task(n, created_at=NOON + n * MINUTE) for n in range(50)])
    rows, asked = store._readers.rows, []

    async def slow(sql, values):
        found = await rows(sql, values)
        if sql == sqlite_minutes.SINCE and not asked:
            clock.now = NOON + KEPT + 2 * HOUR
            await store.save([a_task(100, created_at=clock.now)])
        asked.append(sql)
        return found

    monkeypatch.setattr(store._readers, "rows", slow)
    [found] = await store.insights.groups(Filter(since=NOON + 10 * MINUTE, until=NOON + 40 * MINUTE), Grouping())
    assert found.measures.tasks == 30
    assert asked.count(sqlite_minutes.SINCE) == 4


async def test_a_store_of_before_has_minutes_from_the_next_one_on(tmp_path, clock):
    tasks = [a_task(n, created_at=NOON + n * 25 * SECOND) for n in range(60)]
    store = await open_store("sqlite:", tmp_path, write=True)
    await store.save(tasks[:20])
    await store.close()
    db = sqlite3.connect(tmp_path / "tasktap.db")
    db.executescript("DROP TABLE minutes; DELETE FROM schema_version WHERE version >= 9")
    db.close()
    store = await open_store("sqlite:", tmp_path, write=True)
    [(since,)] = await store._readers.rows(sqlite_minutes.SINCE, ())
    assert since >= tasks[19].created_at
    keep_minutes(tmp_path, since := tasks[19].created_at // MINUTE * MINUTE + MINUTE)  # as if all this were now
    await store.save(tasks[20:])
    assert sum(count for _, count in minutes(tmp_path)) == sum(task.created_at >= since for task in tasks)
    [found] = await store.insights.groups(Filter(since=NOON + MINUTE, until=NOON + 20 * MINUTE), Grouping())
    assert found.measures.tasks == sum(NOON + MINUTE <= task.created_at < NOON + 20 * MINUTE for task in tasks)
    await store.close()


async def test_a_store_that_is_made_today_keeps_the_minutes_of_today(tmp_path):
    now = sqlite_minutes.now()
    store = await open_store("sqlite:", tmp_path, write=True)
    await store.save([a_task(1, created_at=now), a_task(2, created_at=now - 24 * HOUR), a_task(3, created_at=now - 27 * HOUR)])
    assert [at for at, _ in minutes(tmp_path)] == [(now - 24 * HOUR) // MINUTE * MINUTE, now // MINUTE * MINUTE]
    await store.close()


@pytest.mark.parametrize("count", [4, 5])
async def test_of_more_than_an_hour_without_sums_no_more_tasks_are_read_than_at_once(store, monkeypatch, count):
    await store.save([a_task(n, created_at=NOON - 40 * HOUR + n * HOUR) for n in range(count)])
    monkeypatch.setattr(sqlite_groups, "SCANNED_MOST", 4)
    rows, asked = store._readers.rows, []

    async def counted(sql, values):
        asked.append(sql)
        return await rows(sql, values)

    monkeypatch.setattr(store._readers, "rows", counted)
    question = store.insights.groups(Filter(until=NOON), Grouping((), MINUTE))
    if count <= 4:
        assert sum(group.measures.tasks for group in await question) == count
    else:
        with pytest.raises(TooMuch):
            await question
    assert len(asked) < 10  # and not half of all time after the other
