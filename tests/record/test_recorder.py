"""The recorder: what the journal holds is stored once, whatever fails in between, and is forgotten only then."""

import asyncio
import os
import statistics
import time
from collections.abc import Sequence

import orjson
import pytest

from proxy.record.accounts import status
from proxy.record.assembly import call, pack_begin, pack_head, pack_whole
from proxy.record.board import Board, Column
from proxy.record.frames import Kind, Record, records
from proxy.record.journal import Journal, JournalSettings
from proxy.record.recorder import FIRST_BYTES, LONGEST_REST, RUN_TASKS, Recorder
from proxy.store import StoreRejected, StoreUnavailable
from proxy.store.memory import MemoryStore
from proxy.task import Ending, Forget, Task
from tests.sockets import PATIENCE

RUN = "0123456789abcdef"
EPOCH = f"{RUN}w0s1"
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
ANSWER = b'{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"content":"yo"},"finish_reason":"stop"}]}'


def begin(number: int, task_id: str, lines: bytes = b"Content-Type: application/json\r\nX-Session-Id: s1") -> bytes:
    meta = {
        "id": task_id,
        "own": f"own-{number}",
        "retry_of": None,
        "at": 1_790_000_000_000_000,
        "upstream": "openai",
        "kind": "chat",
        "key": None,
        "method": "POST",
        "target": "/v1/chat/completions",
    }
    return pack_begin(orjson.dumps(meta), lines, BODY)


def whole(ending: Ending = Ending.COMPLETED) -> bytes:
    end = {"ending": ending, "first": 1000, "request": len(BODY), "response": len(ANSWER)}
    return pack_whole(b"200 OK\r\nContent-Type: application/json\r\n\r\n", ANSWER, orjson.dumps(end))


class House:
    """A journal, a recorder and a store, as a relay and a desk have them."""

    def __init__(self, tmp_path, store=None):
        (tmp_path / "journal").mkdir(exist_ok=True)
        (tmp_path / "aside").mkdir(exist_ok=True)
        self.path = tmp_path
        self.board = Board.made()
        self.row = self.board.row(1)
        self.row[Column.SERIAL] = self.row[Column.USED] = 1
        self.store = store or MemoryStore()
        self.recovered = 0
        self.pulse = 0  # other than 0, it is what the recorder feels whatever a relay does
        self.recorder = self.new_recorder()
        self.journal = Journal(JournalSettings(directory=tmp_path / "journal", patience=PATIENCE), EPOCH, self.row)

    def new_recorder(self) -> Recorder:
        return Recorder(
            self.path / "journal",
            self.path / "aside",
            self.store,
            RUN,
            self._count,
            journalled=lambda: {EPOCH: self.row[Column.JOURNALLED]},
            pulse=lambda: self.pulse or self.row[Column.JOURNALLED],
        )

    def _count(self, new: int) -> None:
        self.recovered += new

    async def carried(self, *task_ids: str) -> None:
        for task_id in task_ids:
            self.row[Column.BEGUN] += 1
            number = self.row[Column.BEGUN]
            self.journal.append(Kind.BEGIN, number, begin(number, task_id))
            self.row[Column.ENDED] += 1
            last = self.journal.append(Kind.WHOLE, number, whole())
        done = asyncio.get_running_loop().create_future()
        self.journal.wait(last, lambda: done.set_result(None))
        await done

    async def relay_ends(self) -> None:
        await self.journal.close(PATIENCE)
        self.row[Column.DEAD] = 1

    def status(self):
        return status(self.board, self.recorder, RUN, self.recovered)

    async def close(self) -> None:
        await self.journal.close(PATIENCE)
        await self.recorder.close()
        os.close(self.board.fd)


class Counted:
    """Steps of a recorder, counted as they end."""

    def __init__(self, step):
        self._step = step
        self._done = 0
        self._turn = asyncio.Condition()

    async def __call__(self):
        worked = await self._step()
        async with self._turn:
            self._done += 1
            self._turn.notify_all()
        return worked

    async def reached(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE), self._turn:
            await self._turn.wait_for(lambda: self._done >= count)


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    yield made
    await made.close()


async def test_a_carried_call_becomes_a_task(house):
    await house.carried("t1")
    assert await house.recorder.step()

    task = await house.store.get("t1")

    assert (task.session_id, task.input, task.output, task.ending) == ("s1", "hi", "yo", Ending.COMPLETED)
    assert task.request_body == BODY
    assert task.response_body == ANSWER


async def test_the_journal_is_forgotten_after_it_is_stored_and_its_writer_is_gone(house):
    await house.carried("t1", "t2")
    await house.recorder.step()
    assert len(list((house.path / "journal").iterdir())) == 1

    await house.relay_ends()
    await house.recorder.drain()

    assert list((house.path / "journal").iterdir()) == []
    assert await house.store.stored(EPOCH) == 2


@pytest.mark.timed
async def test_while_relays_do_nothing_their_journals_are_looked_at_a_few_times_a_second(house):
    await house.carried("t1")
    house.recorder.step = counted = Counted(house.recorder.step)  # type: ignore[method-assign]
    job = asyncio.create_task(house.recorder.run())
    await counted.reached(2)  # it stored one, and found nothing more
    begun = time.monotonic()
    await counted.reached(4)
    assert time.monotonic() - begun >= LONGEST_REST

    waits = []
    for number in range(2, 8):  # which it feels
        await counted.reached(2 * number)
        begun = time.monotonic()
        await house.carried(f"t{number}")
        await counted.reached(2 * number + 1)
        waits.append(time.monotonic() - begun)
    assert statistics.median(waits) < LONGEST_REST / 2  # unfelt, each would have been a whole one
    job.cancel()
    assert await house.store.get("t2")


async def test_what_a_relay_wrote_without_a_sign_is_found_all_the_same(house):
    house.pulse = 7
    house.recorder.step = counted = Counted(house.recorder.step)  # type: ignore[method-assign]
    job = asyncio.create_task(house.recorder.run())
    await counted.reached(1)
    await house.carried("t1")
    await counted.reached(3)
    job.cancel()
    assert await house.store.get("t1")


async def test_a_replay_after_a_crash_between_commit_and_forgetting_stores_nothing_twice(house):
    await house.carried("t1", "t2")
    await house.recorder.step()
    await house.recorder.close()

    house.recorder = house.new_recorder()
    await house.recorder.recount([EPOCH])
    await house.recorder.step()

    assert await house.store.stored(EPOCH) == 2
    assert house.status().stored == 2


async def test_a_call_that_the_relay_died_in_is_kept_with_what_there_was(house):
    house.row[Column.BEGUN] += 1
    house.journal.append(Kind.BEGIN, 1, begin(1, "t1"))
    head = pack_head(
        b"200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b'data: {"choices":[{"index":0,"delta":{"content":"so far"}}]}\n\n'
    )
    house.journal.append(Kind.HEAD, 1, head)
    await house.relay_ends()
    await house.recorder.drain()

    task = await house.store.get("t1")

    assert (task.ending, task.output) == (Ending.PROXY_DIED, "so far")
    found = house.status()
    assert (found.carried, found.stored, found.waiting, found.lost) == (1, 1, 0, 0)


async def test_a_call_whose_end_marker_was_journalled_is_complete_though_the_relay_died(house):
    house.journal.append(Kind.BEGIN, 1, begin(1, "t1"))
    house.journal.append(Kind.HEAD, 1, pack_head(b"200 OK\r\n\r\n", b"data: [DONE]\n\n"))
    house.journal.append(Kind.MARK, 1, b"")
    await house.relay_ends()
    await house.recorder.drain()

    assert (await house.store.get("t1")).ending is Ending.COMPLETED


async def test_calls_that_a_killed_relay_never_journalled_are_counted_as_lost(house):
    await house.carried("t1")
    house.row[Column.BEGUN] += 2  # two more had begun; nothing of them was written
    await house.relay_ends()
    await house.recorder.drain()

    found = house.status()

    assert (found.carried, found.stored, found.waiting, found.lost) == (3, 1, 0, 2)


async def test_the_status_adds_up_at_every_step(house):
    await house.carried("t1", "t2", "t3")
    found = house.status()
    assert (found.carried, found.stored, found.waiting, found.lost) == (3, 0, 3, 0)

    await house.recorder.step()

    found = house.status()
    assert (found.carried, found.stored, found.waiting, found.lost, found.journalled) == (3, 3, 0, 0, 3)


async def test_calls_of_an_earlier_run_are_recovered_and_counted_apart(house):
    other = Journal(JournalSettings(directory=house.path / "journal", patience=PATIENCE), "f" * 16 + "w0s1", house.board.row(2))
    other.append(Kind.BEGIN, 1, begin(1, "old"))
    await other.close(PATIENCE)
    await house.carried("new")
    async with asyncio.timeout(PATIENCE):
        while house.recovered < 1:
            await house.recorder.step()

    assert (await house.store.get("old")).ending is Ending.PROXY_DIED
    assert (house.status().stored, house.recovered) == (1, 1)


async def test_earlier_runs_are_stored_one_after_the_other_so_that_a_desk_that_dies_again_and_again_gets_on(house):
    """It could never store what it only read, and would read all of it anew each time."""
    directory = house.path / "journal"
    for run in range(3):
        other = Journal(JournalSettings(directory=directory, patience=PATIENCE), f"{run:016x}w0s1", house.board.row(2))
        for number in range(1, RUN_TASKS + 1):
            other.append(Kind.BEGIN, number, begin(number, f"old-{run}-{number}"))
            other.append(Kind.WHOLE, number, whole())
        await other.close(PATIENCE)
    await house.carried("new")
    for run in range(3):
        await house.recorder.step()
        assert (house.recovered, house.status().stored) == ((run + 1) * RUN_TASKS, 0)
        assert len(list(directory.iterdir())) == 3 - run
        await house.recorder.close()
        house.recorder = house.new_recorder()
        await house.recorder.recount([EPOCH])
    await house.recorder.step()
    assert house.status().stored == 1


async def test_of_earlier_runs_with_much_in_them_little_is_read_at_first_and_more_once_that_is_stored(house):
    directory = house.path / "journal"
    large = b"x" * (FIRST_BYTES // 2)
    for run in range(8):
        other = Journal(JournalSettings(directory=directory, patience=PATIENCE), f"{run:016x}w0s1", house.board.row(2))
        for number in (1, 2):
            other.append(Kind.BEGIN, number, begin(number, f"old-{run}-{number}"))
            other.append(Kind.SENT, number, large)
            other.append(Kind.WHOLE, number, whole())
        await other.close(PATIENCE)
    stored = []
    for _ in range(3):
        await house.recorder.step()
        stored.append(house.recovered)
    assert stored == [2, 6, 14]


class Moody(MemoryStore):
    """A store that is away when it is told to be, and never takes what it does not like."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.dislikes = "nothing"

    def clear(self) -> None:
        """Another file has come in its place."""
        MemoryStore.__init__(self)

    async def save(self, tasks: Sequence[Task]) -> int:
        if self.away:
            raise StoreUnavailable("gone fishing")
        if any(task.id == self.dislikes for task in tasks):
            raise StoreRejected("not this one")
        return await super().save(tasks)


@pytest.fixture
async def moody(tmp_path):
    made = House(tmp_path, Moody())
    yield made
    await made.close()


async def test_a_store_that_is_away_loses_nothing_and_says_so(moody):
    moody.store.away = True
    await moody.carried("t1", "t2")
    assert not await moody.recorder.step()
    found = moody.status()
    assert (found.waiting, found.store_error) == (2, "gone fishing")
    assert found.reasons

    await moody.carried("t3")
    moody.store.away = False
    while moody.status().waiting:
        await moody.recorder.step()

    assert [await moody.store.get(each) is not None for each in ("t1", "t2", "t3")] == [True] * 3
    assert moody.status().store_error is None


async def test_a_store_that_takes_nothing_gets_the_room_of_the_spares(moody):
    spare = moody.path / "journal" / "old-00000000.journal.spare"
    spare.write_bytes(bytes(1000))
    moody.store.away = True
    await moody.carried("t1")
    assert not await moody.recorder.step()
    assert not spare.exists()


async def test_a_task_that_the_store_rejects_is_set_aside_and_its_mates_are_saved(moody):
    moody.store.dislikes = "t3"
    await moody.carried(*(f"t{number}" for number in range(1, 8)))
    await moody.recorder.step()

    found = moody.status()
    kept = list((moody.path / "aside").iterdir())

    assert (found.carried, found.stored, found.waiting, found.set_aside) == (7, 6, 1, 1)
    assert [path.name for path in kept] == [f"{EPOCH}.3.journal"]
    assert kept[0].stat().st_mode & 0o777 == 0o600
    assert call(EPOCH, list(records(kept[0].read_bytes()))).id == "t3"
    await moody.recorder.close()
    moody.recorder = moody.new_recorder()
    await moody.recorder.recount([EPOCH])
    await moody.recorder.step()
    assert moody.status().set_aside == 1


def record(kind: Kind, time: int, payload: bytes) -> Record:
    return Record(kind, 1, time, payload, 0)


def test_times_of_a_call_come_from_one_monotonic_clock():
    built = call(
        EPOCH,
        [
            record(Kind.BEGIN, 1_000_000, begin(1, "t")),
            record(Kind.SENT, 1_100_000, b"more"),
            record(Kind.HEAD, 1_500_000, pack_head(b"200 OK\r\n\r\n", b"a")),
            record(Kind.DATA, 2_000_000, b"b"),
            record(Kind.END, 3_000_000, orjson.dumps({"ending": "caller_left", "first": 499_999, "problems": ["p"]})),
        ],
    )

    assert (built.ended_at - built.created_at, built.seconds_to_first_byte) == (2_000_000, 0.499999)
    assert [(piece.at, piece.data) for piece in built.response] == [(0.5, b"a"), (1.0, b"b")]
    assert built.request_body == BODY + b"more"
    assert (built.ending, built.problems) == (Ending.CALLER_LEFT, ("p",))
    assert built.response_fields == ()


@pytest.mark.parametrize("size", [1, 5000])  # the one is remembered, the other not
def test_a_call_has_the_fields_that_it_came_with(size):
    lines = b"A: " + b"a" * size + b"\r\nb:\tb:c \r\nA: d"
    calls = [call(EPOCH, [record(Kind.BEGIN, 1, begin(1, "t", each))]) for each in (lines, b"", lines)]

    fields = ((b"A", b"a" * size), (b"b", b"b:c"), (b"A", b"d"))
    assert [each.request_fields for each in calls] == [fields, (), fields]


async def test_a_call_that_runs_for_long_does_not_hold_the_journal_back(tmp_path):
    """A stream goes on over many segments; the desk is even restarted in between; nothing of it is missing or doubled."""
    house = House(tmp_path)
    await house.journal.close(PATIENCE)
    settings = JournalSettings(directory=tmp_path / "journal", segment_bytes=64 * 1024, patience=PATIENCE)
    house.journal = Journal(settings, EPOCH, house.row)
    house.journal.append(Kind.BEGIN, 1, begin(1, "long"))
    house.journal.append(Kind.HEAD, 1, pack_head(b"200 OK\r\n\r\n", b"0 "))
    house.row[Column.BEGUN] = 1
    segments = []
    for turn in range(1, 30):
        house.journal.append(Kind.DATA, 1, b"%d " % turn)
        house.journal.append(Kind.SENT, 1, b"x" * 30_000)
        await house.carried(f"short-{turn}")
        await house.recorder.step()
        segments.append(len(list((tmp_path / "journal").glob("*.journal"))))
        if turn in (11, 12, 20):
            await house.recorder.close()
            house.recorder = house.new_recorder()
            await house.recorder.recount([EPOCH])
    assert len(list((tmp_path / "journal").glob("*.part"))) == 1
    assert max(segments) <= 7

    house.journal.append(Kind.END, 1, orjson.dumps({"ending": "completed", "first": 1}))
    await house.relay_ends()
    await house.recorder.drain()

    task = await house.store.get("long")
    assert task.response_body == b"".join(b"%d " % turn for turn in range(30))
    assert task.request_body == BODY + b"x" * 30_000 * 29
    assert await house.store.stored(EPOCH) == 30
    assert list((tmp_path / "journal").iterdir()) == []
    await house.close()


async def test_a_part_whose_relay_died_becomes_a_task(tmp_path):
    house = House(tmp_path)
    await house.journal.close(PATIENCE)
    house.journal = Journal(
        JournalSettings(directory=tmp_path / "journal", segment_bytes=64 * 1024, patience=PATIENCE), EPOCH, house.row
    )
    house.journal.append(Kind.BEGIN, 1, begin(1, "long"))
    house.row[Column.BEGUN] = 1
    for turn in range(2, 20):
        house.journal.append(Kind.SENT, 1, b"x" * 30_000)
        await house.carried(f"short-{turn}")
        await house.recorder.step()
    await house.relay_ends()
    await house.recorder.close()
    for path in (tmp_path / "journal").glob("*.journal"):
        path.unlink()  # as if only the part had been left

    house.recorder = house.new_recorder()
    await house.recorder.drain()

    assert (await house.store.get("long")).ending is Ending.PROXY_DIED
    assert list((tmp_path / "journal").iterdir()) == []
    await house.close()


async def test_what_was_in_a_store_that_is_gone_is_counted_as_lost_and_what_comes_is_stored(house):
    await house.carried("t1", "t2")
    await house.recorder.step()
    house.store = MemoryStore()
    await house.recorder.blank()  # else the journal still had them
    await house.recorder.close()
    house.recorder = house.new_recorder()
    await house.recorder.recount([EPOCH])
    await house.carried("t3")
    while await house.recorder.step():
        pass
    found = house.status()
    assert (found.carried, found.stored, found.waiting, found.lost) == (3, 1, 0, 2)


async def test_a_store_that_comes_back_empty_is_counted_anew(moody):
    await moody.carried("t1", "t2")
    await moody.recorder.step()
    moody.store.away = True
    await moody.carried("t3")
    await moody.recorder.step()
    moody.store.clear()
    moody.store.away = False
    while await moody.recorder.step():
        pass
    found = moody.status()
    assert (found.carried, found.stored, found.waiting, found.lost) == (3, 1, 0, 2)


async def test_a_call_that_was_set_aside_and_is_forgotten_waits_no_more(moody):
    moody.store.dislikes = "t2"
    await moody.carried("t1", "t2")
    await moody.recorder.step()
    assert moody.status().waiting == 1
    assert await moody.recorder.forget_set_aside(Forget(session_id="s1")) == (1, 0)
    for _ in range(2):
        await moody.recorder.step()
        found = moody.status()
        assert (found.stored, found.waiting, found.lost, found.set_aside) == (2, 0, 0, 0)
        await moody.recorder.close()
        moody.recorder = moody.new_recorder()  # a desk that starts again knows it too
        await moody.recorder.recount([EPOCH])
    [left] = (moody.path / "aside").iterdir()
    assert left.stat().st_size == 0
