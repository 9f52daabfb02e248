"""A connection that writes, with what it knows of its file without asking: nobody else changes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.store.measures import Slice
    from proxy.store.rollup import Key, SessionSum

SESSIONS_MOST: Final = 4096
"""Sessions whose sums are held, some 3 KB each: those that grew last."""

SLICES_MOST: Final = 4096


class Writing(sqlite3.Connection):
    """See `open_writer`. What it holds is what the open transaction would read, so a rollback forgets all of it."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(path, timeout=timeout, isolation_level=None, cached_statements=128)
        self.sessions: dict[Key, SessionSum] = {}
        self.slices: dict[Slice, int] = {}

    def rollback(self) -> None:
        """Undo what is not committed."""
        self.sessions.clear()
        self.slices.clear()
        super().rollback()

    def hold_session(self, key: Key, session: SessionSum) -> None:
        """Hold one that is in the file, as the latest."""
        self.sessions.pop(key, None)
        self.sessions[key] = session
        if len(self.sessions) > SESSIONS_MOST:
            del self.sessions[next(iter(self.sessions))]

    def hold_slice(self, slice: Slice, key: int) -> None:
        """Hold the key of one that is in the file."""
        if len(self.slices) >= SLICES_MOST:
            self.slices.clear()
        self.slices[slice] = key

    def let_sessions_go(self, keys: Iterable[Key]) -> None:
        """They are about to be written by somebody who does not hold them."""
        for key in keys:
            self.sessions.pop(key, None)
