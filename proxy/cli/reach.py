"""How a command reaches what only one process may change: through the desk where it runs, else itself, under the desk's lock."""

from __future__ import annotations

import asyncio
import json as stdlib_json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from proxy.cli.options import Problem, database

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.query.api import Act
    from proxy.store import Store

ANSWER_SECONDS = 5.0
ACT_SECONDS = 600.0
LOCK_SECONDS = 4.0  # a desk whose supervisor was killed is gone within 2
ALREADY_RUNNING = 3


class Do(Protocol):
    """Does the act of that name of `proxy.query.routes.ACTS`."""

    async def __call__(self, name: str, body: dict[str, Any], id: str = "") -> dict[str, Any]:
        """Give the document of its answer; `id` is that of its path. Raises Problem, NotFound."""
        ...


class Busy(Problem):
    """The desk cannot do this just now. Ask again."""


@asynccontextmanager
async def doing(settings: Settings, acts: Callable[[Store], Mapping[str, Act]]) -> AsyncIterator[Do]:
    """What does acts: the desk, or where nothing runs this process with `acts` of the store. Raises Problem, StoreUnavailable."""
    if await asyncio.to_thread(ask, settings, "/api/status") is not None:

        async def through(name: str, body: dict[str, Any], id: str = "") -> dict[str, Any]:
            found = await asyncio.to_thread(ask, settings, _path(name).replace("{id}", quote(id, safe="")), body)
            if found is None:
                raise Problem("the desk has gone away meanwhile. Try again.", 1)
            return found

        yield through
        return
    from proxy.store import StoreMissing, open_store

    file = database(settings)
    if file is None or not file.exists():
        raise StoreMissing(f"nothing is stored yet in {settings.data_dir}")
    locks = locked(settings)
    try:
        store = await open_store(settings.store.url, settings.data_dir, write=True)
        try:
            made = acts(store)

            async def here(name: str, body: dict[str, Any], id: str = "") -> dict[str, Any]:
                status, document = await made[name](id, stdlib_json.dumps(body).encode(), {})
                if status >= 400:
                    raise Problem(str(document["error"]["message"]), 1)
                return dict(document)

            yield here
        finally:
            await store.close()
    finally:
        for lock in locks:
            os.close(lock)


def locked(settings: Settings) -> list[int]:
    """Take the data directory, as `tasktap serve` does; close what is given to let it go. Raises Problem."""
    from proxy.server import data_dir

    path, held = settings.data_dir, list[int]()
    try:
        held.append(data_dir.lock(path, "lock"))
        held.append(data_dir.lock(path, "desk.lock", LOCK_SECONDS))
    except data_dir.InUse:
        for lock in held:
            os.close(lock)
        raise Problem(f"tasktap runs on {path}, but its desk does not answer. Try again, or stop it.", ALREADY_RUNNING) from None
    except OSError as error:
        raise Problem(f"data_dir: {path} cannot be used: {error.strerror or error}.", 1) from None
    return held


def _path(name: str) -> str:
    from proxy.query.routes import ACTS

    return next(route.path for route in ACTS if route.name == name)


def ask(settings: Settings, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """What the running desk answers to GET, or to POST with a `body`; `None`: nothing runs on this data. Raises Problem."""
    try:
        desk = str(stdlib_json.loads((settings.data_dir / "run.json").read_bytes())["desk"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # A desk that listens everywhere is asked here.
    url = desk.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:") + path
    key = settings.desk.key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    data = None if body is None else stdlib_json.dumps(body).encode()
    request = Request(url, data=data, headers=headers)  # noqa: S310  # our own file
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=ANSWER_SECONDS if body is None else ACT_SECONDS) as answer:
            found: dict[str, Any] = stdlib_json.loads(answer.read())
            return found
    except HTTPError as refused:
        with refused:
            raise _refused(desk, refused, told=body is not None) from None
    except URLError as away:
        if isinstance(away.reason, ConnectionRefusedError):
            return None  # it died and left its note behind
        raise Problem(f"the desk at {desk} does not answer: {away.reason}.", 1) from None
    except (OSError, HTTPException, ValueError) as away:
        raise Problem(f"the desk at {desk} does not answer: {away or type(away).__name__}.", 1) from None


def _refused(desk: str, refused: HTTPError, *, told: bool) -> Problem:
    if refused.code in {401, 403}:
        return Problem(f"the desk at {desk} wants another key than `desk.key` of this configuration.", 1)
    if refused.code in {429, 503}:
        return Busy(f"the desk at {desk} answers {refused.code}: it cannot do this just now.", 1)
    if told:
        try:
            return Problem(str(stdlib_json.loads(refused.read())["error"]["message"]), 2 if refused.code == 400 else 1)
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            pass
    return Problem(f"the desk at {desk} answers {refused.code}; see its log.", 1)
