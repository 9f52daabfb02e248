"""A connection that writes, with what it knows of its file without asking: nobody else changes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.store.measures import Slice
    from proxy.store.rollup import Key, SessionSum
    from proxy.store.sqlite_words import Texts

SESSIONS_MOST: Final = 4096
"""Sessions whose sums are held, some 3 KB each: those that grew last."""

SLICES_MOST: Final = 4096

TEXTS_MOST: Final = 2**20
"""Characters of a block of tasks up to which it is held."""


class Writing(sqlite3.Connection):
    """See `open_writer`. What it holds is what the open transaction would read, so a rollback forgets all of it."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(path, timeout=timeout, isolation_level=None, cached_statements=128)
        self.sessions: dict[Key, SessionSum] = {}
        self.slices: dict[Slice, int] = {}
        self.texts: tuple[int, dict[int, Texts]] | None = None  # of the block that was added to last: see sqlite_words
        self.minutes_since: int | None = None  # see sqlite_minutes

    def rollback(self) -> None:
        """Undo what is not committed."""
        self.sessions.clear()
        self.slices.clear()
        self.texts = None
        self.minutes_since = None
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

    def hold_texts(self, block: int, texts: dict[int, Texts]) -> None:
        """Hold what the tasks of a block say, as it is in the file; not where it is much."""
        size = sum([len(text) for pair in texts.values() for text in pair if text is not None])
        self.texts = (block, texts) if size <= TEXTS_MOST else None

    def let_sessions_go(self, keys: Iterable[Key]) -> None:
        """They are about to be written by somebody who does not hold them."""
        for key in keys:
            self.sessions.pop(key, None)
