"""What a task takes on disk, and what saving it costs: `python -m benchmarks.space [--tasks 500] [--detail]`.

Chats of 1, 10 and 50 turns that re-send their history, saved into a real store. "Alone": each record compressed by itself, as
stores do that know nothing of sessions. "Records": as kept, each against the turn before and against what its row says. "Texts":
input and output, which lists and searches show in full; "figures": all else that a row tells. "Once" is what is distinct in a
session (its last request, which says everything, its answers, and when each piece of them came) compressed in one piece: nothing
exact can be much smaller. "File" is what the database grows by, indexes, full text and gaps in pages included: by more for the
first 500 tasks, of which each table takes whole pages, than for 5,000. `--detail` prints it by table, "gaps" being what is free
in their pages, and "free" the pages that the next saves use.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.talk import Words, chat
from proxy.store import Store, open_store, told
from proxy.store.difference import LEVEL, Packer, zstd
from proxy.store.pieces import encode
from proxy.store.record import write
from proxy.store.rows import facts
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
    texts: float  # inputs and outputs
    figures: float  # what else rows tell
    file: float  # what the database grew by
    empty: int  # the database without a task, in all
    parts: dict[str, float]  # of the file, by table and index
    read_ms: float  # the last turn's bodies: CPU, the least of a few times


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
        await store.close()
        path = Path(folder) / "tasktap.db"
        empty = path.stat().st_size
        store = await open_store("sqlite:", Path(folder), write=True)
        await saved(store, tasks)
        last = sessions[0][-1]
        read = min([await _read(store, last) for _ in range(5)])
        await store.close()
        db = sqlite3.connect(path)
        [(records,)] = db.execute("SELECT sum(length(data)) FROM record")
        [(told_of,)] = db.execute("SELECT sum(length(facts)) FROM task")
        try:
            parts = dict(db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"))
            [(parts["gaps"],)] = db.execute("SELECT sum(unused) FROM dbstat")
        except sqlite3.Error:
            parts = {}
        [(free,)], [(page,)] = db.execute("PRAGMA freelist_count"), db.execute("PRAGMA page_size")
        parts["free"] = free * page
        db.close()
        size = path.stat().st_size
    count = len(tasks)
    figures = sum(len(told.pack(facts(replace(task, input=None, output=None), prompt_apart=True))) for task in tasks)
    return Space(
        tasks=count,
        sent=sum(len(task.request_body) + len(task.response_body) for task in tasks) / count,
        once=sum(map(len, once)) / count,
        alone=sum(len(packer.alone(write(task))) for task in tasks) / count,
        kept=records / count,
        texts=(told_of - figures) / count,
        figures=figures / count,
        file=(size - empty) / count,
        empty=empty,
        parts={name: bytes / count for name, bytes in parts.items()},
        read_ms=read,
    )


async def _read(store: Store, task: Task) -> float:
    """CPU milliseconds to read one of its bodies."""
    begun = time.process_time()
    for which, body in ((Which.REQUEST, task.request_body), (Which.RESPONSE, task.response_body)):
        kept = await store.body(task.id, which)
        assert kept is not None
        assert kept.data == body
    return (time.process_time() - begun) / 2 * 1000


async def cost(tasks: list[Task]) -> float:
    """CPU microseconds to save one of `tasks`."""
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store("sqlite:", Path(folder), write=True)
        await saved(store, tasks[:BATCH])
        seconds = await saved(store, tasks[BATCH:])
        await store.close()
    return seconds / (len(tasks) - BATCH) * 1e6


async def main(most: int, *, detail: bool) -> None:
    """Print the tables."""
    print("bytes a task            sent   alone records   texts    both    once both/once figures    file file/once  read ms")
    for stream in (False, True):
        for turns in (1, 10, 50):
            found = await space(turns, stream=stream, most=most)
            what = f"{turns:2} turn{'s' if turns > 1 else ' '}, {'stream' if stream else 'JSON'}"
            both = found.kept + found.texts
            print(
                f"{what:<18} {found.sent:>9,.0f} {found.alone:>7,.0f} {found.kept:>7,.0f} {found.texts:>7,.0f} {both:>7,.0f}"
                f" {found.once:>7,.0f} {both / found.once:>9.2f} {found.figures:>7,.0f}"
                f" {found.file:>7,.0f} {found.file / found.once:>9.2f} {found.read_ms:>8.2f}"
            )
            if detail:
                print("   ", {name: round(size) for name, size in found.parts.items() if size >= 8})
    print(f"an empty store: {found.empty:,} bytes")
    print("\nCPU us to save a task, in batches of 100 (least of 3)")
    words = Words(1)
    small = [task for number in range(300) for task in chat(words, number, 10, stream=False, system=10, ask=12, answer=30)]
    large = [task for number in range(4) for task in chat(words, number, 120, stream=False, system=8000)]
    for what, tasks in (("a small call", small), ("a 50-250 KB request", large)):
        ordered = sorted(tasks, key=lambda task: task.created_at)
        print(f"{what:<20} {min([await cost(ordered) for _ in range(3)]):>8.0f}")


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--tasks", type=int, default=500, help="of each kind of session, about")
    asked.add_argument("--detail", action="store_true", help="by table and index")
    given = asked.parse_args()
    asyncio.run(main(given.tasks, detail=given.detail))
