"""Opens a door when somebody knocks: until then there is nothing behind a listening socket that takes memory.

Who comes first waits in the socket's queue while it is opened. Where that fails, whoever waits is told so, and the next one to
come is what it is tried again for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from proxy.server import logs

PAUSE_SECONDS: Final = 1.0  # between two tries
LAST_SECONDS: Final = 1.0  # for a door that is being opened when all ends
HEARING_SECONDS: Final = 1.0  # for what somebody says who is turned away
_MOST_HEARD: Final = 1 << 16  # bytes


class Door(Protocol):
    """It serves whoever comes to the socket it was opened for."""

    async def cleanup(self) -> None:
        """Serve nobody any more."""
        ...


class Porter:
    """Watches one listening socket, until its door is open."""

    def __init__(self, sock: socket.socket, open: Callable[[socket.socket], Awaitable[Door]]) -> None:
        self._sock = sock
        self._open = open
        self._loop = asyncio.get_running_loop()
        self._opening: asyncio.Task[None] | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._door: Door | None = None
        self._leaving = set[asyncio.Task[None]]()  # those who are turned away
        sock.setblocking(False)
        self._watch()

    def _watch(self) -> None:
        self._loop.add_reader(self._sock, self._knocked)

    def _knocked(self) -> None:
        self._loop.remove_reader(self._sock)
        self._opening = self._loop.create_task(self._answer())

    async def _answer(self) -> None:
        try:
            self._door = await self._opened()
        except Exception as error:  # whatever it is: the process has more to do than to open its door
            logs.fault("the door could not be opened", error)
            self._turn_away(type(error).__name__)
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._watch)

    async def _opened(self) -> Door:
        theirs = self._sock.dup()  # whoever fails with it may have closed it
        try:
            return await self._open(theirs)
        except BaseException:
            theirs.close()
            raise

    def _turn_away(self, why: str) -> None:
        with contextlib.suppress(OSError):  # nobody waits any more, or there is no room for them: then they go on waiting
            while True:
                visitor, _ = self._sock.accept()
                leaving = self._loop.create_task(_tell(visitor, _sorry(why)))
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Serve nobody any more; a door that is being opened just now serves those who wait for it first."""
        if self._door is None:
            self._loop.remove_reader(self._sock)
        if self._opening is not None:
            await asyncio.wait({self._opening}, timeout=LAST_SECONDS)
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._pause is not None:
            self._pause.cancel()
        for each in self._leaving:
            each.cancel()
        if self._door is not None:
            await self._door.cleanup()
        self._sock.close()


async def _tell(visitor: socket.socket, answer: bytes) -> None:
    with visitor, contextlib.suppress(OSError, TimeoutError):
        visitor.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(HEARING_SECONDS):
            await loop.sock_recv(visitor, _MOST_HEARD)  # closing before it is read would break the answer off
            await loop.sock_sendall(visitor, answer)
            visitor.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(visitor, _MOST_HEARD):
                pass


def _sorry(why: str) -> bytes:
    said = f"The desk could not be opened: {why}. Its log says where. Ask again."
    error = {"message": said, "type": "server_error", "code": "desk_failed", "param": None}
    body = json.dumps({"error": error}).encode() + b"\n"
    fields = {
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "tasktap",
        "Retry-After": "1",
        "Connection": "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode() + body
