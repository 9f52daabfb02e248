"""The recorder gives calls their sessions, whichever relay carried them and in whatever order the journals are read."""

import asyncio
import os

import orjson
import pytest

from proxy.record import recorder as recorders
from proxy.record.assembly import pack_begin, pack_whole
from proxy.record.board import Board, Column
from proxy.record.frames import Kind
from proxy.record.journal import Journal, JournalSettings
from proxy.record.recorder import Recorder
from proxy.record.threads import Threads
from proxy.store import StoreUnavailable
from proxy.store.memory import MemoryStore
from proxy.task import Ending, Source
from tests.sockets import PATIENCE

RUN = "0123456789abcdef"


class Relay:
    """A journal, as one relay writes it."""

    def __init__(self, directory, board, worker: int) -> None:
        self.row = board.row(worker + 1)
        self.row[Column.SERIAL] = self.row[Column.USED] = 1
        settings = JournalSettings(directory=directory, segment_bytes=1 << 20, patience=PATIENCE)
        self.worker = worker
        self.journal = Journal(settings, f"{RUN}w{worker}s1", self.row)

    async def carried(self, id: str, messages: list, answer: str, at: int, padding: int = 0) -> None:
        self.row[Column.BEGUN] += 1
        number = self.row[Column.BEGUN]
        body = orjson.dumps({"model": "m", "messages": messages, "padding": "x" * padding})
        meta = {"id": id, "own": id, "at": 1_790_000_000_000_000 + at, "upstream": "openai", "kind": "chat", "key": "k"}
        meta |= {"retry_of": None, "method": "POST", "target": "/v1/chat/completions"}
        self.journal.append(Kind.BEGIN, number, pack_begin(orjson.dumps(meta), b"Content-Type: application/json", body))
        said = orjson.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}]})
        end = {"ending": Ending.COMPLETED, "first": 1000, "request": len(body), "response": len(said)}
        whole = pack_whole(b"200 OK\r\nContent-Type: application/json\r\n\r\n", said, orjson.dumps(end))
        self.row[Column.ENDED] += 1
        last = self.journal.append(Kind.WHOLE, number, whole)
        done = asyncio.get_running_loop().create_future()
        self.journal.wait(last, lambda: done.set_result(None))
        await done


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def said(text: str) -> dict:
    return {"role": "assistant", "content": text}


class Moody(MemoryStore):
    away = False

    async def traced(self, keys, most):
        if self.away:
            raise StoreUnavailable("away")
        return await super().traced(keys, most)


class House:
    def __init__(self, path) -> None:
        (path / "journal").mkdir()
        (path / "aside").mkdir()
        self.store = Moody()
        self.board = Board.made()
        self.relays = [Relay(path / "journal", self.board, worker) for worker in range(2)]
        threads = Threads(self.store, b"pepper", 1800)
        self.recorder = Recorder(path / "journal", path / "aside", self.store, RUN, lambda new: None, b"pepper", threads=threads)

    async def task(self, id: str):
        async with asyncio.timeout(PATIENCE):
            while (task := await self.store.get(id)) is None:
                await self.recorder.step()
        return task


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    yield made
    for relay in made.relays:
        await relay.journal.close(PATIENCE)
    await made.recorder.close()
    os.close(made.board.fd)


OPENING = [user("Where is the bakery?")]
NEXT = [*OPENING, said("In Mill Street."), user("Thanks")]


async def test_a_call_without_a_session_is_stored_in_one(house):
    await house.relays[0].carried("a", OPENING, "In Mill Street.", 0)
    task = await house.task("a")
    assert (task.session_id, task.session_source) == ("auto-a", Source.INFERRED)


async def test_turns_that_two_relays_carried_are_one_session(house):
    await house.relays[1].carried("a", OPENING, "In Mill Street.", 0)
    await house.relays[0].carried("b", NEXT, "Welcome.", 5)
    await house.relays[1].carried("c", [*NEXT, said("Welcome."), user("Bye")], "Bye.", 10)
    assert {(await house.task(id)).session_id for id in "abc"} == {"auto-a"}


async def test_a_turn_waits_for_the_one_before_it_in_a_journal_that_was_not_read_so_far(house):
    for number in range(12):
        await house.relays[0].carried(f"x{number}", [user(f"other {number}")], "x", number, padding=recorders.BATCH_BYTES // 10)
    await house.relays[0].carried("a", OPENING, "In Mill Street.", 100)
    await house.relays[1].carried("b", NEXT, "Welcome.", 105)
    await house.recorder.step()
    assert await house.store.get("x0") is not None
    assert await house.store.get("a") is None
    assert await house.store.get("b") is None
    assert (await house.task("b")).session_id == "auto-a"


async def test_while_the_store_cannot_be_asked_nothing_is_stored_and_then_all_of_it_is(house):
    await house.relays[0].carried("a", OPENING, "In Mill Street.", 0)
    house.store.away = True
    assert not await house.recorder.step()
    assert house.recorder.error == "away"
    house.store.away = False
    assert (await house.task("a")).session_id == "auto-a"
    assert house.recorder.error is None
