"""Thousands of streams at once, each at the pace of a model that speaks, for minutes: the memory line must be flat."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fire.abuse import request
from tests.fire.load import percentile
from tests.fire.memory import descriptors, resident, slope
from tests.fire.traffic import LENGTH, MARK
from tests.proc import Tasktap, slack
from tests.upstream import STREAM_HEAD, chunk, event

CONFIG = """
default_upstream = "fire"
[upstreams.fire]
url = "http://127.0.0.1:{port}"
"""
STREAMS = 2000
SECONDS_SHORT, SECONDS_LONG = 20.0, 570.0
PACE_SECONDS = 2.0  # between two events of a stream: 1000 events a second are all that one test process says and hears
EVENTS = 10  # of a stream; then its caller asks for another
LATE_SECONDS = 1.0  # that an event may take, at the 99th percentile, on a machine on which nothing else runs
SAMPLE_SECONDS = 1.0
FLAT_BYTES = 1 << 20  # a minute
DESK_MEGABYTES = 300
SHORT_FLAT_BYTES = 60 << 20  # ... that a short run can tell from nothing


@dataclass(slots=True)
class Field:
    """All streams of a run."""

    house: Tasktap
    over: bool = False
    open: int = 0
    whole: int = 0
    broken: int = 0
    late: list[float] | None = None


async def _provide(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(STREAM_HEAD)
            for _ in range(EVENTS):
                await asyncio.sleep(PACE_SECONDS)
                writer.write(chunk(event(f" at {time.monotonic():.6f} it was said")))
            writer.write(chunk(MARK) + b"0\r\n\r\n")
    writer.close()


async def _listen(field: Field, wait: float) -> None:
    """One caller: one stream after the other, from `wait` seconds on."""
    await asyncio.sleep(wait)
    reader, writer = await asyncio.open_connection(*field.house.calls)
    try:
        while not field.over:
            writer.write(request("/v1/chat/completions"))
            field.open += 1
            await reader.readuntil(b"\r\n\r\n")
            while size := int(await reader.readuntil(b"\r\n"), 16):
                said = await reader.readexactly(size + 2)
                if field.late is not None and (at := said.find(b" at ")) >= 0:
                    field.late.append(time.monotonic() - float(said[at + 4 : at + 30].split()[0]))
            await reader.readexactly(2)
            field.open -= 1
            field.whole += 1
    except (OSError, EOFError):
        field.broken += 1
    finally:
        writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of it."""

    rows: tuple[str, ...]
    complaints: tuple[str, ...]
    late: tuple[str, ...]  # complaints about time alone

    def __str__(self) -> str:
        return "\n".join(self.rows) + "".join(f"\n    {each}" for each in (*self.complaints, *self.late))


async def flow(folder: Path, streams: int, seconds: float, flat: int) -> Finding:
    """So many streams at once for so long. The first third is for memory to settle; the slope is that of the rest."""
    loop = asyncio.get_running_loop()
    upstream = await asyncio.start_server(_provide, "127.0.0.1", 0, backlog=streams)
    house = Tasktap(folder, CONFIG.format(port=upstream.sockets[0].getsockname()[1]))
    dice = random.Random(1)
    complaints: list[str] = []
    rows: list[str] = []
    try:
        await asyncio.to_thread(house.start)
        field = Field(house)
        relay, desk = house.pid("relay"), house.pid("desk")
        length = PACE_SECONDS * EVENTS
        callers = [asyncio.create_task(_listen(field, dice.random() * min(length, seconds / 4))) for _ in range(streams)]
        began = loop.time()
        samples: list[tuple[float, int, int, int]] = []
        least = streams
        while (at := loop.time() - began) < seconds:
            await asyncio.sleep(SAMPLE_SECONDS)
            samples.append((at, resident(relay), resident(desk), descriptors(relay)))
            if at > seconds / 3:
                field.late = [] if field.late is None else field.late
                least = min(least, field.open)
        field.over = True
        await asyncio.gather(*callers)
        status = await asyncio.to_thread(house.quiet, 60)
        code = await asyncio.to_thread(house.stop)
    finally:
        await asyncio.to_thread(house.kill_all)
        upstream.close()
        await asyncio.sleep(0.1)  # for the upstream's connections to see their end
    settled = [sample for sample in samples if sample[0] > seconds / 3]
    late = field.late or []
    rows.append(f"{streams} streams at once for {seconds:.0f} s, {least} at least; {field.whole} whole, {field.broken} broken")
    p50, p99 = percentile(late, 0.5) * 1000, percentile(late, 0.99) * 1000
    rows.append(f"{len(late)} events came {p50:.1f} ms after they were said, {p99:.0f} ms at p99")
    for name, column in (("relay", 1), ("desk", 2)):
        grown = slope([(sample[0] / 60, float(sample[column])) for sample in settled])
        low, high = min(s[column] for s in settled) / 2**20, max(s[column] for s in settled) / 2**20
        rows.append(f"memory of the {name}: {low:.0f} to {high:.0f} MiB, slope {grown / 2**20:+.2f} MiB a minute")
        if name == "desk" and high < DESK_MEGABYTES:
            continue  # its caches fill with what is stored, up to their limits
        if grown > flat:
            complaints.append(f"the {name} grows by {grown / 2**20:.1f} MiB a minute")
    rows.append(f"open files of the relay: {min(s[3] for s in settled)} to {max(s[3] for s in settled)}; {status}")
    if field.broken:
        complaints.append(f"{field.broken} streams broke")
    if status["lost"] or status["stored"] != field.whole:
        complaints.append(f"{field.whole} streams were whole: {status}")
    if code or "Traceback" in house.written():
        complaints.append(f"exit {code}: {house.written()[-1500:]}")
    slow = ("events came late",) if percentile(late, 0.99) > LATE_SECONDS * slack() else ()
    return Finding(tuple(rows), tuple(complaints), slow)


def main(long: bool, only: str = "") -> int:
    """Print what came of it; returns how many promises were broken."""
    with tempfile.TemporaryDirectory(prefix="tasktap-fire-") as folder:
        seconds, flat = (SECONDS_LONG, FLAT_BYTES) if long else (SECONDS_SHORT, SHORT_FLAT_BYTES)
        finding = asyncio.run(flow(Path(folder), STREAMS, seconds, flat))
    print(finding)
    return len(finding.complaints) + len(finding.late)
