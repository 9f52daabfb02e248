"""Callers who leave, by the thousand and at every stage; callers who drip their heads, and callers who do not read."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from proxy.store import open_store
from tests.fire.abuse import request, reset
from tests.fire.load import percentile
from tests.fire.memory import descriptors, peak, resident
from tests.fire.traffic import LENGTH, MARK
from tests.fire.verdict import every_task
from tests.proc import Tasktap, slack, soon
from tests.sockets import PATIENCE
from tests.upstream import STREAM_HEAD, chunk, event, ok

CONFIG = """
default_upstream = "fire"
[upstreams.fire]
url = "http://127.0.0.1:{port}"
[listen]
header_seconds = 2
"""
NAME = re.compile(rb"\r\nX-Does: ([a-z]+) (\d+)\r\n")
STAGES = {"before": "caller_left", "amid": "caller_left", "done": "completed", "upload": "upload_incomplete"}
SHORT, LONG = 400, 10_000
AT_ONCE = 100
FEW_FILES = 10
CLOSED_SECONDS = 0.1  # until the upstream knows
DRIPPING = 200  # callers at once who never end their heads
NOT_READING = 100  # callers at once who do not read, each of so many MiB
MUCH = 8
GROWTH_BYTES = 96 << 20
BODY = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"' + b"x" * 3000 + b'"}]}'


@dataclass
class Scene:
    """A house, and the upstream that every caller wants something else of."""

    house: Tasktap
    heard: dict[bytes, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))  # its upstream has it
    left: dict[bytes, float] = field(default_factory=dict)  # when a caller left, monotonic
    known: dict[bytes, float] = field(default_factory=dict)  # ... and when its upstream knew
    complaints: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)  # complaints about time alone


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        serving.add(own)
        own.add_done_callback(serving.discard)
        what = b""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                asked, length = NAME.search(head), LENGTH.search(head)
                what = asked[0] if asked else b""
                if b" upload " in what:  # of which no more comes than a part
                    found.heard[what].set()
                await reader.readexactly(int(length[1]) if length else 0)
                found.heard[what].set()
                await _say(asked[1] if asked else b"", writer)
        except (OSError, EOFError):
            found.known[what] = time.monotonic()
        writer.close()

    upstream = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20, backlog=1024)
    found = Scene(Tasktap(folder, CONFIG.format(port=upstream.sockets[0].getsockname()[1])))
    try:
        await asyncio.to_thread(found.house.start)
        yield found
    finally:
        await asyncio.to_thread(found.house.kill_all)
        upstream.close()
        if serving:
            await asyncio.wait(serving, timeout=PATIENCE)


async def _say(stage: bytes, writer: asyncio.StreamWriter) -> None:
    if stage == b"before":
        return  # nothing
    if stage == b"much":
        writer.write(STREAM_HEAD)
        for _ in range(MUCH):
            writer.write(chunk(b"data: " + b"." * ((1 << 20) - 8) + b"\n\n"))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    elif stage:
        writer.write(STREAM_HEAD + chunk(event("a")))
        if stage == b"done":
            writer.write(chunk(event("b", '"stop"')) + chunk(MARK))  # and the end of the chunks does not come
    else:
        writer.write(ok())
    await writer.drain()


async def _leave(place: Scene, stage: str, number: int, turn: asyncio.Semaphore) -> None:
    async with turn:
        reader, writer = await asyncio.open_connection(*place.house.calls)
        does = f"X-Does: {stage} {number}\r\n"
        said = request("/v1/chat/completions", f"{does}X-Task-Id: {stage}-{number}\r\n", BODY)
        try:
            writer.write(said if stage != "upload" else said[: -len(BODY) // 2])
            await writer.drain()
            if stage in ("amid", "done"):
                await reader.readuntil(MARK if stage == "done" else b"\n\n\r\n")
            else:
                await place.heard[f"\r\n{does}".encode()].wait()  # the call is under way
        except (OSError, EOFError) as error:
            place.complaints.append(f"{stage}-{number}: {error!r}")
        place.left[f"\r\n{does}".encode()] = time.monotonic()
        if number % 2:
            reset(writer)
        else:
            writer.transport.abort()


async def _drip(place: Scene, seconds: list[float]) -> None:
    """A head that never ends; how long until we are shown the door."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(*place.house.calls)
    said = b"GET /v1/models HTTP/1.1\r\nHost: tasktap\r\n" + b"X-A: b\r\n" * 10_000
    with contextlib.suppress(OSError):
        for byte in said:
            writer.write(bytes((byte,)))
            await writer.drain()
            try:
                async with asyncio.timeout(0.3):
                    await reader.read(1)
                break
            except TimeoutError:
                continue
    seconds.append(time.monotonic() - began)
    writer.transport.abort()


async def _good(place: Scene, took: list[float], over: asyncio.Event) -> None:
    """Somebody who does nothing wrong."""
    while not over.is_set():
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(*place.house.calls)
        writer.write(request("/v1/chat/completions"))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            place.complaints.append(f"somebody else got {head[:60]!r}")
        took.append(time.monotonic() - began)
        writer.transport.abort()
        await asyncio.sleep(0.02)


async def _reads_nothing(place: Scene, all_here: asyncio.Barrier) -> None:
    reader, writer = await asyncio.open_connection(*place.house.calls, limit=1 << 14)
    writer.write(request("/v1/chat/completions", "X-Does: much 1\r\n"))
    await reader.readuntil(b"\r\n\r\n")
    await all_here.wait()  # nobody has read more than a head
    await asyncio.sleep(1.0)
    await all_here.wait()
    reset(writer)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of it. Times in seconds, sizes in bytes."""

    rows: tuple[str, ...]
    complaints: tuple[str, ...]
    late: tuple[str, ...]  # complaints about time alone

    def __str__(self) -> str:
        return "\n".join(self.rows) + "".join(f"\n    {each}" for each in (*self.complaints, *self.late))


async def leave(folder: Path, callers: int) -> Finding:
    """All of it, one after the other."""
    rows = []
    async with scene(folder) as place:
        house = place.house
        relay = house.pid("relay")
        over = asyncio.Event()
        took: list[float] = []
        turn = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(_leave(place, list(STAGES)[number % 4], number, turn) for number in range(100)))  # to warm up
        await asyncio.to_thread(house.quiet, 30)
        files, memory = descriptors(relay), resident(relay)
        await asyncio.gather(*(_leave(place, list(STAGES)[number % 4], number, turn) for number in range(100, callers)))
        await asyncio.to_thread(house.quiet, 60)
        with contextlib.suppress(AssertionError):  # an answer that ended but for its last bytes has a second for these
            await asyncio.to_thread(soon, lambda: descriptors(relay) <= files + FEW_FILES, within=10.0)
        more_files, more_memory = descriptors(relay) - files, resident(relay) - memory
        closed = sorted(place.known[what] - at for what, at in place.left.items() if what in place.known and b"done" not in what)
        late, usual = percentile(closed, 0.99), percentile(closed, 0.5)
        knew = f"their upstreams knew after {usual * 1000:.0f} ms, {late * 1000:.0f} ms at p99"
        rows.append(f"{callers} callers left, {AT_ONCE} at once; {knew}")
        rows.append(f"open files of the relay {more_files:+d}, its memory {more_memory / 2**20:+.1f} MiB")
        if usual > CLOSED_SECONDS * slack():  # all of them live in this one process, which may be the slow one at p99
            place.late.append(f"upstreams knew only after {usual:.3f} s")
        if more_files > FEW_FILES:
            place.complaints.append(f"{more_files} files are open that were not before")

        alone: list[float] = []
        good = asyncio.create_task(_good(place, alone, over))
        await asyncio.sleep(2.0)
        over.set()
        await good
        over.clear()
        dripped: list[float] = []
        good = asyncio.create_task(_good(place, took, over))
        await asyncio.gather(*(_drip(place, dripped) for _ in range(DRIPPING)))
        over.set()
        await good
        added = percentile(took, 0.99) - percentile(alone, 0.99)
        dripping = f"{DRIPPING} dripped their heads, for {max(dripped):.1f} s at most (2 s are allowed)"
        rows.append(f"{dripping}; others waited {added * 1000:+.0f} ms at p99")
        if max(dripped) > 4.0 * slack():
            place.late.append(f"a head dripped for {max(dripped):.1f} s")

        before = resident(relay)
        all_here = asyncio.Barrier(NOT_READING)
        await asyncio.gather(*(_reads_nothing(place, all_here) for _ in range(NOT_READING)))
        growth = peak(relay) - before
        rows.append(f"{NOT_READING} did not read answers of {MUCH} MiB: the relay had at most {growth / 2**20:.0f} MiB more")
        if growth > GROWTH_BYTES:
            place.complaints.append(f"the relay had {growth >> 20} MiB more")
        status = await asyncio.to_thread(house.quiet, 60)
        if house.pid("relay") != relay:
            place.complaints.append("the relay died")
        code = await asyncio.to_thread(house.stop)
    if code or "Traceback" in house.written():
        place.complaints.append(f"exit {code}: {house.written()[-1500:]}")
    store = await open_store("sqlite:", house.data, write=False)
    try:
        tasks = {task.id: task for task in await every_task(store)}
    finally:
        await store.close()
    endings: Counter[str] = Counter()
    for number in range(callers):
        stage = list(STAGES)[number % 4]
        task = tasks.get(f"{stage}-{number}")
        ending = "no task" if task is None else str(task.ending)
        endings[f"{stage}: {ending}"] += 1
    rows.append("endings " + ", ".join(f"{what} {count}" for what, count in sorted(endings.items())))
    true = {f"{stage}: {ending}" for stage, ending in STAGES.items()}
    place.complaints += [f"{what} {count}" for what, count in endings.items() if what not in true]
    if status["lost"] or status["carried"] != len(tasks):
        place.complaints.append(f"{len(tasks)} tasks are stored: {status}")
    return Finding(tuple(rows), tuple(place.complaints[:20]), tuple(place.late))


def main(long: bool, only: str = "") -> int:
    """Print what came of it; returns how many promises were broken."""
    with tempfile.TemporaryDirectory(prefix="tasktap-fire-") as folder:
        finding = asyncio.run(leave(Path(folder), LONG if long else SHORT))
    print(finding)
    return len(finding.complaints) + len(finding.late)
