"""What a child process is told by the supervisor: over a pipe, so that no key stands in its arguments or environment."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Descriptors that the child has inherited, and everything it needs to know. JSON on the way."""

    run: str  # this start of tasktap: 16 hexadecimal digits
    board: int  # counters
    lifeline: int  # at its end when the supervisor is gone
    data_dir: str
    socket: int = -1  # the listening one
    ready: int = -1  # written to once the child works
    worker: int = 0
    serial: int = 0  # which start of a relay this is
    row: int = 0  # of the board
    stop_seconds: float = 8.0
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def epoch(self) -> str:
        """The name of this start of a relay, in journal files and origins."""
        return f"{self.run}w{self.worker}s{self.serial}"

    def pack(self) -> bytes:
        """For the pipe."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()


def hear(fd: int) -> Told:
    """What the supervisor said."""
    with open(fd, "rb") as pipe:
        return Told(**json.loads(pipe.read()))


def settle() -> None:
    """Set signals and file modes as a child needs them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the supervisor decides
    os.umask(0o077)


def say_ready(told: Told) -> None:
    """Tell the supervisor that this process works; one that is gone already will be noticed by the lifeline."""
    with contextlib.suppress(BrokenPipeError):
        os.write(told.ready, b"1")
    os.close(told.ready)
