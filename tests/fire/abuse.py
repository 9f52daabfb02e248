"""Upstreams that misbehave, and callers that do: each call has its true ending, nothing crashes, and memory stays bounded."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import struct
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from proxy.store import open_store
from proxy.task import Summary
from tests.fire.memory import peak
from tests.fire.traffic import LENGTH, MARK
from tests.fire.verdict import every_task
from tests.proc import Tasktap, slack
from tests.sockets import PATIENCE
from tests.upstream import STREAM_HEAD, chunk, event, ok

CONFIG = """
default_upstream = "fire"
[upstreams.fire]
url = "http://127.0.0.1:{port}"
timeouts = {{ connect = 5, first_byte = 2.0, idle = 2.0 }}
[upstreams.refused]
url = "http://127.0.0.1:9"
[listen]
header_seconds = 2
[capture]
max_body = "1MiB"
"""
DOES = re.compile(rb"\r\nX-Does: ([a-z-]+) (\d+)\r\n")
PLAIN = ok(b'{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"content":"yo"},"finish_reason":"stop"}]}')
STREAM = STREAM_HEAD + chunk(event("a")) + chunk(event("b", '"stop"')) + chunk(MARK) + b"0\r\n\r\n"
MOST_BYTES = 64 << 20  # that an endless thing has
GROWTH_BYTES = 96 << 20  # what a relay may need beyond what it needs at rest, whatever passes through it
AT_ONCE = 16
HUNG_SECONDS = 60.0

Say = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


async def _plain(at: int, writer: asyncio.StreamWriter) -> None:
    writer.write(PLAIN)


async def _break_plain(at: int, writer: asyncio.StreamWriter) -> None:
    writer.write(PLAIN[:at])
    writer.close()


async def _break_stream(at: int, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM[:at])
    writer.close()


async def _begin_stream(at: int, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM[:at])  # and `serve` resets it once the caller has the head: a reset takes what was not read


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection by an RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def _hang_before(at: int, writer: asyncio.StreamWriter) -> None:
    """Says nothing."""


async def _hang_after(at: int, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM[: len(STREAM_HEAD) + 30])


async def _garbage(at: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x01" + random.Random(at).randbytes(300))


async def _wrong_length(at: int, writer: asyncio.StreamWriter) -> None:
    writer.write(PLAIN.replace(b"Content-Length: 1", b"Content-Length: 9"))
    writer.close()


async def _endless(writer: asyncio.StreamWriter, start: bytes, piece: bytes) -> None:
    writer.write(start)
    for _ in range(MOST_BYTES // len(piece)):
        writer.write(piece)
        await writer.drain()


async def _endless_line(at: int, writer: asyncio.StreamWriter) -> None:
    await _endless(writer, b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 65536)


async def _endless_fields(at: int, writer: asyncio.StreamWriter) -> None:
    await _endless(writer, b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 8192)


async def _endless_chunk_line(at: int, writer: asyncio.StreamWriter) -> None:
    await _endless(writer, STREAM_HEAD, b"0" * 65536)


async def _drip(at: int, writer: asyncio.StreamWriter) -> None:
    for byte in PLAIN:
        writer.write(bytes((byte,)))
        await asyncio.sleep(0.002)


async def _tiny_chunks(at: int, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD)
    for _ in range(at // 100):
        writer.write(b"1\r\n.\r\n" * 100)
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def _much(at: int, writer: asyncio.StreamWriter) -> None:
    """So many MiB."""
    writer.write(STREAM_HEAD)
    piece = chunk(b"data: " + b"." * ((1 << 20) - 8) + b"\n\n")
    for _ in range(at):
        writer.write(piece)
        await writer.drain()
    writer.write(b"0\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to misbehave: with which arguments, what callers may see, and which endings are true."""

    say: Say
    arguments: range
    sees: frozenset[str]
    endings: frozenset[str]
    path: str = "/v1/chat/completions"
    resets: bool = False  # the connection, once the caller has a head


def kind(
    say: Say, arguments: range, sees: str, endings: str, path: str = "/v1/chat/completions", *, resets: bool = False
) -> Kind:
    return Kind(say, arguments, frozenset(sees.split()), frozenset(endings.split()), path, resets)


def kinds(long: bool) -> dict[str, Kind]:
    """All upstreams. In the short form every seventh byte is cut at, and what is endless is shorter."""
    step = 1 if long else 7
    plain_head, stream_head = PLAIN.index(b"\r\n\r\n") + 4, len(STREAM_HEAD)
    marked = STREAM.index(MARK) + len(MARK)
    return {
        "refuses": kind(_plain, range(3), "502", "unreachable", "/refused/v1/chat/completions"),
        "hangs-before": kind(_hang_before, range(3), "504", "timed_out"),
        "hangs-after": kind(_hang_after, range(3), "cut", "timed_out"),
        "breaks-in-the-head": kind(_break_plain, range(0, plain_head, step), "502", "unreachable upstream_broke"),
        "breaks-in-the-body": kind(_break_plain, range(plain_head, len(PLAIN), step), "cut", "upstream_broke"),
        "breaks-in-the-stream": kind(_break_stream, range(stream_head, marked, step), "cut", "upstream_broke"),
        "breaks-behind-the-marker": kind(_break_stream, range(marked, len(STREAM)), "cut", "upstream_broke completed"),
        "resets-in-the-stream": kind(_begin_stream, range(stream_head, marked, step), "cut", "upstream_broke", resets=True),
        "garbage": kind(_garbage, range(50 if long else 10), "502", "upstream_broke unreachable"),
        "wrong-length": kind(_wrong_length, range(3), "cut", "upstream_broke"),
        "endless-line": kind(_endless_line, range(3), "502", "upstream_broke"),
        "endless-fields": kind(_endless_fields, range(3), "502", "upstream_broke"),
        "endless-chunk-line": kind(_endless_chunk_line, range(3), "502 cut", "upstream_broke"),
        "drips": kind(_drip, range(3), "200", "completed"),
        "tiny-chunks": kind(_tiny_chunks, range(100_000, 100_001) if long else range(10_000, 10_001), "200", "completed"),
        "much": kind(_much, range(1024, 1025) if long else range(64, 65), "200", "completed"),
    }


@dataclass
class Ground:
    """A house, an upstream that does as it is asked, and who called it."""

    house: Tasktap
    kinds: dict[str, Kind]
    called: dict[str, tuple[str, str]] = field(default_factory=dict)  # task id -> kind, what the caller saw
    answered: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))  # or never will be, by task id
    complaints: list[str] = field(default_factory=list)
    carried: Counter[str] = field(default_factory=Counter)  # calls that came to the upstream, by kind

    async def ask(self, name: str, at: int) -> None:
        """One call, to its end, however it ends."""
        id = f"{name}.{at}"
        try:
            async with asyncio.timeout(HUNG_SECONDS * slack()):
                seen = await self._hear(f"{self.kinds[name].path}", name, at, id)
        except TimeoutError:
            seen = "hung"
        self.answered[id].set()
        self.called[id] = (name, seen)
        if seen not in self.kinds[name].sees:
            self.complaints.append(f"{id}: the caller saw {seen}")

    async def _hear(self, path: str, name: str, at: int, id: str) -> str:
        reader, writer = await asyncio.open_connection(*self.house.calls, limit=1 << 22)
        try:
            writer.write(request(path, f"X-Does: {name} {at}\r\nX-Task-Id: {id}\r\n"))
            head = await reader.readuntil(b"\r\n\r\n")
            status = head[9:12].decode()
            self.answered[id].set()
            try:
                if length := LENGTH.search(head):
                    await reader.readexactly(int(length[1]))
                else:
                    while size := int((await reader.readuntil(b"\r\n")), 16):
                        await reader.readexactly(size + 2)
                    await reader.readexactly(2)
            except (EOFError, OSError):
                return "cut"
            return status
        except (EOFError, OSError):
            return "nothing"
        finally:
            writer.transport.abort()


def request(path: str, more: str = "", body: bytes = b'{"model":"m","stream":true,"messages":[]}') -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: tasktap\r\n{more}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextlib.asynccontextmanager
async def ground(folder: Path, known: dict[str, Kind]) -> AsyncIterator[Ground]:
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        serving.add(own)
        own.add_done_callback(serving.discard)
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(head)
                await reader.readexactly(int(length[1]) if length else 0)
                asked = DOES.search(head)
                assert asked is not None, head
                found.carried[asked[1].decode()] += 1
                wanted = known[name := asked[1].decode()]
                await wanted.say(int(asked[2]), writer)
                if wanted.resets:
                    await found.answered[f"{name}.{int(asked[2])}"].wait()
                    reset(writer)
        writer.close()

    upstream = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    house = Tasktap(folder, CONFIG.format(port=upstream.sockets[0].getsockname()[1]))
    found = Ground(house, known)
    try:
        await asyncio.to_thread(house.start)
        yield found
    finally:
        await asyncio.to_thread(house.kill_all)
        upstream.close()
        if serving:
            await asyncio.wait(serving, timeout=PATIENCE)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of all upstreams."""

    rows: tuple[str, ...]
    growth: int
    calls: int
    complaints: tuple[str, ...]

    def __str__(self) -> str:
        lines = [*self.rows, f"{self.calls} calls; the relay needed {self.growth / 2**20:.0f} MiB more than at rest"]
        return "\n".join(lines) + "".join(f"\n    {each}" for each in self.complaints)


async def abuse(folder: Path, long: bool, only: str = "") -> Finding:
    """All upstreams, one kind after the other, several calls of it at once."""
    known = {name: each for name, each in kinds(long).items() if only in name}
    async with ground(folder, known) as place:
        house = place.house
        relay = house.pid("relay")
        rest = peak(relay)
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(name: str, at: int) -> None:
            async with turn:
                await place.ask(name, at)

        for name, each in known.items():
            await asyncio.gather(*(one(name, at) for at in each.arguments))
        growth = peak(relay) - rest
        status = await asyncio.to_thread(house.quiet, 60)
        if house.pid("relay") != relay:
            place.complaints.append("the relay died")
        code = await asyncio.to_thread(house.stop)
    complaints = place.complaints
    if code or "Traceback" in house.written():
        complaints.append(f"exit {code}: {house.written()[-1500:]}")
    if growth > GROWTH_BYTES:
        complaints.append(f"the relay needed {growth >> 20} MiB more than at rest")
    tasks = await _tasks(house.data)
    if status["lost"] or len(tasks) != len(place.called):
        complaints.append(f"{len(place.called)} calls were made, {len(tasks)} tasks are stored: {status}")
    rows = []
    for name, each in known.items():
        ids = [id for id, (of, _) in place.called.items() if of == name]
        endings = Counter(str(tasks[id].ending) if id in tasks else "no task" for id in ids)
        seen = Counter(place.called[id][1] for id in ids)
        rows.append(f"{name:<25} {len(ids):>4} calls   callers saw {_told(seen):<18} endings {_told(endings)}")
        if place.carried[name] != (0 if name == "refuses" else len(ids)):
            complaints.append(f"{name}: {len(ids)} calls came to the upstream as {place.carried[name]}")
        complaints += [f"{name}: ending {ending}" for ending in endings.keys() - each.endings]
    return Finding(tuple(rows), growth, len(place.called), tuple(complaints))


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


async def _tasks(data: Path) -> dict[str, Summary]:
    store = await open_store("sqlite:", data, write=False)
    try:
        return {task.id: task for task in await every_task(store)}
    finally:
        await store.close()


def main(long: bool, only: str = "") -> int:
    """Print the table; returns how many promises were broken."""
    with tempfile.TemporaryDirectory(prefix="tasktap-fire-") as folder:
        finding = asyncio.run(abuse(Path(folder), long, only))
    print(finding)
    return len(finding.complaints)
