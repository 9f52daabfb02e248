"""Leaves nothing of what was deleted in an SQLite file: words out of the index, the log emptied, free pages cut off, gaps zeroed.

Each step is short, so that saves go on in between.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from proxy.store.sqlite_file import BUSY_SECONDS
from proxy.store.sweep import sweep

_PAGES_MERGED: Final = 256  # of the full-text index, a step
_PAGES_GIVEN: Final = 256
_PAGES_SWEPT: Final = 4096


class Scrubber:
    """Works on one file, on the connection that writes it and beside it.

    The file is opened once more and kept open: to close it would end the locks that this process's connections have on it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @staticmethod
    def begin_to_merge(db: sqlite3.Connection) -> None:
        """Put all parts of the full-text index on the way into one: there a deleted word is really gone, not only struck out."""
        db.execute("INSERT INTO search (search, rank) VALUES ('merge', ?)", (-_PAGES_MERGED,))

    @staticmethod
    def merge(db: sqlite3.Connection) -> bool:
        """Go on with that; whether there may be more."""
        before = db.total_changes
        db.execute("INSERT INTO search (search, rank) VALUES ('merge', ?)", (_PAGES_MERGED,))
        return db.total_changes - before >= 2  # as SQLite's documentation tells when it is done

    @staticmethod
    def give_back(db: sqlite3.Connection) -> bool:
        """Cut some free pages off the file; whether there are more."""
        db.execute(f"PRAGMA incremental_vacuum({_PAGES_GIVEN})").fetchall()
        return bool(db.execute("PRAGMA freelist_count").fetchone()[0])

    def sweep(self, db: sqlite3.Connection, first: int) -> int | None:
        """Clean some pages from `first` on; the next one, None at the end, `first` where the log could not be emptied.

        Raises OSError, ValueError, sqlite3.Error.
        """
        db.execute("PRAGMA busy_timeout = 0")  # a reader is waited for elsewhere, where no save waits behind
        busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        db.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        if busy:
            return first
        fd = self._opened()
        following = sweep(fd, first, _PAGES_SWEPT)
        os.fdatasync(fd)
        db.execute("PRAGMA shrink_memory")  # pages that it remembers as they were would be written like that again
        return following

    def close(self) -> None:
        """Only when no connection of this process has the file open any more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _opened(self) -> int:
        there = os.stat(self._path)
        if self._fd is not None and not os.path.samestat(os.fstat(self._fd), there):
            self.close()
        if self._fd is None:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        return self._fd
