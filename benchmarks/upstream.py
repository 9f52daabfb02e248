"""The upstream of the benchmarks: a process that reads a request and plays the answer that `X-Play` names.

python -m benchmarks.upstream          # prints its port, ends when its input closes
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from functools import cache
from typing import cast

import uvloop

from benchmarks import scenes

PLAY = re.compile(rb"\r\nx-play: ([^\r]+)\r\n", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@cache
def writes(count: int) -> list[bytes]:
    """The writes of a stream, made once."""
    return scenes.events(count)


class Provider(asyncio.Protocol):
    """One connection: requests with a Content-Length in, answers out."""

    def __init__(self) -> None:
        self.head = b""
        self.missing = 0  # bytes of the request body still to come
        self.play = b""
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self.socket = transport.get_extra_info("socket").fileno()
        self.loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self.missing:
            self.missing -= len(data)
        else:
            data = self.head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.head = data
                return
            self.head = b""
            head = data[: end + 4]
            play, length = PLAY.search(head), LENGTH.search(head)
            self.play = play[1] if play else b"small"
            self.missing = (int(length[1]) if length else 0) - (len(data) - end - 4)
        if self.missing < 0:
            raise RuntimeError("more bytes than the request announced")
        if self.missing == 0:
            self.answer()

    def answer(self) -> None:
        whole = scenes.ANSWERS.get(self.play)
        if whole is not None:
            self.transport.write(whole)
        elif self.play == b"hold":
            self.transport.write(writes(2)[0])
        else:
            _, count, seconds = self.play.split()
            if float(seconds):
                self.next_event(writes(int(count)), 0, float(seconds))
            else:
                self.burst(writes(int(count)))

    def burst(self, pieces: list[bytes]) -> None:
        """Every event by a `send` of its own, as a provider flushes them; what the socket has no room for goes the usual way."""
        for number, piece in enumerate(pieces):
            sent = 0
            with contextlib.suppress(BlockingIOError):
                sent = os.write(self.socket, piece)
            if sent < len(piece):
                self.transport.write(piece[sent:] + b"".join(pieces[number + 1 :]))
                return

    def next_event(self, pieces: list[bytes], number: int, seconds: float) -> None:
        self.transport.write(pieces[number])
        if number + 1 < len(pieces):
            self.timer = self.loop.call_later(seconds, self.next_event, pieces, number + 1, seconds)


async def main() -> None:
    """Serve until the input closes: whoever started this has gone, or wants it to."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
