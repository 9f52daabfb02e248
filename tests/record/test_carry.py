"""A call between two connections that are not there: what its end says of it."""

import asyncio
import os
import socket

import orjson
import pytest

from proxy.record.board import Board
from proxy.record.connection import Connection
from proxy.record.frames import Kind, records
from proxy.record.house import Rules
from proxy.record.journal import Journal, JournalSettings
from proxy.record.relay import Relay, RelaySettings
from proxy.record.tap import TapSettings
from proxy.record.upstream import UpstreamSettings
from tests.sockets import PATIENCE

ASKED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\ne\r\ndata: [DONE]\n\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int) -> None: ...

    def abort(self) -> None: ...

    def get_extra_info(self, name: str) -> None: ...

    def close(self) -> None:
        self.closed = True

    pause_reading = resume_reading = abort


class House:
    """A relay with a connection to a caller and one to an upstream, neither of which is there."""

    def __init__(self, path) -> None:
        self.board = Board.made()
        row = self.board.row(1)
        self.journal = Journal(JournalSettings(directory=path, patience=PATIENCE), "run0w0s1", row)
        upstreams = (UpstreamSettings("openai", "http://127.0.0.1:1"),)
        settings = RelaySettings("run0w0s1", upstreams, "openai", TapSettings(1 << 20, b"p" * 32), Rules())
        self.relay = Relay(settings, self.journal, row)
        self.down = Wire()
        self.connection = Connection(self.relay.upstreams["openai"])
        self.connection.connection_made(Wire())
        self.relay.upstreams["openai"].keep(self.connection)
        self.caller = self.relay.protocol()
        self.caller.connection_made(self.down)

    def says(self, data: bytes) -> None:
        """The upstream does."""
        self.connection.data_received(data)

    async def close(self) -> None:
        self.caller.connection_lost(None)
        self.relay.hurry(0)
        await self.relay.stop()
        assert await self.journal.close(1)
        os.close(self.board.fd)


@pytest.mark.parametrize(("delivered", "ending"), [(True, "completed"), (False, "caller_left")])
async def test_a_caller_that_leaves_has_the_whole_answer_only_where_its_marker_went_out(tmp_path, delivered, ending):
    house = House(tmp_path)
    house.caller.data_received(ASKED)
    house.says(ANSWER)  # held until the journal has the mark
    assert house.down.written == b""
    if delivered:
        async with asyncio.timeout(PATIENCE):
            while b"[DONE]" not in house.down.written:
                await asyncio.sleep(0)
    await house.close()

    found = [r for path in tmp_path.glob("*.journal") for r in records(path.read_bytes())]
    ends = [orjson.loads(r.payload) for r in found if r.kind is Kind.END]
    assert [end["ending"] for end in ends] == [ending]
    assert ends[0].get("marked", False) is delivered
    assert ends[0].get("drained", False) is not delivered


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: bytes) -> bytes:
    return b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text


@pytest.mark.parametrize("first", [b"a", b"All of Data: DONE, ["])
@pytest.mark.parametrize("last", [DONE, event(b"b") + DONE, DONE + event(b"b"), event(b"O, [DONE") + DONE])
async def test_an_end_marker_is_held_for_the_journal_whatever_was_said_before_it(tmp_path, first, last):
    house = House(tmp_path)
    house.caller.data_received(ASKED)
    house.says(HEAD + chunk(event(first)))
    for text in (b"b", b"Do", b"N", b"E D O N E", b"data"):
        house.says(chunk(event(text)))
    async with asyncio.timeout(PATIENCE):
        while event(b"data") not in house.down.written:
            await asyncio.sleep(0)
    for text in (b"f", b"DO", b"g"):
        house.says(chunk(event(text)))
        assert house.down.written.endswith(chunk(event(text)))  # at once
    house.says(chunk(last))
    assert house.down.written.endswith(chunk(event(b"g")))
    async with asyncio.timeout(PATIENCE):
        while not house.down.written.endswith(chunk(last)):
            await asyncio.sleep(0)
    await house.close()

    found = [r for path in tmp_path.glob("*.journal") for r in records(path.read_bytes())]
    assert [r.kind for r in found].count(Kind.MARK) == 1
    assert b"".join(r.payload for r in found).count(DONE) == 1


async def test_an_answer_that_did_not_say_it_was_the_last_is_not_when_the_relay_leaves_meanwhile(tmp_path):
    house = House(tmp_path)
    down = house.down

    async def answered(times: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while down.written.count(b"}") < times:
                await asyncio.sleep(0)

    house.caller.data_received(ASKED)
    house.says(PLAIN)  # held until the journal has its end
    house.relay.stopping = True
    await answered(1)
    assert b"connection: close" not in down.written.lower()
    assert not down.closed
    house.caller.data_received(ASKED)
    house.says(PLAIN)
    await answered(2)
    assert b"connection: close" in down.written.lower()
    assert down.closed
    await house.close()


async def test_bytes_for_a_caller_keep_their_order_however_full_its_socket_is(tmp_path):
    house = House(tmp_path)
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as door:
        theirs = socket.socket()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        theirs.connect(door.getsockname())
        ours, _ = door.accept()
    with theirs:
        theirs.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        caller = house.relay.protocol()
        transport, _ = await loop.connect_accepted_socket(lambda: caller, ours)
        pieces = [b"%08d" % number * 10_000 for number in range(60)]
        written = 0
        while transport.get_write_buffer_size() == 0:  # until some of a piece went straight, and the rest has to wait
            caller.write(pieces[written])
            written += 1
        got = theirs.recv(1 << 24)  # there is room again, and the transport has had no turn to use it
        for piece in pieces[written:]:
            caller.write(piece)
        everything = b"".join(pieces)
        async with asyncio.timeout(PATIENCE):
            while len(got) < len(everything):
                got += await loop.sock_recv(theirs, 1 << 20)
        assert got == everything
        assert transport.get_write_buffer_size() == 0
        transport.abort()
    await house.close()
