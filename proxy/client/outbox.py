"""What waits to be sent: bounded by count and by bytes, oldest dropped and counted; putting something in never blocks.

A finalizer may put something in at any moment, even in the middle of another `put` of the same thread. So `put` appends to a
deque, which is atomic, and whoever holds the lock moves what is in there; nobody waits for the lock. The bell is a bare lock
for the same reason: `threading.Event` is written in Python and would deadlock there.
"""

from __future__ import annotations

import _thread
from collections import deque
from contextlib import suppress

from proxy.client.entry import Frozen
from proxy.client.feedback import Said

Item = Frozen | Said


class Bell:
    """Wakes one waiter; rung twice before it is heard, it wakes once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()

    def ring(self) -> None:
        with suppress(RuntimeError):  # it rings already
            self._lock.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Has it rung, within `seconds`? It is silent again afterwards."""
        return self._lock.acquire(timeout=-1 if seconds is None else max(0.0, seconds))


class Outbox:
    """A queue that forgets its oldest rather than grow."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most, self.most_bytes = most, most_bytes
        self.bell = Bell()
        self.accepted = 0
        self.dropped = 0
        self.bytes = 0
        self._incoming: deque[Item] = deque()
        self._waiting: deque[Item] = deque()
        self._lock = _thread.allocate_lock()

    def put(self, item: Item) -> None:
        """Take `item`. A few microseconds at most, whoever else is at it."""
        self._incoming.append(item)
        while self._incoming and self._lock.acquire(blocking=False):
            try:
                first = not self._waiting
                while self._incoming:
                    self._admit(self._incoming.popleft())
            finally:
                self._lock.release()
            if first:
                self.bell.ring()

    def _admit(self, item: Item) -> None:
        self.accepted += 1
        if item.size > self.most_bytes:  # it would push all the others out, and then itself
            self.dropped += 1
            return
        self._waiting.append(item)
        self.bytes += item.size
        self._forget()

    def _forget(self) -> None:
        while self._waiting and (len(self._waiting) > self.most or self.bytes > self.most_bytes):
            self.bytes -= self._waiting.popleft().size
            self.dropped += 1

    def take(self, most: int, most_bytes: int) -> list[Item]:
        """The oldest, at most so many and about so many bytes of them (always one, if there is one)."""
        taken: list[Item] = []
        size = 0
        with self._lock:
            while self._waiting and len(taken) < most and (not taken or size + self._waiting[0].size <= most_bytes):
                item = self._waiting.popleft()
                self.bytes -= item.size
                size += item.size
                taken.append(item)
        if self._incoming:
            self._settle()
        return taken

    def put_back(self, items: list[Item]) -> None:
        """These could not be sent: they are the oldest again."""
        with self._lock:
            self._waiting.extendleft(reversed(items))
            self.bytes += sum(item.size for item in items)
            self._forget()
        if self._incoming:
            self._settle()

    def _settle(self) -> None:
        """Move in what came while somebody else held the lock."""
        while self._incoming and self._lock.acquire(blocking=False):
            try:
                while self._incoming:
                    self._admit(self._incoming.popleft())
            finally:
                self._lock.release()

    def seen(self) -> int:
        """How many were ever put in."""
        return self.accepted + len(self._incoming)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._incoming)
