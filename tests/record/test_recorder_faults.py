"""The recorder where it fails half-way: what was read back is stored once, and what cannot be read is in nobody's way."""

import os

import pytest

from proxy.record import faults, recorder
from proxy.record.board import Board
from proxy.record.frames import Kind
from proxy.record.journal import Journal, JournalSettings
from proxy.record.recorder import Recorder
from proxy.store import StoreUnavailable
from proxy.store.memory import MemoryStore
from tests.record.test_recorder import EPOCH, RUN, begin, whole

OTHER = "0" * 16 + "w0s1"  # an earlier run: its journal is read first


@pytest.fixture
def strike(monkeypatch):
    def armed(plan: str) -> None:
        monkeypatch.setattr(faults, "ARMED", True)
        monkeypatch.setattr(faults, "hit", faults._Armed(plan, None))

    return armed


class AwayOnce(MemoryStore):
    """A store that is away when it is asked to save calls of EPOCH for the first time."""

    was_away = False

    async def save(self, tasks):
        if tasks[0].origin.startswith(EPOCH) and not self.was_away:
            self.was_away = True
            raise StoreUnavailable("away")
        return await super().save(tasks)


async def journalled(path, epoch: str, *tasks: str, broken: str = "") -> None:
    """A journal whose relay has gone."""
    for name in ("journal", "aside"):
        (path / name).mkdir(exist_ok=True)
    board = Board.made()
    journal = Journal(JournalSettings(directory=path / "journal", segment_bytes=64 * 1024, patience=30), epoch, board.row(1))
    for number, task in enumerate(tasks, 1):
        journal.append(Kind.BEGIN, number, b"\1\0\0\0{" if task == broken else begin(number, task))
        journal.append(Kind.WHOLE, number, whole())
    assert await journal.close(30)
    os.close(board.fd)


async def stored(made: Recorder, store: MemoryStore, *tasks: str) -> int:
    """How often the recorder stumbled until all is stored; each task must be there, and the journal be forgotten."""
    stumbles = 0
    for _ in range(50):
        try:
            await made.step()
        except Exception:
            stumbles += 1
    assert [id for id in tasks if await store.get(id) is None] == []
    return stumbles


@pytest.mark.parametrize("action", ["raise", "eio", "memory"])
@pytest.mark.parametrize("point", ["record", "reading", "save", "saved", "forget", "forgot"])
async def test_what_was_read_back_is_not_forgotten_by_a_recorder_that_stumbles(strike, tmp_path, point, action):
    await journalled(tmp_path, EPOCH, "t1", "t2", "t3")
    store = MemoryStore()
    made = Recorder(tmp_path / "journal", tmp_path / "aside", store, RUN, lambda new: None)
    nth = 2 if point in ("record", "reading") else 1
    strike(f"recorder.{point}:{nth}:{action}")
    stumbles = await stored(made, store, "t1", "t2", "t3")
    assert stumbles == ((point, action) != ("record", "eio"))  # that one the journals of others are not to suffer from
    assert list((tmp_path / "journal").iterdir()) == []
    assert await store.stored(EPOCH) == 3
    await made.close()


async def test_a_store_that_goes_away_between_two_relays_counts_no_call_of_the_first_twice(tmp_path):
    await journalled(tmp_path, OTHER, "old")
    await journalled(tmp_path, EPOCH, "new")
    store = AwayOnce()
    made = Recorder(tmp_path / "journal", tmp_path / "aside", store, RUN, lambda new: None)
    assert await stored(made, store, "old", "new") == 0
    assert store.was_away
    assert list((tmp_path / "journal").iterdir()) == []
    await made.close()


async def test_a_call_that_can_never_be_read_is_set_aside_whole_and_the_others_are_stored(tmp_path):
    await journalled(tmp_path, EPOCH, "t1", "t2", "t3", broken="t2")
    store = MemoryStore()
    made = Recorder(tmp_path / "journal", tmp_path / "aside", store, RUN, lambda new: None)
    assert await stored(made, store, "t1", "t3") == recorder.MOST_TRIES - 1
    assert made.set_aside == {EPOCH: 1}
    assert [path.name for path in (tmp_path / "aside").iterdir()] == [f"{EPOCH}.2.journal"]
    assert list((tmp_path / "journal").iterdir()) == []
    await made.close()


async def test_half_made_segments_of_earlier_runs_are_swept_and_those_of_this_run_are_not(tmp_path):
    await journalled(tmp_path, EPOCH, "t1")
    ours, theirs = (tmp_path / "journal" / f"{epoch}-00000007.journal.new" for epoch in (EPOCH, OTHER))
    ours.touch()
    theirs.touch()
    made = Recorder(tmp_path / "journal", tmp_path / "aside", MemoryStore(), RUN, lambda new: None)
    made.sweep()
    assert (ours.exists(), theirs.exists()) == (True, False)
    await made.close()


async def test_a_journal_that_cannot_be_read_holds_up_no_other_and_is_said(strike, tmp_path):
    await journalled(tmp_path, OTHER, "old")
    await journalled(tmp_path, EPOCH, "new")
    store = MemoryStore()
    made = Recorder(tmp_path / "journal", tmp_path / "aside", store, RUN, lambda new: None)
    strike("recorder.record:1:eio")
    await made.step()
    assert (await store.get("old"), made.unreadable) == (None, {OTHER: "Input/output error"})
    assert await store.get("new") is not None
    assert await stored(made, store, "old") == 0
    assert made.unreadable == {}
    await made.close()
