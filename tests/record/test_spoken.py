"""An upgraded connection between two sides that are not there: what waits for the journal, and what is counted."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from proxy.record.board import Board, Column
from proxy.record.connection import Connection
from proxy.record.frames import Kind, Record, records
from proxy.record.house import Rules
from proxy.record.journal import Journal, JournalSettings
from proxy.record.relay import Relay, RelaySettings
from proxy.record.tap import TapSettings
from proxy.record.upstream import UpstreamSettings
from proxy.wire.websocket import TEXT, Message, plain
from tests.record.test_carry import Wire
from tests.sockets import PATIENCE

ASKED = b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def event(kind: str, **more: object) -> bytes:
    return plain(Message(TEXT, json.dumps({"type": kind} | more).encode()))


CREATE = event("response.create")
CREATED = event("response.created", response={"id": "r"})
DONE = event("response.done", response={"id": "r", "status": "completed"})


class Scene:
    """A relay with one upgraded connection."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.board = Board.made()
        self.row = self.board.row(1)
        self.journal = Journal(JournalSettings(directory=directory, patience=5), "run0w0s1", self.row)
        upstreams = (UpstreamSettings("openai", "http://127.0.0.1:1"),)
        settings = RelaySettings("run0w0s1", upstreams, "openai", TapSettings(1 << 20, b"p" * 32), Rules())
        self.relay = Relay(settings, self.journal, self.row)
        self.up, self.down = Wire(), Wire()
        self.connection = Connection(self.relay.upstreams["openai"])
        self.connection.connection_made(self.up)
        self.relay.upstreams["openai"].keep(self.connection)
        self.caller = self.relay.protocol()
        self.caller.connection_made(self.down)
        self.caller.data_received(ASKED)
        self.connection.data_received(SWITCH)

    async def until(self, data: bytes) -> None:
        """Wait until the caller has been given this."""
        async with asyncio.timeout(PATIENCE):
            while data not in self.down.written:
                await asyncio.sleep(0)

    async def end(self) -> list[Record]:
        """The caller leaves; all that the journal has."""
        self.caller.connection_lost(None)
        self.relay.hurry(0)
        await self.relay.stop()
        assert await self.journal.close(5)
        return [record for path in self.directory.glob("*.journal") for record in records(path.read_bytes())]

    def counted(self, *columns: Column) -> list[int]:
        return [self.row[column] for column in columns]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path)
    await scene.until(b"101 Switching")
    yield scene
    os.close(scene.board.fd)


async def test_what_ends_a_response_waits_until_the_journal_has_it(scene: Scene) -> None:
    scene.caller.data_received(CREATE)
    scene.connection.data_received(CREATED)
    await scene.until(CREATED)  # the beginning is in the journal: what is in the middle waits for nothing
    scene.connection.data_received(event("response.output_text.delta", delta="a"))
    assert b"delta" in scene.down.written
    scene.connection.data_received(DONE[:9])
    scene.connection.data_received(DONE[9:])
    assert DONE not in scene.down.written
    await scene.until(DONE)
    [path] = scene.directory.glob("*.journal")
    assert [record.kind for record in records(path.read_bytes())][-2:] == [Kind.DATA, Kind.MARK]
    await scene.end()


async def test_each_response_is_a_call_that_begins_and_ends(scene: Scene) -> None:
    for _ in range(3):
        scene.caller.data_received(CREATE)
        scene.connection.data_received(CREATED + DONE)
    assert scene.up.written.endswith(CREATE * 3)
    await scene.until(DONE)
    found = await scene.end()
    begins = [record for record in found if record.kind is Kind.BEGIN]
    ends = [orjson.loads(record.payload) for record in found if record.kind is Kind.END]
    assert len({record.number for record in begins}) == len(begins) == 3
    assert [end["ending"] for end in ends] == ["completed"] * 3
    assert [end["request"] for end in ends] == [len(CREATE)] * 3
    assert scene.counted(Column.BEGUN, Column.ENDED, Column.LOST) == [3, 3, 0]


async def test_a_response_that_the_journal_has_no_room_for_is_carried_and_counted_as_lost(scene: Scene) -> None:
    scene.connection.data_received(CREATED + DONE)
    await scene.until(DONE)
    scene.journal.has_any_room = False
    scene.caller.data_received(CREATE)
    scene.connection.data_received(CREATED + DONE)
    assert scene.down.written.count(DONE) == 2
    scene.journal.has_any_room = True
    await scene.end()
    assert scene.counted(Column.BEGUN, Column.ENDED, Column.LOST) == [2, 2, 1]


async def test_a_caller_that_leaves_between_two_responses_has_left_none(scene: Scene) -> None:
    scene.caller.data_received(CREATE)
    scene.connection.data_received(CREATED + DONE + event("rate_limits.updated"))
    await scene.until(b"rate_limits")
    found = await scene.end()
    assert [orjson.loads(record.payload)["ending"] for record in found if record.kind is Kind.END] == ["completed"]
    assert scene.counted(Column.BEGUN, Column.ENDED) == [1, 1]
