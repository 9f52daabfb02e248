"""One of the supervisor's processes, through all its starts: how it is started, heard and buried."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from proxy.record.board import Column
from proxy.server.forked import Forked, fork
from proxy.server.told import Told

HEALTHY_SECONDS: Final = 5.0  # a child that lived for longer is started again at once
LONGEST_PAUSE: Final = {
    "relay": 1.0,
    "desk": 5.0,
}  # seconds between two starts of a child that dies at once: calls wait for a relay


@dataclass(slots=True, eq=False)
class Child:
    """One process of ours."""

    role: str  # "relay" or "desk"
    worker: int
    sock: socket.socket
    process: subprocess.Popen[bytes] | Forked | None = None
    ready_fd: int = -1
    ready: bool = False
    started_at: float = 0.0
    failures: int = 0
    start_after: float = 0.0
    asked: bool = False  # its end is our own wish
    row: memoryview | None = field(default=None, repr=False)

    def start(self, told: Told, now: float, work: Callable[[Told], None] | None = None) -> None:
        """Start its process and tell it what it has to know; `told` has the descriptors that it shares with others.

        With `work` it is forked, and does that; otherwise it is a new interpreter, which loads the code as it is by
        now. Raises OSError.
        """
        self.started_at = now
        self.asked = False
        self.ready_fd, ready_write = os.pipe()
        told = replace(told, socket=self.sock.fileno(), ready=ready_write)
        shared = (told.board, told.socket, ready_write, told.lifeline)
        try:
            self.process = fork(partial(work, told), shared) if work is not None else self._executed(told, shared)
        finally:
            os.close(ready_write)

    def _executed(self, told: Told, shared: tuple[int, ...]) -> subprocess.Popen[bytes]:
        told_read, told_write = os.pipe()
        with contextlib.suppress(BrokenPipeError), open(told_write, "wb") as pipe:  # one that ended at once will be buried
            try:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [sys.executable, "-m", f"proxy.server.{self.role}_main", str(told_read)],
                    pass_fds=(*shared, told_read),
                    stdin=subprocess.DEVNULL,
                )
            finally:
                os.close(told_read)
            pipe.write(told.pack())
        return process

    def hear(self) -> None:
        """Something is to be read from it: that it works, or its end."""
        if os.read(self.ready_fd, 16):
            self.ready = True
        os.close(self.ready_fd)
        self.ready_fd = -1

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone and not buried yet."""
        return self.process is not None and self.process.poll() is not None

    def buried(self, now: float) -> None:
        """Its process has ended: when may the next one start?"""
        self.process = None
        lived = now - self.started_at
        self.failures = 0 if self.asked else 1 if lived > HEALTHY_SECONDS or self.ready else self.failures + 1
        self.ready = False
        if self.ready_fd >= 0:
            os.close(self.ready_fd)
            self.ready_fd = -1
        if self.row is not None:
            self.row[Column.DEAD] = 1
            self.row = None
        self.start_after = now if self.asked or lived > 1.0 else now + min(LONGEST_PAUSE[self.role], 0.1 * 2**self.failures)
