"""What the desk's process does: the recorder, and the door where the record is read.

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
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop
from aiohttp import http as aiohttp_http
from aiohttp import web
from setproctitle import setproctitle

from proxy.query.api import Act, Desk, DeskRunner, build
from proxy.query.segments import Thresholds
from proxy.record import faults
from proxy.record.accounts import epoch_of, status
from proxy.record.board import Board, Column, desk_row
from proxy.record.recorder import Recorder
from proxy.record.retention import Retention, Rules
from proxy.record.threads import Threads
from proxy.record.watching import Watch
from proxy.server import again, data_dir, forgetting, logs, regroup
from proxy.server.intake import IntakeDoor
from proxy.server.late_store import LateStore
from proxy.server.premises import Surroundings
from proxy.server.telling import tell
from proxy.server.told import Told, say_ready, settle
from proxy.store import StoreUnavailable, open_store
from proxy.task import Status
from proxy.wire.coding import decode

LOCK_SECONDS: Final = 4.0  # a desk whose supervisor was killed is gone within 2
REOPEN_SECONDS: Final = 0.5
FIRST_TRY_SECONDS: Final = 1.0  # "ready" waits so long for the store


def _decoded(data: bytes, coding: str) -> bytes:
    plain, problem = decode(data, coding)
    if problem is not None:
        raise ValueError(problem)
    return plain


def _desk(told: Told) -> Desk:
    address = urlsplit(str(told.settings["address"])).hostname or ""
    try:
        loopback = ip_address(address).is_loopback
    except ValueError:
        loopback = address == "localhost"
    said = told.settings
    return Desk(
        key=said["key"],
        read_key=said["read_key"],
        hosts=tuple(said["hosts"]),
        loopback=loopback,
        version=said["version"],
        feedback_key=said["feedback_key"],
        open_feedback=said["open_feedback"],
        calls_loopback=said["calls_loopback"],
        thresholds=Thresholds(**said["insights"]),
        idle_seconds=said["sessions"]["idle_seconds"],
    )


class _Process:
    """What the desk holds while it runs."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._board = Board(told.board)
        self._own_row = desk_row(self._board)
        self._path = Path(told.data_dir)
        self._store = LateStore()
        self._tried = asyncio.Event()  # to open it
        self._rules = again.Rules.of(told.settings, self._path)
        sessions = told.settings["sessions"]
        pepper = (self._path / "pepper").read_bytes()
        self._watch = Watch(self._path / data_dir.JOURNAL, pepper)
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
        rules = Rules(**{**said, "projects": tuple((name, days) for name, days in said["projects"])})
        return Retention(self._store, (self._recorder, self._intake.absorber), rules, self._forgetting)

    def _acts(self) -> dict[str, Act]:
        return {
            **again.acts(self._store, self._rules),
            **regroup.acts(self._store),
            **forgetting.acts(self._store, self._recorder, self._intake.absorber, self._forgetting, running=True),
            **self._intake.acts,
        }

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
        desk = build(
            self._store,
            self._status,
            _desk(told),
            _decoded,
            self._acts(),
            calls=told.settings["calls"],
            watch=self._watch,
            house=Surroundings(self._path, told.settings, _desk(told).version),
            mounted=self._intake.mounted,
        )
        runner = DeskRunner(desk, shutdown_timeout=0.2)
        await runner.setup()
        await web.SockSite(runner, socket.socket(fileno=told.socket), backlog=128).start()
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
        await runner.cleanup()
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


def _check_aiohttp() -> None:
    parser: Any = aiohttp_http.HttpRequestParser
    if parser.__module__ != "aiohttp._http_parser":
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
