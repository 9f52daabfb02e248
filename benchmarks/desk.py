"""What a call costs the desk: a journal of so many calls is read and stored in this process, and its CPU is counted.

    python -m benchmarks.desk [--calls 20000] [--scene small] [--rounds 3] [--profile reader|writer] [--compiled]

Microseconds of CPU for each call, the least of several rounds, by thread: the one that reads, the one that writes, and the loop
between them. All of the journal is there when the desk begins, so batches are as large as they get: what it costs at its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop

from benchmarks import compiled, scenes
from proxy.price.pricer import pricer_of
from proxy.record.assembly import pack_begin, pack_head, pack_pieces, pack_whole
from proxy.record.frames import Kind, frame
from proxy.record.recorder import Recorder
from proxy.record.threads import Threads
from proxy.store import open_store

RUN = "0123456789abcdef"
EPOCH = f"{RUN}w0s1"
SEGMENT = 16 << 20
BEGUN = 1_764_000_000_000_000  # when the first call was made
APART = 150  # microseconds between two calls, about what a relay makes of them
HEAD = b"Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: benchmark"


@dataclass(frozen=True, slots=True)
class Scene:
    """Calls of one kind: what is played, and in how many sessions of how many users; none: they name no session."""

    play: str
    sessions: int | None = None  # calls in each
    users: int = 1


SCENES = {
    "small": Scene("small", 0),  # all in one session of one user, as in benchmarks.relay
    "sessions": Scene("small", 10, 200),
    "unnamed": Scene("small"),
    "large": Scene("large", 0),
    "stream": Scene("events 200 0", 0),
}


def labels(scene: Scene, number: int) -> bytes:
    """The fields that name who is talking."""
    if scene.sessions is None:
        return b""
    session = 1 if scene.sessions == 0 else number // scene.sessions
    return b"\r\nX-Session-Id: s-%d\r\nX-User-Id: u-%d" % (session, session % scene.users)


def records(scene: Scene, number: int) -> list[tuple[Kind, int, bytes]]:
    """One call in the journal: kind, microseconds and payload of each record."""
    at = number * APART
    id = f"0190a000-0000-7000-8000-{number:012x}"
    meta = {"id": id, "own": id, "retry_of": None, "at": BEGUN + at, "upstream": "openai", "kind": "chat"}
    meta |= {"key": "0123456789abcdef", "method": "POST", "target": "/v1/chat/completions"}
    asked = scenes.request(scene.play).partition(b"\r\n\r\n")[2]
    if scene.sessions is None:  # histories that are told apart
        asked = asked.replace(b"What do the words", b"%x: what do the words" % (number * 2654435761))
    answer = scenes.body(scene.play)
    begin = pack_begin(orjson.dumps(meta), HEAD + labels(scene, number), asked)
    end = orjson.dumps({"ending": "completed", "first": 900, "request": len(asked), "response": len(answer), "marked": True})
    if not scene.play.startswith("events"):
        head = b"200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\n\r\n"
        return [(Kind.BEGIN, at, begin), (Kind.WHOLE, at + 1000, pack_whole(head, answer, end))]
    head = b"200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nx-request-id: req_bench\r\n\r\n"
    events = [event + b"\n\n" for event in answer.split(b"\n\n")[:-1]]
    times = [(at + 1000 + each) * 1000 for each in range(1, len(events))]
    pieces = pack_pieces(times, events[1:], b"".join(events[1:]))
    said = [(Kind.BEGIN, at, begin), (Kind.HEAD, at + 1000, pack_head(head, events[0])), (Kind.PIECES, at + 2000, pieces)]
    return [*said, (Kind.END, at + 2000, end)]


def write_journal(directory: Path, scene: Scene, calls: int) -> None:
    """Segments of a relay that is gone."""
    index, size = 0, 0
    file = (directory / f"{EPOCH}-{index:08d}.journal").open("wb")
    for number in range(calls):
        for kind, at, payload in records(scene, number + 1):
            data = frame(kind, number + 1, at, payload) + payload
            if size + len(data) > SEGMENT:
                file.close()
                index, size = index + 1, 0
                file = (directory / f"{EPOCH}-{index:08d}.journal").open("wb")
            size += file.write(data)
    file.close()


def profiled(executor: Executor) -> Callable[[], cProfile.Profile]:
    """Profile the thread of an executor; what ends it, and gives the profile."""
    profile = cProfile.Profile()
    executor.submit(profile.enable).result()

    def end() -> cProfile.Profile:
        executor.submit(profile.disable).result()
        return profile

    return end


async def once(scene: Scene, calls: int, of: str | None) -> dict[str, float]:
    """Read and store a journal of `calls` calls; microseconds of CPU a call, by thread."""
    with tempfile.TemporaryDirectory(prefix="tasktap-desk-") as folder:
        path = Path(folder)
        for name in ("journal", "aside"):
            (path / name).mkdir()
        await asyncio.to_thread(write_journal, path / "journal", scene, calls)
        store = await open_store("sqlite:tasks.db", path, write=True)
        pepper = bytes(range(32))
        prices = pricer_of({}, {"openai": {"url": "https://api.openai.com"}})
        recorder = Recorder(
            path / "journal", path / "aside", store, RUN, lambda _: None, pepper, prices.fill, Threads(store, pepper, 3600e6)
        )
        recorder.sweep()
        prices.catalogue.look("openai", ("bench",), (), 0)  # the list of prices is loaded once, by the first call of all
        threads: dict[str, Any] = {"reader": recorder._executor, "writer": store._writer._thread}  # type: ignore[attr-defined]  # to look into
        ends = profiled(threads[of]) if of else None
        before = {name: each.submit(time.thread_time).result() for name, each in threads.items()} | {"loop": time.thread_time()}
        all_before, began = time.process_time(), time.monotonic()
        await recorder.drain()
        took, spent = time.monotonic() - began, time.process_time() - all_before
        after = {name: each.submit(time.thread_time).result() for name, each in threads.items()} | {"loop": time.thread_time()}
        stored = await store.stored(EPOCH)
        if stored != calls:
            raise SystemExit(f"{stored} of {calls} calls were stored; {recorder.error or recorder.stumble}")
        commits = recorder.commits
        profile = None if ends is None else ends()
        await recorder.close()
        await store.close()
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    found = {name: (after[name] - before[name]) / calls * 1e6 for name in after}
    return found | {"all": spent / calls * 1e6, "wall": took / calls * 1e6, "batch": calls / max(1, commits)}


def main() -> None:
    """Measure, and print."""
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--calls", type=int, default=20_000)
    asked.add_argument("--scene", action="append", choices=list(SCENES))
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--profile", choices=["reader", "writer"])
    asked.add_argument("--compiled", action="store_true", help="as a release is installed, not this source tree")
    given = asked.parse_args()
    if given.compiled:
        rest = [each for each in sys.argv[1:] if each != "--compiled"]
        python = compiled.python()
        with tempfile.TemporaryDirectory() as beside:  # the benchmarks without the source tree
            (Path(beside) / "benchmarks").symlink_to(Path(__file__).parent)
            command = [python, "-m", "benchmarks.desk", *rest]
            sys.exit(subprocess.run(command, cwd=beside, env=os.environ | {"PYTHONPATH": ""}).returncode)
    gc.set_threshold(50_000, 20, 20)  # as the desk does
    names = given.scene or ["small", "sessions", "unnamed"]
    print("| CPU µs a call | all | reader | writer | loop | wall | calls a commit |")
    print("| --- |" + " ---: |" * 6)
    for name in names:
        runs = [uvloop.run(once(SCENES[name], given.calls, given.profile)) for _ in range(given.rounds)]
        best = min(runs, key=lambda run: run["all"])
        figures = [best[each] for each in ("all", "reader", "writer", "loop", "wall", "batch")]
        print(f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
