"""What a task takes on disk, and what saving it costs: `python -m benchmarks.space`.

Chats of 1, 10 and 50 turns that re-send their history, saved into a real store. "Alone": each record compressed by itself, as
stores do that know nothing of sessions; "kept": each against the turn before. "Once" is what is distinct in a session (its last
request, which says everything, its answers, and when each piece of them came) compressed in one piece: nothing exact can be
much smaller.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.talk import Words, chat
from proxy.store import Store, open_store
from proxy.store.difference import LEVEL, Packer, zstd
from proxy.store.pieces import encode
from proxy.store.record import write
from proxy.task import Task, Which

BATCH = 100


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of one kind of session, a task."""

    tasks: int
    sent: float  # bodies as they were on the wire
    once: float
    alone: float  # records
    kept: float  # records
    file: float  # the whole database
    parts: dict[str, float]  # of the file, by table and index
    read_ms: float  # the last turn's bodies


async def saved(store: Store, tasks: list[Task]) -> float:
    """Save in batches; CPU seconds."""
    begun = time.process_time()
    for at in range(0, len(tasks), BATCH):
        await store.save(tasks[at : at + BATCH])
    return time.process_time() - begun


async def space(turns: int, *, stream: bool, most: int = 500) -> Space:
    """Save `most` tasks in sessions of so many turns, and measure."""
    words = Words(turns)
    sessions = [list(chat(words, number, turns, stream=stream)) for number in range(max(2, most // turns))]
    tasks = sorted((task for session in sessions for task in session), key=lambda task: task.created_at)
    packer = Packer()
    once = [
        zstd.compress(b"".join((of[-1].request_body, *(task.response_body + encode(task.pieces) for task in of))), LEVEL)
        for of in sessions
    ]
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store("sqlite:", Path(folder), write=True)
        await saved(store, tasks)
        last = sessions[0][-1]
        begun = time.perf_counter()
        for which, body in ((Which.REQUEST, last.request_body), (Which.RESPONSE, last.response_body)):
            kept = await store.body(last.id, which)
            assert kept is not None
            assert kept.data == body
        read = (time.perf_counter() - begun) / 2 * 1000
        await store.close()
        path = Path(folder) / "tasktap.db"
        db = sqlite3.connect(path)
        [(records,)] = db.execute("SELECT sum(length(data)) FROM record")
        try:
            parts = dict(db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"))
        except sqlite3.Error:
            parts = {}
        db.close()
        size = path.stat().st_size
    count = len(tasks)
    return Space(
        tasks=count,
        sent=sum(len(task.request_body) + len(task.response_body) for task in tasks) / count,
        once=sum(map(len, once)) / count,
        alone=sum(len(packer.alone(write(task))) for task in tasks) / count,
        kept=records / count,
        file=size / count,
        parts={name: bytes / count for name, bytes in parts.items()},
        read_ms=read,
    )


async def cost(tasks: list[Task]) -> float:
    """CPU microseconds to save one of `tasks`."""
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store("sqlite:", Path(folder), write=True)
        await saved(store, tasks[:BATCH])
        seconds = await saved(store, tasks[BATCH:])
        await store.close()
    return seconds / (len(tasks) - BATCH) * 1e6


async def main(detail: bool) -> None:
    """Print the tables."""
    print("bytes a task            sent   alone    kept    once  kept/once    file  file/once  read ms")
    for stream in (False, True):
        for turns in (1, 10, 50):
            found = await space(turns, stream=stream)
            what = f"{turns:2} turn{'s' if turns > 1 else ' '}, {'stream' if stream else 'JSON'}"
            ratio, whole = found.kept / found.once, found.file / found.once
            print(
                f"{what:<18} {found.sent:>9,.0f} {found.alone:>7,.0f} {found.kept:>7,.0f} {found.once:>7,.0f} {ratio:>10.2f}"
                f" {found.file:>7,.0f} {whole:>10.2f} {found.read_ms:>8.2f}"
            )
            if detail:
                print("   ", {name: round(size) for name, size in found.parts.items() if size >= 8})
    print("\nCPU us to save a task, in batches of 100 (least of 3)")
    words = Words(1)
    small = [task for number in range(300) for task in chat(words, number, 10, stream=False, system=10, ask=12, answer=30)]
    large = [task for number in range(4) for task in chat(words, number, 120, stream=False, system=8000)]
    for what, tasks in (("a small call", small), ("a 50-250 KB request", large)):
        ordered = sorted(tasks, key=lambda task: task.created_at)
        print(f"{what:<20} {min([await cost(ordered) for _ in range(3)]):>8.0f}")


if __name__ == "__main__":
    asyncio.run(main("--detail" in sys.argv))
