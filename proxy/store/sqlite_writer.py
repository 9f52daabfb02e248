"""The one connection that writes, in a thread of its own: every save and every checkpoint happens here, one after another."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from proxy.store import StoreRejected, StoreUnavailable
from proxy.store.entries import Entry
from proxy.store.shelf import Shelf
from proxy.store.sqlite_absorb import absorb
from proxy.store.sqlite_file import FirstBytes, identity, open_writer, put_aside, unavailable
from proxy.store.sqlite_forget import forget, forget_feedback, forget_parked
from proxy.store.sqlite_rewrite import rewrite
from proxy.store.sqlite_rollups import backfill
from proxy.store.sqlite_save import save
from proxy.store.sqlite_scrub import Scrubber
from proxy.store.sqlite_writing import Writing
from proxy.task import Forget, Forgotten, Summary, Task

T = TypeVar("T")

MOST_TRIES: Final = 20  # to have the whole log in the file
PAUSE_SECONDS: Final = 0.1


class Writer:
    """Saves batches. After a failure it opens the file anew, so the next save meets the world as it is then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")
        self._db: Writing | None = None
        self._identity: tuple[int, int] | None = None
        self._mark = FirstBytes(path)
        self._shelf = Shelf()
        self._scrubber = Scrubber(path)
        self._closed = False

    async def open(self) -> None:
        """Open the file and bring its schema up to date. Raises StoreUnavailable."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connected)

    async def save(self, tasks: Sequence[Task]) -> int:
        """See `Store.save`. A save that is cancelled is done all the same, which is harmless."""
        batch = tuple(tasks)
        return await self._done(lambda db: save(db, self._shelf, batch))

    async def rewrite(self, tasks: Sequence[Summary], only: Collection[str] | None) -> int:
        """See `Store.rewrite`."""
        batch = tuple(tasks)
        return await self._done(lambda db: rewrite(db, self._shelf, batch, only))

    async def absorb(self, entries: Sequence[Entry], through: str | None) -> int:
        """See `Store.absorb`."""
        batch = tuple(entries)
        return await self._done(lambda db: absorb(db, self._shelf, batch, through))

    async def forget(self, ids: Sequence[str]) -> Forgotten:
        """See `Store.forget`."""
        wanted = tuple(dict.fromkeys(ids))
        return await self._done(lambda db: forget(db, self._shelf, wanted))

    async def forget_feedback(self, user_id: str, project_id: str | None) -> int:
        """See `Store.forget_feedback`."""
        return await self._done(lambda db: forget_feedback(db, user_id, project_id))

    async def forget_parked(self, what: Forget) -> int:
        """See `Store.forget_parked`."""
        return await self._done(lambda db: forget_parked(db, what))

    async def scrub(self) -> bool:
        """See `Store.scrub`."""
        await self._done(Scrubber.begin_to_merge)
        while await self._done(Scrubber.merge):
            pass
        while await self.give_back():
            pass
        place: int | None = 1
        tries = 0
        while place is not None:
            following = await self._in_thread(partial(self._outside, partial(self._scrubber.sweep, first=place)))
            if following == place:  # somebody reads what is only in the log
                if (tries := tries + 1) > MOST_TRIES:
                    return False
                await asyncio.sleep(PAUSE_SECONDS)
            place = following
        return True

    async def give_back(self) -> bool:
        """See `Store.give_back`."""
        return await self._in_thread(lambda: self._outside(Scrubber.give_back))

    async def _done(self, act: Callable[[Writing], T]) -> T:
        return await self._in_thread(lambda: self._committed(act))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        """End, after the saves that have begun."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
            self._thread.shutdown()
            self._mark.close()
            self._scrubber.close()

    def _connected(self) -> Writing:
        if self._db is None:
            try:
                self._db = open_writer(self._path)
                self._fill_back(self._db)
            except (sqlite3.Error, OSError) as error:
                moved = put_aside(self._path) if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB" else None
                if moved is not None:
                    raise StoreUnavailable(
                        f"{self._path}: this was no SQLite database any more. It is {moved.name} now, and a new one is begun."
                    ) from error
                raise unavailable(self._path, error) from error
            self._identity = identity(self._path)
            self._mark.look(self._identity)
        return self._db

    def _fill_back(self, db: Writing) -> None:
        """After a new version brought rollups that are not filled yet: fill them, so many tasks a commit."""
        more = True
        while more:
            db.execute("BEGIN IMMEDIATE")
            try:
                more = backfill(db)
                db.execute("COMMIT")
            except BaseException:
                self._undo(db)
                self._drop()
                raise

    def _committed(self, act: Callable[[Writing], T]) -> T:
        """What `act` gives, done in one transaction: all of it or nothing."""
        db = self._connected()
        try:
            db.execute("BEGIN IMMEDIATE")
            done = act(db)
            db.execute("COMMIT")
            self._must_be_the_same_file()
        except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError) as error:
            self._undo(db)
            raise _refused(error) from error
        except (sqlite3.Error, OSError, MemoryError, StoreUnavailable) as error:
            self._undo(db)
            self._drop()
            raise error if isinstance(error, StoreUnavailable) else unavailable(self._path, error) from error
        except StoreRejected:
            self._undo(db)
            raise
        except Exception as error:
            # Whatever else is wrong comes of a value in these tasks (text that has no UTF-8, a number of more than 64 bits,
            # what JSON cannot say), and would be wrong every time.
            self._undo(db)
            raise _refused(error) from error
        return done

    def _outside(self, act: Callable[[Writing], T]) -> T:
        """What `act` gives, done outside of a transaction."""
        db = self._connected()
        try:
            done = act(db)
            self._must_be_the_same_file()
        except (sqlite3.Error, OSError, ValueError, StoreUnavailable) as error:
            self._drop()
            raise error if isinstance(error, StoreUnavailable) else unavailable(self._path, error) from error
        return done

    def _must_be_the_same_file(self) -> None:
        # SQLite goes on writing to a file that was deleted: what it says is committed is then nowhere
        if identity(self._path) != self._identity:
            raise StoreUnavailable(f"{self._path}: the file was deleted or replaced. It is opened anew; what was in it is gone.")
        if self._mark.is_overwritten():
            moved = put_aside(self._path)
            now = (
                "Move it away with its -wal and -shm files"
                if moved is None
                else f"It is {moved.name} now, and a new one is begun"
            )
            raise StoreUnavailable(f"{self._path}: somebody has written over it. {now}.")

    def _undo(self, db: Writing) -> None:
        self._shelf.forget()
        with contextlib.suppress(sqlite3.Error):
            db.rollback()

    def _drop(self) -> None:
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):  # nothing is lost: what was not committed will be saved again
                self._db.close()
            self._db = None
            self._shelf.forget()  # the file may be another one when it is opened again


def _refused(error: Exception) -> StoreRejected:
    return StoreRejected(f"{type(error).__name__}: {error}")
