"""What upstreams say in one turn of the loop: read first, then recorded, then written. Nothing is lost or overtaken."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from proxy.record.connection import Connection, Pool
from proxy.record.ears import MOST_AT_ONCE, MOST_READ, Ears, Heard
from proxy.record.exchange import Exchange
from proxy.record.straight import Straight
from tests.sockets import PATIENCE

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"
END = b"0\r\n\r\n"


class Wire:
    """A caller's transport that says in the log what is done to it."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name
        self.fault = False

    def write(self, data: bytes) -> None:
        if self.fault:
            raise ValueError("a fault of ours")
        self.log.append(f"{self.name} wrote {data.decode()!r}")

    def abort(self) -> None:
        self.log.append(f"{self.name} aborted")

    def get_extra_info(self, name: str) -> None: ...


class Call(Exchange):
    """A call that says in the log what it is told."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name
        self.wire = Wire(log, name)
        self.way = Straight(self.wire)  # type: ignore[arg-type]
        self.fault = False
        self.times: list[int] = []
        self.bytes = 0

    def event(self, raw: bytes, payload: bytes, at: int) -> Straight | None:
        if self.fault:
            raise ValueError("a fault of ours")
        self.times.append(at)
        self.log.append(f"{self.name} has {payload.decode()}")
        return self.way

    def body(self, raw: bytes, payload: bytes, done: bool) -> None:
        if self.fault:
            raise ValueError("a fault of ours")
        self.bytes += len(payload)
        if done:
            self.log.append(f"{self.name} is done after {self.bytes}")

    def upstream_ended(self, problem: str | None, clean: bool) -> None:
        self.log.append(f"{self.name} ended, {'clean' if clean else 'broken'}")


class Free(Pool):
    """A pool that says in the log what it drops."""

    def __init__(self, log: list[str]) -> None:
        self.log, self.ears = log, Ears()

    def keep(self, connection: Connection) -> None:
        self.log.append("kept")

    def drop(self, connection: Connection) -> None:
        self.log.append("dropped")


class Scene:
    """Streams of upstreams that are nothing but sockets."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.pool = Free(self.log)
        self.faults: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.faults.append(str(context["exception"])))
        self._ends: list[socket.socket] = []
        self._transports: list[asyncio.Transport] = []

    async def stream(self, name: str, head: bytes = HEAD) -> tuple[socket.socket, Connection, Call]:
        """One that has begun."""
        server = socket.create_server(("127.0.0.1", 0))
        with server:
            ours = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()
        theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ends.append(theirs)
        transport, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(self.pool), sock=ours)
        self._transports.append(transport)
        connection.listen()
        call = Call(self.log, name)
        connection.carry(call, b"POST", upgrading=False)
        theirs.sendall(head)
        while connection._head is None:
            await asyncio.sleep(0)
        return theirs, connection, call

    async def until(self, *lines: str) -> None:
        """Wait for the log to say this, and nothing else; then it is blank."""
        async with asyncio.timeout(PATIENCE):
            while len(self.log) < len(lines):
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert self.log == list(lines)
        self.log.clear()

    async def close(self) -> None:
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0)
        for end in self._ends:
            end.close()
        self.pool.ears.close()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.close()


def chunk(text: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text.encode())


def wrote(name: str, text: str) -> str:
    return f"{name} wrote {chunk(text).decode()!r}"


async def test_all_is_read_then_recorded_then_written_and_has_come_at_one_time(scene):
    streams = [await scene.stream(str(number)) for number in range(3)]
    for theirs, _, call in streams:
        theirs.sendall(chunk("a" + call.name))
    await scene.until("0 has a0", "1 has a1", "2 has a2", *(wrote(str(n), f"a{n}") for n in range(3)))
    assert len({at for _, _, call in streams for at in call.times}) == 1


async def test_no_more_wait_for_each_other_than_may(scene):
    streams = [await scene.stream(str(number)) for number in range(MOST_AT_ONCE + 1)]
    for theirs, _, _ in streams:
        theirs.sendall(chunk("x"))
    names = [call.name for _, _, call in streams]
    first, last = names[:-1], names[-1]
    await scene.until(
        *(f"{name} has x" for name in first), *(wrote(name, "x") for name in first), f"{last} has x", wrote(last, "x")
    )


async def test_what_comes_in_many_pieces_keeps_its_order(scene):
    theirs, _, _ = await scene.stream("0")
    lines: list[str] = []
    for number in range(50):
        theirs.sendall(chunk(f"{number:02}"))
        lines += (f"0 has {number:02}", wrote("0", f"{number:02}"))
        await asyncio.sleep(0.001)
    await scene.until(*lines)


@pytest.mark.parametrize("size", [MOST_READ - 1, MOST_READ, MOST_READ + 1, 10 * MOST_READ])
async def test_what_is_more_than_one_reading_comes_whole(scene, size):
    theirs, _, _ = await scene.stream("0", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    await asyncio.get_running_loop().run_in_executor(None, theirs.sendall, b"x" * size)
    await scene.until(f"0 is done after {size}")


async def test_last_words_are_heard_though_the_end_comes_with_them(scene):
    theirs, _, _ = await scene.stream("0")
    theirs.sendall(chunk("last words"))
    theirs.close()  # before we look: the kernel tells of both at once
    await scene.until("0 has last words", wrote("0", "last words"), "0 ended, broken")


@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_until_the_close_is_whole_where_the_close_was_clean(scene, reset):
    theirs, _, call = await scene.stream("0", UNTIL_CLOSE)
    theirs.sendall(b"all of it")
    if reset:
        await asyncio.sleep(0.02)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    await scene.until("0 ended, broken" if reset else "0 ended, clean")
    assert call.bytes == len(b"all of it")


async def test_whoever_is_not_to_be_heard_loses_nothing_meanwhile(scene):
    theirs, connection, call = await scene.stream("0", UNTIL_CLOSE)
    for number in range(3):
        connection.pause()
        connection.pause()
        theirs.sendall(b"more")
        await asyncio.sleep(0.02)
        assert call.bytes == 4 * number
        connection.resume()
        connection.resume()
        await asyncio.sleep(0.02)
        assert call.bytes == 4 * number + 4
    connection.pause()
    theirs.sendall(b"the end")
    theirs.close()
    await asyncio.sleep(0.02)
    assert scene.log == []
    connection.resume()
    await scene.until("0 ended, clean")
    assert call.bytes == 12 + len(b"the end")


async def test_what_comes_for_a_call_that_was_given_up_goes_nowhere(scene):
    theirs, connection, _ = await scene.stream("0")
    other, _, _ = await scene.stream("1")
    theirs.sendall(chunk("too late"))
    other.sendall(chunk("in time"))
    connection.abort()
    await scene.until("dropped", "1 has in time", wrote("1", "in time"))


async def test_a_free_connection_that_ends_is_dropped_and_one_that_speaks_is_ended(scene):
    for word in (b"", b"HTTP/1.1 200 OK\r\n"):
        theirs, connection, _ = await scene.stream("0")
        theirs.sendall(END)
        call = connection._carrier
        call.body = lambda raw, payload, done, connection=connection: connection.leave()  # type: ignore[method-assign]
        await scene.until("kept")
        if word:
            theirs.sendall(word)
        else:
            theirs.close()
        await scene.until(*["dropped"] * (2 if word else 1))
        assert connection.transport is None


async def test_a_number_that_is_used_again_is_another_connection(scene):
    theirs, connection, _ = await scene.stream("0")
    number = connection._fd
    theirs.close()
    await scene.until("0 ended, broken")
    other, again, _ = await scene.stream("1")
    assert again._fd == number
    connection.connection_lost(None)  # late, as it may be
    scene.log.clear()
    other.sendall(chunk("x"))
    await scene.until("1 has x", wrote("1", "x"))


@pytest.mark.parametrize("head", [HEAD, UNTIL_CLOSE])
async def test_a_fault_of_ours_breaks_one_call_and_no_other(scene, head):
    (first, *_), (second, _, call), (third, *_) = [
        await scene.stream(str(number), head if number == 1 else HEAD) for number in range(3)
    ]
    call.fault = True
    for theirs in (first, second, third):
        theirs.sendall(chunk("x"))
    await scene.until("0 has x", "2 has x", wrote("0", "x"), wrote("2", "x"), "1 ended, broken")
    assert scene.faults == ["a fault of ours"]


async def test_a_fault_while_writing_breaks_one_caller_and_no_other(scene):
    streams = [await scene.stream(str(number)) for number in range(3)]
    streams[1][2].wire.fault = True
    for theirs, _, _ in streams:
        theirs.sendall(chunk("x"))
    await scene.until("0 has x", "1 has x", "2 has x", wrote("0", "x"), "1 aborted", wrote("2", "x"))
    assert scene.faults == ["a fault of ours"]


async def test_chunks_that_come_torn_are_put_together(scene):
    theirs, _, _ = await scene.stream("0")
    for byte in chunk("whole") + END:
        theirs.sendall(bytes((byte,)))
        await asyncio.sleep(0.001)
    await scene.until("0 is done after 5")


async def test_ears_can_be_closed_twice_and_then_hear_nothing(scene):
    theirs, _, call = await scene.stream("0", UNTIL_CLOSE)
    descriptors = len(os.listdir("/proc/self/fd"))
    scene.pool.ears.close()
    scene.pool.ears.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors - 1
    theirs.sendall(b"x")
    await asyncio.sleep(0.02)
    assert call.bytes == 0


class Full(Ears):
    """Ears that can listen to nothing more."""

    def add(self, fd: int, heard: Heard) -> None:
        raise OSError(28, "no more sockets are watched")


async def test_where_no_more_can_be_listened_to_the_transport_hears(scene):
    scene.pool.ears.close()
    scene.pool.ears = Full()
    theirs, connection, _ = await scene.stream("0")
    theirs.sendall(chunk("x"))
    await scene.until("0 has x", wrote("0", "x"))
    connection.pause()
    theirs.sendall(chunk("y"))
    await asyncio.sleep(0.02)
    assert scene.log == []
    connection.resume()
    await scene.until("0 has y", wrote("0", "y"))
