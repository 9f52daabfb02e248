"""What was forgotten is in no place of any file: rows, words, gaps inside pages, the log."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.store import difference, open_store, sweep, told
from proxy.store.shelf import CHAIN
from proxy.store.sqlite_file import open_writer
from proxy.task import Feedback, Forget
from tests.proc import files
from tests.store.tasks import a_task


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below `folder`, and every record unpacked."""
    yield from files(folder).items()
    with closing(sqlite3.connect(f"file:{folder / 'tasktap.db'}?mode=ro", uri=True)) as db:
        for (key,) in db.execute("SELECT key FROM record").fetchall():
            yield "a record", difference.unpacked(db.execute(CHAIN, (key,)).fetchall())
        for (facts,) in db.execute("SELECT facts FROM task"):
            yield "a row", str(told.text(facts)).encode()


def places(folder: Path, *words: bytes) -> set[str]:
    return {place for place, data in written(folder) for word in words if word in data}


def secret_task(n: int, who: str, rng: random.Random):
    """A task in which everything says whose it is; ids of all kinds fall anywhere in their indexes."""
    spice = f"{rng.getrandbits(40):x}"
    body = f'{{"messages": ["{who} {spice}"]}}'.encode()
    return a_task(
        n,
        id=f"{spice}-{who}-{n}",
        user_id=f"{spice[0]}-{who}" if who == "mallory" else f"{spice}-{who}",
        session_id=f"{spice[:3]}-{who}-session-{n // 4}",
        input=f"{spice} asks for {who}words{spice} " + f"{who} " * 20,
        output=f"{who} hears {spice} " * 30,
        system_prompt=f"you serve {who} {spice[:2]}",
        metadata={"name": f"{who} {spice}"},
        request_body=body,
        raw_input={"messages": [f"{who} {spice}"]},
        response_body=f"{who} {spice} ".encode() * 400,
        feedback=(Feedback(id=f"f{n}", created_at=n, comment=f"{who} complains", user_id=who),),
    )


@pytest.fixture
async def store(tmp_path: Path):
    store = await open_store("sqlite:", tmp_path, write=True)
    yield store
    await store.close()


async def test_what_was_forgotten_is_in_no_file(store, tmp_path):
    rng = random.Random(5)
    for start in range(0, 3000, 100):
        await store.save([secret_task(n, "mallory" if n % 10 == 3 else "alice", rng) for n in range(start, start + 100)])
    assert places(tmp_path, b"mallory") >= {"tasktap.db", "a record", "a row"}
    gone = 0
    for letter in "0123456789abcdef":
        while ids := await store.doomed(Forget(user_id=f"{letter}-mallory"), limit=40):
            gone += (await store.forget(ids)).tasks
    assert gone == 300
    assert await store.scrub()
    assert places(tmp_path, b"mallory") == set()
    assert places(tmp_path, b"alice") >= {"tasktap.db", "a record", "a row"}
    await store.save([secret_task(n, "alice", rng) for n in range(3000, 3100)])
    await store.close()
    assert places(tmp_path, b"mallory") == set()
    with closing(sqlite3.connect(tmp_path / "tasktap.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.execute("INSERT INTO search (search, rank) VALUES ('integrity-check', 1)")


def test_sqlite_leaves_copies_in_gaps_and_the_sweep_takes_them(tmp_path):
    """The reason why there is a sweep: without it some rows that moved are still there when they have been deleted."""
    rng = random.Random(3)
    path = tmp_path / "x.db"
    with closing(open_writer(path)) as db:
        db.execute("CREATE TABLE t (key INTEGER PRIMARY KEY, name TEXT)")
        db.execute("CREATE INDEX t_name ON t (name)")
        names = [f"user{rng.getrandbits(40):010x}" for _ in range(20_000)]
        db.execute("BEGIN")
        db.executemany("INSERT INTO t VALUES (?, ?)", enumerate(names))
        db.execute("COMMIT")
        gone = names[::50]
        db.execute("BEGIN")
        db.executemany("DELETE FROM t WHERE name = ?", [(name,) for name in gone])
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert any(name.encode() in path.read_bytes() for name in gone)
        with path.open("r+b", buffering=0) as file:
            place = 1
            while place is not None:
                place = sweep.sweep(file.fileno(), place, 7)
        data = path.read_bytes()
        assert not any(name.encode() in data for name in gone)
        assert all(name.encode() in data for name in names if name not in set(gone))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM t").fetchone() == (20_000 - len(set(gone)),)


def test_what_is_no_page_of_a_tree_is_left_alone():
    assert sweep.cleaned(b"\x05" + b"\xff" * 511, 0) is None
    assert sweep.cleaned(b"text" * 128, 0) is None
    page = b"\x0d\0\0\0\x01\x01\xfa\0\x01\xfa" + b"x" * 496 + b"\x04\x01\x02\x03\x04\x05"
    assert sweep.cleaned(page, 0) == page.replace(b"x", b"\0")
    assert sweep.cleaned(page.replace(b"x", b"\0"), 0) is None


def test_a_file_that_is_not_ours_to_sweep_is_refused(tmp_path):
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:  # without a pointer map
        db.execute("CREATE TABLE t (a)")
    with path.open("r+b", buffering=0) as file, pytest.raises(ValueError, match="pointer map"):
        sweep.sweep(file.fileno(), 1, 10)


async def test_a_reader_that_holds_the_log_is_waited_for_and_then_told(store, tmp_path):
    await store.save([a_task(1)])
    with closing(sqlite3.connect(tmp_path / "tasktap.db", isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM task").fetchone()
        await store.save([a_task(2)])
        assert not await store.scrub()
        assert await store.save([a_task(3)]) == 1
    assert await store.scrub()
