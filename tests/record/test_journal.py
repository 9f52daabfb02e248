"""The journal: in the file before anyone is told, never in anyone's way."""

import asyncio
import fcntl
import os
import random
import shutil
from bisect import bisect_right

import pytest

from proxy.record.board import Board, Column
from proxy.record.frames import HEADER_SIZE, Kind, frame, records
from proxy.record.journal import FIRST_BYTES, MOST_FLUSHES, Journal, JournalSettings
from proxy.record.segments import BLOCK, MOST_CALLS, Tail, epochs
from proxy.record.spares import retire
from tests.sockets import PATIENCE

EPOCH, NEXT = "run0w0s1", "run0w0s2"


@pytest.fixture
def row():
    board = Board.made()
    yield board.row(1)
    os.close(board.fd)


@pytest.fixture
async def journal(tmp_path, row):
    made = Journal(JournalSettings(directory=tmp_path, segment_bytes=64 * 1024, patience=PATIENCE), EPOCH, row)
    yield made
    await made.close(PATIENCE)


async def written(journal: Journal, sequence: int) -> None:
    """Wait until the journal says that this record is written, or loses patience."""
    done = asyncio.get_running_loop().create_future()
    journal.wait(sequence, lambda: done.set_result(None))
    await done


def on_disk(directory) -> list[tuple[Kind, int, bytes]]:
    return [(r.kind, r.number, r.payload) for path in sorted(directory.glob("*.journal")) for r in records(path.read_bytes())]


async def test_a_record_is_in_the_file_when_its_waiter_is_called(journal, tmp_path):
    sequence = journal.append(Kind.BEGIN, 1, b"begun")
    assert journal.must_wait(sequence)

    await written(journal, sequence)

    assert not journal.must_wait(sequence)
    assert on_disk(tmp_path) == [(Kind.BEGIN, 1, b"begun")]


async def test_a_record_that_nobody_waits_for_is_written_all_the_same(journal, tmp_path):
    sequence = journal.append(Kind.DATA, 1, b"a piece")
    async with asyncio.timeout(PATIENCE):
        while journal.must_wait(sequence):
            await asyncio.sleep(0.005)

    assert on_disk(tmp_path) == [(Kind.DATA, 1, b"a piece")]


async def test_records_keep_their_order_over_many_segments(journal, tmp_path):
    for number in range(200):
        journal.append(Kind.DATA, number, bytes([number]) * 1500)
    await written(journal, journal.append(Kind.END, 200, b""))

    assert [number for _, number, _ in on_disk(tmp_path)] == list(range(201))
    assert len(list(tmp_path.glob("*.journal"))) > 3


async def test_a_segment_that_was_made_blank_is_written_again(tmp_path, row):
    size = 4 << 20
    settings = JournalSettings(directory=tmp_path, segment_bytes=size, patience=PATIENCE)
    first = Journal(settings, EPOCH, row)
    for length in (FIRST_BYTES - 1000, size - 1000):
        await written(first, first.append(Kind.DATA, 1, b"o" * length))
    await first.close(PATIENCE)
    small, path = sorted(tmp_path.glob("*.journal"))
    small.unlink()
    file = path.stat().st_ino
    retire(path, size - 900)

    second = Journal(settings, NEXT, row)
    await written(second, second.append(Kind.DATA, 2, b"n" * (FIRST_BYTES - 1000)))
    await written(second, second.append(Kind.DATA, 3, b"n" * 2000))
    await second.close(PATIENCE)

    small, path = sorted(tmp_path.iterdir())
    assert (path.name, path.stat().st_ino) == (f"{NEXT}-00000001.journal", file)
    assert [number for _, number, _ in on_disk(tmp_path)] == [2, 3]
    assert b"o" * 16 not in path.read_bytes()  # a time or a checksum may have one


async def test_a_journal_that_has_closed_has_let_go_of_its_segment(tmp_path, row):
    made = Journal(JournalSettings(directory=tmp_path, segment_bytes=64 * 1024, patience=PATIENCE), EPOCH, row)
    await written(made, made.append(Kind.DATA, 1, b"a piece"))
    (path,) = tmp_path.glob("*.journal")
    with path.open("rb") as file:
        assert await made.close(PATIENCE)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # at once: its thread has had no time since


async def test_a_journal_that_has_closed_holds_nothing_open(tmp_path, row):
    before = len(os.listdir("/proc/self/fd"))
    made = Journal(JournalSettings(directory=tmp_path, segment_bytes=64 * 1024, patience=PATIENCE), EPOCH, row)
    await written(made, made.append(Kind.DATA, 1, b"a piece"))
    assert len(os.listdir("/proc/self/fd")) > before
    assert await made.close(PATIENCE)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_of_many_flushes_that_are_due_what_has_come_meanwhile_is_not_kept_waiting(journal):
    turns: list[int] = [0]
    running = True

    def turn() -> None:
        turns.append(0)
        if running:
            asyncio.get_running_loop().call_soon(turn)

    def flush() -> None:
        turns[-1] += 1

    for _ in range(100):
        journal.later(flush)
    turn()
    async with asyncio.timeout(PATIENCE):
        while sum(turns) < 100:
            await asyncio.sleep(0.005)
    running = False
    assert max(turns) <= MOST_FLUSHES


async def test_the_first_segment_is_small_and_those_behind_it_are_what_was_asked_for(tmp_path, row):
    journal = Journal(JournalSettings(directory=tmp_path, segment_bytes=4 << 20, patience=PATIENCE), EPOCH, row)
    for _ in range(3):
        await written(journal, journal.append(Kind.DATA, 1, bytes(700_000)))
    await journal.close(PATIENCE)
    assert [path.stat().st_size for path in sorted(tmp_path.iterdir())] == [FIRST_BYTES, 4 << 20]


async def test_a_record_larger_than_a_segment_gets_a_segment_of_its_own(journal, tmp_path):
    await written(journal, journal.append(Kind.SENT, 1, b"x" * 300_000))

    assert on_disk(tmp_path) == [(Kind.SENT, 1, b"x" * 300_000)]


async def test_files_can_be_read_by_their_owner_alone(journal, tmp_path):
    await written(journal, journal.append(Kind.BEGIN, 1, b""))

    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.journal")} == {0o600}


async def test_a_disk_that_cannot_be_written_costs_a_lapse_and_no_call_and_no_record(tmp_path, row):
    """The directory is gone for a while, as a volume that was unmounted."""
    directory = tmp_path / "away"
    journal = Journal(JournalSettings(directory=directory, patience=0.03), EPOCH, row)
    first = journal.append(Kind.BEGIN, 1, b"one")

    await written(journal, first)  # returns by patience

    assert journal.stalled
    assert row[Column.STALLED] == 1
    assert row[Column.LAPSES] == 1
    assert not journal.must_wait(journal.append(Kind.END, 1, b"end"))  # nobody waits for a disk that is known to hang
    assert row[Column.LAPSES] == 2
    directory.mkdir()
    async with asyncio.timeout(PATIENCE):
        while journal.durable < 2:
            await asyncio.sleep(0.01)
    assert not journal.stalled
    assert row[Column.STALLED] == 0
    assert [payload for _, _, payload in on_disk(directory)] == [b"one", b"end"]
    assert await journal.close(PATIENCE)


async def test_of_a_journal_that_was_filled_at_one_go_it_is_known_after_a_lapse_that_it_has_no_room(tmp_path, row):
    """Nothing tells it otherwise: what would is a batch that was written."""
    made = Journal(JournalSettings(directory=tmp_path, segment_bytes=64 * 1024, max_bytes=1 << 20, patience=0.2), EPOCH, row)
    for number in range(40):
        last = made.append(Kind.DATA, number, bytes(90_000))
    await written(made, last)  # returns by patience
    assert made.stalled
    assert not made.has_room


async def test_a_journal_is_closed_once_and_again_at_once(journal):
    journal.append(Kind.BEGIN, 1, b"begun")
    assert await journal.close(PATIENCE)
    async with asyncio.timeout(PATIENCE / 2):
        assert await journal.close(PATIENCE)
    journal.append(Kind.END, 1, b"too late")
    assert not await journal.close(PATIENCE)


async def test_with_durability_none_nobody_ever_waits(tmp_path, row):
    journal = Journal(JournalSettings(directory=tmp_path, durability="none"), EPOCH, row)

    assert not journal.must_wait(journal.append(Kind.END, 1, b""))
    assert row[Column.LAPSES] == 0
    assert await journal.close(PATIENCE)
    assert len(on_disk(tmp_path)) == 1


async def test_ends_that_are_written_are_counted(journal, row):
    journal.append(Kind.END, 1, b"")
    await written(journal, journal.append(Kind.WHOLE, 2, b""))

    assert row[Column.JOURNALLED] == 2


async def test_a_full_journal_drops_bodies_first_and_takes_them_again_when_it_is_emptied(tmp_path, row):
    settings = JournalSettings(directory=tmp_path, segment_bytes=64 * 1024, max_bytes=3 * 64 * 1024, patience=0.05)
    journal = Journal(settings, EPOCH, row)
    while journal.has_room:
        await written(journal, journal.append(Kind.DATA, 1, b"x" * 60_000))
    assert journal.has_any_room

    for path in tmp_path.glob("*.journal"):
        path.unlink()
    async with asyncio.timeout(PATIENCE):
        while not journal.has_room:
            await written(journal, journal.append(Kind.DATA, 1, b"x"))
            await asyncio.sleep(0.05)
    await journal.close(PATIENCE)


async def test_the_reader_gives_a_call_once_its_end_is_there_and_not_before(journal, tmp_path):
    tail = Tail(tmp_path, EPOCH)
    await written(journal, journal.append(Kind.BEGIN, 7, b"b"))
    assert list(tail.read(epochs(tmp_path)[EPOCH], 1 << 20)) == []

    await written(journal, journal.append(Kind.END, 7, b"e"))
    drafts = list(tail.read(epochs(tmp_path)[EPOCH], 1 << 20))

    assert [[record.kind for record in draft.records] for draft in drafts] == [[Kind.BEGIN, Kind.END]]
    assert not tail.ended
    assert tail.oldest_done() is None
    tail.close()


async def test_when_the_writer_is_gone_unfinished_calls_are_given_as_they_are(tmp_path, row):
    journal = Journal(JournalSettings(directory=tmp_path, patience=PATIENCE), EPOCH, row)
    journal.append(Kind.BEGIN, 1, b"b")
    await written(journal, journal.append(Kind.DATA, 1, b"d"))
    tail = Tail(tmp_path, EPOCH)
    assert list(tail.read([0], 1 << 20)) == []

    await journal.close(PATIENCE)
    async with asyncio.timeout(PATIENCE):
        while not (drafts := list(tail.read([0], 1 << 20))):
            await asyncio.sleep(0.005)

    assert [record.kind for record in drafts[0].records] == [Kind.BEGIN, Kind.DATA]
    assert tail.ended
    assert tail.oldest_done() is None  # not before it is stored
    drafts[0].stored()
    assert tail.oldest_done() == tmp_path / f"{EPOCH}-00000000.journal"
    tail.close()


@pytest.mark.parametrize("cut", [1, 10, 20, 21, 30, 40])
async def test_a_torn_tail_is_cut_off(tmp_path, row, cut):
    journal = Journal(JournalSettings(directory=tmp_path, patience=PATIENCE), EPOCH, row)
    journal.append(Kind.BEGIN, 1, b"first")
    await written(journal, journal.append(Kind.BEGIN, 2, b"second payload"))
    await journal.close(PATIENCE)
    path = tmp_path / f"{EPOCH}-00000000.journal"
    whole = HEADER_SIZE + 5
    data = path.read_bytes()
    path.write_bytes(data[: whole + cut] + b"\0" * 1000)

    tail = Tail(tmp_path, EPOCH)
    async with asyncio.timeout(PATIENCE):
        while not tail.ended:
            drafts = list(tail.read([0], 1 << 20))

    assert [record.payload for draft in drafts for record in draft.records] in ([b"first"], [b"first", b"second payload"])
    assert len(drafts) == (2 if cut >= HEADER_SIZE + 14 else 1)
    tail.close()


def test_a_journal_has_ended_when_the_last_of_it_was_all_that_was_to_be_read_at_a_time(tmp_path):
    payload = b"x" * 5000
    (tmp_path / f"{EPOCH}-00000000.journal").write_bytes(frame(Kind.BEGIN, 1, 7, payload) + payload)

    tail = Tail(tmp_path, EPOCH)
    drafts = list(tail.read([0], 1000))

    assert [draft.records[0].payload for draft in drafts] == [payload]
    assert tail.ended
    assert not tail.behind
    tail.close()


def test_a_long_segment_is_read_some_calls_at_a_time_and_each_call_once(tmp_path):
    count = 2 * MOST_CALLS + 7
    records = [(kind, number, b"%d" % number) for number in range(count) for kind in (Kind.BEGIN, Kind.END)]
    data = b"".join(frame(kind, number, 7, payload) + payload for kind, number, payload in records)
    (tmp_path / f"{EPOCH}-00000000.journal").write_bytes(data)

    tail = Tail(tmp_path, EPOCH)
    reads = []
    while not tail.ended:
        reads.append([draft.records[0].number for draft in tail.read([0], 1 << 30)])
        assert tail.behind is (not tail.ended)

    assert [len(numbers) for numbers in reads] == [MOST_CALLS, MOST_CALLS, 7]
    assert [number for numbers in reads for number in numbers] == list(range(count))
    tail.close()


async def test_damage_inside_is_counted_and_what_is_behind_it_is_read(tmp_path, row):
    journal = Journal(JournalSettings(directory=tmp_path, patience=PATIENCE), EPOCH, row)
    for number in range(3):
        journal.append(Kind.BEGIN, number, b"payload %d" % number)
    await written(journal, journal.append(Kind.END, 0, b""))
    await journal.close(PATIENCE)
    path = tmp_path / f"{EPOCH}-00000000.journal"
    data = bytearray(path.read_bytes())
    data[HEADER_SIZE + 9 + HEADER_SIZE + 3] ^= 0xFF  # in the second record's payload
    path.write_bytes(data)

    tail = Tail(tmp_path, EPOCH)
    drafts = []
    while not tail.ended:
        drafts += tail.read([0], 1 << 20)

    assert sorted(draft.records[0].payload for draft in drafts) == [b"payload 0", b"payload 2"]
    assert tail.damaged == HEADER_SIZE + 9
    tail.close()


def drafts_of(directory) -> tuple[set[bytes], int]:
    """What a reader finds in a journal whose relay is gone, and how many bytes it found no record in."""
    tail = Tail(directory, EPOCH)
    drafts = []
    while not tail.ended:
        drafts += tail.read([0], 1 << 20)
    tail.close()
    return {b"|".join(record.payload for record in draft.records) for draft in drafts}, tail.damaged


@pytest.fixture
async def damageable(tmp_path, row):
    """The bytes of a journal with twenty calls, where each of its records begins, and its file."""
    journal = Journal(JournalSettings(directory=tmp_path), EPOCH, row)
    for number in range(20):
        journal.append(Kind.BEGIN, number, b"call %d, " % number * 5)
        last = journal.append(Kind.END, number, b"ended %d" % number)
    await written(journal, last)
    await journal.close(PATIENCE)
    path = tmp_path / f"{EPOCH}-00000000.journal"
    data = path.read_bytes().rstrip(b"\0")
    return data, [record.offset for record in records(data)], path


async def test_a_flipped_bit_costs_the_record_it_is_in_and_no_other(damageable, tmp_path):
    data, starts, path = damageable
    path.write_bytes(data)
    whole, damaged = drafts_of(tmp_path)
    assert (len(whole), damaged) == (20, 0)
    dice = random.Random(1)
    for _ in range(1000):
        at = dice.randrange(len(data))
        path.write_bytes(data[:at] + bytes((data[at] ^ 1 << dice.randrange(8),)) + data[at + 1 :])
        found, damaged = drafts_of(tmp_path)
        inside = bisect_right(starts, at) - 1
        assert damaged == (*starts, len(data))[inside + 1] - starts[inside]
        assert len(whole & found) == 19
        assert all(any(each.startswith(every) for each in whole) for every in found), "something was invented"


async def test_a_journal_cut_at_any_byte_gives_all_that_is_before_the_cut(damageable, tmp_path):
    data, starts, path = damageable
    path.write_bytes(data)
    whole, _ = drafts_of(tmp_path)
    for at in range(len(data)):
        path.write_bytes(data[:at])
        found, _ = drafts_of(tmp_path)
        complete = bisect_right((*starts[1:], len(data)), at)
        assert len(found) == (complete + 1) // 2
        assert len(whole & found) == complete // 2


BIG = 3 * BLOCK  # of a payload: the bad place is inside of one


class BadDisk:
    """Reads like `os.pread`, but for one place."""

    def __init__(self, first: int, last: int) -> None:
        self.bad = range(first, last)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        if offset in self.bad:
            raise OSError(5, "Input/output error")
        if offset < self.bad.start:
            size = min(size, self.bad.start - offset)  # as Linux does: what can be read, and then the error
        return os.pread(fd, size, offset)


async def three_calls(tmp_path, row, end: bool) -> tuple[Journal, BadDisk]:
    """A journal of three long calls; the disk cannot read a part of the second."""
    journal = Journal(JournalSettings(directory=tmp_path, patience=PATIENCE), EPOCH, row)
    for number in range(3):
        journal.append(Kind.BEGIN, number, b"%d" % number * BIG)
        last = journal.append(Kind.END, number, b"{}")
    await written(journal, last)
    if end:
        await journal.close(PATIENCE)
    place = BIG + BLOCK + (-BIG % BLOCK)
    return journal, BadDisk(place, place + BLOCK)


@pytest.mark.parametrize("end", [True, False], ids=["sealed", "still-written"])
async def test_a_place_that_cannot_be_read_for_long_costs_the_call_that_is_there_and_no_other(tmp_path, row, end):
    journal, disk = await three_calls(tmp_path, row, end)
    tail = Tail(tmp_path, EPOCH, disk.pread, 0.05)
    drafts, errors = [], 0
    async with asyncio.timeout(PATIENCE):
        while len(drafts) < 2:
            try:
                drafts += tail.read([0], 1 << 20)
            except OSError:
                errors += 1
                await asyncio.sleep(0.01)
    assert errors
    assert [draft.records[0].payload[:1] for draft in drafts] == [b"0", b"2"]
    assert tail.damaged == HEADER_SIZE + BIG
    tail.close()
    await journal.close(PATIENCE)


async def test_a_place_that_can_be_read_again_in_time_costs_nothing(tmp_path, row):
    _, disk = await three_calls(tmp_path, row, True)
    tail = Tail(tmp_path, EPOCH, disk.pread, 60)
    drafts = []
    with pytest.raises(OSError, match="Input/output"):
        drafts += tail.read([0], 1 << 20)
    disk.bad = range(0)
    while not tail.ended:
        drafts += tail.read([0], 1 << 20)
    assert len(drafts) == 3 - len(drafts[3:])
    assert tail.damaged == 0
    tail.close()


async def test_where_a_disk_cannot_read_what_was_never_written_the_reader_waits(tmp_path, row):
    journal = Journal(JournalSettings(directory=tmp_path, patience=PATIENCE), EPOCH, row)
    await written(journal, journal.append(Kind.END, 1, b"{}"))
    tail = Tail(tmp_path, EPOCH, BadDisk(BLOCK, 2 * BLOCK).pread, 0)
    assert list(tail.read([0], 1 << 20)) == []
    assert (tail.damaged, tail.ended) == (0, False)
    journal.append(Kind.BEGIN, 2, b"2" * BIG)
    journal.append(Kind.BEGIN, 3, b"3")
    await written(journal, journal.append(Kind.END, 3, b"{}"))
    [draft] = tail.read([0], 1 << 20)
    assert draft.records[0].payload == b"3"
    tail.close()
    await journal.close(PATIENCE)


async def test_a_second_start_writes_files_of_its_own(tmp_path, row):
    for epoch in ("run0w0s1", "run0w0s2"):
        journal = Journal(JournalSettings(directory=tmp_path, patience=PATIENCE), epoch, row)
        await written(journal, journal.append(Kind.BEGIN, 1, b""))
        await journal.close(PATIENCE)

    assert epochs(tmp_path) == {"run0w0s1": [0], "run0w0s2": [0]}
    shutil.rmtree(tmp_path)
