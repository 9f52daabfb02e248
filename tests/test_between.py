"""The benchmark's measure of what a proxy adds: stamps of arrival, and the process that is both of its ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from benchmarks import stamps
from benchmarks.rivals import Helper
from benchmarks.script import small, stream

HELD_BACK = 0.03  # seconds by which the proxy below is slow, each way


@pytest.fixture
def ends() -> Iterator[tuple[Helper, int]]:
    helper = Helper("benchmarks.between")
    try:
        yield helper, int(helper.read())
    finally:
        helper.close()


async def said(helper: Helper, **order: Any) -> dict[str, Any]:
    """What it answers, while this loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, lambda: helper.order(**order))


@contextlib.asynccontextmanager
async def slow_proxy(upstream: int, *, spoil: bytes = b"") -> AsyncIterator[int]:
    """Passes every read on after `HELD_BACK`; what it finds of `spoil` on the way back it turns around."""
    jobs: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, spoil: bytes) -> None:
        while data := await reader.read(65536):
            loop.call_later(HELD_BACK, writer.write, data.replace(spoil, spoil[::-1]) if spoil else data)
        writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", upstream)
        for one in (pump(reader, back, b""), pump(there, writer, spoil)):
            jobs.add(asyncio.create_task(one))

    async with await asyncio.start_server(carry, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


def test_data_are_stamped_when_they_arrive_however_late_they_are_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stamps.ask(listener)
        stamps.wait_for_first()
        with socket.create_connection(listener.getsockname()) as one, listener.accept()[0] as other:
            before = stamps.now()
            one.send(b"said")
            after = stamps.now()
            while stamps.now() < after + 20_000_000:
                other.getpeername()
            data, stamp = stamps.receive(other)
    assert data == b"said"
    assert stamp
    assert before <= stamp <= after


def test_a_clock_that_is_set_meanwhile_is_noticed() -> None:
    ahead = stamps.ahead()
    assert not stamps.was_set(ahead)
    assert stamps.was_set(ahead - 1_000_000)
    assert stamps.was_set(ahead + 1_000_000)


@pytest.mark.parametrize("script", [small(), stream(3)], ids=["small", "stream"])
def test_an_answer_cut_anywhere_is_the_same_events(script: Any) -> None:
    for number, data in enumerate(script.bare):
        for cut in range(len(data)):
            whole = data[:cut] == data.removesuffix(b"0\r\n\r\n")  # its last chunk may come by itself
            assert script.arrived(data[:cut], number) == int(whole)
        assert script.arrived(data, number) == 1
    assert script.ends(script.bare[-1])


def test_chunks_that_a_proxy_has_put_into_one_are_the_same_events() -> None:
    script = stream(4)
    text = script.says[1] + script.says[2]
    assert script.arrived(b"%x\r\n%s\r\n" % (len(text), text), 1) == 2
    assert script.arrived(script.bare[2] + script.bare[3], 2) == 2


def test_an_answer_with_a_changed_byte_is_not_what_was_said() -> None:
    script = stream(3)
    assert script.arrived(script.bare[1].replace(b"word1", b"word7"), 1) is None
    assert small().arrived(small().bare[0].replace(b"says", b"sags"), 0) is None


async def test_what_a_proxy_holds_back_is_what_it_adds(ends: tuple[Helper, int]) -> None:
    helper, port = ends
    async with slow_proxy(port) as slow:
        single = await said(helper, do="single", ports={"direct": port, "slow": slow}, rounds=3)
        assert single["failed"] == single["unstamped"] == 0
        assert single["direct"]["own_p50"] < HELD_BACK
        assert 2 * HELD_BACK <= single["slow"]["own_p50"] <= single["slow"]["seen_p50"]
        paced = await said(helper, do="streams", port=slow, count=4, events=5, apart=0.05, seconds=0.5)
        assert paced["failed"] == 0
        assert paced["calls"] >= 8
        assert paced["count"] >= 20
        assert paced["first"]["p50"] >= 2 * HELD_BACK
        assert paced["events"]["p50"] >= HELD_BACK


async def test_streams_that_are_held_open_are_paced_and_counted(ends: tuple[Helper, int]) -> None:
    helper, port = ends
    assert (await said(helper, do="open", port=port, count=20))["failed"] == 0
    paced = await said(helper, do="pace", rate=20, seconds=0.5)
    assert paced["failed"] == 0
    assert 150 <= paced["count"] <= 250
    assert paced["sent"] >= paced["count"]
    await said(helper, do="close")


async def test_a_proxy_that_changes_a_byte_is_a_failure(ends: tuple[Helper, int]) -> None:
    helper, port = ends
    async with slow_proxy(port, spoil=b"word2") as slow:
        paced = await said(helper, do="streams", port=slow, count=3, events=4, apart=0.02, seconds=0.1)
    assert paced["failed"] == 3
    assert paced["calls"] == 0
