import asyncio
import json
import os
import random
import sqlite3
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from proxy.store import (
    StoreMissing,
    StoreRejected,
    StoreUnavailable,
    open_store,
    pieces,
    questions,
    record,
    sqlite_file,
    sqlite_reader,
)
from proxy.store.difference import Packer
from proxy.store.sqlite_file import APPLICATION_ID, VERSIONS, migrations, open_writer
from proxy.store.sqlite_reader import Reader
from proxy.task import Ending, Filter, Flag, Session, Signs, Task, Trace, Usage, User
from tests.store.contract import StoreContract, ids_of
from tests.store.tasks import NOON, a_task, tasks


@pytest.fixture
async def store(tmp_path: Path):
    store = await open_store("sqlite:", tmp_path, write=True)
    yield store
    await store.close()


class TestSqlite(StoreContract):
    pass


def in_a_new_store(act):
    """What `act(store)` gives, in a store of its own: hypothesis runs a test many times with one `tmp_path`."""

    async def run():
        with tempfile.TemporaryDirectory() as folder:
            store = await open_store("sqlite:", Path(folder), write=True)
            try:
                return await act(store)
            finally:
                await store.close()

    return asyncio.run(run())


def pragma(db: sqlite3.Connection, name: str):
    return db.execute(f"PRAGMA {name}").fetchone()[0]


# The file


def test_the_writer_is_durable(tmp_path):
    db = open_writer(tmp_path / "x.db")
    assert pragma(db, "journal_mode") == "wal"
    assert pragma(db, "synchronous") == 2
    assert pragma(db, "auto_vacuum") == 2
    assert pragma(db, "secure_delete") == 1
    assert pragma(db, "wal_autocheckpoint") > 0
    assert pragma(db, "application_id") == APPLICATION_ID
    assert pragma(db, "page_size") == 8192
    db.close()


async def test_a_reader_neither_writes_nor_checkpoints(store, tmp_path):
    reader = await Reader.open(tmp_path / "tasktap.db")
    assert await reader.rows("PRAGMA query_only", ()) == [(1,)]
    assert await reader.rows("PRAGMA wal_autocheckpoint", ()) == [(0,)]
    with pytest.raises(StoreUnavailable):
        await reader.rows("INSERT INTO epoch VALUES ('e', 1)", ())
    await reader.rows("PRAGMA query_only = 0", ())
    with pytest.raises(StoreUnavailable, match="readonly"):
        await reader.rows("INSERT INTO epoch VALUES ('e', 1)", ())
    await reader.close()


async def test_a_store_for_reading_reads_what_another_writes_and_saves_nothing(store, tmp_path):
    other = await open_store("sqlite:", tmp_path, write=False)
    await store.save([a_task(1)])
    assert (await other.get("id-1")).input == "question 1"
    with pytest.raises(StoreUnavailable):
        await other.save([a_task(2)])
    await other.close()


async def test_what_a_dead_writer_left_in_its_log_is_read(tmp_path):
    store = await open_store("sqlite:", tmp_path / "one", write=True)
    await store.save([a_task(1)])
    (tmp_path / "two").mkdir()
    for path in (tmp_path / "one").iterdir():  # what `kill -9` leaves: the file and its -wal, never checkpointed
        (tmp_path / "two" / path.name).write_bytes(path.read_bytes())
    await store.close()
    assert (tmp_path / "two" / "tasktap.db-wal").stat().st_size > 0
    (tmp_path / "two" / "tasktap.db-shm").unlink()
    for write in (False, True):
        again = await open_store("sqlite:", tmp_path / "two", write=write)
        assert (await again.get("id-1")).input == "question 1"
        await again.close()


async def test_only_the_owner_can_read_the_files(tmp_path):
    before = os.umask(0)
    try:
        store = await open_store("sqlite:", tmp_path / "data", write=True)
        await store.save([a_task(1)])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
        await store.close()
    finally:
        os.umask(before)
    assert modes == {"tasktap.db": 0o600, "tasktap.db-wal": 0o600, "tasktap.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    await (await open_store("sqlite:", tmp_path, write=True)).close()
    (tmp_path / "tasktap.db").chmod(0o644)
    await (await open_store("sqlite:", tmp_path, write=True)).close()
    assert stat.S_IMODE((tmp_path / "tasktap.db").stat().st_mode) == 0o600


async def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "theirs").write_bytes(b"")
    (tmp_path / "tasktap.db").symlink_to(tmp_path / "theirs")
    with pytest.raises(StoreUnavailable, match="link"):
        await open_store("sqlite:", tmp_path, write=True)
    assert (tmp_path / "theirs").read_bytes() == b""


async def test_a_url_can_name_a_file(tmp_path):
    for url in ("sqlite:sub/x.db", f"sqlite:{tmp_path / 'abs' / 'a b?#%.db'}"):
        await (await open_store(url, tmp_path, write=True)).close()
    assert (tmp_path / "sub" / "x.db").exists()
    assert (tmp_path / "abs" / "a b?#%.db").exists()


@pytest.mark.parametrize(("url", "says"), [("sqllite:", 'Did you mean "sqlite"'), ("postgres://x", "Use"), ("", "Use")])
async def test_an_unknown_scheme_is_named(tmp_path, url, says):
    with pytest.raises(ValueError, match=says):
        await open_store(url, tmp_path, write=True)


async def test_there_is_nothing_to_read_before_the_first_start(tmp_path):
    with pytest.raises(StoreMissing, match="tasktap serve"):
        await open_store("sqlite:", tmp_path, write=False)
    assert list(tmp_path.iterdir()) == []


# The schema


def test_migrations_are_numbered_each_by_itself():
    numbers = [number for number, _ in migrations()]
    assert numbers == sorted(set(numbers))
    assert all(path.name.startswith(f"{number:04}_") for number, path in migrations())


async def test_a_schema_from_the_future_is_refused(tmp_path):
    await (await open_store("sqlite:", tmp_path, write=True)).close()
    db = sqlite3.connect(tmp_path / "tasktap.db")
    db.execute("INSERT INTO schema_version VALUES (999, 'x', 0)")
    db.commit()
    db.close()
    for write in (True, False):
        with pytest.raises(StoreUnavailable, match="schema is 999"):
            await open_store("sqlite:", tmp_path, write=write)


async def test_a_schema_from_the_past_is_brought_up_to_date_by_the_writer_alone(tmp_path, monkeypatch):
    await (await open_store("sqlite:", tmp_path, write=True)).close()
    step = tmp_path / "9999_more.sql"
    step.write_text("CREATE TABLE more (a)")
    steps = [*migrations(), (9999, step)]
    monkeypatch.setattr(sqlite_file, "migrations", lambda: steps)
    with pytest.raises(StoreUnavailable, match="tasktap serve"):
        await open_store("sqlite:", tmp_path, write=False)
    store = await open_store("sqlite:", tmp_path, write=True)
    await store.close()
    await (await open_store("sqlite:", tmp_path, write=False)).close()


async def test_a_migration_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    step = tmp_path / "0001_bad.sql"
    step.write_text("CREATE TABLE good (a); CREATE TABLE good (a)")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "migrations", lambda: [(1, step)])
        with pytest.raises(StoreUnavailable):
            await open_store("sqlite:", tmp_path, write=True)
    store = await open_store("sqlite:", tmp_path, write=True)
    assert await store.save([a_task(1)]) == 1
    await store.close()


async def test_a_file_that_is_being_made_is_not_there_yet(tmp_path):
    """`tail` may look at any moment of a first start."""
    db = sqlite3.connect(tmp_path / "tasktap.db")
    for step in (f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA journal_mode = WAL", VERSIONS):
        db.execute(step)
        with pytest.raises(StoreMissing, match="no database yet"):
            await open_store("sqlite:", tmp_path, write=False)
    db.close()
    for write in (True, False):
        store = await open_store("sqlite:", tmp_path, write=write)
        assert await ids_of(store, Filter()) == []
        await store.close()


async def test_a_new_file_has_its_whole_schema_or_none(tmp_path, monkeypatch):
    step = tmp_path / "9999_bad.sql"
    step.write_text("CREATE TABLE good (a); CREATE TABLE good (a)")
    steps = migrations()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "migrations", lambda: [*steps, (9999, step)])
        with pytest.raises(StoreUnavailable):
            await open_store("sqlite:", tmp_path, write=True)
    with pytest.raises(StoreMissing):
        await open_store("sqlite:", tmp_path, write=False)
    store = await open_store("sqlite:", tmp_path, write=True)
    assert await store.save([a_task(1)]) == 1
    await store.close()


async def test_a_database_of_something_else_is_left_alone(tmp_path):
    db = sqlite3.connect(tmp_path / "tasktap.db")
    db.execute("CREATE TABLE theirs (a)")
    db.close()
    for write in (True, False):
        with pytest.raises(StoreUnavailable, match="something else"):
            await open_store("sqlite:", tmp_path, write=write)
    db = sqlite3.connect(tmp_path / "tasktap.db")
    assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    db.close()


# Failures


async def test_a_locked_database_is_unavailable_and_then_recovers(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.01)
    store = await open_store("sqlite:", tmp_path, write=True)
    other = sqlite3.connect(tmp_path / "tasktap.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="another process has locked it"):
            await store.save([a_task(1)])
    assert await ids_of(store, Filter()) == []
    other.execute("ROLLBACK")
    other.close()
    assert await store.save([a_task(1)]) == 1
    assert await ids_of(store, Filter()) == ["id-1"]
    await store.close()


async def test_a_deleted_file_is_noticed_and_made_anew(store, tmp_path):
    await store.save([a_task(1)])
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        await store.save([a_task(2)])
    assert await store.save([a_task(2)]) == 1
    assert await ids_of(store, Filter()) == ["id-2"]


async def test_a_deleted_file_whose_log_was_left_is_made_anew_without_it(store, tmp_path):
    await store.save([a_task(1)])
    (tmp_path / "tasktap.db").unlink()
    with pytest.raises(StoreUnavailable):
        await store.save([a_task(2)])
    assert await store.save([a_task(2)]) == 1
    assert await ids_of(store, Filter()) == ["id-2"]


async def test_a_damaged_file_is_unavailable_and_says_what_to_do(tmp_path):
    store = await open_store("sqlite:", tmp_path, write=True)
    await store.save([a_task(n) for n in range(50)])
    await store.close()
    path = tmp_path / "tasktap.db"
    path.write_bytes(path.read_bytes()[:8192] + b"\xff" * (path.stat().st_size - 8192))
    with pytest.raises(StoreUnavailable, match="damaged"):
        store = await open_store("sqlite:", tmp_path, write=True)
        await store.save([a_task(99)])
    other = tmp_path / "other.db"
    other.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreUnavailable, match="no SQLite database"):
        await open_store("sqlite:other.db", tmp_path, write=True)
    assert other.read_bytes() == b"no database at all" * 1000


async def test_a_file_of_ours_that_is_no_database_any_more_is_kept_and_makes_room_for_a_new_one(tmp_path):
    path = tmp_path / "tasktap.db"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreUnavailable, match="a new one is begun"):
        await open_store("sqlite:", tmp_path, write=True)
    store = await open_store("sqlite:", tmp_path, write=True)
    assert await store.save([a_task(1)]) == 1
    await store.close()
    [kept] = tmp_path.glob("tasktap.db.damaged-*")
    assert kept.read_bytes() == b"no database at all" * 1000


async def test_a_file_that_is_written_over_makes_room_for_a_new_one_and_no_commit_to_it_is_believed(store, tmp_path):
    path = tmp_path / "tasktap.db"
    await store.save([a_task(1)])
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)
    with pytest.raises(StoreUnavailable, match="written over"):
        await store.save([a_task(2)])
    assert await store.save([a_task(2)]) == 1
    assert await ids_of(store, Filter()) == ["id-2"]
    [kept] = tmp_path.glob("tasktap.db.damaged-*")
    assert kept.read_bytes()[:4] == b"\xff" * 4


async def test_a_full_disk_is_unavailable_and_then_recovers(store, tmp_path):
    await store.save([a_task(1)])

    def limit(pages: int) -> None:
        store._writer._db.execute(f"PRAGMA max_page_count = {pages}")

    loop = asyncio.get_running_loop()
    await loop.run_in_executor(store._writer._thread, limit, 1)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await store.save([a_task(n, input=random.Random(n).randbytes(5000).hex()) for n in range(2, 50)])
    assert await store.save([a_task(n) for n in range(50)]) == 49
    assert len(await ids_of(store, Filter())) == 50


async def test_a_question_that_takes_too_long_is_broken_off_and_others_are_answered(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_reader, "QUESTION_SECONDS", 0.05)
        with pytest.raises(StoreUnavailable, match="took longer"):
            await store._readers.rows("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
    assert await ids_of(store, Filter()) == []


async def test_saves_and_questions_at_once_do_not_disturb_one_another(store):
    async def ask():
        for _ in range(10):
            page = await store.find(Filter(words=("question",)), limit=500)
            assert len(page.items) % 10 == 0  # all of a batch or none

    batches = [[a_task(n) for n in range(start, start + 10)] for start in range(0, 100, 10)]
    saved, *_ = await asyncio.gather(asyncio.gather(*map(store.save, batches)), *(ask() for _ in range(8)))
    assert sum(saved) == 100


async def test_a_closed_store_says_so(tmp_path):
    store = await open_store("sqlite:", tmp_path, write=True)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.save([a_task(1)])
    with pytest.raises(StoreUnavailable):
        await store.get("id-1")
    await store.close()


# What is kept, and how


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(tasks)
def test_any_task_comes_back_field_by_field(task: Task):
    async def act(store):
        assert await store.save([task]) == 1
        return await store.get(task.id), await store.find(Filter(), limit=1)

    kept, page = in_a_new_store(act)
    for name in Task.__dataclass_fields__:
        if name not in ("own_id", "feedback"):
            assert getattr(kept, name) == getattr(task, name), name
    assert kept.feedback == tuple(sorted(task.feedback, key=lambda said: said.created_at))
    assert all(getattr(page.items[0], name) == getattr(task, name) for name in page.items[0].__dataclass_fields__)


def packed(task: Task) -> bytes:
    return Packer().alone(record.write(task))


def test_json_that_a_body_says_is_not_kept_again():
    said = {os.urandom(4).hex(): [os.urandom(4).hex(), n] for n in range(300)}
    body = json.dumps(said, indent=3).encode()
    alone = len(packed(a_task(1, request_body=body)))
    assert len(packed(a_task(1, request_body=body, raw_input=said))) < alone + 40
    assert len(packed(a_task(1, request_body=body, raw_input=[said]))) > alone + 400


def test_a_body_that_does_not_shrink_is_kept_as_it_is():
    noise = os.urandom(5000)
    assert packed(a_task(1, response_body=noise, response_coding="gzip"))[:1] == b"\2"
    assert len(packed(a_task(1, response_body=noise + noise[:2500]))) < 5300


@pytest.mark.parametrize("sizes", [(), (1,), (2**32,), (2**32, 5), (2**32 - 1, 5), (2**32 - 1, 2**62), (0, 0, 0)], ids=str)
@pytest.mark.parametrize("step", [0.000001, 0.25, -0.5, 4294.967296, 1e6])
def test_pieces_come_back_to_the_microsecond(sizes, step):
    came = tuple((round(n * step, 6), size) for n, size in enumerate(sizes))
    assert pieces.decode(pieces.encode(came)) == came


def test_a_streams_pieces_take_few_bytes():
    rng = random.Random(1)
    came = tuple((0.4 + n * 0.02 + rng.random() / 100, rng.randrange(180, 220)) for n in range(200))
    assert len(packed(a_task(1, pieces=came))) - len(packed(a_task(1))) < 200 * 4


async def test_a_prompt_is_kept_once_however_many_tasks_have_it(store):
    await store.save([a_task(n, system_prompt="be kind " * 500, metadata={"system_prompt": "be kind " * 500}) for n in range(20)])
    await store.save([a_task(n, system_prompt="be kind " * 500) for n in range(20, 30)])
    assert await store._readers.rows("SELECT uses FROM prompt") == [(30,)]
    assert await store._readers.rows("SELECT max(length(facts)) < 1000 FROM task") == [(1,)]


# Rollups


def expected(kept: list[Task]) -> tuple[dict, dict]:
    """The rollups, computed from all tasks at once and by other means."""
    sessions, users = {}, {}

    def tokens(group, name):
        return sum(getattr(task.usage, name) or 0 for task in group if task.usage)

    def cost(group):
        known = [task.cost for task in group if task.cost is not None]
        return round(sum(round(c * 10**12) for c in known)) / 10**12 if known else None

    for key in {(task.project_id, task.session_id) for task in kept if task.session_id is not None}:
        group = sorted((task for task in kept if (task.project_id, task.session_id) == key), key=lambda task: task.created_at)
        asked = [task.input for task in group if task.input is not None]
        named = [task.user_id for task in group if task.user_id is not None]
        models = [task.model or task.model_requested for task in group if task.model or task.model_requested]
        sessions[key] = Session(
            id=key[1],
            project_id=key[0],
            user_id=named[-1] if named else None,
            started_at=group[0].created_at,
            ended_at=max(task.ended_at for task in group),
            tasks=len(group),
            errors=sum(task.ending != "completed" for task in group),
            input_tokens=tokens(group, "input_tokens"),
            output_tokens=tokens(group, "output_tokens"),
            cost=cost(group),
            first_input=asked[0] if asked else None,
            last_input=group[-1].input,
            last_output=group[-1].output,
            last_ending=group[-1].ending,
            model=models[-1] if models else None,
            final=any(task.session_final for task in group),
        )
    for key in {(task.project_id, task.user_id) for task in kept if task.user_id is not None}:
        group = [task for task in kept if (task.project_id, task.user_id) == key]
        users[key] = User(
            id=key[1],
            project_id=key[0],
            first_seen=min(task.created_at for task in group),
            last_seen=max(task.ended_at for task in group),
            tasks=len(group),
            sessions=len({task.session_id for task in group} - {None}),
            errors=sum(task.ending != "completed" for task in group),
            input_tokens=tokens(group, "input_tokens"),
            output_tokens=tokens(group, "output_tokens"),
            cost=cost(group),
        )
    return sessions, users


AS_BEFORE_INSIGHTS: dict[str, Any] = {
    "turns": 0,
    "silence_seconds": 0.0,
    "longest_silence_seconds": 0.0,
    "models": (),
    "last_flag": None,
    "ended_badly": False,
    "signs": Signs(),
}
WITHOUT_MARKS: dict[str, Any] = {
    "active_days": 0,
    "session_seconds": None,
    "ended_badly": 0,
    "busiest_minute": 0,
    "signs": Signs(),
}
"""What `test_rollups.py` looks at."""

few = st.none() | st.sampled_from(["a", "b"])
small = st.builds(
    lambda n, **changes: replace(a_task(n), **changes),
    st.integers(0, 10**6),
    project_id=st.sampled_from(["p", "q"]),
    session_id=few,
    user_id=few,
    input=few,
    output=few,
    model=few,
    model_requested=few,
    ending=st.sampled_from([Ending.COMPLETED, Ending.CALLER_LEFT]),
    session_final=st.booleans(),
    cost=st.none() | st.floats(0, 1),
    usage=st.none() | st.builds(Usage, input_tokens=st.none() | st.integers(0, 99), output_tokens=st.integers(0, 99)),
    ended_at=st.integers(NOON, NOON + 10**9),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(small, max_size=25, unique_by=lambda task: task.created_at), st.randoms(), st.integers(1, 25))
def test_rollups_are_what_the_tasks_add_up_to_in_whatever_order_they_came(kept, rng, batch):
    shuffled = kept.copy()
    rng.shuffle(shuffled)

    async def act(store):
        for start in range(0, len(shuffled), batch):
            await store.save(shuffled[start : start + batch])
        sessions = (await store.sessions(limit=500)).items
        users = (await store.users(limit=500)).items
        theirs = {
            (user.project_id, user.id): {
                s.id for s in (await store.sessions(project_id=user.project_id, user_id=user.id, limit=500)).items
            }
            for user in users
        }
        return {(s.project_id, s.id): s for s in sessions}, {(u.project_id, u.id): u for u in users}, theirs

    sessions, users, theirs = in_a_new_store(act)
    plain = {key: replace(s, **AS_BEFORE_INSIGHTS) for key, s in sessions.items()}
    assert (plain, {key: replace(u, **WITHOUT_MARKS) for key, u in users.items()}) == expected(kept)
    for (project_id, user_id), found in theirs.items():
        assert found == {t.session_id for t in kept if (t.project_id, t.user_id) == (project_id, user_id)} - {None}


@settings(max_examples=12, deadline=None)
@given(
    st.lists(small.map(lambda task: replace(task, created_at=NOON, id=task.origin)), max_size=8, unique_by=lambda t: t.origin),
    st.randoms(),
)
def test_tasks_of_one_moment_add_up_the_same_in_every_order(kept, rng):
    shuffled = kept.copy()
    rng.shuffle(shuffled)

    def rollups(order):
        async def act(store):
            for task in order:
                await store.save([task])
            return set((await store.sessions(limit=500)).items), set((await store.users(limit=500)).items)

        return in_a_new_store(act)

    assert rollups(kept) == rollups(shuffled)


# Searching


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.text(max_size=12) | st.sampled_from(['"', "*", "OR", "NEAR(a b)", "input:a", "a\0b", "(", "^a", "-", "\ud800"]),
        max_size=3,
    )
)
def test_no_words_make_a_search_fail(words):
    async def act(store):
        await store.save([a_task(1, input=" ".join(words).encode(errors="replace").decode())])
        return (await store.find(Filter(words=tuple(words)), limit=5)).items

    in_a_new_store(act)


ALONE = (
    *(Filter(session_id="s"), Filter(user_id="u"), Filter(project_id="p"), Filter(model="m"), Filter(kind="k")),
    *(Filter(ending=Ending.CALLER_LEFT), Filter(ending=Ending.COMPLETED), Filter(flag=Flag.SUCCESS), Filter(words=("cat",))),
    *(Filter(), Filter(since=NOON, until=NOON + 1), Filter(parent_task_id="t"), Filter(parent_task_id="t", words=("cat",))),
)
TOGETHER = tuple(replace(f, project_id="p", kind="k", model="m", since=NOON) for f in ALONE)


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("filter", [*ALONE, *TOGETHER], ids=str)
async def test_every_list_walks_an_index_and_sorts_nothing(store, filter, oldest_first):
    question = questions.tasks(filter, limit=51, after=5, oldest_first=oldest_first)
    plan = [row[3] for row in await store._readers.rows(f"EXPLAIN QUERY PLAN {question.sql}", question.values)]
    assert not any("TEMP B-TREE" in step or step.startswith("SCAN task") for step in plan), plan
    walked = next((c for c in ("session_id", "user_id", "flag") if getattr(filter, c)), None)
    if filter.parent_task_id and not filter.words:
        assert any("task_parent (parent_task_id=?" in step for step in plan), plan
    elif walked and not filter.words:
        assert any(f"task_{walked.removesuffix('_id')} ({walked}=?" in step for step in plan), plan


@pytest.mark.parametrize("project_id", [None, "p"])
@pytest.mark.parametrize("user_id", [None, "u"])
@pytest.mark.parametrize("implicit", [None, False, True])
async def test_lists_of_sessions_and_users_sort_nothing(store, project_id, user_id, implicit):
    for question in (
        questions.sessions(project_id, user_id, implicit, limit=5, after=(1, 2)),
        questions.users(project_id, limit=5, after=None),
    ):
        plan = [row[3] for row in await store._readers.rows(f"EXPLAIN QUERY PLAN {question.sql}", question.values)]
        assert not any("TEMP B-TREE" in step or step.startswith("SCAN") for step in plan), plan
        assert "FROM session" not in question.sql or not implicit or "session_implicit" in plan[0], plan


async def test_a_rejected_batch_leaves_the_writer_as_it_was(store):
    with pytest.raises(StoreRejected):
        await store.save([a_task(1, kind=None)])
    assert await store.save([a_task(1)]) == 1


async def test_the_traces_of_a_task_go_with_it(tmp_path):
    store = await open_store("sqlite:", tmp_path, write=True)
    await store.save([a_task(n, traces=(Trace(n, 0),)) for n in (1, 2)])
    await store.close()
    db = sqlite3.connect(tmp_path / "tasktap.db")
    db.execute("DELETE FROM task WHERE id = 'id-1'")
    assert db.execute("SELECT key FROM trace").fetchall() == [(2,)]
    db.close()
