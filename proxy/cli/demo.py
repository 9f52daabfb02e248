"""The `demo` command: a store full of generated calls, and the desk to look at it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.options import Config, DataDir, Problem, note, run, settings_of

if TYPE_CHECKING:
    from proxy.config import Settings

DIRECTORY = Path("tasktap-demo")
BATCH = 400


def demo(
    *,
    config: Config = None,
    data_dir: DataDir = None,
    days: Annotated[int, typer.Option(metavar="N", min=1, max=365, help="How many days of calls to make up.")] = 30,
    sessions: Annotated[int, typer.Option(metavar="N", min=1, max=1_000_000, help="How many sessions.")] = 900,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed makes other calls.")] = 7,
    only_fill: Annotated[bool, typer.Option("--only-fill", help="Do not serve it.")] = False,
    calls: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where apps call [default: 127.0.0.1:8900].")] = None,
    desk: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where people and tools ask [default: 127.0.0.1:8901].")
    ] = None,
) -> None:
    """Fill a data directory of its own with made-up calls, and serve it.

    ./tasktap-demo, unless --data-dir names another; one that was filled before is served as it is.
    """
    settings = settings_of(config, data_dir or DIRECTORY, calls, desk)
    run(_fill(settings, days, sessions, seed))
    if not only_fill:
        from proxy.demo import talk
        from proxy.server import serve as start
        from proxy.server.plan import given

        name = settings.default_upstream.upper().replace("-", "_")
        os.environ[f"TASKTAP_UPSTREAMS__{name}__URL"] = talk.begin(settings.data_dir)  # nothing of the demo leaves this machine
        where = data_dir or DIRECTORY
        start(settings_of(config, where, calls, desk), given(config, where, calls, desk))


async def _fill(settings: Settings, days: int, sessions: int, seed: int) -> None:
    from proxy.demo.calls import Demo
    from proxy.server import data_dir
    from proxy.store import open_store
    from proxy.task import Filter, Task

    path = settings.data_dir
    try:
        data_dir.prepare(path)
        lock = data_dir.lock(path, "lock")
    except data_dir.InUse:
        raise Problem(f"{path} is used by a tasktap that runs. Stop it, or name another --data-dir.", 3) from None
    except OSError as error:
        raise Problem(f"{path} cannot be used: {error.strerror or error}.", 1) from None
    try:
        store = await open_store(settings.store.url, path, write=True)
        try:
            found = (await store.find(Filter(), limit=1)).items
            if found:
                if not found[0].origin.startswith("demo."):
                    raise Problem(f"{path} holds tasks that are no demo's. Name another --data-dir.", 2)
                note(f"{path} is filled already.")
                return
            begun = time.monotonic()
            batch: list[Task] = []
            count = 0
            for tasks in Demo(time.time_ns() // 1000, days, sessions=sessions, seed=seed).tasks():
                batch += tasks
                if len(batch) >= BATCH:
                    count += await store.save(batch)
                    batch = []
            count += await store.save(batch)
            note(f"{count:,} made-up calls are in {path}, after {time.monotonic() - begun:.1f} s.")
        finally:
            await store.close()
    finally:
        os.close(lock)
