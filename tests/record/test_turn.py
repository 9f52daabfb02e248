"""What streams say in one turn of the loop: read first, then recorded, then written; nothing is lost or overtaken in between."""

from __future__ import annotations

import asyncio

import pytest

from proxy.record.connection import MOST_AT_ONCE, Connection, Pool, Turn
from proxy.record.exchange import Exchange
from proxy.record.straight import Straight

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class Wire:
    """A transport that says in the log what is done to it."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def write(self, data: bytes) -> None:
        self.log.append(f"{self.name} wrote {data.decode()!r}")

    def abort(self) -> None:
        self.log.append(f"{self.name} aborted")

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_extra_info(self, name: str) -> None: ...

    def is_closing(self) -> bool:
        return False


class Call(Exchange):
    """A call that says in the log what it is told."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name
        self.way = Straight(Wire(log, name))  # type: ignore[arg-type]
        self.fault = False

    def event(self, raw: bytes, payload: bytes) -> Straight | None:
        if self.fault:
            raise ValueError("a fault of ours")
        self.log.append(f"{self.name} has {payload.decode()}")
        return self.way

    def body(self, raw: bytes, payload: bytes, done: bool) -> None:
        if payload or done:
            self.log.append(f"{self.name} has {payload.decode()}, {'done' if done else 'not done'}")

    def upstream_ended(self, problem: str | None, clean: bool) -> None:
        self.log.append(f"{self.name} ended")


class Free(Pool):
    """A pool that says in the log what it drops."""

    def __init__(self, log: list[str]) -> None:
        self.log, self.turn = log, Turn()

    def drop(self, connection: Connection) -> None:
        self.log.append("dropped")


@pytest.fixture
async def log() -> list[str]:
    return []


def streams(log: list[str], count: int) -> list[tuple[Connection, Call]]:
    pool, found = Free(log), []
    for number in range(count):
        connection, call = Connection(pool), Call(log, f"{number}")
        connection.connection_made(Wire(log, f"up {number}"))  # type: ignore[arg-type]
        connection.carry(call, b"POST", upgrading=False)
        connection.data_received(HEAD)
        found.append((connection, call))
    return found


def chunk(text: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text.encode())


async def test_all_is_read_then_recorded_then_written(log):
    for connection, call in streams(log, 3):
        connection.data_received(chunk("a" + call.name))
    assert log == []
    await asyncio.sleep(0)
    assert log[:3] == ["0 has a0", "1 has a1", "2 has a2"]
    assert log[3:] == [f"{n} wrote {chunk(f'a{n}').decode()!r}" for n in range(3)]
    await asyncio.sleep(0)
    assert len(log) == 6


async def test_what_is_read_twice_in_a_turn_keeps_its_order(log):
    [(connection, _)] = streams(log, 1)
    for text in ("first", "second", "third"):
        connection.data_received(chunk(text))
    await asyncio.sleep(0)
    assert log == [
        line for text in ("first", "second", "third") for line in (f"0 has {text}", f"0 wrote {chunk(text).decode()!r}")
    ]


async def test_no_more_wait_for_each_other_than_may(log):
    several = streams(log, MOST_AT_ONCE + 1)
    for connection, _ in several[:-2]:
        connection.data_received(chunk("x"))
    assert log == []
    for connection, _ in several[-2:]:
        connection.data_received(chunk("x"))
    assert len(log) == 2 * MOST_AT_ONCE  # at once
    await asyncio.sleep(0)
    assert len(log) == 2 * (MOST_AT_ONCE + 1)


async def test_what_was_read_is_carried_on_before_the_end_of_its_connection(log):
    [(connection, _), (other, _)] = streams(log, 2)
    connection.data_received(chunk("last words"))
    other.data_received(chunk("more"))
    connection.connection_lost(None)
    assert log == ["0 has last words", f"0 wrote {chunk('last words').decode()!r}", "0 ended"]
    await asyncio.sleep(0)
    assert log[3:] == ["1 has more", f"1 wrote {chunk('more').decode()!r}"]


async def test_bytes_behind_an_answer_that_ended_in_the_same_turn_close_the_connection(log):
    [(connection, call)] = streams(log, 1)
    call.body = lambda raw, payload, done: connection.leave()  # type: ignore[method-assign]
    connection.data_received(END)
    connection.data_received(b"HTTP/1.1 200 OK\r\n")
    assert log == ["dropped", "up 0 aborted"]
    await asyncio.sleep(0)
    assert len(log) == 2


async def test_what_waits_for_a_call_that_was_given_up_goes_nowhere(log):
    [(connection, _), (other, _)] = streams(log, 2)
    connection.data_received(chunk("too late"))
    other.data_received(chunk("in time"))
    connection.abort()
    await asyncio.sleep(0)
    assert log == ["up 0 aborted", "1 has in time", f"1 wrote {chunk('in time').decode()!r}"]


async def test_a_fault_of_ours_ends_one_connection_and_no_other(log):
    faults: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(str(context["exception"])))
    several = streams(log, 3)
    several[1][1].fault = True
    for connection, _ in several:
        connection.data_received(chunk("x"))
    await asyncio.sleep(0)
    assert faults == ["a fault of ours"]
    said = f"wrote {chunk('x').decode()!r}"
    assert log == ["0 has x", "up 1 aborted", "2 has x", f"0 {said}", f"2 {said}"]


async def test_chunks_that_come_torn_are_put_together(log):
    [(connection, _)] = streams(log, 1)
    data = chunk("whole") + END
    for number in range(len(data)):
        connection.data_received(data[number : number + 1])
        await asyncio.sleep(0)
    texts = "".join(line.split(" has ")[1].split(",")[0] for line in log)
    assert (texts, log[-1]) == ("whole", "0 has , done")
