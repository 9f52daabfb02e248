"""Kills the relay, the desk, both, the supervisor or all of them at random moments under load, and asks the store afterwards.

python -m tests.fire kill [--long]
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.fire.traffic import Caller, Said, World, provide
from tests.fire.verdict import Verdict, judge
from tests.proc import Tasktap, alive, soon
from tests.sockets import PATIENCE

CALLERS = 30
SHORT, LONG = 20, 500  # kills
MOST_SECONDS = 900.0  # after which none is made: on a busy machine a return takes longer than the rest
DRAIN_SECONDS = 60.0
BIG_EVERY = 16  # of so many calls one is big
SELDOM = 128  # ... in a long run: a desk that is killed all the time must keep up
EARLY = 5  # every fifth start is killed before it is ready

# The wait for the journal has a limit, after which bytes go out and the lapse is counted. A machine that is busy with other
# tests can reach it, so here it is far away: no answer that was delivered has an excuse.
CONFIG = """
default_upstream = "fire"
[upstreams.fire]
url = "http://127.0.0.1:{port}"
[journal]
patience_ms = 5000
"""


@dataclass(frozen=True, slots=True)
class Fire:
    """What a run found: the verdict, who was killed how often, and the slowest return in seconds."""

    verdict: Verdict
    kills: dict[str, int]
    slowest: dict[str, float]
    status: dict[str, int]

    def __str__(self) -> str:
        slowest = ", ".join(f"{who} {seconds:.2f} s" for who, seconds in self.slowest.items())
        return f"{self.verdict}\nkills {self.kills}; slowest return: {slowest}\nlast run: {self.status}"


def family(pid: int) -> list[int]:
    """A process and all that it started, as far as they live."""
    found = [pid]
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += family(int(child))
    return found


def kill(pids: list[int]) -> None:
    """SIGKILL, in no time between."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def another(house: Tasktap, role: str, old: int) -> int | None:
    """The pid that has the role now, once it is not the old one."""
    pids = [int(entry["pid"]) for entry in (house.read_run() or {}).get("processes", []) if entry["role"].startswith(role)]
    return next((pid for pid in pids if pid != old and alive(pid)), None)


def start(house: Tasktap) -> None:
    """Start it and wait until it is ready."""
    process = house.launch()

    def ready() -> bool:
        assert process.poll() is None, f"serve ended with {process.returncode}: {house.written()[-2000:]}"
        run = house.read_run() or {}
        if run.get("pid") != process.pid:
            return False
        house.run = run
        return True

    soon(ready, f"a run.json of pid {process.pid}")


async def until_midway(world: World) -> None:
    """Wait until a kill cuts a stream for certain."""
    end = time.monotonic() + PATIENCE
    while not world.midway():
        assert time.monotonic() < end, "no stream is under way"
        await asyncio.sleep(0.001)


async def strike(house: Tasktap, world: World, who: str, early: float | None) -> float:
    """Kill `who`, and return the seconds until it is back; `early` kills the new start that many seconds after it began."""
    assert house.process is not None
    if who != "desk":
        world.down = True
        world.kills += 1
        world.killed_at = time.monotonic()
    began = time.monotonic()
    if who in ("relay", "desk", "both"):
        dead = {role: house.pid(role) for role in ("relay", "desk") if who in (role, "both")}
        kill([*dead.values()])
        for role, pid in dead.items():
            await asyncio.to_thread(soon, partial(another, house, role, pid), f"another {role} for {pid}")
    else:
        everyone = family(house.process.pid)
        kill(everyone if who == "all" else everyone[:1])
        await asyncio.to_thread(house.process.wait, PATIENCE)
        if early is not None:
            process = house.launch()
            await asyncio.sleep(early)
            kill(family(process.pid))
            await asyncio.to_thread(process.wait, PATIENCE)
            began = time.monotonic()
        await asyncio.to_thread(start, house)
    world.down = False
    return time.monotonic() - began


async def burn(folder: Path, kills: int, seed: int, big_every: int = BIG_EVERY) -> Fire:
    """A run, from the first start to the verdict."""
    dice = random.Random(seed)
    said: Said = {}
    again: list[int] = []
    upstream = await asyncio.start_server(partial(provide, stamps=said, again=again), "127.0.0.1", 0, limit=2**20)
    house = Tasktap(folder, CONFIG.format(port=upstream.sockets[0].getsockname()[1]))
    counts: Counter[str] = Counter()
    slowest: dict[str, float] = {}
    try:
        await asyncio.to_thread(start, house)
        world = World(lambda: house.calls, said=said, big_every=big_every)
        callers = [asyncio.create_task(Caller(world, number).live()) for number in range(CALLERS)]
        began = time.monotonic()
        for number in range(kills):
            if time.monotonic() - began > MOST_SECONDS:
                break
            await asyncio.sleep(dice.uniform(0.005, 0.8))
            if number == 0:  # on a busy machine all others may find nothing under way
                await until_midway(world)
            # The first ones are set, so that a short run has them all.
            who = (
                ("relay", "all", "desk", "supervisor", "both")[number]
                if number < 5
                else dice.choices(("relay", "desk", "both", "all", "supervisor"), (3, 2, 2, 2, 1))[0]
            )
            counts[who] += 1
            early = dice.uniform(0, 0.6) if number % EARLY == 1 else None
            took = await strike(house, world, who, early)
            slowest[who] = max(took, slowest.get(who, 0.0))
        await asyncio.sleep(0.5)
        world.over = True
        await asyncio.gather(*callers)
        status = await asyncio.to_thread(house.quiet, DRAIN_SECONDS)
        code = await asyncio.to_thread(house.stop)
    finally:
        await asyncio.to_thread(house.kill_all)
        upstream.close()
    verdict = await judge(house.data, world)
    complaints = list(verdict.complaints)
    if again:
        complaints.append(f"{len(again)} calls came to the upstream twice: {again[:5]}")
    if code:
        complaints.append(f"SIGTERM: exit {code}")
    if status["carried"] != status["stored"] + status["waiting"] + status["lost"]:
        complaints.append(f"the last run does not add up: {status}")
    if status["lost"] > world.unanswered:  # only a call that got nothing may have died before it was in the journal
        complaints.append(f"{status['lost']} calls are lost, but only {world.unanswered} had no byte of an answer")
    if "Traceback" in (said := house.written()):
        errors = Counter(line for line in said.splitlines() if line.partition(":")[0].endswith(("Error", "Exception")))
        complaints.append(f"{said.count('Traceback')} tracebacks were printed: {dict(errors)}")
    return Fire(replace(verdict, complaints=tuple(complaints)), dict(counts), slowest, status)


def main(long: bool, only: str = "") -> int:
    """500 kills, or 20; prints what came of it, and returns how many promises were broken."""
    kills = LONG if long else SHORT
    with tempfile.TemporaryDirectory(prefix="tasktap-fire-") as folder:
        began = time.monotonic()
        fire = asyncio.run(burn(Path(folder), kills, seed=1, big_every=SELDOM if long else BIG_EVERY))
    print(f"{sum(fire.kills.values())} kills in {time.monotonic() - began:.0f} s: {fire}", *fire.verdict.late, sep="\n  ")
    return len(fire.verdict.complaints) + len(fire.verdict.late)
