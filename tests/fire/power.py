"""Cuts the power under load: what a disk held at one moment is started again, and what was delivered by then is there.

A file system on a file of its own, whose bytes are what was written through to the disk. All processes are stopped, the file is
copied, they go on; the copy is what a power cut at that moment leaves. With `durability = "process"` the same loses answers,
which shows that the copy lacks what was not synced.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from proxy.store import open_store
from proxy.task import Which
from tests.fire import places
from tests.fire.kill import family
from tests.fire.load import Ground, load
from tests.fire.traffic import World
from tests.fire.verdict import every_task, some
from tests.proc import Tasktap, soon

Seen = dict[str, tuple[str, str]]
SHORT, LONG = 2, 40  # cuts
BETWEEN_SECONDS = 1.5
MOST_SECONDS = 480.0  # after which there is no other cut
COPIES = 5  # tries to have one of a single moment
DRAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cut:
    """What one power cut left."""

    delivered: int
    stored: int
    lost: int
    complaints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """All cuts of one durability."""

    durability: str
    cuts: tuple[Cut, ...]
    complaints: tuple[str, ...]

    @property
    def delivered(self) -> int:
        return sum(cut.delivered for cut in self.cuts)

    @property
    def lost(self) -> int:
        return sum(cut.lost for cut in self.cuts)

    def __str__(self) -> str:
        last = self.cuts[-1]
        found = f'durability = "{self.durability}": {len(self.cuts)} cuts, {last.delivered} delivered before the last of them, '
        return f"{found}{last.stored} stored then, {self.lost} lost in all" + "".join(f"\n    {each}" for each in self.complaints)


async def cut(folder: Path, durability: str, cuts: int) -> Finding:
    """Load, and so many power cuts in it. Raises places.Refused."""
    found: list[Cut] = []
    with places.device(folder) as place:
        ground = Ground(durability=durability, patience_ms=5000)
        async with load(place, ground) as running:
            began = time.monotonic()
            for number in range(cuts):
                if time.monotonic() - began > MOST_SECONDS:
                    break
                if number % 2 or durability == "process":  # what is delivered now is in the journal alone
                    os.kill(running.house.pid("desk"), signal.SIGSTOP)
                await asyncio.sleep(BETWEEN_SECONDS)
                seen = await _copied(running.house, running.world, folder / "image", folder / f"copy-{number}")
                found.append(await _left(folder, folder / f"copy-{number}", seen, ground))
                (folder / f"copy-{number}").unlink()
            await running.end()
    complaints = [complaint for each in found for complaint in each.complaints]
    return Finding(durability, tuple(found), tuple(complaints))


async def _copied(house: Tasktap, world: World, image: Path, copy: Path) -> Seen:
    """The image as it is at one moment, and what had been delivered by then."""
    assert house.process is not None
    everyone = family(house.process.pid)
    for pid in everyone:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.to_thread(soon, lambda: all(map(_rests, everyone)), "all threads to stop")
        seen = dict(world.seen)
        for _ in range(COPIES):
            await asyncio.to_thread(places.run, "cp", "--sparse=always", str(image), str(copy))
            if await asyncio.to_thread(_same, image, copy):
                break
        else:
            raise AssertionError("the image changed while it was copied")
    finally:
        for pid in reversed(everyone):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return seen


def _same(one: Path, other: Path) -> bool:
    return not subprocess.run(["cmp", "-s", str(one), str(other)], check=False).returncode


def _rests(pid: int) -> bool:
    """Whether all its threads have stopped: none is in a write that the kernel still does."""
    try:
        said = [(thread / "stat").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return True  # it is gone
    return all(each.rpartition(")")[2].split()[0] in "TZX" for each in said)


async def _left(folder: Path, copy: Path, seen: Seen, ground: Ground) -> Cut:
    """Start on what was left, and compare."""
    with places.device(folder, copy) as place:
        house = Tasktap(place, ground.config(9))  # nobody is called: any port
        try:
            await asyncio.to_thread(house.start)
            journal = house.data / "journal"
            await asyncio.to_thread(soon, lambda: not list(journal.glob("*.journal")), "the journal to be stored", DRAIN_SECONDS)
            code = await asyncio.to_thread(house.stop)
        finally:
            await asyncio.to_thread(house.kill_all)
        said = house.written()
        stored, lost, complaints = await _compare(house.data, seen)
    if code:
        complaints.append(f"SIGTERM: exit {code}")
    if "Traceback" in said:
        complaints.append(f"a traceback was printed: {said[said.index('Traceback') :][:3000]}")
    return Cut(len(seen), stored, len(lost), (*some("delivered answers are lost", lost), *complaints))


async def _compare(data: Path, seen: Seen) -> tuple[int, list[str], list[str]]:
    with contextlib.closing(sqlite3.connect(f"file:{data / 'tasktap.db'}?mode=ro", uri=True)) as plain:
        integrity = plain.execute("PRAGMA integrity_check").fetchall()
    complaints = [] if integrity == [("ok",)] else [f"integrity_check: {integrity[:3]}"]
    store = await open_store("sqlite:", data, write=False)
    try:
        tasks = {task.id: task for task in await every_task(store)}
        bodies = {id: await store.body(id, Which.RESPONSE) for id in seen if id in tasks}
    finally:
        await store.close()
    unlike = [id for id, body in bodies.items() if body is None or hashlib.sha256(body.data).hexdigest() != seen[id][0]]
    ended = [id for id in bodies if tasks[id].ending != seen[id][1]]
    lost = sorted([*(seen.keys() - tasks.keys()), *unlike])
    return len(tasks), lost, [*complaints, *some("delivered calls have another ending", [id for id in ended if id not in unlike])]


def main(long: bool, only: str = "") -> int:
    """Cuts with `durability = "power"`, and the control run. Returns how many promises were broken."""
    broken = 0
    for durability, cuts in (("power", LONG if long else SHORT), ("process", SHORT)):
        if only not in durability:
            continue
        with tempfile.TemporaryDirectory(prefix="tasktap-fire-") as folder:
            try:
                finding = asyncio.run(cut(Path(folder), durability, cuts))
            except places.Refused as refused:
                print(f"skipped {durability}: {refused}")
                continue
        bad = bool(finding.complaints) if durability == "power" else not finding.lost
        broken += bad
        promised = "kept" if durability == "power" else "as it should be"
        print(f"{'BROKEN' if bad else promised:<7} {finding}", flush=True)
    return broken
