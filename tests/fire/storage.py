"""Takes the disk, the journal, the store or the clock away under load: calls flow on, and what was not kept is counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.fire import places
from tests.fire.load import Ground, Load, load, percentile
from tests.fire.verdict import Excuse, Verdict, judge
from tests.proc import Tasktap, slack

PIECE_BYTES = 1 << 15
CALM_SECONDS = 3.0  # before and after
DRAIN_SECONDS = 60.0
FILLS_SECONDS = 40.0  # at most, for a journal of 1 MiB
CLEARS_SECONDS = 5.0  # /readyz says so again, after it ends
BUSY = 1.5  # wanted cores for each that there is
PATIENCE_SECONDS = 0.05  # journal.patience_ms, by default


@dataclass(slots=True)
class Scene:
    """Where a trouble happens."""

    house: Tasktap
    place: Path
    shift: Path | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong, and what is to be seen of it."""

    name: str
    what: str
    strike: Callable[[Scene], contextlib.AbstractContextManager[None]]
    ground: Callable[[Path], contextlib.AbstractContextManager[Path]] = contextlib.nullcontext
    shifted: bool = False  # the wall clock can be shifted
    impairs: bool = True  # /readyz says that recording is not well meanwhile
    loses: bool = False  # what was in the store goes with it, and must be counted
    segment: str = "64KiB"
    more: str = ""  # of [journal]
    drops: bool = False  # there is no room for all bodies, and those that were not kept must be counted


@contextlib.contextmanager
def _full(scene: Scene) -> Iterator[None]:
    filler = places.fill(scene.place)
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def _read_only(scene: Scene) -> Iterator[None]:
    with places.read_only(scene.house.data / "journal"):
        yield


@contextlib.contextmanager
def _frozen(scene: Scene) -> Iterator[None]:
    with places.frozen(scene.place):
        yield


@contextlib.contextmanager
def _locked(scene: Scene) -> Iterator[None]:
    db = sqlite3.connect(scene.house.data / "tasktap.db", isolation_level=None, timeout=20, check_same_thread=False)
    try:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")
    finally:
        db.close()


def _files(scene: Scene) -> list[Path]:
    return [path for name in ("", "-wal", "-shm") if (path := scene.house.data / f"tasktap.db{name}").exists()]


@contextlib.contextmanager
def _deleted(scene: Scene) -> Iterator[None]:
    for path in _files(scene):
        path.unlink()
    yield


@contextlib.contextmanager
def _damaged(scene: Scene) -> Iterator[None]:
    """Random bytes over all of it."""
    for path in _files(scene):
        if not path.name.endswith("-shm"):
            dice = random.Random(1)
            with path.open("r+b") as file:
                for left in range(path.stat().st_size, 0, -PIECE_BYTES):  # at once, it would stop the callers of this process
                    file.write(dice.randbytes(min(left, PIECE_BYTES)))
    yield


@contextlib.contextmanager
def _garbage(scene: Scene) -> Iterator[None]:
    """No database any more, and the desk starts anew on it: it begins another by itself."""
    desk = scene.house.pid("desk")
    os.kill(desk, 19)  # SIGSTOP: its own writes would mend the first page
    for path in _files(scene):
        path.write_bytes(b"no database at all\n" * 1000)
    os.kill(desk, 9)
    scene.house.successor("desk", desk)
    yield


@contextlib.contextmanager
def _shifted(scene: Scene, seconds: int = -3600) -> Iterator[None]:
    assert scene.shift is not None
    places.set_clock(scene.shift, seconds)
    yield  # and it stays there: clocks that were wrong are set right


TROUBLES = (
    Trouble("full", "the disk is full", _full, partial(places.small, megabytes=96)),  # a minute's calls need more than 48
    Trouble("read-only", "the journal cannot be written", _read_only),
    Trouble("frozen", "the disk hangs", _frozen, places.device),
    Trouble("locked", "another process has locked the store", _locked),
    Trouble("no-room", "the store is locked, and the journal full", _locked, more='max_bytes = "1MiB"', drops=True),
    Trouble("deleted", "the store's files are deleted", _deleted, impairs=False, loses=True),
    Trouble("damaged", "random bytes over the store's files", _damaged, impairs=False, loses=True),
    Trouble("garbage", "the store's file is no database, and the desk starts anew", _garbage, impairs=False, loses=True),
    Trouble("clock", "the clock jumps back an hour", _shifted, shifted=True, impairs=False),
    Trouble(
        "ahead",
        "the clock leaps a year ahead, and tasks are kept for a day",
        partial(_shifted, seconds=365 * 86_400),
        shifted=True,
        impairs=False,
        more="[retention]\nmax_age = 1\n",
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one trouble came to. Times in milliseconds."""

    trouble: Trouble
    calls: int
    failed: int
    added: float  # at the 99th percentile, beyond what the proxy added before
    lapses: int
    dropped: int
    lost: int
    verdict: Verdict
    complaints: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        head = f"{self.trouble.name:<10} {self.calls:>5} calls, {self.failed} failed, p99 {self.added:+.0f} ms, "
        kept = f"{self.lapses} lapses, {self.verdict.delivered} delivered, {self.verdict.stored} stored, "
        rest = f"{len(self.verdict.doubled)} doubled, {self.lost} lost and {self.dropped} bodies dropped, as counted"
        return head + kept + rest + "".join(f"\n    {each}" for each in (*self.complaints, *self.verdict.complaints))

    @property
    def all_complaints(self) -> tuple[str, ...]:
        return (*self.complaints, *self.verdict.complaints)


async def disturb(folder: Path, trouble: Trouble, seconds: float) -> Finding:
    """Calm, trouble, calm again; then the verdict. Raises places.Refused."""
    with trouble.ground(folder) as place:
        environment, shift = places.clock(folder) if trouble.shifted else ({}, None)
        async with load(place, Ground(segment=trouble.segment, environment=environment, more=trouble.more)) as running:
            return await _disturb(running, Scene(running.house, place, shift), trouble, seconds)


async def _disturb(running: Load, scene: Scene, trouble: Trouble, seconds: float) -> Finding:
    loop, house, world = asyncio.get_running_loop(), running.house, running.world
    await asyncio.sleep(1.0)  # the first calls pay for what is made once
    calm = loop.time()
    await asyncio.sleep(CALM_SECONDS)
    began = loop.time()
    stack = contextlib.ExitStack()
    await asyncio.to_thread(stack.enter_context, trouble.strike(scene))
    try:
        await asyncio.sleep(seconds)
        if trouble.drops:
            await _dropping(house)
        ready, _ = await asyncio.to_thread(house.fetch, "/readyz") if trouble.impairs else (503, b"")
        healthy, _ = await asyncio.to_thread(house.fetch, "/healthz")
        ended = loop.time()
    finally:
        await asyncio.to_thread(stack.close)
    found = [] if ready == 503 else [f"/readyz says {ready} though {trouble.what}"]
    if healthy != 200:
        found.append(f"/healthz says {healthy} while calls flow")
    if not await _ready(house):
        found.append(f"/readyz does not say that all is well again: {await asyncio.to_thread(house.fetch, '/readyz')}")
    await asyncio.sleep(CALM_SECONDS)
    await running.end()
    calls = await asyncio.to_thread(house.quiet, DRAIN_SECONDS)
    status: dict[str, Any] = await asyncio.to_thread(house.get, "/api/status")
    code = await asyncio.to_thread(house.stop)
    before = [took for at, took in world.took if calm < at < began]
    during = [took for at, took in world.took if began < at < ended]
    added = percentile(during, 0.99) - percentile(before, 0.99)
    if not during:
        found.append("no answer came meanwhile")
    # where much else runs, the slowest calls of a few seconds tell of that: there it is the usual ones that are looked at
    share = 0.99 if slack() < BUSY else 0.5
    more = percentile(during, share) - percentile(before, share)
    if more > PATIENCE_SECONDS * slack() + 0.02:
        found.append(f"answers took {more * 1000:.0f} ms more, at p{share * 100:.0f}")
    if calls["carried"] != calls["stored"] + calls["waiting"] + calls["lost"]:
        found.append(f"it does not add up: {calls}")
    if calls["lost"] and not trouble.loses:
        found.append(f"{calls['lost']} calls are lost")
    if bool(status["journal"]["bodies_dropped"]) != trouble.drops:
        found.append(f"{status['journal']['bodies_dropped']} bodies were dropped")
    if code:
        found.append(f"SIGTERM: exit {code}")
    if "Traceback" in (said := house.written()):
        found.append(f"a traceback was printed: {said[said.index('Traceback') :][:1500]}")
    dropped = status["journal"]["bodies_dropped"]
    verdict = await judge(house.data, world, Excuse(calls["lost"], dropped))
    if verdict.stored != calls["stored"]:
        found.append(f"{calls['stored']} are counted as stored, the store has {verdict.stored}")
    return Finding(
        trouble,
        calls=len(world.begun) + world.nameless,
        failed=len(world.unexcused),
        added=added * 1000,
        lapses=status["journal"]["lapses"],
        dropped=dropped,
        lost=calls["lost"],
        verdict=verdict,
        complaints=tuple(found),
    )


async def _dropping(house: Tasktap) -> None:
    """Wait until bodies are dropped: how long a journal takes to fill, the machine decides."""
    loop = asyncio.get_running_loop()
    end = loop.time() + FILLS_SECONDS
    while loop.time() < end and not (await asyncio.to_thread(house.get, "/api/status"))["journal"]["bodies_dropped"]:
        await asyncio.sleep(0.2)


async def _ready(house: Tasktap) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + CLEARS_SECONDS * slack()
    while loop.time() < end:
        with contextlib.suppress(OSError):
            if (await asyncio.to_thread(house.fetch, "/readyz"))[0] == 200:
                return True
        await asyncio.sleep(0.1)
    return False


def main(long: bool, only: str = "") -> int:
    """Every trouble: for a minute, or in the short form for three seconds. Returns how many broke a promise."""
    broken = 0
    for trouble in TROUBLES:
        if only not in trouble.name:
            continue
        with tempfile.TemporaryDirectory(prefix="tasktap-fire-") as folder:
            try:
                finding = asyncio.run(disturb(Path(folder), trouble, 60.0 if long else 3.0))
            except places.Refused as refused:
                print(f"skipped {trouble.name:<10} {refused}", flush=True)
                continue
            except AssertionError as error:
                print(f"BROKEN  {trouble.name:<10} {error}", flush=True)
                broken += 1
                continue
        bad = bool(finding.all_complaints)
        broken += bad
        print(f"{'BROKEN' if bad else 'kept':<7} {finding}", flush=True)
    return broken
