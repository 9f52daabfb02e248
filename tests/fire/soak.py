"""Small calls, as many as go through, with the desk storing them: memory, files and threads are those of the beginning."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fire.abuse import PLAIN, request
from tests.fire.finding import Finding
from tests.fire.memory import descriptors, resident
from tests.fire.traffic import LENGTH
from tests.proc import Tasktap

CONFIG = """
default_upstream = "fire"
[upstreams.fire]
url = "http://127.0.0.1:{port}"
"""
CALLERS = 24
SHORT, LONG = (1_000, 3_000), (10_000, 50_000)  # calls after which it is measured, twice
MORE = 0.10  # memory of the relay the second time, at most, beside MORE_BYTES
MORE_BYTES = 4 << 20
DRAIN_SECONDS = 240.0


async def _provide(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError):
        while True:
            length = LENGTH.search(await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(PLAIN)
    writer.close()


async def _call(house: Tasktap, count: int) -> None:
    """So many calls on one connection; each is another conversation of one of 97 users."""
    reader, writer = await asyncio.open_connection(*house.calls)
    for number in range(count):
        body = b'{"model":"m","messages":[{"role":"user","content":"%d of %d"}]}' % (number, id(writer))
        writer.write(request("/v1/chat/completions", f"X-User-Id: u-{number % 97}\r\n", body))
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        assert length is not None, head
        await reader.readexactly(int(length[1]))
    writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Measured:
    """A process at rest."""

    bytes: int
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Measured:
        return cls(resident(pid), descriptors(pid), len(os.listdir(f"/proc/{pid}/task")))

    def __str__(self) -> str:
        return f"{self.bytes / 2**20:.1f} MiB, {self.files} files, {self.threads} threads"


async def soak(folder: Path, marks: tuple[int, int]) -> Finding:
    """Call, and measure at both marks once all is stored."""
    upstream = await asyncio.start_server(_provide, "127.0.0.1", 0)
    house = Tasktap(folder, CONFIG.format(port=upstream.sockets[0].getsockname()[1]))
    rows: list[str] = []
    complaints: list[str] = []
    seen: dict[str, list[Measured]] = {"relay": [], "desk": []}
    done = 0
    try:
        await asyncio.to_thread(house.start)
        for mark in marks:
            began = time.monotonic()
            await asyncio.gather(*(_call(house, (mark - done) // CALLERS) for _ in range(CALLERS)))
            seconds = time.monotonic() - began
            made, done = (mark - done) // CALLERS * CALLERS, mark
            status = await asyncio.to_thread(house.quiet, DRAIN_SECONDS)
            rows.append(f"{made} calls in {seconds:.0f} s, stored {time.monotonic() - began - seconds:.1f} s later")
            for role, measured in seen.items():
                measured.append(Measured.of(house.pid(role)))
                rows.append(f"  {role:<6} {measured[-1]}")
        code = await asyncio.to_thread(house.stop)
    finally:
        await asyncio.to_thread(house.kill_all)
        upstream.close()
        await asyncio.sleep(0.1)  # for the upstream's connections to see their end
    for role, (first, second) in seen.items():
        if role == "relay" and second.bytes > first.bytes * (1 + MORE) + MORE_BYTES:
            complaints.append(f"the {role} has grown: {first}, then {second}")
        if second.files > first.files + CALLERS or second.threads > first.threads + 4:
            complaints.append(f"the {role} keeps more open: {first}, then {second}")
    if status["lost"] or status["stored"] != sum(int(row.split()[0]) for row in rows if " calls in " in row):
        complaints.append(f"not all is stored: {status}")
    if code or "Traceback" in house.written():
        complaints.append(f"exit {code}: {house.written()[-1500:]}")
    return Finding(tuple(rows), tuple(complaints))


def main(long: bool, only: str = "") -> int:
    """Print what came of it; returns how many promises were broken."""
    with tempfile.TemporaryDirectory(prefix="tasktap-fire-") as folder:
        finding = asyncio.run(soak(Path(folder), LONG if long else SHORT))
    print(finding)
    return len(finding.complaints)
