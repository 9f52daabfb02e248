"""What a proxy itself adds to a call and to each event, by the kernel's stamps at both of its ends; nginx and tasktap alike.

    python -m benchmarks.added [--quick] [--plain]        # these tables alone; benchmarks.relay prints them too

added = (a caller's send -> arrival at the upstream's socket) + (the upstream's send -> arrival at the caller's socket). No wait
of callers or upstream for their core is in it, so that it can tell one proxy from another where what a caller sees cannot.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import compiled, machine
from benchmarks.report import number, table
from benchmarks.rivals import Helper, Rival, drained, nginx, run, tasktap

RATES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20)  # events a second on each open stream
BUSY = 0.9  # a core this busy ends the ladder
HOPELESS = 1.0  # so do seconds of delay: the proxy does not get its core
LATE = 0.01  # and so do seconds by which events are sent too late: what comes then comes in bursts that are ours
OPEN = "KiB per open stream"
FLOORS = {"own_p50": 0.35e-3, "own_p99": 2e-3, "first": 5e-3, "event": 10e-3, "stream": 20}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    calls: int = 4000  # one at a time, each way
    events: int = 40  # of each paced stream, 100 ms apart
    rounds: int = 2
    seconds: float = 4
    rung: float = 4  # seconds of each rate
    open: int = 5000
    rates: tuple[float, ...] = RATES


QUICK = Size(calls=500, events=10, rounds=1, seconds=2, rung=2, open=2000, rates=(2.5, 10))
Start = Callable[[ExitStack, int, Path], list[Rival]]


def milliseconds(*values: float | None, digits: int = 2) -> list[str]:
    """Seconds, for the table."""
    return [number(value, digits, 1e3) for value in values]


def order(ends: Helper, what: str, **more: Any) -> tuple[dict[str, Any], list[str]]:
    """Have something done at both ends; and what was wrong with it."""
    said = ends.order(do=what, **more)
    broken = [f"{what}: {said[name]} {name}" for name in ("failed", "unstamped") if said[name]]
    return said, broken + ([f"{what}: the clock was set meanwhile"] if said["set"] else [])


def single(ends: Helper, rivals: list[Rival], size: Size) -> list[str]:
    """Small calls on one connection, the ways in turn."""
    said, broken = order(ends, "single", ports={rival.name: rival.port for rival in rivals}, rounds=size.calls)
    keys = ("own_p50", "own_p99", "seen_p50", "seen_p99", "more_p50", "more_p99")
    rows = [[rival.name, *milliseconds(*(said[rival.name][key] for key in keys), digits=3)] for rival in rivals]
    seen = "the caller saw p50 ms|p99 ms|more than direct p50 ms|p99 ms"
    table(f"small call, one connection|between the ends p50 ms|p99 ms|{seen}", rows)
    for key in keys[:2]:
        found = {rival.name: said[rival.name][key] for rival in rivals}
        broken += floor(f"added to a small call, {key[-3:]}, s", FLOORS[key], found)
    return broken


def floor(what: str, most: float, found: dict[str, float | None]) -> list[str]:
    """What breaks a floor, with nginx's figure beside it: where that is near, it is the machine."""
    value = found.get("tasktap")
    if value is None or value <= most:
        return []
    return [f"{what}: {value:.4g}, at most {most:g} is allowed (nginx: {number(found.get('nginx'), 5)})"]


def busy(rival: Rival, act: Callable[[], Any]) -> tuple[Any, float | None, float]:
    """What an act gives, the part of its core that the relay used meanwhile, and the seconds of CPU."""
    before, began = machine.cpu_seconds(rival.relay) if rival.relay else 0, time.monotonic()
    given = act()
    used = machine.cpu_seconds(rival.relay) - before if rival.relay else 0
    return given, used / (time.monotonic() - began) if rival.relay else None, used


def streams(ends: Helper, rivals: list[Rival], size: Size) -> list[str]:
    """1,000 paced streams at any time: their first bytes, and every event."""
    found: dict[str, list[tuple[dict[str, Any], float]]] = {rival.name: [] for rival in rivals}
    broken: list[str] = []
    for _ in range(size.rounds):
        for rival in rivals:
            paced = {"port": rival.port, "count": 1000, "events": size.events, "apart": 0.1, "seconds": size.seconds}
            (said, wrong), _, used = busy(rival, lambda: order(ends, "streams", **paced))  # noqa: B023 it is called at once
            found[rival.name].append((said, used / max(1, said["sent"])))
            broken += [f"{rival.name}, {each}" for each in wrong]
            if rival.desk:
                drained(rival)
    rows, firsts = [], {}
    for name, rounds in found.items():
        said, each = min(rounds, key=lambda run: run[0]["events"]["p99"] or 0)  # the round that the machine disturbed least
        firsts[name] = said["first"]["p99"]
        times = [said[what][key] for what in ("first", "events") for key in ("p50", "p99")]
        rows.append([name, number(said["count"]), *milliseconds(*times), number(each or None, 1, 1e6)])
        rows[-1] += [number(said["busy"], 0, 100), *milliseconds(said["late"]["p99"]), number(said["merged"])]
    times_of = "first byte p50 ms|p99 ms|event p50 ms|p99 ms"
    rest = "relay CPU µs/event|ends' core busy %|sent late p99 ms|read with a later one"
    table(f"1,000 streams, an event every 100 ms: between the ends|events|{times_of}|{rest}", rows)
    return broken + floor("first byte beside 1,000 streams, p99, s", FLOORS["first"], firsts)


def ladder(ends: Helper, rival: Rival, size: Size, count: int) -> tuple[list[list[str]], list[str], dict[str, float | None]]:
    """`count` open streams, ever faster until a core is busy: rows, what failed, and what the floors are for."""
    assert rival.relay is not None
    order(ends, "single", ports={rival.name: rival.port}, rounds=200)  # what a first call loads is not a stream's
    before = machine.memory(rival.relay)[0]
    _, broken = order(ends, "open", port=rival.port, count=count)
    time.sleep(0.5)
    memory = (machine.memory(rival.relay)[0] - before) * 1024 / count
    rows = [[rival.name, "0", "0", *["-"] * 7, number(memory, 1)]]
    floors: dict[str, float | None] = {}
    for rate in size.rates:
        (said, wrong), part, used = busy(rival, lambda: order(ends, "pace", rate=rate, seconds=size.rung))  # noqa: B023 called at once
        memory = (machine.memory(rival.relay)[0] - before) * 1024 / count
        times = [said["events"][key] for key in ("p50", "p99", "p999")]
        rows.append([rival.name, f"{rate:g}", number(said["count"] / size.rung), *milliseconds(*times)])
        rows[-1] += [number(used / max(1, said["sent"]), 1, 1e6), number(part, 0, 100), number(said["busy"], 0, 100)]
        rows[-1] += [*milliseconds(said["late"]["p99"]), number(memory, 1)]
        broken += wrong
        if max(part or 0, said["busy"]) > BUSY or (times[1] or 0) > HOPELESS or (said["late"]["p99"] or 0) > LATE:
            break
        floors[f"{count} streams, {rate:g} events a second each, p99, s"] = times[1]
    order(ends, "close")
    return rows, [f"{rival.name}, {each}" for each in broken], floors | {OPEN: memory}


def tables(start: Start, folder: Path, size: Size) -> list[str]:
    """Start everything, measure and print all of it; what broke a floor, and what failed."""
    with ExitStack() as stack:
        ends, port = both_ends(stack)
        rivals = [Rival("direct", port), *start(stack, port, place(folder / "first"))]
        first = "its core before all else" if os.sched_getscheduler(ends.process.pid) == os.SCHED_FIFO else "its core like others"
        print(f"\nBetween the ends: the kernel's stamps, callers and upstream in one process that has {first}.")
        broken = single(ends, rivals, size) + streams(ends, rivals, size)
    # Each holds two sockets at either end.
    count = min(size.open, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200) // 2)
    rows = []
    floors: dict[str, dict[str, float | None]] = {}
    with ExitStack() as stack:  # anew, since memory is measured
        ends, port = both_ends(stack)
        for rival in start(stack, port, place(folder / "then")):
            found, wrong, figures = ladder(ends, rival, size, count)
            rows += found
            broken += wrong
            for what, value in figures.items():
                floors.setdefault(what, {})[rival.name] = value
    times = "p50 ms|p99 ms|p99.9 ms|relay CPU µs/event|relay's core busy %|ends' core busy %|sent late p99 ms"
    table(f"{count:,} open streams: between the ends|events/s on each|events/s|{times}|{OPEN}", rows)
    for what, values in floors.items():
        broken += floor(what, FLOORS["stream" if what == OPEN else "event"], values)
    return broken


def place(folder: Path) -> Path:
    """The folder, made."""
    folder.mkdir()
    return folder


def both_ends(stack: ExitStack) -> tuple[Helper, int]:
    """The process that is callers and upstream, and the upstream's port."""
    ends = Helper("benchmarks.between")
    stack.callback(ends.close)
    return ends, int(ends.read())


def main() -> int:
    """These tables alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.added", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of each")
    parser.add_argument("--plain", action="store_true", help="run this source tree as it is, nothing compiled")
    said = parser.parse_args()
    python = None if said.plain else compiled.python()
    core, _ = machine.two_cores()

    def start(stack: ExitStack, port: int, folder: Path) -> list[Rival]:
        return [run(stack, nginx(port, folder / "nginx", core)), run(stack, tasktap(port, folder / "tasktap", core, "", python))]

    with tempfile.TemporaryDirectory(prefix="tasktap-bench-") as folder:
        print(f"{machine.describe()}; tasktap {'compiled' if python else 'plain'}; load {os.getloadavg()[0]:.1f} at the start")
        broken = tables(start, Path(folder), QUICK if said.quick else Size())
    print("".join(f"\nBROKEN: {what}" for what in broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
