"""Cells, facets and the days of users, held against tasks counted in plain Python, in whatever order they came and changed."""

import asyncio
import math
import tempfile
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.store import StoreRejected, histogram, open_store, sqlite_minutes
from proxy.store.measures import DAY, HOUR, MINUTE
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite_writing import SESSIONS_MOST
from proxy.task import Ending, Flag, Task, Usage
from tests.store.minutes import keep_minutes
from tests.store.tasks import NOON, a_task

few = st.none() | st.sampled_from(["a", "b"])
SAID = (
    "how do I reset the router",
    "how can I reset my router please",
    "merci pour le code et la réponse",
    "this is useless",
    "x",
)
ANSWERS = ("Sure, here it is.", "I'm sorry, but I can't help with that.", "search(tea)", None)
any_task = st.builds(
    lambda n, at, **changes: replace(
        a_task(n), created_at=NOON + at * 7_000_000, **changes, ended_at=NOON + at * 7_000_000 + 900_000
    ),
    st.integers(0, 10**6),
    st.integers(0, 40_000),
    project_id=st.sampled_from(["p", "q"]),
    kind=st.sampled_from(["chat", "embedding"]),
    session_id=few,
    user_id=few,
    input=st.none() | st.sampled_from(SAID),
    output=st.sampled_from(ANSWERS),
    finish_reasons=st.sampled_from([("stop",), ("tool_calls",), ()]),
    model=few,
    ending=st.sampled_from([Ending.COMPLETED, Ending.CALLER_LEFT]),
    flag=st.none() | st.sampled_from(Flag),
    http_status=st.sampled_from([200, 429]),
    cost=st.none() | st.floats(0, 1),
    usage=st.none() | st.builds(Usage, input_tokens=st.none() | st.integers(0, 99), output_tokens=st.integers(0, 99)),
    seconds_total=st.none() | st.floats(0, 100),
    seconds_to_first_token=st.none() | st.floats(0, 10),
    events=st.lists(st.sampled_from(["refund", "upsell"]), unique=True).map(
        lambda names: tuple({"name": name, "source": "app"} for name in names)
    ),
    metadata=st.dictionaries(
        st.sampled_from(["tier", "score", "version_id"]), st.sampled_from(["gold", 1, 0.5, True]), max_size=2
    ),
)
some_tasks = st.lists(any_task, min_size=1, max_size=20, unique_by=(lambda t: t.id, lambda t: t.created_at))

CELLS = """SELECT span, at, project_id, kind, model, model_requested, ending, version_id, label, value, tasks, errors, success,
 failure,input_tokens, output_tokens, cached_tokens, priced, cost, micros, round(output_square), round(cost_square, 6), seconds,
 first_token FROM cell JOIN slice ON slice.key = cell.slice ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"""
FACETS = "SELECT * FROM facet WHERE tasks OR lasts OR errors OR success OR failure ORDER BY 1, 2, 3, 4"
DAYS = (
    "SELECT project_id, id, user_day.* FROM user_day JOIN user ON user.key = user_day.user WHERE user_day.tasks ORDER BY 1, 2, 4"
)
METADATA = "SELECT name, value, task.id FROM metadatum JOIN task ON task.key = metadatum.task ORDER BY 1, 2, 3"


MINUTES_SINCE = NOON // MINUTE * MINUTE + 2400 * MINUTE
"""Amid the tasks."""


def in_a_store(act):
    async def run(folder):
        store = await open_store("sqlite:", Path(folder), write=True)
        keep_minutes(Path(folder), MINUTES_SINCE)
        try:
            return await act(store)
        finally:
            await store.close()

    now = patch.object(sqlite_minutes, "now", return_value=MINUTES_SINCE)
    with tempfile.TemporaryDirectory() as folder, now:
        return asyncio.run(run(folder))


async def everything(store: SqliteStore):
    rows = store._readers.rows
    sessions = {(s.project_id, s.id): s for s in (await store.sessions(limit=500)).items}
    users = {(u.project_id, u.id): u for u in (await store.users(limit=500)).items}
    days = [row[:2] + row[3:] for row in await rows(DAYS)]
    return sessions, users, await rows(CELLS), await rows(FACETS), days, await rows(METADATA)


def rolled_up(order: list[Task], batch: int, then: list[Task] = ()):
    async def act(store):
        for start in range(0, len(order), batch):
            await store.save(order[start : start + batch])
        if then:
            await store.rewrite(then)
        return await everything(store)

    return in_a_store(act)


@settings(max_examples=30, deadline=None)
@given(some_tasks, st.randoms(), st.integers(1, 20))
def test_every_rollup_is_the_same_in_whatever_order_tasks_came(kept, rng, batch):
    shuffled = kept.copy()
    rng.shuffle(shuffled)
    assert rolled_up(shuffled, batch) == rolled_up(sorted(kept, key=lambda task: task.created_at), len(kept))


@settings(max_examples=30, deadline=None)
@given(some_tasks, st.data())
def test_a_task_that_changed_is_in_every_rollup_as_if_it_had_always_been_so(kept, data):
    changed = [
        replace(new, id=old.id, own_id=old.own_id, origin=old.origin, created_at=old.created_at, flag=old.flag)
        for old in data.draw(st.lists(st.sampled_from(kept), unique_by=lambda task: task.id, min_size=1))
        for new in [data.draw(any_task)]
    ]
    now = {task.id: task for task in (*kept, *changed)}
    assert rolled_up(kept, 7, changed) == rolled_up(list(now.values()), len(now))


@settings(max_examples=30, deadline=None)
@given(some_tasks)
def test_cells_and_days_are_what_plain_python_counts(kept):
    _, users, cells, facets, days, metadata = rolled_up(kept, 6)
    wanted: dict[tuple, list[Task]] = defaultdict(list)
    for task in kept:
        version = task.metadata.get("version_id")
        slice = (
            task.project_id,
            task.kind,
            task.model or "gpt-5",
            "gpt-5" if task.model else None,
            task.ending.value,
            version if version == "gold" else None,
        )
        for span, length in ((0, HOUR), (1, DAY), (2, MINUTE)):
            if span == 2 and task.created_at < MINUTES_SINCE:
                continue
            wanted[span, task.created_at // length * length, *slice, None, None].append(task)
        for name, value in task.metadata.items():
            if name != "version_id" and value != 0.5:
                shown = "true" if value is True else str(value)
                wanted[1, task.created_at // DAY * DAY, task.project_id, None, None, None, None, None, name, shown].append(task)
    assert {row[:10] for row in cells} == wanted.keys()
    for row in cells:
        group = wanted[row[:10]]
        assert row[10] == len(group)
        assert row[11] == sum(task.ending != "completed" for task in group)
        assert row[12:14] == tuple(sum(task.flag == flag for task in group) for flag in ("success", "failure"))
        assert row[15] == sum(task.usage.output_tokens for task in group if task.usage)
        assert row[18] == sum(round(task.cost * 10**12) for task in group if task.cost is not None)
        took = sorted(task.seconds_total for task in group if task.seconds_total is not None)
        spread = histogram.unpack(row[22])
        assert histogram.size(spread) == len(took)
        for share in (0.5, 0.95):
            if took:
                exact = took[max(1, math.ceil(share * len(took))) - 1]
                assert exact < 0.0011 or abs(histogram.quantile(spread, share) / exact - 1) < histogram.ERROR + 1e-9
    endings = Counter((task.created_at // DAY * DAY, task.project_id, "ending", task.ending.value) for task in kept)
    assert {row[:4]: row[4] for row in facets if row[2] == "ending"} == endings
    lasts = {}
    for task in sorted(kept, key=lambda task: task.created_at):
        if task.session_id is not None:
            lasts[task.project_id, task.session_id] = task
    ended = Counter((task.created_at // DAY * DAY, task.project_id, "ending", task.ending.value) for task in lasts.values())
    assert {row[:4]: row[5] for row in facets if row[2] == "ending" and row[5]} == ended
    for key, user in users.items():
        theirs = [task for task in kept if (task.project_id, task.user_id) == key]
        assert user.active_days == len({task.created_at // DAY for task in theirs})
        assert user.busiest_minute == max(Counter(task.created_at // 60_000_000 for task in theirs).values())
        assert user.signs.limited == sum(task.http_status == 429 for task in theirs)
        assert user.signs.success == sum(task.flag == "success" for task in theirs)
        last = [task for (project, _), task in lasts.items() if (project, last_user(kept, task)) == key]
        assert user.ended_badly == sum(badly(task) for task in last)
        assert sum(row[3] for row in days if row[:2] == key) == len(theirs)
    assert Counter(row[0] for row in metadata) == Counter(name for task in kept for name in task.metadata)


def in_session(n: int, **changes) -> Task:
    at = NOON + n * 1_000_000
    return replace(a_task(n), **({"session_id": "s", "user_id": "u", "created_at": at, "ended_at": at + 1000} | changes))


def test_what_a_failed_save_would_have_added_is_in_no_sum():
    async def act(store):
        await store.save([in_session(1)])
        with pytest.raises(StoreRejected):
            await store.save([in_session(2), in_session(3, raw_input={"no": {"JSON"}})])
        await store.save([in_session(4)])
        return await everything(store)

    assert in_a_store(act) == rolled_up([in_session(1), in_session(4)], 2)


def test_a_session_that_lost_a_task_grows_from_what_is_left():
    async def act(store):
        await store.save([in_session(1), in_session(2, user_id="other", model="x")])
        await store.forget(["id-2"])
        await store.save([in_session(3)])
        return await everything(store)

    assert in_a_store(act) == rolled_up([in_session(1), in_session(3)], 2)


def test_more_sessions_than_are_held_are_summed_up_all_the_same():
    async def act(store):
        for first in (0, 3, 6):
            names = [f"s{n}" for n in range(SESSIONS_MOST + 3)]
            await store.save([in_session(first + 9 * n, session_id=name, id=f"{first}-{name}") for n, name in enumerate(names)])
        return [await store.session(name, "default") for name in ("s0", "s1", names[-1])]

    assert [session.tasks for session in in_a_store(act)] == [3, 3, 3]


def last_user(kept: list[Task], last: Task) -> str | None:
    group = [task for task in kept if (task.project_id, task.session_id) == (last.project_id, last.session_id)]
    named = [task.user_id for task in sorted(group, key=lambda task: task.created_at) if task.user_id is not None]
    return named[-1] if named else None


def badly(task: Task) -> bool:
    refused = task.kind == "chat" and (task.output or "").startswith("I'm sorry")
    return task.ending != "completed" or task.flag == "failure" or refused
