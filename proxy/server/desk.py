"""What the desk's process does: the recorder, and a porter at the door where the record is read.

It may be slow, fail or be killed: calls and journals go on. A store that cannot be opened is tried again and again meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from dataclasses import replace
from importlib import import_module
from importlib.machinery import ExtensionFileLoader, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import uvloop
from setproctitle import setproctitle

from proxy.record import faults, retention
from proxy.record.accounts import epoch_of, status
from proxy.record.board import Board, Column, desk_row
from proxy.record.recorder import Recorder
from proxy.record.retention import Retention
from proxy.record.threads import Threads
from proxy.server import data_dir, logs
from proxy.server.finish import Rules
from proxy.server.intake import IntakeDoor
from proxy.server.late_store import LateStore
from proxy.server.porter import Door, Porter
from proxy.server.telling import tell
from proxy.server.told import Told, say_ready, settle
from proxy.store import StoreUnavailable, open_store
from proxy.task import Status

LOCK_SECONDS: Final = 4.0  # a desk whose supervisor was killed is gone within 2
REOPEN_SECONDS: Final = 0.5
FIRST_TRY_SECONDS: Final = 1.0  # "ready" waits so long for the store


class _Process:
    """What the desk holds while it runs."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._board = Board(told.board)
        self._own_row = desk_row(self._board)
        self._path = Path(told.data_dir)
        self._store = LateStore()
        self._tried = asyncio.Event()  # to open it
        self._rules = Rules.of(told.settings, self._path)
        sessions = told.settings["sessions"]
        pepper = (self._path / "pepper").read_bytes()
        self._recorder = Recorder(
            self._path / data_dir.JOURNAL,
            self._path / data_dir.ASIDE,
            self._store,
            told.run,
            self._recovered,
            pepper,
            self._rules.valued,
            Threads(self._store, pepper, sessions["idle_seconds"]) if sessions["infer"] else None,
            self._journalled,
            self._pulse,
        )
        self._recorder.error = self._store.why

        self._forgetting = asyncio.Lock()

    def _retaining(self) -> Retention:
        said = self._told.settings["retention"]
        rules = retention.Rules(**{**said, "projects": tuple((name, days) for name, days in said["projects"])})
        return Retention(self._store, (self._recorder, self._intake.absorber), rules, self._forgetting)

    def _recovered(self, count: int) -> None:
        self._own_row[Column.ENDED] += count

    def _journalled(self) -> dict[str, int]:
        return {epoch_of(self._told.run, row): row[Column.JOURNALLED] for row in self._board.used()}

    def _pulse(self) -> object:
        """The same as before where no relay has written anything meanwhile: none runs a call, began one or ended one."""
        columns = (Column.DEAD, Column.BEGUN, Column.ENDED, Column.JOURNALLED)
        rows = [tuple(row[column] for column in columns) for row in self._board.used()]
        return object() if any(not dead and begun != ended for dead, begun, ended, _ in rows) else rows

    async def _status(self) -> Status:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(None, status, self._board, self._recorder, self._told.run, self._own_row[Column.ENDED])
        found = self._intake.told(found)
        retired = self._retention.retired
        return replace(found, retired_tasks=retired.tasks, retired_bytes=retired.bytes, retention_error=self._retention.stumble)

    async def _open_door(self, sock: socket.socket) -> Door:
        await asyncio.to_thread(_load_front)
        from proxy.server.front import Inside, opened

        inside = Inside(self._told, self._store, self._status, self._rules, self._recorder, self._intake, self._forgetting)
        door = await opened(inside, sock)
        gc.freeze()
        return door

    async def _open_store(self) -> None:
        while True:
            try:
                if faults.ARMED:
                    faults.hit("desk.store")
                self._store.opened(await open_store(self._told.settings["store"], self._path, write=True))
                await self._recorder.recount([epoch_of(self._told.run, row) for row in self._board.used()])
            except StoreUnavailable as error:
                why = str(error)
            except Exception as error:  # without a store the desk still tells why; with no further try it would never have one
                why = f"{type(error).__name__} while the store was opened"
            else:
                self._tried.set()
                return
            self._store.why = self._recorder.error = why
            self._tried.set()
            await asyncio.sleep(REOPEN_SECONDS)

    async def _record(self) -> None:
        await self._open_store()
        await asyncio.gather(self._recorder.run(), self._intake.work())

    async def work(self) -> None:
        """Until SIGTERM (drain and go), SIGUSR1 (go: another desk takes over) or the supervisor's end (go)."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(logs.of_loop)
        told = self._told
        stop: asyncio.Future[bool] = loop.create_future()

        def ask(drain: bool) -> None:
            if not stop.done():
                stop.set_result(drain)

        loop.add_signal_handler(signal.SIGTERM, ask, True)
        loop.add_signal_handler(signal.SIGUSR1, ask, False)
        loop.add_reader(told.lifeline, ask, False)
        self._intake = IntakeDoor(told, self._store)  # it writes by this loop
        self._retention = self._retaining()
        porter = Porter(socket.socket(fileno=told.socket), self._open_door)
        recording = loop.create_task(self._record())
        with contextlib.suppress(TimeoutError):  # one that is brought up to date may take long: calls do not wait for it
            await asyncio.wait_for(self._tried.wait(), FIRST_TRY_SECONDS)
        retaining = loop.create_task(self._retention.run())
        telling = loop.create_task(tell(self._status))
        say_ready(told)
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)  # the values of a batch are many and in no cycle: looking for one takes a tenth
        drain = await stop
        loop.remove_reader(told.lifeline)
        recording.cancel()
        retaining.cancel()
        telling.cancel()
        await asyncio.gather(recording, retaining, telling, return_exceptions=True)
        await porter.close()
        await self._intake.seal()
        if drain and self._store.is_open:
            try:
                await self._recorder.drain()
                await self._intake.drain()
            except StoreUnavailable as error:
                logs.warning("not everything is stored; the journal keeps it for the next start", why=str(error))
        await self._intake.close()
        await self._recorder.close()
        await self._store.close()


def _load_front() -> None:
    """In a thread: it takes a while, and the recorder goes on."""
    if faults.ARMED:
        faults.hit("desk.door")
    import_module("proxy.server.front")


def _check_aiohttp() -> None:
    """Before somebody comes, and so without loading it."""
    package = find_spec("aiohttp")
    parser = PathFinder.find_spec("aiohttp._http_parser", package.submodule_search_locations if package else None)
    if parser is None or not isinstance(parser.loader, ExtensionFileLoader) or os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        raise SystemExit("tasktap: aiohttp's C parser is not there; install a wheel of aiohttp for this platform.")


def work(told: Told) -> None:
    """Until told to stop."""
    settle()
    setproctitle("tasktap: desk")
    logs.begin("desk", told.settings["log"])
    _check_aiohttp()
    lock = data_dir.lock(Path(told.data_dir), "desk.lock", LOCK_SECONDS)
    uvloop.run(_Process(told).work())
    os.close(lock)
