"""A call between two connections that are not there: what its end says of it."""

import asyncio
import os

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

ASKED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\ne\r\ndata: [DONE]\n\n\r\n"


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


@pytest.mark.parametrize(("delivered", "ending"), [(True, "completed"), (False, "caller_left")])
async def test_a_caller_that_leaves_has_the_whole_answer_only_where_its_marker_went_out(tmp_path, delivered, ending):
    board = Board.made()
    row = board.row(1)
    journal = Journal(JournalSettings(directory=tmp_path, patience=30), "run0w0s1", row)
    upstreams = (UpstreamSettings("openai", "http://127.0.0.1:1"),)
    relay = Relay(RelaySettings("run0w0s1", upstreams, "openai", TapSettings(1 << 20, b"p" * 32), Rules()), journal, row)
    up, down = Wire(), Wire()
    connection = Connection(relay.upstreams["openai"])
    connection.connection_made(up)
    relay.upstreams["openai"].keep(connection)
    caller = relay.protocol()
    caller.connection_made(down)

    caller.data_received(ASKED)
    connection.data_received(ANSWER)  # held until the journal has the mark
    assert down.written == b""
    if delivered:
        async with asyncio.timeout(2):
            while b"[DONE]" not in down.written:
                await asyncio.sleep(0)
    caller.connection_lost(None)
    relay.hurry(0)
    await relay.stop()
    assert await journal.close(30)

    found = [r for path in tmp_path.glob("*.journal") for r in records(path.read_bytes())]
    ends = [orjson.loads(r.payload) for r in found if r.kind is Kind.END]
    assert [end["ending"] for end in ends] == [ending]
    assert ends[0].get("marked", False) is delivered
    assert ends[0].get("drained", False) is not delivered
    os.close(board.fd)


async def test_an_answer_that_did_not_say_it_was_the_last_is_not_when_the_relay_leaves_meanwhile(tmp_path):
    board = Board.made()
    row = board.row(1)
    journal = Journal(JournalSettings(directory=tmp_path, patience=30), "run0w0s1", row)
    upstreams = (UpstreamSettings("openai", "http://127.0.0.1:1"),)
    relay = Relay(RelaySettings("run0w0s1", upstreams, "openai", TapSettings(1 << 20, b"p" * 32), Rules()), journal, row)
    up, down = Wire(), Wire()
    connection = Connection(relay.upstreams["openai"])
    connection.connection_made(up)
    relay.upstreams["openai"].keep(connection)
    caller = relay.protocol()
    caller.connection_made(down)

    async def answered(times: int) -> None:
        async with asyncio.timeout(2):
            while down.written.count(b"}") < times:
                await asyncio.sleep(0)

    caller.data_received(ASKED)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")  # held until the journal has its end
    relay.stopping = True
    await answered(1)
    assert b"connection: close" not in down.written.lower()
    assert not down.closed
    caller.data_received(ASKED)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    await answered(2)
    assert b"connection: close" in down.written.lower()
    assert down.closed
    caller.connection_lost(None)
    await relay.stop()
    assert await journal.close(1)
    os.close(board.fd)
