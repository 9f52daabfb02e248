"""The commands that watch: `tail` follows the tasks as they are stored, `status` says where every call is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.options import (
    Config,
    DataDir,
    Flagged,
    HowEnded,
    Json,
    Kind,
    Model,
    Parent,
    Project,
    Search,
    Session,
    Since,
    Until,
    User,
    asked_of,
    database,
    note,
    opened,
    print_json,
    run,
    settings_of,
)
from proxy.cli.reach import ask

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.query.parameters import Asked
    from proxy.store import Store
    from proxy.task import Filter, Summary

POLL_SECONDS = 0.5
DEEP_EVERY = 20  # polls: long calls are stored long after they began, below what a poll looks at
PAGE = 100
DEEP_PAGES = 20


def tail(
    context: typer.Context,
    *,
    session: Session = None,
    user: User = None,
    project: Project = None,
    parent: Parent = None,
    model: Model = None,
    kind: Kind = None,
    ending: HowEnded = None,
    flag: Flagged = None,
    since: Since = None,
    until: Until = None,
    search: Search = None,
    limit: Annotated[str, typer.Option("--limit", "-n", metavar="N", help="How many old ones to begin with, 1 to 500.")] = "10",
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Follow tasks as they are stored.

    The last ones first, then each new one until Ctrl-C; with --json one document a line.
    """
    from proxy.query.parameters import FILTERS, PAGING

    try:
        run(_tail(settings_of(config, data_dir), asked_of(context, FILTERS + PAGING[:1]), json))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


async def _tail(settings: Settings, asked: Asked, json: bool) -> None:
    from proxy.cli import tables
    from proxy.query import document
    from proxy.query.encoding import encode

    async for task in _followed(settings, asked):
        if json:
            sys.stdout.buffer.write(encode(document.of_summary(task)) + b"\n")
            sys.stdout.buffer.flush()
        else:
            tables.tail_line(task)


async def _followed(settings: Settings, asked: Asked) -> AsyncIterator[Summary]:
    store = await _awaited(settings)
    try:
        follower = Follower(asked.filter)
        for task in await follower.begin(store, asked.limit):
            yield task
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for task in await follower.poll(store):
                yield task
    finally:
        await store.close()


async def _awaited(settings: Settings) -> Store:
    """The store, as soon as there is one."""
    from proxy.store import StoreMissing, open_store

    told = False
    while True:
        try:
            return await open_store(settings.store.url, settings.data_dir, write=False)
        except StoreMissing:
            if not told:
                note(f"nothing is stored yet in {settings.data_dir}: waiting.")
                told = True
            await asyncio.sleep(POLL_SECONDS)


@dataclass(slots=True)
class Follower:
    """Which tasks are new. A task that was stored late is found by a deeper look, unless `DEEP_PAGES` began after it."""

    filter: Filter
    polls: int = 0
    seen: set[str] = field(default_factory=set)
    floor: int = 0  # older ones than this are never shown: they were there before

    async def begin(self, store: Store, count: int) -> list[Summary]:
        """Note what is there already; give the last `count` of it, oldest first."""
        return (await self._look(store, DEEP_PAGES))[-count:]

    async def poll(self, store: Store) -> list[Summary]:
        """What came since the last look, oldest first."""
        self.polls += 1
        return await self._look(store, 1 if self.polls % DEEP_EVERY else DEEP_PAGES)

    async def _look(self, store: Store, pages: int) -> list[Summary]:
        """Look at so many pages, and on while they hold something new."""
        fresh: list[Summary] = []
        met: set[str] = set()
        cursor: str | None = None
        for number in range(1, DEEP_PAGES + 1):
            page = await store.find(self.filter, limit=PAGE, cursor=cursor)
            new = [task for task in page.items if task.id not in self.seen and task.created_at >= self.floor]
            met.update(task.id for task in page.items)
            fresh += new
            cursor = page.next
            if cursor is None or (number >= pages and not new):
                break
        else:
            self.floor = max(self.floor, page.items[-1].created_at)
        self.seen = met if pages == DEEP_PAGES else self.seen | met  # what lies deeper is below the floor
        return sorted(fresh, key=lambda task: (task.created_at, task.id))


def status(config: Config = None, data_dir: DataDir = None, json: Json = False) -> None:
    """Say where every call is, and whether recording is well."""
    run(_status(settings_of(config, data_dir), json))


async def _status(settings: Settings, json: bool) -> None:
    from proxy.cli import pages

    running = await asyncio.to_thread(ask, settings, "/api/status")
    if running is not None:
        if json:
            print_json(running)
        else:
            pages.status(running, str(settings.data_dir))
        return
    from proxy.query.document import moment
    from proxy.task import Filter

    async with opened(settings) as store:
        newest = (await store.find(Filter(), limit=1)).items
        oldest = (await store.find(Filter(), limit=1, oldest_first=True)).items
    if json:
        first, last = (moment(found[0].created_at) if found else None for found in (oldest, newest))
        print_json({"running": False, "store": {"oldest": first, "newest": last}})
    else:
        pages.stopped(oldest, newest, str(settings.data_dir), _size(settings))


def _size(settings: Settings) -> int | None:
    file = database(settings)
    return file.stat().st_size if file is not None and file.exists() else None
