"""How small tasktap is: what pip installs, how soon a start answers its first call, what it costs, and what rests in memory.

    python -m benchmarks.small [--rounds 10] [--core 0]

tasktap is installed as `pip install .` does it, into an environment of its own (`build/small`, made anew where the source has
changed). Each start keeps to one core, has a data directory of its own and is called until it answers; the least of all rounds is
what a quiet machine takes. Memory is looked at when nothing has happened for some seconds: never called, after a call, and after
somebody has looked at the desk, which loads what answers people then.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import compiled, machine, scenes
from benchmarks.rivals import Helper, free_port, stop
from tests.proc import clean_environment

ROOT = Path(__file__).parents[1]
READY_SECONDS = 30.0
SETTLE_SECONDS, REST_SECONDS = 3.0, 10.0
NOT_OURS = {"pip", "setuptools"}

LIST = """
import json, os
from importlib.metadata import distributions
def size(each):
    return sum(os.path.getsize(path) for path in map(each.locate_file, each.files or ()) if os.path.isfile(path))
print(json.dumps([[each.name, each.version, size(each)] for each in distributions()]))
"""


class Start(NamedTuple):
    """One start, in seconds from the exec of `tasktap serve`."""

    first_call: float  # until the first call was answered
    ready: float  # until everything worked
    cpu: dict[str, float]  # until then, by process
    answer: float  # then, of the desk, to the first who asked it


class Rest(NamedTuple):
    """One process at rest."""

    role: str
    resident: float  # MiB, and so on
    share: float  # of which pages that others have too count in part (PSS)
    own: float  # of which pages that others have too do not count (USS)
    cpu: float  # milliseconds a second
    wakes: float  # a second, all threads


def installed() -> Path:
    """The Python of an environment that has what `pip install .` brings."""
    place = ROOT / "build" / "small"
    found, mark = place / "bin" / "python", place / "state"
    if not mark.exists() or mark.read_text() != compiled.state():
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        command = [str(found), "-m", "pip", "install", "-q", "--disable-pip-version-check", str(ROOT)]
        subprocess.run(command, env=clean_environment(TASKTAP_COMPILE="0"), check=True)
        mark.write_text(compiled.state())
    return found


def packages(python: Path) -> list[tuple[str, str, int]]:
    """Name, version and bytes of everything that was installed, the largest first."""
    said = subprocess.run([str(python), "-c", LIST], env=clean_environment(), capture_output=True, check=True, cwd="/").stdout
    found = [(str(name), str(version), int(size)) for name, version, size in json.loads(said) if name not in NOT_OURS]
    return sorted(found, key=lambda each: -each[2])


def _call(port: int) -> None:
    """Make a call, as soon as somebody listens, and have its answer."""
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            door = socket.create_connection(("127.0.0.1", port), READY_SECONDS)
            break
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.001)
    with door:
        door.sendall(scenes.request("small"))
        answer = door.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the first call was answered {answer[:200]!r}")


def _look(data: Path, path: str) -> float:
    """Seconds that the desk took to answer."""
    begun = time.monotonic()
    with urllib.request.urlopen(json.loads((data / "run.json").read_bytes())["desk"] + path, timeout=READY_SECONDS) as answer:
        answer.read()
    return time.monotonic() - begun


def _processes(data: Path) -> list[tuple[str, int]]:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            return [(each["role"], each["pid"]) for each in json.loads((data / "run.json").read_bytes())["processes"]]
        time.sleep(0.001)
    raise RuntimeError("tasktap did not become ready")


@contextlib.contextmanager
def serving(python: Path, upstream: int, core: int) -> Iterator[tuple[int, Path]]:
    """A tasktap on one core that was started just now: the port of its calls door, and its data directory to be."""
    with tempfile.TemporaryDirectory(prefix="tasktap-small-") as folder:
        data, calls = Path(folder) / "data", free_port()
        doors = ["--calls", f"127.0.0.1:{calls}", "--desk", "127.0.0.1:0"]
        process = subprocess.Popen(
            ["taskset", "-c", str(core), str(python.parent / "tasktap"), "serve", "--data-dir", str(data), *doors],
            env=clean_environment(TASKTAP_UPSTREAMS__OPENAI__URL=f"http://127.0.0.1:{upstream}"),
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield calls, data
        finally:
            stop(process)


def start(python: Path, upstream: int, core: int) -> Start:
    """Start tasktap, call it, and stop it."""
    begun = time.monotonic()
    with serving(python, upstream, core) as (calls, data):
        _call(calls)
        first = time.monotonic() - begun
        found = _processes(data)
        ready, cpu = time.monotonic() - begun, {role: machine.cpu_seconds(pid) for role, pid in found}
        return Start(first, ready, cpu, _look(data, "/api/status"))


def rest(python: Path, upstream: int, core: int) -> tuple[list[Rest], ...]:
    """Start tasktap and let it rest; call it once, and let it rest again; look at a page, and once more."""
    with serving(python, upstream, core) as (calls, data):
        found = _processes(data)
        fresh = _rest(found)
        _call(calls)
        called = _rest(found)
        _look(data, "/")
        return fresh, called, _rest(found)


def _rest(found: list[tuple[str, int]]) -> list[Rest]:
    time.sleep(SETTLE_SECONDS)
    before = {pid: (machine.cpu_seconds(pid), machine.wakes(pid)) for _, pid in found}
    time.sleep(REST_SECONDS)
    rests = []
    for role, pid in found:
        cpu, wakes = machine.cpu_seconds(pid) - before[pid][0], machine.wakes(pid) - before[pid][1]
        rests.append(Rest(role, *machine.memory(pid), machine.own_memory(pid), cpu * 1000 / REST_SECONDS, wakes / REST_SECONDS))
    return rests


def main() -> None:
    """Print all of it."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.small", description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--rounds", type=int, default=10, help="starts")
    asked.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="the core that tasktap keeps to")
    said = asked.parse_args()
    python = installed()
    print(machine.describe(), f"load {os.getloadavg()[0]:.1f}", sep="; ")
    found = packages(python)
    print(
        f"\npip install . brings {len(found)} distributions, {sum(size for *_, size in found) / 1e6:.1f} MB with their bytecode:"
    )
    for name, version, size in found:
        print(f"  {name:<24}{version:<12}{size / 1e6:7.2f} MB")
    upstream = Helper("benchmarks.upstream")
    try:
        port = int(upstream.read())
        rests = rest(python, port, said.core)  # first, so that no timed start has to read its files from the disk
        starts = [start(python, port, said.core) for _ in range(said.rounds)]
    finally:
        upstream.close()
    print(f"\nstarts, {said.rounds} on one core       least  median")
    rows = {
        "first call answered, s": [each.first_call for each in starts],
        "all of it ready, s": [each.ready for each in starts],
        "the desk's first answer, s": [each.answer for each in starts],
        "CPU until then, s": [sum(each.cpu.values()) for each in starts],
    }
    rows |= {f"  {role}": [each.cpu[role] for each in starts] for role in starts[0].cpu}
    for what, values in rows.items():
        print(f"  {what:<28}{min(values):7.3f} {statistics.median(values):7.3f}")
    head = f"{'MiB:':<24}{'share of pages (PSS)':>22}{'own pages':>11}{'resident':>10}{'CPU ms/s':>10}{'wakes/s':>9}"
    moments = ("started and never called", "after a call, for whose price the list was loaded", "after a page of the desk")
    for when, found_then in zip(moments, rests, strict=True):
        print(f"\nat rest, {when}\n{head}")
        everyone = Rest("all", *(sum(column) for column in zip(*(each[1:] for each in found_then), strict=True)))
        for each in (*found_then, everyone):
            print(f"  {each.role:<22}{each.share:22.1f}{each.own:11.1f}{each.resident:10.1f}{each.cpu:10.2f}{each.wakes:9.0f}")


if __name__ == "__main__":
    main()
