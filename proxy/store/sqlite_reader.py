"""A few connections that can only read, each question within its time."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

from proxy.store import StoreUnavailable, sqlite_words, told
from proxy.store.rows import Row
from proxy.store.sqlite_file import READER_PRAGMAS, identity, must_be_readable, must_exist, reader_uri, unavailable

READERS = 3
"""Questions that are answered at once; others wait for their turn."""

QUESTION_SECONDS = 5.0
"""How long one question may take before it is broken off."""

_STEPS = 20_000  # of SQLite's machine, between two looks at the clock: about a millisecond


class Reader:
    """One connection. It sees nothing but what is committed, and writes nothing, not even a checkpoint."""

    def __init__(self, path: Path, db: aiosqlite.Connection, file: tuple[int, int] | None) -> None:
        self.path = path
        self.file = file
        self._db = db
        self._deadline = float("inf")

    @classmethod
    async def open(cls, path: Path) -> Reader:
        """Raises StoreMissing, StoreUnavailable."""
        must_exist(path)
        try:
            file = identity(path)
            db = await aiosqlite.connect(reader_uri(path), uri=True, isolation_level=None, timeout=QUESTION_SECONDS)
        except sqlite3.Error as error:
            raise unavailable(path, error) from error
        reader = cls(path, db, file)
        try:
            await db.executescript(READER_PRAGMAS)
            await db.create_function("told", 1, told.text, deterministic=True)
            await db.create_function("says", 2, sqlite_words.says, deterministic=True)
            [(application_id,)] = await db.execute_fetchall("PRAGMA application_id")
            must_be_readable(path, application_id, await reader._version())
            await db.set_progress_handler(reader._out_of_time, _STEPS)
        except BaseException as error:
            await db.close()
            if isinstance(error, sqlite3.Error):
                raise unavailable(path, error) from error
            raise
        return reader

    async def rows(self, sql: str, values: Sequence[object]) -> list[Row]:
        """The whole answer. Raises StoreUnavailable."""
        self._deadline = time.monotonic() + QUESTION_SECONDS
        try:
            return list(await self._db.execute_fetchall(sql, values))  # type: ignore[arg-type]  # sqlite3.Row is never asked for
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
                raise StoreUnavailable(
                    f"The answer took longer than {QUESTION_SECONDS:g} s. Ask for less: a shorter time, a session."
                ) from error
            raise unavailable(self.path, error) from error
        except (UnicodeEncodeError, OverflowError):
            return []  # text that is not Unicode, a number of more than 64 bits: nothing kept is equal to it

    async def close(self) -> None:
        await self._db.close()

    async def _version(self) -> int | None:
        found = await self._db.execute_fetchall("SELECT name FROM sqlite_schema WHERE name = 'schema_version'")
        if not list(found):
            return None
        [(version,)] = await self._db.execute_fetchall("SELECT max(version) FROM schema_version")
        return int(version) if version is not None else None

    def _out_of_time(self) -> bool:
        return time.monotonic() > self._deadline


class Readers:
    """The pool. Connections are opened when first needed, and again where the file was replaced or an answer failed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[Reader] = []
        self._turn = asyncio.Semaphore(READERS)
        self._closed = False

    async def open(self) -> None:
        """Open one, to know that it can be done. Raises StoreMissing, StoreUnavailable."""
        self._idle.append(await Reader.open(self._path))

    async def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Raises StoreUnavailable."""
        async with self._borrowed() as reader:
            return await reader.rows(sql, values)

    @asynccontextmanager
    async def at_once(self) -> AsyncIterator[Reader]:
        """Who answers several questions about one moment: what is saved between them is in no answer. Raises StoreUnavailable."""
        async with self._borrowed() as reader:
            await reader.rows("BEGIN", ())
            yield reader
            await reader.rows("COMMIT", ())

    async def close(self) -> None:
        """End after the questions that are being answered."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[Reader]:
        async with self._turn:
            if self._closed:
                raise StoreUnavailable("The store is closed.")
            reader = await self._ready()
            try:
                yield reader
            except BaseException:
                await reader.close()  # after an error, and after being cancelled, it may be in any state
                raise
            if self._closed:
                await reader.close()
            else:
                self._idle.append(reader)

    async def _ready(self) -> Reader:
        while self._idle:
            reader = self._idle.pop()
            if reader.file == identity(self._path):
                return reader
            await reader.close()
        return await Reader.open(self._path)
