"""What takes long to add up is kept for half a minute: who looks again, or beside others, does not wait for it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

KEPT_SECONDS = 30.0
MOST = 64
"""Answers that are kept at once."""


class Kept:
    """Answers by what was asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[Hashable, tuple[float, asyncio.Future[Any]]] = {}

    async def get(self, asked: Hashable, answer: Callable[[], Awaitable[T]]) -> T:
        """The answer of before, if it is young; else `answer`, once for all who ask for it meanwhile."""
        now = self._clock()
        found = self._answers.get(asked)
        if found is None or now - found[0] > KEPT_SECONDS or (found[1].done() and _failed(found[1])):
            self._answers = {key: kept for key, kept in self._answers.items() if now - kept[0] <= KEPT_SECONDS}
            if len(self._answers) >= MOST:
                self._answers.clear()
            found = self._answers[asked] = now, asyncio.ensure_future(answer())
        made: T = await asyncio.shield(found[1])
        return made

    def forget(self) -> None:
        """Keep nothing of what was answered so far: something in it is to be forgotten."""
        self._answers.clear()


def _failed(answer: asyncio.Future[Any]) -> bool:
    return answer.cancelled() or answer.exception() is not None
