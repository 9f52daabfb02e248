"""The desk's door: listens, gives each connection to the application, and closes in order."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from proxy.query.web import Application
from proxy.server.desk_http import Connection

BACKLOG: Final = 128
IDLE_SECONDS: Final = 75.0  # between two requests
HEAD_SECONDS: Final = 30.0  # for a head to come


class DeskDoor:
    """Serves the desk's application on a socket."""

    def __init__(self, app: Application, *, idle_seconds: float = IDLE_SECONDS, head_seconds: float = HEAD_SECONDS) -> None:
        self._app = app
        self._seconds = (idle_seconds, head_seconds)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def open(self, sock: socket.socket) -> None:
        """Answer from here on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._app.answer, self._connections, *self._seconds), sock=sock, backlog=BACKLOG
        )

    async def close(self, seconds: float) -> None:
        """Take no more connections; what is being answered gets so many seconds."""
        if self._server is not None:
            self._server.close()
        for each in tuple(self._connections):
            each.close_if_idle()
        jobs = [each.job for each in self._connections if each.job is not None]
        if jobs:
            _, late = await asyncio.wait(jobs, timeout=seconds)
            for job in late:
                job.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for each in tuple(self._connections):
            each.close_if_idle()
