"""Requests that are no HTTP, by the thousand; callers who pipeline or end their side at once; and more calls than are let in.

An independent strict parser (h11) judges whatever reaches the upstream.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fire.abuse import request
from tests.fire.finding import Finding
from tests.fire.memory import peak
from tests.fire.traffic import LENGTH
from tests.proc import Tasktap
from tests.relay.oracle import Oracle
from tests.relay.test_hostile import CHUNKS, FRAMING, LINES, H, mutated
from tests.upstream import ok

CONFIG = """
default_upstream = "fire"
[upstreams.fire]
url = "{url}"
[upstreams.slow]
url = "http://127.0.0.1:{slow}"
[listen]
header_seconds = 2
max_calls = {most}
"""
SHORT, LONG = 300, 20_000  # mutations
AT_ONCE = 16
PIPELINED = 200  # calls on one connection, before any answer is read
HALF_CLOSED = 13 * AT_ONCE
MOST_CALLS = 50  # that run at once; three times as many are made
HUNG_SECONDS = 30.0
GROWTH_BYTES = 64 << 20
REFUSED = frozenset({"400", "405", "408", "414", "431", "505"})


async def _say(house: Tasktap, data: bytes) -> bytes:
    """Say all of it, end our side, and hear what comes until the other side ends."""
    reader, writer = await asyncio.open_connection(*house.calls, limit=1 << 20)
    heard = b""
    with contextlib.suppress(OSError):
        writer.write(data)
        writer.write_eof()
        while more := await reader.read(1 << 16):
            heard += more
    writer.transport.abort()
    return heard


async def _named(house: Tasktap, oracle: Oracle, complaints: list[str]) -> str:
    """Every way to be wrong that has a name: each is refused, and none is a request to the upstream."""
    ways = {**FRAMING, **LINES, **{name: H + b"Transfer-Encoding: chunked\r\n\r\n" + body for name, body in CHUNKS.items()}}
    before, seen = oracle.whole, Counter[str]()
    for name, said in ways.items():
        status = (await _say(house, said))[9:12].decode()
        seen[status or "closed"] += 1
        if status and status not in REFUSED:
            complaints.append(f"{name} was answered {status}")
    if oracle.whole != before:
        complaints.append(f"{oracle.whole - before} of the malformed requests came to the upstream whole")
    return f"{len(ways)} malformed requests: {_told(seen)}; {oracle.whole - before} came to the upstream whole"


async def _mutations(house: Tasktap, oracle: Oracle, count: int, complaints: list[str]) -> str:
    dice, turn = random.Random(count), asyncio.Semaphore(AT_ONCE)
    seen: Counter[str] = Counter()
    before = oracle.whole

    async def one(said: bytes) -> None:
        async with turn:
            try:
                async with asyncio.timeout(HUNG_SECONDS):
                    seen[(await _say(house, said))[9:12].decode("latin-1") or "closed"] += 1
            except TimeoutError:
                complaints.append(f"hung: {said!r}")

    for _ in range(0, count, 1000):
        await asyncio.gather(*(one(mutated(dice)) for _ in range(min(count, 1000))))
    if oracle.bad:
        complaints.append(f"{len(oracle.bad)} that no strict parser takes came to the upstream: {oracle.bad[:3]}")
    return (
        f"{count} mutated requests: {_told(seen)}; {oracle.whole - before} were harmless, {len(oracle.bad)} came there malformed"
    )


async def _in_order(house: Tasktap, complaints: list[str]) -> str:
    """Pipelined calls are answered in their order, and so is who ends its side right behind its request."""
    calls = [request("/v1/chat/completions", f"X-Task-Id: turn-{number}\r\n") for number in range(PIPELINED)]
    heard = await _say(house, b"".join(calls))
    order = [line.rpartition(b"-")[2] for line in heard.split(b"\r\n") if line.lower().startswith(b"x-task-id: turn-")]
    if order != [b"%d" % number for number in range(PIPELINED)]:
        complaints.append(f"{len(order)} of {PIPELINED} pipelined calls were answered, or not in their order: {order[:9]}")
    answers = []
    for _ in range(0, HALF_CLOSED, AT_ONCE):
        answers += await asyncio.gather(*(_say(house, request("/v1/chat/completions")) for _ in range(AT_ONCE)))
    served = sum(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"{}") for answer in answers)
    if served != HALF_CLOSED:
        complaints.append(f"{HALF_CLOSED - served} of {HALF_CLOSED} callers who had ended their side were not served")
    return f"{len(order)} pipelined calls answered in order; {served} of {HALF_CLOSED} callers who end their side served"


async def _crowd(house: Tasktap, complaints: list[str]) -> str:
    """Three times as many calls as may run: what is too much is told when to try again, at once; the rest is served."""
    began = time.monotonic()
    answers = await asyncio.gather(*(_say(house, request("/slow/v1/chat/completions")) for _ in range(3 * MOST_CALLS)))
    served = sum(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
    sent_away = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
    if served < MOST_CALLS or served + len(sent_away) != len(answers):
        complaints.append(f"of {len(answers)} calls at once {served} were served and {len(sent_away)} answered 503")
    if not all(b"\r\nRetry-After: " in answer for answer in sent_away):
        complaints.append("some were not told when to try again")
    took = time.monotonic() - began
    again = await _say(house, request("/v1/chat/completions"))
    if not again.startswith(b"HTTP/1.1 200 "):
        complaints.append(f"after the crowd: {again[:80]!r}")
    return (
        f"{len(answers)} calls at once where {MOST_CALLS} may run: {served} served, {len(sent_away)} answered 503, {took:.1f} s"
    )


async def _slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            await asyncio.sleep(1.0)
            writer.write(ok())
    writer.close()


async def hostile(folder: Path, mutations: int) -> Finding:
    """All of it, one after the other."""
    oracle = Oracle()
    slow = await asyncio.start_server(_slowly, "127.0.0.1", 0)
    config = CONFIG.format(url=oracle.url, slow=slow.sockets[0].getsockname()[1], most=MOST_CALLS)
    house, complaints, rows = Tasktap(folder, config), list[str](), list[str]()
    try:
        await asyncio.to_thread(house.start)
        relay = house.pid("relay")
        rest = peak(relay)
        rows.append(await _named(house, oracle, complaints))
        rows.append(await _mutations(house, oracle, mutations, complaints))
        rows.append(await _in_order(house, complaints))
        rows.append(await _crowd(house, complaints))
        growth = peak(relay) - rest
        status = await asyncio.to_thread(house.quiet, 60)
        rows.append(f"the relay needed {growth / 2**20:.0f} MiB more than at rest; {status}")
        if growth > GROWTH_BYTES:
            complaints.append(f"the relay needed {growth >> 20} MiB more")
        if house.pid("relay") != relay:
            complaints.append("the relay died")
        if status["lost"] or status["carried"] != status["stored"]:
            complaints.append(f"not all is stored: {status}")
        code = await asyncio.to_thread(house.stop)
    finally:
        await asyncio.to_thread(house.kill_all)
        slow.close()
        oracle.close()
        await asyncio.sleep(0.1)  # for the upstream's connections to see their end
    if code or "Traceback" in house.written():
        complaints.append(f"exit {code}: {house.written()[-1500:]}")
    return Finding(tuple(rows), tuple(complaints[:20]))


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def main(long: bool, only: str = "") -> int:
    """Print what came of it; returns how many promises were broken."""
    with tempfile.TemporaryDirectory(prefix="tasktap-fire-") as folder:
        finding = asyncio.run(hostile(Path(folder), LONG if long else SHORT))
    print(finding)
    return len(finding.complaints)
