"""Hears upstreams in their transports' place: all that came in one turn of the loop is read first, then recorded, then written.

Whoever did all three for each event in turn would have the processor fetch the code of each of them anew for each, and the loop's
own way from a socket to a protocol costs more than what we do with an event. Only what comes is heard here: what does not go
out at once, and the end, is the transport's as ever.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable
from typing import Any, Final

from proxy.record.straight import Straight

MOST_AT_ONCE: Final = 32  # connections whose bytes wait for each other; more would be late for it
MOST_READ: Final = 64 * 1024  # bytes of one connection in one turn
_EDGES: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_ENDS: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_read: Final = os.read
_clock: Final[Callable[[], Any]] = time.monotonic_ns  # not said to be an int: compiled, it would be made one, and back again


def now() -> Any:
    """Microseconds of `time.monotonic`."""
    return _clock() // 1000


class Heard(asyncio.Protocol):
    """A connection that can be listened to."""

    deaf = False  # it is not to be read from now

    def hear(self, data: bytes, at: Any) -> Straight | None:
        """Bytes have come, at microsecond `at`. What comes back is the way on which to write them on, now and before all else."""
        return None

    def hung_up(self) -> None:
        """No more bytes will come."""

    def cut(self) -> None:
        """The connection is gone."""


class Ears:
    """Listens to sockets.

    The kernel tells of each but once when something comes (EPOLLET), so whatever was not read to its end is asked after again.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self._heard: dict[int, Heard] = {}  # by descriptor
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._listen)

    def close(self) -> None:
        """Hear nothing any more."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def add(self, fd: int, heard: Heard) -> None:
        """Listen to this socket. Whoever closes it has to `forget` it. Raises OSError where no more can be watched."""
        self._epoll.register(fd, _EDGES)
        self._heard[fd] = heard

    def again(self, fd: int) -> None:
        """Look whether something is there that was not read."""
        self._epoll.modify(fd, _EDGES)

    def forget(self, fd: int, heard: Heard) -> None:
        """It is closed, or about to be. The number may be another's by now."""
        if self._heard.get(fd) is heard:
            del self._heard[fd]

    def _listen(self) -> None:
        come: list[Heard] = []
        said: list[bytes] = []
        heard: Heard | None
        for fd, what in self._poll(0, MOST_AT_ONCE):
            heard = self._heard.get(fd)
            if heard is None or heard.deaf:
                continue
            try:
                data = _read(fd, MOST_READ)
                if data and (len(data) == MOST_READ or what & _ENDS):
                    self._epoll.modify(fd, _EDGES)
            except BlockingIOError:
                continue
            except OSError:
                heard.cut()
                continue
            if data:
                come.append(heard)
                said.append(data)
            else:
                heard.hung_up()
        at = now()
        ways: list[Straight] = []
        out: list[bytes] = []
        for number in range(len(come)):
            way = come[number].hear(said[number], at)
            if way is not None:
                ways.append(way)
                out.append(said[number])
        for number in range(len(ways)):
            try:
                ways[number].write(out[number])
            except Exception as error:  # it must not keep the others from theirs
                ways[number].broken(error)
