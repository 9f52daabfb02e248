"""The journal and its reader where a write, a sync or a rotation fails half-way: every record is there once, and none is lost."""

import asyncio
import os

import pytest

from proxy.record import faults
from proxy.record.board import Board
from proxy.record.frames import Kind, records
from proxy.record.journal import Journal, JournalSettings
from proxy.record.segments import Tail, epochs
from tests.sockets import PATIENCE

EPOCH = "run0w0s1"
BIG = b"x" * 30_000  # two of them fill a segment


@pytest.fixture
def strike(monkeypatch):
    def armed(plan: str) -> None:
        monkeypatch.setattr(faults, "ARMED", True)
        monkeypatch.setattr(faults, "hit", faults._Armed(plan, None))

    return armed


async def numbers_written(directory, durability: str, batches: list[list[int]]) -> list[int]:
    """Which records are in the files, after batches of big ones with these numbers."""
    board = Board.made()
    settings = JournalSettings(directory=directory, segment_bytes=64 * 1024, durability=durability, patience=5)
    journal = Journal(settings, EPOCH, board.row(1))
    for batch in batches:
        done = asyncio.get_running_loop().create_future()
        for number in batch:
            sequence = journal.append(Kind.DATA, number, BIG)
        journal.wait(sequence, lambda done=done: done.set_result(None))
        await asyncio.wait_for(done, PATIENCE)
    assert await journal.close(PATIENCE)
    os.close(board.fd)
    paths = sorted(directory.iterdir())
    assert all(path.suffix == ".journal" for path in paths), paths
    return [record.number for path in paths for record in records(path.read_bytes())]


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("point", ["journal.write", "journal.written", "journal.rotate", "journal.rotated"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
async def test_a_batch_that_failed_at_any_point_is_in_the_files_once(strike, tmp_path, durability, point, nth):
    strike(f"{point}:{nth}:enospc")
    assert await numbers_written(tmp_path, durability, [[1], [2, 3], [4, 5, 6, 7, 8], [9]]) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


async def test_a_call_that_fails_when_it_is_released_keeps_nobody_else_waiting(tmp_path):
    board = Board.made()
    loop = asyncio.get_running_loop()
    said: list[str] = []
    loop.set_exception_handler(lambda _, context: said.append(context["message"]))
    journal = Journal(JournalSettings(directory=tmp_path, segment_bytes=64 * 1024, patience=5), EPOCH, board.row(1))
    done = loop.create_future()
    sequence = journal.append(Kind.END, 1, b"")
    journal.wait(sequence, lambda: 1 // 0)
    journal.wait(sequence, lambda: done.set_result(None))
    await asyncio.wait_for(done, PATIENCE)
    assert said == ["what had waited for the journal failed"]
    await journal.close(PATIENCE)
    os.close(board.fd)


async def test_a_reader_that_fails_half_way_takes_every_record_once(strike, tmp_path):
    board = Board.made()
    journal = Journal(JournalSettings(directory=tmp_path, segment_bytes=64 * 1024), EPOCH, board.row(1))
    for number in range(1, 6):
        journal.append(Kind.BEGIN, number, b"begun")
        journal.append(Kind.END, number, b"{}")
    await journal.close(PATIENCE)
    os.close(board.fd)
    strike("recorder.record:1:eio,recorder.record:4:raise,recorder.record:8:memory")
    tail = Tail(tmp_path, EPOCH)
    found, failures = [], 0
    while not tail.ended:
        try:
            for draft in tail.read(epochs(tmp_path)[EPOCH], 1 << 20):
                found.append(draft)  # noqa: PERF402 - what was given before a failure counts
        except Exception:
            failures += 1
    assert [draft.records[0].number for draft in found] == [1, 2, 3, 4, 5]
    assert [len(draft.records) for draft in found] == [2, 2, 2, 2, 2]
    assert failures == 3
    assert found[0].segment.unstored == 5
    tail.close()
