"""When data came to a socket, as the kernel saw it: what a busy reader cannot make later.

Linux stamps a packet where the network's side takes it over; on loopback that is within the sender's own `send`. So the time from
before one socket's `send` to the stamp at another is what lay between the two, and no part of it is the wait of either
process for a core.
"""

from __future__ import annotations

import socket
import struct
import time

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the module `socket` does not name it
STAMP = struct.Struct("@qq")  # a `struct timespec`
ROOM = socket.CMSG_SPACE(STAMP.size)
STEP_NS = 50_000  # the two clocks are read one after the other, and a process may lose its core in between

now = time.time_ns
"""Nanoseconds on the clock that the kernel stamps with (CLOCK_REALTIME)."""


def ask(sock: socket.socket) -> None:
    """Have what arrives at this socket stamped; one that listens passes it on to what it accepts."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def receive(sock: socket.socket, most: int = 16384) -> tuple[bytes, int | None]:
    """What has come, and when the last of it did, in nanoseconds; `None` where the kernel does not say, as at the end.

    Raises what `recv` does, `BlockingIOError` where nothing is there.
    """
    data, said, _, _ = sock.recvmsg(most, ROOM)
    if not said:
        return data, None
    seconds, nanoseconds = STAMP.unpack(said[0][2])
    return data, seconds * 1_000_000_000 + nanoseconds


def wait_for_first() -> None:
    """Return when the kernel stamps: it begins a moment after a first socket asks. Raises `RuntimeError` where it never does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ask(listener)
        with socket.create_connection(listener.getsockname()) as one, listener.accept()[0] as other:
            other.settimeout(1)
            for _ in range(1000):
                one.send(b"?")
                if receive(other)[1]:
                    return
                time.sleep(0.001)
    raise RuntimeError("this kernel does not stamp what arrives")


def ahead() -> int:
    """How far that clock is ahead of one that nobody sets, in nanoseconds."""
    return max(now() - time.monotonic_ns() for _ in range(5))


def was_set(before: int) -> bool:
    """Has somebody set the clock since `ahead()` was `before`? Then times between stamps mean nothing."""
    return abs(ahead() - before) > STEP_NS
