"""Records kept as differences: small, exact, read in a bounded number of steps, and none lost when another goes."""

import json
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.space import space
from proxy.store import StoreRejected, StoreUnavailable, difference, open_store, told
from proxy.store.difference import MOST_HEADS, MOST_IN_RUN, Damaged, Packer, Place, place_of, unpacked
from proxy.store.record import read, write
from proxy.store.shelf import CHAIN, Shelf
from proxy.store.sqlite_file import open_writer
from proxy.task import Summary, Task, Which
from tests.store.tasks import a_task


def talk(count: int, session: str | None = "s", seed: int = 1, first: int = 0, **changes: object) -> list[Task]:
    """The turns of a chat that sends its history along; every word in it is new."""
    rng = random.Random(seed)
    messages = []
    found = []
    for n in range(first, first + count):
        messages.append({"role": "user", "content": rng.randbytes(150).hex()})
        body = json.dumps({"model": "m", "messages": messages}).encode()
        answer = {"id": f"chatcmpl-{n}", "choices": [{"message": {"role": "assistant", "content": rng.randbytes(300).hex()}}]}
        messages.append(answer["choices"][0]["message"])
        response = json.dumps(answer).encode()
        sent = {"raw_input": json.loads(body), "request_body": body, "raw_output": answer, "response_body": response}
        found.append(a_task(n, session_id=session, **{**sent, **changes}))
    return found


def kept(db: sqlite3.Connection) -> dict[int, tuple[bytes, int | None]]:
    return {key: (data, base) for key, data, base in db.execute("SELECT key, data, base FROM record ORDER BY key")}


def chain(db: sqlite3.Connection, key: int) -> list[difference.Link]:
    return db.execute(CHAIN, (key,)).fetchall()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_writer(tmp_path / "x.db")) as db:
        yield db


def put(db: sqlite3.Connection, shelf: Shelf, tasks: list[Task], first: int = 0) -> list[int]:
    """Put the records of `tasks` without their rows; the key is the place in the list."""
    keys = list(range(first, first + len(tasks)))
    shelf.put(db, list(zip(keys, tasks, strict=True)), continued=())
    return keys


def same(db: sqlite3.Connection, key: int, task: Task) -> bool:
    record = read(unpacked(chain(db, key)))
    names = ("raw_input", "raw_output", "request_body", "response_body", "pieces", "request_headers")
    return all(getattr(record, name) == getattr(task, name) for name in names)


# Small


@pytest.mark.parametrize("stream", [False, True])
async def test_fifty_turns_take_at_most_half_again_their_distinct_text(stream):
    found = await space(50, stream=stream, most=100)
    assert found.kept < found.once
    assert found.kept + found.texts < 1.5 * found.once
    assert found.alone > 5 * found.kept  # what it would be without


async def test_turns_that_come_one_by_one_and_after_a_restart_are_still_differences(tmp_path):
    turns = talk(8)
    for some in (turns[:1], turns[1:3], turns[3:]):
        store = await open_store("sqlite:", tmp_path, write=True)
        for task in some:
            await store.save([task])
        await store.close()
    with closing(sqlite3.connect(tmp_path / "tasktap.db")) as db:
        assert [base is None for _, base in kept(db).values()] == [True] + [False] * 7
    store = await open_store("sqlite:", tmp_path, write=False)
    for task in turns:
        assert await store.get(task.id) == replace(task, own_id=None)
    await store.close()


async def test_side_questions_do_not_break_the_thread(db):
    turns, titles = talk(6), talk(6, seed=2)
    shelf = Shelf()
    for n, (turn, title) in enumerate(zip(turns, titles[:1] * 6, strict=True)):
        put(db, shelf, [turn, title], first=2 * n)
    sizes = [len(data) for data, _ in kept(db).values()]
    assert max(sizes[2::2]) < sizes[0] * 1.5  # each turn takes what is new in it
    assert max(sizes[3::2]) < 150  # the same side question again takes nothing


def test_a_trimmed_history_is_found_in_the_one_before(db):
    first, *_, last = talk(10)
    asked = json.loads(last.request_body)
    asked["messages"] = asked["messages"][4:]  # the oldest turns are left out
    shorter = replace(last, id="t", request_body=json.dumps(asked).encode(), raw_input=asked, response_body=b"", raw_output=None)
    put(db, Shelf(), [last, shorter])
    assert len(kept(db)[1][0]) < 200
    assert same(db, 1, shorter)
    assert first.id != last.id


def test_calls_of_one_key_without_a_session_are_kept_against_one_another(db):
    put(db, Shelf(), talk(3, session=None, caller_key="k"))
    assert [base for _, base in kept(db).values()] == [None, 0, 1]
    put(db, Shelf(), talk(3, session=None), first=3)
    assert [base for _, base in kept(db).values()][3:] == [None] * 3


# Bounded


def test_a_record_is_read_in_a_bounded_number_of_steps(db):
    shelf = Shelf()
    tasks = talk(1, request_body=b"x" * 500, raw_input=None) * (MOST_IN_RUN * (MOST_HEADS + 2) + 5)
    keys = put(db, shelf, tasks)
    steps = {key: len(chain(db, key)) for key in keys}
    assert max(steps.values()) == MOST_IN_RUN + MOST_HEADS
    assert sum(base is None for _, base in kept(db).values()) == 2
    for key in (keys[-1], keys[MOST_IN_RUN], keys[MOST_IN_RUN * 3 + 7]):
        assert same(db, key, tasks[key])


def test_runs_follow_one_another_without_reading_their_heads_again(db):
    told: list[str] = []
    db.set_trace_callback(told.append)
    put(db, Shelf(), talk(1, request_body=b"x" * 500, raw_input=None) * (3 * MOST_IN_RUN))
    db.set_trace_callback(None)
    assert len(kept(db)) == 3 * MOST_IN_RUN
    assert [one for one in told if one.startswith(("WITH", "SELECT"))] == []


def test_a_head_that_is_too_long_to_be_held_is_read_again_though_it_is_of_the_same_save(db):
    tasks = talk(1, request_body=b"x" * 50_000, raw_input=None) * (MOST_IN_RUN + 3)
    keys = put(db, Shelf(), tasks)
    assert [base for _, base in kept(db).values()] == [None, *keys[: MOST_IN_RUN - 1], 0, *keys[MOST_IN_RUN:-1]]
    assert same(db, keys[-1], tasks[-1])


def test_what_is_put_and_then_undone_is_not_put_by_the_next_save(db):
    shelf = Shelf()
    with pytest.raises(TypeError):
        put(db, shelf, [*talk(2), *talk(1, carried={"not": object()})])
    shelf.forget()
    put(db, shelf, talk(1), first=5)
    assert list(kept(db)) == [5]


def test_nothing_is_kept_against_the_head_of_a_run_that_has_gone(db):
    shelf, tasks = Shelf(), talk(1, request_body=b"x" * 500, raw_input=None) * (2 * MOST_IN_RUN)
    put(db, shelf, tasks[:MOST_IN_RUN])
    shelf.drop(db, [0])
    put(db, shelf, tasks[MOST_IN_RUN:], first=MOST_IN_RUN)
    left = kept(db)
    assert all(base is None or base in left for _, base in left.values())
    assert all(same(db, key, tasks[key]) for key in left)


def test_no_record_has_more_to_unpack_than_is_said():
    assert Place(work=difference.MOST_WORK // 1024).after(1) is None
    assert Place(work=difference.MOST_WORK // 1024).below(1) is None
    assert Place(5, 2, 10).after(2000) == Place(6, 2, 12)
    assert Place(5, 2, 10).below(2000) == Place(0, 3, 12)


@pytest.mark.parametrize("size", [3 * 2**20, 9 * 2**20])
def test_a_history_of_megabytes_is_looked_through_whole(db, size):
    rng = random.Random(1)
    long = rng.randbytes(size)
    tasks = [a_task(1, request_body=long), a_task(1, request_body=long + b"more")]
    put(db, Shelf(), tasks)
    sizes = [len(data) for data, _ in kept(db).values()]
    assert sizes[0] > size
    assert sizes[1] < 8000 if size < 8 * 2**20 else sizes[1] > size  # the longest are not remembered
    assert all(same(db, key, task) for key, task in enumerate(tasks))


# Exact


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=50))
def test_any_record_comes_back_from_its_difference_from_any_other(one, other, more):
    packer = Packer()
    for record, base in ((one, other), (one + more, one), (one, one), (more + one, one)):
        first = packer.alone(base)
        data = packer.against(record, base, Place(1, 0, 1))
        assert unpacked([(packer.alone(record), None)]) == record
        assert data is None if len(base) < 8 else unpacked([(data, None), (first, None)]) == record


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200), st.binary(max_size=300))
def test_any_record_comes_back_whatever_its_row_says(asked, answered, base):
    packer, record = Packer(), f"it was asked {asked} and answered {answered}".encode() * 3
    facts, said = told.pack({"input": asked, "output": answered}), told.said(asked, answered)
    alone, first = packer.alone(record, said), packer.alone(base)
    data = packer.against(record, base, Place(1, 0, 1), said)
    assert unpacked([(alone, facts)]) == record
    assert data is None or unpacked([(data, facts), (first, None)]) == record
    with suppress(Damaged):  # with another row it is what it was, or is not given out
        assert unpacked([(alone, told.pack({"input": asked, "output": answered + "!"}))]) == record


async def test_what_was_said_is_kept_once(tmp_path):
    """A record takes next to no room where its row says it all; and it stays when the row changes, and rows around it."""
    store = await open_store("sqlite:", tmp_path, write=True)
    turns = [
        replace(task, input=task.raw_input["messages"][-1]["content"], output=task.raw_output["choices"][0]["message"]["content"])
        for task in talk(16)
    ]
    await store.save(turns[:8])
    await store.save(turns[8:])
    [(size,)] = await store._readers.rows("SELECT max(length(data)) FROM record WHERE base IS NOT NULL")
    assert size < 250  # of 900 random digits, of which the half is random
    for place, change in {
        3: {"input": None},
        4: {"output": "another answer " * 9},
        0: {"input": "x" * 99},
        15: {"output": "y"},
    }.items():
        turns[place] = replace(turns[place], **change)
        await store.rewrite([_summary(turns[place])])
    turns[6] = replace(turns[6], input="not taken", request_body=b"{}", raw_input={})
    await store.rewrite([turns[6]], only={"output"})
    turns[6] = replace(turns[6], input=(await store.get(turns[6].id)).input)
    await store.forget([turns[5].id, turns[9].id])
    for task in turns:
        kept = await store.get(task.id)
        assert kept == (None if task in (turns[5], turns[9]) else replace(task, own_id=None))
    await store.close()


def _summary(task: Task) -> Summary:
    return Summary(**{field.name: getattr(task, field.name) for field in fields(Summary)})


@pytest.mark.parametrize("at", [10, 45, -1])
async def test_a_record_whose_bytes_changed_is_not_given_out(tmp_path, at):
    store = await open_store("sqlite:", tmp_path, write=True)
    turns = talk(3)
    await store.save(turns)
    with closing(sqlite3.connect(tmp_path / "tasktap.db")) as db:
        [(key, data)] = db.execute("SELECT task.key, data FROM task JOIN record USING (key) WHERE id = ?", (turns[2].id,))
        torn = bytearray(data)
        torn[at] ^= 1
        db.execute("UPDATE record SET data = ? WHERE key = ?", (bytes(torn), key))
        db.commit()
    for ask in (store.get(turns[2].id), store.body(turns[2].id, Which.REQUEST)):
        with pytest.raises(StoreUnavailable, match="damaged"):
            await ask
    assert await store.get(turns[1].id) == replace(turns[1], own_id=None)
    await store.close()
    store = await open_store("sqlite:", tmp_path, write=True)
    more = talk(4)[3:]  # it goes on all the same
    assert await store.save(more) == 1
    assert await store.get(more[0].id) == replace(more[0], own_id=None)
    await store.close()


def test_what_the_first_schema_kept_is_still_read():
    record = write(talk(1)[0])
    assert unpacked([(b"\0" + record, None)]) == record
    assert unpacked([(b"\1" + difference.zstd.compress(record), None)]) == record
    data = Packer().against(record + b"x", record, place_of(b"\0" + record))
    assert data is not None
    assert unpacked([(data, None), (b"\1" + difference.zstd.compress(record), None)]) == record + b"x"


async def test_a_batch_that_is_refused_leaves_nothing_to_differ_from(tmp_path):
    store = await open_store("sqlite:", tmp_path, write=True)
    turns = talk(3)
    with pytest.raises(StoreRejected):
        await store.save([turns[0], replace(turns[1], kind=None)])
    await store.save(turns[1:])
    for task in turns[1:]:
        assert await store.get(task.id) == replace(task, own_id=None)
    await store.close()


# Independent


def test_what_others_differ_from_cannot_be_dropped_or_changed_past_the_shelf(db):
    put(db, Shelf(), talk(3))
    for statement in ("DELETE FROM record WHERE key = 1", "UPDATE record SET data = x'00' WHERE key = 1"):
        with pytest.raises(sqlite3.IntegrityError, match="differences"):
            db.execute(statement)
    db.execute("DELETE FROM record WHERE key = 2")


def test_a_record_is_changed_and_those_that_differ_from_it_stay(db):
    shelf, tasks = Shelf(), talk(4)
    put(db, shelf, tasks)
    other = talk(1, seed=9)[0]
    shelf.change(db, 1, other, other)
    assert same(db, 1, other)
    assert all(same(db, key, tasks[key]) for key in (0, 2, 3))
    assert kept(db)[2][1] == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 19), unique=True, max_size=20), st.integers(1, 6), st.randoms())
def test_whatever_is_dropped_the_others_stay(gone, at_once, rng):
    with tempfile.TemporaryDirectory() as folder, closing(open_writer(Path(folder) / "x.db")) as db:
        shelf, tasks = Shelf(), [*talk(10), *talk(10, seed=2)]
        rng.shuffle(tasks)
        put(db, shelf, tasks)
        for start in range(0, len(gone), at_once):
            shelf.drop(db, gone[start : start + at_once])
        left = kept(db)
        assert set(left) == set(range(20)) - set(gone)
        assert all(base is None or base in left for _, base in left.values())
        assert all(same(db, key, tasks[key]) for key in left)
