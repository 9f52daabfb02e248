"""The embedded store: one SQLite file, one writer, a few readers."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

from proxy.store import StoreUnavailable, questions, rows, sought, sqlite_forget, sqlite_traces
from proxy.store import cursor as cursors
from proxy.store.difference import Damaged, Link, place_of, unpacked
from proxy.store.entries import Entry
from proxy.store.kept import Record
from proxy.store.record import read
from proxy.store.rows import FEEDBACK_COLUMNS, SUMMARY_SELECT, Row
from proxy.store.shelf import CHAIN
from proxy.store.sqlite_absorb import ANSWERED
from proxy.store.sqlite_insight import SqliteInsights
from proxy.store.sqlite_reader import Readers
from proxy.store.sqlite_writer import Writer
from proxy.task import Body, Condition, Filter, Forget, Forgotten, Page, Session, Summary, Task, Traced, User, Which

_MUCH = 512
"""KiB to unpack past which a record is read in a thread, so that other answers go on."""


async def open_sqlite(path: Path, *, write: bool) -> SqliteStore:
    """See `open_store`. Only one process may open a file with `write`: whoever does holds the data directory's lock."""
    writer = Writer(path) if write else None
    readers = Readers(path)
    try:
        if writer is not None:
            await writer.open()
        await readers.open()
    except BaseException:
        await readers.close()
        if writer is not None:
            await writer.close()
        raise
    return SqliteStore(readers, writer)


class SqliteStore:
    """See `Store`."""

    def __init__(self, readers: Readers, writer: Writer | None) -> None:
        self._readers = readers
        self._writer = writer
        self.insights = SqliteInsights(readers)

    async def save(self, tasks: Sequence[Task]) -> int:
        writer = self._must_write()
        return await writer.save(tasks) if tasks else 0

    async def rewrite(self, tasks: Sequence[Summary], *, only: Collection[str] | None = None) -> int:
        writer = self._must_write()
        return await writer.rewrite(tasks, only) if tasks else 0

    async def doomed(self, what: Forget, *, limit: int) -> Sequence[str]:
        question = sqlite_forget.doomed(what, limit=limit)
        return [id for (id,) in await self._readers.rows(question.sql, question.values)]

    async def doomed_count(self, what: Forget) -> int:
        question = sqlite_forget.doomed_count(what)
        return int((await self._readers.rows(question.sql, question.values))[0][0])

    async def forget(self, ids: Sequence[str]) -> Forgotten:
        return await self._must_write().forget(ids)

    async def forget_feedback(self, user_id: str, project_id: str | None = None) -> int:
        return await self._must_write().forget_feedback(user_id, project_id)

    async def forget_parked(self, what: Forget) -> int:
        return await self._must_write().forget_parked(what)

    async def scrub(self) -> bool:
        return await self._must_write().scrub()

    async def give_back(self) -> bool:
        return await self._must_write().give_back()

    async def size(self) -> int:
        sql = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        return int((await self._readers.rows(sql))[0][0])

    async def absorb(self, entries: Sequence[Entry], *, through: str | None = None) -> int:
        if self._writer is None:
            raise StoreUnavailable("This store was opened for reading only.")
        return await self._writer.absorb(entries, through) if entries else 0

    async def known(self, ids: Sequence[str]) -> frozenset[str]:
        marks = ", ".join("?" * len(ids))
        return frozenset(id for (id,) in await self._readers.rows(f"SELECT id FROM task WHERE id IN ({marks})", tuple(ids)))

    async def answered(self, response_id: str) -> str | None:
        found = await self._readers.rows(ANSWERED, (rows.answer(response_id), response_id))
        return found[0][0] if found else None

    async def stored(self, epoch: str) -> int:
        found = await self._readers.rows("SELECT tasks FROM epoch WHERE epoch = ?", (epoch,))
        return int(found[0][0]) if found else 0

    async def get(self, id: str) -> Task | None:
        columns = ", ".join(FEEDBACK_COLUMNS)
        async with self._readers.at_once() as reader:
            found = await reader.rows(f"SELECT {SUMMARY_SELECT} FROM task WHERE task.id = ?", (id,))
            if not found:
                return None
            chain = await reader.rows(CHAIN, (found[0][0],))
            said = await reader.rows(f"SELECT {columns} FROM feedback WHERE task = ? ORDER BY created_at, key", (found[0][0],))
        record = await _record(id, chain)
        return None if record is None else rows.task(found[0], record, tuple(map(rows.feedback, said)))

    async def body(self, id: str, which: Which) -> Body | None:
        async with self._readers.at_once() as reader:
            found = await reader.rows("SELECT key FROM task WHERE id = ?", (id,))
            chain = await reader.rows(CHAIN, found[0]) if found else []
        record = await _record(id, chain)
        if record is None:
            return None
        if which is Which.REQUEST:
            return Body(record.request_body, record.request_coding)
        return Body(record.response_body, record.response_coding)

    async def find(self, filter: Filter, *, limit: int, cursor: str | None = None, oldest_first: bool = False) -> Page[Summary]:
        name = cursors.tasks(filter, oldest_first)
        after = None if cursor is None else cursors.decode(name, cursor)[1]
        few = await self._few(filter)
        question = questions.tasks(filter, limit=limit + 1, after=after, oldest_first=oldest_first, few=few)
        found = await self._readers.rows(question.sql, question.values) if question else []
        following = (found[limit - 1][4], found[limit - 1][0]) if len(found) > limit else None  # created_at, key
        return Page(tuple(map(rows.summary, found[:limit])), following and cursors.encode(name, following))

    async def _few(self, filter: Filter) -> tuple[Condition, ...]:
        """A range of metadata that leaves few tasks, if there is one."""
        for conditions in sought.ranges(filter.metadata):
            [(count,)] = await self._readers.rows(*sought.probe(conditions))
            if count <= sought.FEW:
                return conditions
        return ()

    async def sessions(
        self,
        *,
        project_id: str | None = None,
        user_id: str | None = None,
        implicit: bool | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Session]:
        name = cursors.sessions(project_id, user_id, implicit)
        after = None if cursor is None else cursors.decode(name, cursor)
        question = questions.sessions(project_id, user_id, implicit, limit=limit + 1, after=after)
        found = await self._readers.rows(question.sql, question.values)
        items = tuple(rows.session(row[2:]).session() for row in found[:limit])
        return Page(items, _following(name, found, limit))

    async def session(self, id: str, project_id: str | None = None) -> Session | None:
        question = questions.session(id, project_id)
        found = await self._readers.rows(question.sql, question.values)
        return rows.session(found[0]).session() if found else None

    async def users(
        self, *, project_id: str | None = None, sort: str | None = None, limit: int, cursor: str | None = None
    ) -> Page[User]:
        name = cursors.users(project_id, sort)
        after = None if cursor is None else cursors.decode(name, cursor)
        question = questions.users(project_id, limit=limit + 1, after=after, sort=sort)
        found = await self._readers.rows(question.sql, question.values)
        return Page(tuple(rows.user(row[2:]) for row in found[:limit]), _following(name, found, limit))

    async def user(self, id: str, project_id: str | None = None) -> User | None:
        question = questions.user(id, project_id)
        found = await self._readers.rows(question.sql, question.values)
        return rows.user(found[0]) if found else None

    async def traced(self, keys: Sequence[int], most: int) -> list[Traced]:
        return list(map(sqlite_traces.traced, await self._readers.rows(sqlite_traces.FOUND, sqlite_traces.wanted(keys, most))))

    def _must_write(self) -> Writer:
        if self._writer is None:
            raise StoreUnavailable("This store was opened for reading only.")
        return self._writer

    async def close(self) -> None:
        await self._readers.close()
        if self._writer is not None:
            await self._writer.close()


def _following(name: str, found: Sequence[Row], limit: int) -> str | None:
    """The next page's cursor, of rows that begin with their place in the list."""
    return cursors.encode(name, found[limit - 1][:2]) if len(found) > limit else None


async def _record(id: str, found: Sequence[Row]) -> Record | None:
    """None where it has been forgotten meanwhile. Raises StoreUnavailable for one that is damaged."""
    chain: list[Link] = [(data, facts) for data, facts in found]
    if not chain:
        return None
    try:
        return _read(chain) if place_of(chain[0][0]).work < _MUCH else await asyncio.to_thread(_read, chain)
    except Damaged as error:
        raise StoreUnavailable(
            f"What is kept of task {id} is damaged: {error}. Its summary can be read, its bodies not."
        ) from error


def _read(chain: list[Link]) -> Record:
    return read(unpacked(chain))
