"""Retention: what is too old goes, then the oldest that there is no room for; and the journal does not bring it back."""

import asyncio
from itertools import count

import pytest

from proxy.record.board import Column
from proxy.record.forget import forget
from proxy.record.frames import Kind
from proxy.record.retention import DAY, Retention, Rules
from proxy.server import forgetting
from proxy.store import StoreUnavailable, open_store
from proxy.task import Filter, Forget
from tests.record.test_recorder import EPOCH, House, Moody, begin, whole
from tests.sockets import PATIENCE
from tests.store.tasks import NOON, a_task

NOW = NOON + 100 * DAY


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    yield made
    await made.close()


class NoJournal:
    """A journal in which nothing is."""

    caught_up = True

    async def blank(self) -> int:
        return 0

    async def forget_set_aside(self, _what: Forget) -> tuple[int, int]:
        return 0, 0


def aged(*days: float, project: str = "default", first: int = 0):
    """Tasks that began so many days ago."""
    return [
        a_task(first + n, created_at=NOW - round(each * DAY), project_id=project, session_id=None) for n, each in enumerate(days)
    ]


async def written(house) -> None:
    """Wait until what was appended is in the journal's file."""
    done = asyncio.get_running_loop().create_future()
    house.journal.wait(house.journal.append(Kind.MARK, 3, b"x"), lambda: done.set_result(None))
    await done


async def ids(store) -> set[str]:
    return {task.id for task in (await store.find(Filter(), limit=500)).items}


async def test_what_is_older_than_it_may_be_goes_and_each_project_has_its_own_age(house):
    await house.store.save(aged(1, 29, 31, 99))
    await house.store.save(aged(1, 31, project="legal", first=10) + aged(0.5, 2, 3, project="scratch", first=20))
    rules = Rules(max_age=30, projects=(("legal", None), ("scratch", 1)))
    retention = Retention(house.store, (house.recorder,), rules, asyncio.Lock())
    await retention.round(NOW)
    assert await ids(house.store) == {"id-0", "id-1", "id-10", "id-11", "id-20"}
    assert retention.retired.tasks == 4
    await retention.round(NOW)
    assert retention.retired.tasks == 4


async def test_without_rules_it_does_nothing(house):
    await house.store.save(aged(1000))
    retention = Retention(house.store, (house.recorder,), Rules(projects=(("legal", None),)), asyncio.Lock())
    assert not Rules(projects=(("legal", None),))
    await retention.run()  # ends at once
    await retention.round(NOW)
    assert await ids(house.store) == {"id-0"}


async def test_the_oldest_go_until_there_is_room(house, tmp_path):
    store = await open_store("sqlite:", tmp_path, write=True)
    tasks = [a_task(n, request_body=n.to_bytes(4, "big") * 5000, response_body=b"", session_id=None) for n in range(300)]
    noise = [a_task(n, request_body=bytes((n * k) % 251 for k in range(9000)), session_id=None) for n in range(300, 900)]
    await store.save(tasks + noise)
    full = await store.size()
    retention = Retention(store, (house.recorder,), Rules(max_bytes=full // 2), asyncio.Lock())
    await retention.round(NOW)
    left = sorted(int(id.removeprefix("id-")) for id in await ids(store))
    assert await store.size() <= full // 2
    assert 0 < len(left) < 900
    assert left[-1] == 899
    assert retention.retired.bytes > 0
    await retention.round(NOW)
    assert len(await ids(store)) == min(500, 900 - retention.retired.tasks)
    await store.close()


async def test_saves_go_in_between_while_the_oldest_go(house, tmp_path):
    store = await open_store("sqlite:", tmp_path, write=True)
    await store.save(aged(*[40] * 300))
    retention = Retention(store, (house.recorder,), Rules(max_age=30), asyncio.Lock())
    gone_by_then = set()

    async def go_on_saving() -> None:
        for n in count(1000):
            await store.save(aged(1, first=n))
            gone_by_then.add(retention.retired.tasks)

    saving = asyncio.create_task(go_on_saving())
    await retention.round(NOW)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
    assert retention.retired.tasks == 300
    assert len(gone_by_then - {0, 300}) >= 3, "hardly a save came in between"
    await store.close()


async def test_a_store_with_no_room_at_all_ends_empty_and_not_in_a_loop(house, tmp_path):
    store = await open_store("sqlite:", tmp_path, write=True)
    await store.save(aged(1, 2, 3))
    await Retention(store, (house.recorder,), Rules(max_bytes=1), asyncio.Lock()).round(NOW)
    assert await ids(store) == set()
    await store.close()


async def test_what_was_let_go_does_not_come_back_from_the_journal(house):
    await house.carried("t1", "t2")
    await house.recorder.step()
    retention = Retention(house.store, (house.recorder,), Rules(max_age=0.0001), asyncio.Lock())
    await retention.round(2**51)
    assert await ids(house.store) == set()
    await house.recorder.close()
    house.recorder = house.new_recorder()
    await house.recorder.recount([EPOCH])
    await house.carried("t3")
    await house.recorder.step()
    assert await ids(house.store) == {"t3"}
    assert (house.status().stored, house.status().carried) == (3, 3)


async def test_nothing_is_let_go_of_before_the_journal_was_read_through(house):
    """A desk that starts anew finds there what the last one stored: let go of at once, that would come back and count twice."""
    await house.carried("t1", "t2")
    await house.recorder.step()
    await house.recorder.close()
    house.recorder = house.new_recorder()
    await house.recorder.recount([EPOCH])
    retention = Retention(house.store, (house.recorder,), Rules(max_age=0.0001), asyncio.Lock())
    jobs = [asyncio.create_task(retention.run())]
    try:
        for _ in range(100):
            await asyncio.sleep(0)
        assert await ids(house.store) == {"t1", "t2"}
        jobs.append(asyncio.create_task(house.recorder.run()))
        async with asyncio.timeout(PATIENCE):
            while retention.retired.tasks < 2:
                await asyncio.sleep(0.01)
            rests = house.recorder._rests
            while house.recorder._rests < rests + 2:
                await asyncio.sleep(0.01)
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    assert await ids(house.store) == set()
    assert (house.status().stored, house.status().carried) == (2, 2)


async def test_a_clock_that_leaps_ahead_makes_nothing_old_for_a_day(house):
    await house.store.save(aged(1, 29, 31))
    retention = Retention(house.store, (house.recorder,), Rules(max_age=30), asyncio.Lock())
    steady, year = 5 * DAY, 365 * DAY
    await retention.look(NOW, steady)
    assert await ids(house.store) == {"id-0", "id-1"}
    await retention.look(NOW + year, steady + 60_000_000)
    await retention.look(NOW + year + DAY // 2, steady + DAY // 2)
    assert await ids(house.store) == {"id-0", "id-1"}
    await retention.look(NOW + DAY // 2 + 1_000_000, steady + DAY // 2)  # it was set right
    await retention.look(NOW + 2 * DAY, steady + 2 * DAY)
    assert await ids(house.store) == {"id-0"}, "it went on with what was meant"
    await retention.look(NOW + year, steady + 3 * DAY)
    await retention.look(NOW + year + DAY, steady + 4 * DAY)  # it has lasted: machines do rest for a year
    assert await ids(house.store) == set()


async def test_a_fault_in_a_round_is_told_and_the_next_one_goes_on(house):
    class Odd(NoJournal):
        async def blank(self) -> int:
            if not done:
                done.append(True)
                raise LookupError("a fault of ours")
            return 0

    done: list[bool] = []
    await house.store.save(aged(5000))
    retention = Retention(house.store, (Odd(),), Rules(max_age=1), asyncio.Lock())
    job = asyncio.create_task(retention.run())
    try:
        async with asyncio.timeout(PATIENCE):
            while not done:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            assert retention.stumble is not None
            assert "LookupError" in retention.stumble
            while retention.stumble is not None:
                await asyncio.sleep(0.01)
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
    assert await ids(house.store) == set()


async def test_what_is_stored_is_blanked_in_the_journal_and_the_rest_is_still_read(house):
    await house.carried("t1", "t2")
    house.row[Column.BEGUN] += 1
    house.journal.append(Kind.BEGIN, 3, begin(3, "t3"))  # it runs still
    await written(house)
    await house.recorder.step()
    await house.carried("t5")  # not read yet
    assert await house.recorder.blank() == 4
    data = b"".join(path.read_bytes() for path in (house.path / "journal").iterdir())
    assert [f'"t{n}"'.encode() in data for n in (1, 2, 3, 5)] == [False, False, True, True]
    assert await house.recorder.blank() == 0
    await house.recorder.close()
    house.recorder = house.new_recorder()
    await house.recorder.recount([EPOCH])
    house.journal.append(Kind.WHOLE, 3, whole())
    await house.carried("t6")
    await house.recorder.step()
    assert await ids(house.store) == {"t1", "t2", "t3", "t5", "t6"}
    assert house.recorder.damaged == 0


async def test_what_waits_for_the_store_is_not_blanked(tmp_path):
    moody = House(tmp_path, Moody())
    moody.store.away = True
    await moody.carried("t1", "t2")
    await moody.recorder.step()
    assert await moody.recorder.blank() == 0
    moody.store.away = False
    await moody.recorder.step()
    assert await ids(moody.store) == {"t1", "t2"}
    assert await moody.recorder.blank() == 4
    await moody.close()


async def test_what_was_set_aside_is_forgotten_too(house):
    await house.carried("t1", "t2")
    await house.recorder.step()
    for name in ("t1", "t2"):
        await house.store.forget([name])
    [segment] = (house.path / "journal").glob("*.journal")
    (house.path / "aside" / f"{EPOCH}.1.journal").write_bytes(segment.read_bytes().rstrip(b"\0"))
    (house.path / "aside" / f"{EPOCH}.9.journal").write_bytes(b"nothing that can be read")

    async def settle() -> bool:
        return False

    report = await forget(house.store, (house.recorder,), Forget(session_id="nobody"), 2**51, settle)
    assert (report.set_aside, report.unreadable) == (0, 1)
    report = await forget(house.store, (house.recorder,), Forget(session_id="s1"), 2**51, settle)
    assert (report.set_aside, report.unreadable, report.settled) == (1, 1, False)
    left = {path.name: path.read_bytes() for path in (house.path / "aside").iterdir()}
    assert left == {f"{EPOCH}.1.forgotten": b"", f"{EPOCH}.9.journal": b"nothing that can be read"}


async def test_nothing_is_forgotten_that_would_come_back_from_a_journal_that_is_still_read(house):
    """A desk that has just begun, over a long journal: who asks is told to ask again, and nothing is half forgotten."""

    class Idle(NoJournal):
        async def settled(self, seconds: float) -> bool:
            return True

    await house.carried("t1", "t2")
    await house.recorder.step()
    await house.recorder.close()
    house.recorder = house.new_recorder()
    await house.recorder.recount([EPOCH])
    act = forgetting.acts(house.store, house.recorder, Idle(), asyncio.Lock(), running=True, patience=0.05)["forget"]
    asked = b'{"session_id": "s1"}'
    with pytest.raises(StoreUnavailable):
        await act("", asked, {})
    assert await ids(house.store) == {"t1", "t2"}
    await house.recorder.step()
    assert house.recorder.caught_up
    status, said = await act("", asked, {})
    assert (status, said["tasks"]) == (200, 2)
    await house.recorder.step()
    assert await ids(house.store) == set()
    assert (house.status().stored, house.status().carried) == (2, 2)
