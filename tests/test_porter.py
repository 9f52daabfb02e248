"""A door is opened when somebody knocks, and nobody is refused; where it cannot be opened, that is told and it is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.server.porter import Porter

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Hall:
    """What is behind the door: it answers everybody alike. The first `failures` tries to open it fail."""

    def __init__(self, failures: int = 0) -> None:
        self.tries = 0
        self.failures = failures
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.trying = asyncio.Event()
        self.server: asyncio.Server | None = None
        self.answering: set[asyncio.Task[None]] = set()

    async def open(self, sock: socket.socket) -> Hall:
        self.tries += 1
        self.trying.set()
        await self.may_open.wait()
        if self.tries <= self.failures:
            sock.close()
            raise ImportError("secret words of a module")
        self.server = await asyncio.start_server(self._answered, sock=sock)
        return self

    async def cleanup(self) -> None:
        assert self.server is not None
        self.server.close()
        await asyncio.gather(*self.answering)

    def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answering.add(asyncio.create_task(_answer(reader, writer)))


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):  # they have left again
        await reader.readuntil(b"\r\n\r\n")
        writer.write(WELL)
        await writer.drain()
    await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    """The test's loop ends soon: nothing of a connection is to be left to it."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def watched(hall: Hall) -> AsyncIterator[tuple[Porter, tuple[str, int]]]:
    sock = socket.create_server(("127.0.0.1", 0), backlog=200)
    address = sock.getsockname()
    porter = Porter(sock, hall.open)
    try:
        yield porter, address
    finally:
        if sock.fileno() >= 0:
            await porter.close()
        assert sock.fileno() == -1


async def visit(address: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    try:
        return await reader.read()
    finally:
        await _closed(writer)


async def test_nothing_is_opened_before_somebody_comes():
    hall = Hall()
    async with watched(hall):
        for _ in range(10):
            await asyncio.sleep(0)
    assert hall.tries == 0


async def test_everybody_who_came_while_it_was_opened_is_served_and_it_is_opened_once():
    hall = Hall()
    hall.may_open.clear()
    async with watched(hall) as (_, address):
        visits = [asyncio.create_task(visit(address)) for _ in range(100)]
        await hall.trying.wait()
        hall.may_open.set()
        assert set(await asyncio.gather(*visits)) == {WELL}
        assert await visit(address) == WELL
    assert hall.tries == 1


@pytest.mark.parametrize("failures", [1, 2])
async def test_who_waits_for_a_door_that_cannot_be_opened_is_told_so_and_the_next_to_come_is_let_in(failures: int):
    hall = Hall(failures)
    async with watched(hall) as (_, address):
        for _ in range(failures):
            for head, _, body in [
                answer.partition(b"\r\n\r\n") for answer in await asyncio.gather(visit(address), visit(address))
            ]:
                if head == WELL.partition(b"\r\n\r\n")[0]:
                    continue  # it came after the others had been turned away
                assert head.startswith(b"HTTP/1.1 503 ")
                assert b"secret words" not in body
                error = json.loads(body)["error"]
                assert (error["code"], error["type"]) == ("desk_failed", "server_error")
                assert "ImportError" in error["message"]
        assert await visit(address) == WELL
    assert hall.tries == failures + 1


async def test_who_was_turned_away_and_says_nothing_keeps_nobody_waiting():
    hall = Hall(1)
    async with watched(hall) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        await hall.trying.wait()
        assert WELL in (await visit(address), await visit(address))  # the first may be turned away with it
        assert await reader.read() == b""
        await _closed(writer)


async def test_somebody_who_has_left_again_does_no_harm():
    hall = Hall()
    hall.may_open.clear()
    async with watched(hall) as (_, address):
        _, writer = await asyncio.open_connection(*address)
        await hall.trying.wait()
        writer.transport.abort()
        hall.may_open.set()
        assert await visit(address) == WELL


async def test_a_door_that_is_being_opened_at_the_end_is_opened_and_closed():
    hall = Hall()
    hall.may_open.clear()
    async with watched(hall) as (porter, address):
        coming = asyncio.create_task(visit(address))
        await hall.trying.wait()
        closing = asyncio.create_task(porter.close())
        await asyncio.sleep(0)
        hall.may_open.set()
        await closing
        await asyncio.wait({coming})
        assert hall.server is not None
        assert not hall.server.is_serving()


async def test_an_end_does_not_wait_for_ever_for_a_door_that_does_not_open():
    hall = Hall()
    hall.may_open.clear()
    async with watched(hall) as (_, address):
        coming = asyncio.create_task(visit(address))
        await hall.trying.wait()
    assert hall.server is None
    with pytest.raises(ConnectionError):
        await coming
