"""What stands before the rest of a row: that it says what the row would, and is enough to add tasks up."""

import asyncio
import json
import math
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.store import Store, heads, open_store, rows, told
from proxy.store.counting import stretch
from proxy.store.insight import CUBE, WEEK, Group, Grouping, floor
from proxy.store.measures import COLUMNS, DAY, HOUR, Measures
from proxy.task import Filter, Flag, Task, Usage
from tests.store.insight_contract import some_tasks
from tests.store.tasks import NOON, a_task, moments, tasks

ADDED = (Filter(since=NOON + 123_456_789, until=NOON + 3 * DAY + HOUR // 2), Filter(flag=Flag.FAILURE))
"""What is added up from tasks: those of the hours in which a time begins and ends, and those that a filter finds."""

counts = st.none() | st.integers(0, 2**32 - 1)
seconds = st.none() | st.floats(0, 1e9, exclude_max=True)
measured = st.builds(
    lambda usage, cost, took, first, version: replace(
        a_task(1), usage=usage, cost=cost, seconds_total=took, seconds_to_first_token=first, metadata=version
    ),
    st.none() | st.builds(Usage, input_tokens=counts, output_tokens=counts, cached_input_tokens=counts),
    st.none() | st.floats(-1e5, 1e5, exclude_max=True),
    seconds,
    seconds,
    st.just({}) | st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(lambda name: {"version_id": name}),
)


def values(task: Task) -> dict:
    return rows.facts(task, prompt_apart=False)


@given(st.lists(measured, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_heads_add_up_to_what_tasks_count_one_by_one(those: list[Task]):
    lots: dict[int, list[Task]] = {}
    for task in those:
        head = heads.write(values(task))
        assert head is not None
        assert heads.read(b"x" + head, 1)[1] == 1 + len(head)
        assert heads.version(b"x" + head, 1) == task.metadata.get("version_id")
        lots.setdefault(head[0], []).append(task)
    for lot in lots.values():
        one_by_one = Measures()
        for task in lot:
            one_by_one.count(task)
        sums = heads.add_up([b"x" + (heads.write(values(task)) or b"") for task in lot], 1)
        for name in COLUMNS:
            found, wanted = getattr(sums, name), getattr(one_by_one, name)
            assert found == pytest.approx(wanted, rel=1e-12) if name.endswith("_square") else found == wanted, name


@given(tasks)
@settings(max_examples=60, deadline=None)
def test_sql_and_python_read_the_same_of_a_row(task: Task):
    kept = told.pack(values(task))
    assert told.unpack(kept) == json.loads(str(told.text(kept))) == json.loads(told.written(values(task)))


@pytest.mark.parametrize(
    "odd",
    [
        {"cost": 0},
        {"cost": 1e5},
        {"cost": math.inf},
        {"seconds_total": -1.0},
        {"seconds_total": 3},
        {"seconds_to_first_token": 1e9},
        {"usage": {"input_tokens": 2**32}},
        {"usage": {"output_tokens": -1}},
        {"usage": {"cached_input_tokens": True}},
        {"metadata": {"version_id": "\N{GRINNING FACE}" * 64}},
    ],
    ids=str,
)
def test_a_figure_that_a_head_has_no_room_for_stays_in_the_row_as_it_was(odd):
    facts = {"output": "said at length " * 9, **odd}
    kept = told.pack(facts)
    assert heads.write(facts) is None
    assert isinstance(kept, bytes)
    assert repr(told.unpack(kept)) == repr(json.loads(told.written(facts)))


def test_a_row_that_a_later_version_wrote_is_not_misread():
    with pytest.raises(ValueError, match="later version"):
        told.unpack(b"\x03" + bytes(40))


@given(moments)
def test_stretches_of_time_begin_where_they_do_in_python(moment):
    db = sqlite3.connect(":memory:")
    for step in (HOUR, DAY, WEEK):
        assert db.execute(f"SELECT {stretch('m.at', step)} FROM (SELECT {moment} AS at) AS m").fetchone() == (
            floor(moment, step),
        )
    db.close()


async def groups(store: Store) -> list[list[Group]]:
    return [await store.insights.groups(filter, Grouping(by, step)) for filter in ADDED for by, step in GROUPINGS]


def kept(change) -> tuple[list, list, Task | None]:
    """Groups of some tasks before and after their rows are changed, and one of the tasks after it."""

    async def act(folder: Path, store: Store):
        await store.save(some_tasks(5))
        before = await groups(store)
        with closing(sqlite3.connect(folder / "tasktap.db")) as db, db:
            for key, facts in db.execute("SELECT key, facts FROM task").fetchall():
                assert facts[:1] in (told.HEADED, b"\x01")
                db.execute("UPDATE task SET facts = ? WHERE key = ?", (change(facts), key))
        return before, await groups(store), await store.get("id-7") if change is earlier else None

    async def in_a_store():
        with tempfile.TemporaryDirectory() as folder:
            store = await open_store("sqlite:", Path(folder), write=True)
            try:
                return await act(Path(folder), store)
            finally:
                await store.close()

    return asyncio.run(in_a_store())


GROUPINGS = ((CUBE, None), ((), HOUR), (("user_id",), WEEK))


def earlier(facts: bytes) -> bytes:
    """The same row as it was kept before rows had heads."""
    return b"\x01" + told._compressed(told.written(told.unpack(facts))) if facts[:1] == told.HEADED else facts


def behead(facts: bytes) -> bytes:
    """A row of which only the head is left, where it has one."""
    return facts[: heads.read(facts, told.HEAD_AT)[1]] if facts[:1] == told.HEADED else facts


def test_rows_of_before_there_were_heads_are_read_and_added_up_the_same():
    before, after, task = kept(earlier)
    assert [[(g.at, g.values, counted(g.measures)) for g in groups] for groups in before] == [
        [(g.at, g.values, counted(g.measures)) for g in groups] for groups in after
    ]
    assert task is not None
    assert (task.cost, task.seconds_total) == (some_tasks(5)[7].cost, some_tasks(5)[7].seconds_total)


def test_adding_up_reads_nothing_of_a_row_but_its_head():
    before, after, _ = kept(behead)
    assert [[(g.at, g.values, g.measures) for g in groups] for groups in before] == [
        [(g.at, g.values, g.measures) for g in groups] for groups in after
    ]


def counted(sums: Measures) -> tuple:
    return tuple(getattr(sums, name) for name in COLUMNS if not name.endswith("_square"))
