"""What the relay costs: direct, nginx `proxy_pass` and tasktap in one run, the proxy under test alone on one core.

    python -m benchmarks.relay [--quick] [--plain] [--without tasktap] [--profile SECONDS [--scene TEXT]] [--option TOML]

tasktap is measured as a release is installed, its path of bytes compiled; with `--plain` this source tree is run as it is.
What a caller sees of a latency comes first, what the proxy itself adds to it (benchmarks.added) last.
Upstream, callers, desk and supervisor share the other core. CPU figures are the scheduler's for the relay process, all threads.
Loopback only, some ten minutes (`--quick`: under two), ends what it started.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks import added, compiled, machine
from benchmarks.cost import Cost, Scene, measure, middle
from benchmarks.report import number, table
from benchmarks.rivals import Helper, Rival, drained, nginx, run, tasktap

SCENES = (
    Scene("small call", "small", 32, 3, floor=3.0),
    Scene("200 KB request", "large", 32, 3, floor=2.0),
    Scene("200 events, burst", "events 200 0", 32, 3, floor=1.5),
    Scene("200 events, 10 ms apart", "events 200 0.01", 200, 3, floor=1.2, spread=1.0),
    Scene("40 events, 50 ms apart", "events 40 0.05", 400, 3, spread=1.0),
)
FIRST_BYTE = Scene("first byte", "events 40 0.1", 1000, 8, spread=4.0)
ADDED_P50_MS = 0.35  # the most that tasktap may add to a small call


def costs(load: Helper, rivals: list[Rival], rounds: int, part: float) -> list[str]:
    """The table of costs; returns what broke a floor."""
    rows, broken = [], []
    for scene in SCENES:
        short = replace(scene, seconds=scene.seconds * part)
        runs: dict[str, list[Cost]] = {rival.name: [] for rival in rivals}
        for _ in range(rounds):
            for rival in rivals:
                runs[rival.name].append(measure(load, rival, short))
        found = {name: middle(several) for name, several in runs.items()}
        base = found["nginx"].relay_us or 1
        for name, cost in found.items():
            ratio = cost.relay_us / base if cost.relay_us is not None else None
            times = [number(cost.said["p50"], 1, 1e3), number(cost.said["p99"], 1, 1e3)]
            desk = [number(cost.desk_us), number(cost.lag, 1), number(cost.drain, 1)]
            figures = [
                number(cost.calls),
                number(cost.rate),
                number(cost.relay_us, 1),
                number(ratio, 2),
                number(cost.busy, 0, 100),
            ]
            rows.append([scene.title, name, *figures, *times, *desk])
            if cost.failed:
                broken.append(f"{scene.title}, {name}: {cost.failed} calls failed or came back wrong")
            if name == "tasktap" and scene.floor and ratio and ratio > scene.floor:
                broken.append(f"{scene.title}: {ratio:.2f} times nginx's CPU, at most {scene.floor} is allowed")
    of_relay = "relay CPU µs/call|times nginx|core busy %"
    of_desk = "desk CPU µs/call|desk lag s|all stored after s"
    table(f"calls|way|calls|calls/s|{of_relay}|p50 ms|p99 ms|{of_desk}", rows)
    return broken


def latency(load: Helper, rivals: list[Rival], rounds: int) -> list[str]:
    """The table of added latency at one connection; returns what broke a floor."""
    said = load.order(do="paired", ports={rival.name: rival.port for rival in rivals}, play="small", rounds=rounds)
    rows = [
        [rival.name, *(number(said[rival.name][key], 3, 1e3) for key in ("p50", "p99", "added_p50", "added_p99"))]
        for rival in rivals
    ]
    table("small call, one connection|p50 ms|p99 ms|added p50 ms|added p99 ms", rows)
    added = said.get("tasktap", {}).get("added_p50", 0) * 1e3
    broken = [f"added p50 is {added:.2f} ms, at most {ADDED_P50_MS} is allowed"] if added > ADDED_P50_MS else []
    return broken + ([f"paired: {said['failed']} calls failed"] if said["failed"] else [])


def first_byte(load: Helper, rivals: list[Rival], part: float) -> list[str]:
    """The table of the time to the first byte while 1,000 paced streams run; returns what broke."""
    scene = replace(FIRST_BYTE, seconds=max(6.0, FIRST_BYTE.seconds * part))
    found = {rival.name: measure(load, rival, scene) for rival in rivals}
    base = found["direct"].said
    rows = []
    for name, cost in found.items():
        values = [cost.said["first_p50"], cost.said["first_p99"]]
        added = [cost.said["first_p50"] - base["first_p50"], cost.said["first_p99"] - base["first_p99"]]
        rows.append([name, number(cost.calls), *(number(value, 2, 1e3) for value in values + added), number(cost.busy, 0, 100)])
    table("1,000 streams, an event every 100 ms|streams|first byte p50 ms|p99 ms|added p50 ms|added p99 ms|core busy %", rows)
    return [f"first byte, {name}: {cost.failed} streams failed" for name, cost in found.items() if cost.failed]


def memory(load: Helper, rivals: list[Rival], idle: dict[str, list[tuple[float, float]]], counts: tuple[int, int]) -> list[str]:
    """The table of resident memory; returns what broke."""
    rows, broken = [], []
    for rival in rivals:
        if rival.relay is None:
            continue
        few, many = counts
        failed = load.order(do="open", port=rival.port, count=few)["failed"]
        time.sleep(0.5)
        at_few = machine.memory(rival.relay)[0]
        failed += load.order(do="open", port=rival.port, count=many - few)["failed"]
        time.sleep(0.5)
        at_many = machine.memory(rival.relay)[0]
        load.order(do="close")
        if failed:
            broken.append(f"memory, {rival.name}: {failed} streams did not open")
        pss, rss = sum(pair[1] for pair in idle[rival.name]), sum(pair[0] for pair in idle[rival.name])
        each = ", ".join(f"{pair[0]:.0f}" for pair in idle[rival.name])
        rows.append([rival.name, number(pss, 1), f"{rss:.0f} ({each})", number(at_few, 1), number(at_many, 1)])
        rows[-1].append(number((at_many - at_few) * 1024 / (many - few), 1))
    few_many = f"relay with {counts[0]} open streams|with {counts[1]}"
    table(f"MiB resident|idle, all processes, shared pages once|idle, summed (each)|{few_many}|KiB per open stream", rows)
    return broken


def profile(load: Helper, rival: Rival, seconds: float, wanted: str) -> None:
    """Keep the relay busy with one scene, for a profiler to look at."""
    scene = next(each for each in SCENES if wanted in each.title)
    print(f"{rival.name}: relay {rival.relay}, desk {rival.desk}, port {rival.port}; {scene.title} for {seconds:g} s", flush=True)
    cost = measure(load, rival, replace(scene, seconds=seconds))
    print(f"{cost.calls} calls, relay {number(cost.relay_us, 1)} µs, desk {number(cost.desk_us, 1)} µs a call")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relay", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round, under a minute")
    parser.add_argument("--plain", action="store_true", help="run this source tree as it is, nothing compiled")
    parser.add_argument("--without", choices=["tasktap"], help="leave one out, to look at the others")
    parser.add_argument("--profile", type=float, metavar="SECONDS", help="only play one scene through tasktap, for a profiler")
    parser.add_argument("--scene", default="small", metavar="TEXT", help="a part of that scene's name")
    parser.add_argument("--option", action="append", default=[], metavar="TOML", help="a line for tasktap's configuration")
    return parser.parse_args()


def main() -> int:
    """Measure and print; exit 1 where a call failed or a floor is broken."""
    said = options()
    python = None if said.plain or said.without == "tasktap" else compiled.python()
    core, _ = machine.two_cores()
    started = time.monotonic()
    lines = "".join(f"{each}\n" for each in said.option)

    def start(stack: ExitStack, port: int, folder: Path) -> list[Rival]:
        rivals = [] if said.profile is not None else [run(stack, nginx(port, folder / "nginx", core))]
        if said.without != "tasktap":
            rivals.append(run(stack, tasktap(port, folder / "tasktap", core, lines, python)))
        return rivals

    with tempfile.TemporaryDirectory(prefix="tasktap-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        upstream, load = Helper("benchmarks.upstream"), Helper("benchmarks.load")
        stack.callback(upstream.close)
        stack.callback(load.close)
        port = int(upstream.read())
        rivals = [Rival("direct", port), *start(stack, port, folder)]
        if said.profile is not None:
            profile(load, rivals[-1], said.profile, said.scene)
            return 0
        build, disk = "plain" if python is None else "compiled", kind_of_disk(folder)
        print(f"{machine.describe()}; tasktap {build}; load {os.getloadavg()[0]:.1f} at the start; journal and store on {disk}")
        idle = {rival.name: [machine.memory(pid) for pid in rival.processes] for rival in rivals}
        # Many short rounds, the rivals in turn: on a machine whose speed drifts, one long round each compares two moments.
        rounds, part = (2, 0.3) if said.quick else (6, 0.5)
        # Memory first: later it would be measured in what earlier scenes have left free.
        broken = memory(load, rivals, idle, (200, 700) if said.quick else (500, 2000))
        broken += costs(load, rivals, rounds, part)
        broken += latency(load, rivals, 1000 if said.quick else 6000)
        broken += first_byte(load, rivals, part)
        for rival in rivals:
            if rival.desk:
                print(f"\nStatus at the end: {drained(rival)[1]['calls']}")
        stack.close()
        broken += added.tables(start, folder, added.QUICK if said.quick else added.Size())
    print(f"\nTook {time.monotonic() - started:.0f} s." + "".join(f"\nBROKEN: {what}" for what in broken))
    return 1 if broken else 0


def kind_of_disk(folder: Path) -> str:
    """The file system that a folder is on."""
    found = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=True)
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
