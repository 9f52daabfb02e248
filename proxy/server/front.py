"""What is behind the desk's door: API, pages and intake, put together. It is loaded once somebody has come, and not before."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import http as aiohttp_http
from aiohttp import web

from proxy.query.api import Act, Desk, DeskRunner, Mounted, build
from proxy.query.segments import Thresholds
from proxy.record import phospho_routes, stored_door
from proxy.record.intake import Intake
from proxy.record.intake_acts import Acts
from proxy.record.phospho_door import PhosphoDoor
from proxy.record.recorder import Recorder
from proxy.record.stored_door import StoredDoor
from proxy.record.watching import Watch
from proxy.server import again, data_dir, forgetting, regroup
from proxy.server.doors import BACKLOG
from proxy.server.finish import Rules
from proxy.server.intake import IntakeDoor
from proxy.server.premises import Surroundings
from proxy.server.told import Told
from proxy.store import Store
from proxy.task import Status
from proxy.wire.coding import decode

GOODBYE_SECONDS: Final = 0.2  # for answers that have begun, at the end
_INTAKE: Final = ("log_tasks", "amend_task", "give_feedback")


@dataclass(frozen=True, slots=True)
class Inside:
    """What works in the desk whether somebody comes or not, and is asked by those who do."""

    told: Told
    store: Store
    status: Callable[[], Awaitable[Status]]
    rules: Rules
    recorder: Recorder
    intake: IntakeDoor
    forgetting: asyncio.Lock

    def application(self) -> web.Application:
        """All that is served."""
        settings, path = self.told.settings, Path(self.told.data_dir)
        desk = _desk(settings)
        return build(
            self.store,
            self.status,
            desk,
            _decoded,
            self._acts(),
            calls=settings["calls"],
            watch=Watch(path / data_dir.JOURNAL, self.rules.pepper),
            house=Surroundings(path, settings, desk.version),
            mounted=_mounted(self.intake.intake, self.store),
        )

    def _acts(self) -> dict[str, Act]:
        logging = Acts(self.intake.intake, self.store)
        return {
            **again.acts(self.store, self.rules),
            **regroup.acts(self.store),
            **forgetting.acts(self.store, self.recorder, self.intake.absorber, self.forgetting, running=True),
            **{name: getattr(logging, name) for name in _INTAKE},
        }


async def opened(inside: Inside, sock: socket.socket) -> DeskRunner:
    """Serves whoever comes, and came, to the listening `sock`, until it is cleaned up."""
    parser: Any = aiohttp_http.HttpRequestParser
    if parser.__module__ != "aiohttp._http_parser":
        raise ImportError("aiohttp's C parser cannot be loaded")
    runner = DeskRunner(inside.application(), shutdown_timeout=GOODBYE_SECONDS)
    try:
        await runner.setup()
        await web.SockSite(runner, sock, backlog=BACKLOG).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner


def _mounted(intake: Intake, store: Store) -> list[Mounted]:
    phospho, stored = PhosphoDoor(intake, store), StoredDoor(intake, store)
    served = [(each, phospho.act(each.act)) for each in phospho_routes.ROUTES]
    served += [(each, getattr(stored, each.act)) for each in stored_door.ROUTES]
    return [Mounted(each.method, each.path, act, each.most, each.feedback, each.open) for each, act in served]


def _decoded(data: bytes, coding: str) -> bytes:
    plain, problem = decode(data, coding)
    if problem is not None:
        raise ValueError(problem)
    return plain


def _desk(said: dict[str, Any]) -> Desk:
    address = urlsplit(str(said["address"])).hostname or ""
    try:
        loopback = ip_address(address).is_loopback
    except ValueError:
        loopback = address == "localhost"
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
