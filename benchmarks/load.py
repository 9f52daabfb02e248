"""The callers of the benchmarks: a process that takes one JSON order a line and answers each with one JSON line.

    {"do": "calls", "port": 8900, "play": "small", "connections": 32, "seconds": 3}
    {"do": "paired", "ports": {"direct": 9000, "nginx": 9001}, "play": "small", "rounds": 2000}
    {"do": "open", "port": 8900, "count": 500}     and     {"do": "close"}

The first answer on each connection is compared byte for byte with what the upstream sent; the later ones by length and end.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from time import perf_counter
from typing import Any, cast

import uvloop

from benchmarks import scenes

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
PATIENCE = 30  # seconds for the calls that still run when the time is up


class Caller(asyncio.Protocol):
    """One connection that makes one call after the other for as long as `go_on()` says so."""

    def __init__(self, play: str, go_on: Any, fields: str = "", exact: bool = True) -> None:
        self.request = scenes.request(play, fields.encode())
        self.exact = exact
        self.expected = b"" if play == "hold" else scenes.body(play)
        self.holds = play == "hold"
        self.go_on = go_on
        self.seconds: list[float] = []
        self.first: list[float] = []
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.failed += 1
            self.done.set_result(None)

    def call(self) -> None:
        self.got: list[bytes] = []
        self.size = 0
        self.whole = 0  # bytes of the whole answer, once its length is known
        self.at = perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.got:
            self.first.append(perf_counter() - self.at)
        self.got.append(data)
        self.size += len(data)
        if not self.whole:
            start = b"".join(self.got) if self.size < 4096 else self.got[0]
            end = start.find(b"\r\n\r\n")
            if end < 0:
                return
            if not start.startswith(b"HTTP/1.1 200 "):
                self.finish(ok=False)
                return
            length = LENGTH.search(start, 0, end + 4)
            self.whole = end + 4 + int(length[1]) if length else -1
        if self.holds:
            if not self.done.done() and b"data: " in data:
                self.done.set_result(None)
            return
        if self.whole > 0:
            over = self.size >= self.whole
        else:
            tail = data if len(data) >= 7 else b"".join(self.got[-7:])
            over = tail.endswith(b"\r\n0\r\n\r\n")
        if over:
            self.finish(ok=bool(self.seconds) or self.is_exact())

    def is_exact(self) -> bool:
        body = b"".join(self.got).partition(b"\r\n\r\n")[2]
        if not self.exact:  # of a gateway that says it in its own words
            return b'"It says what it says. ' in body
        return (body if self.whole > 0 else scenes.dechunk(body)) == self.expected

    def finish(self, *, ok: bool) -> None:
        self.seconds.append(perf_counter() - self.at)
        self.failed += not ok
        if ok and self.go_on():
            self.call()
        elif not self.done.done():
            self.done.set_result(None)


def quantile(values: list[float], part: float) -> float | None:
    """The value that `part` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None


async def connect(port: int, play: str, go_on: Any, fields: str = "", exact: bool = True) -> Caller:
    """A caller, connected and silent."""
    _, caller = await asyncio.get_running_loop().create_connection(lambda: Caller(play, go_on, fields, exact), "127.0.0.1", port)
    return caller


async def calls(
    port: int, play: str, connections: int, seconds: float, spread: float = 0.0, fields: str = "", exact: bool = True
) -> dict[str, Any]:
    """Closed-loop calls on every connection for `seconds`; their starts are spread over `spread` seconds.

    `fields` are further lines of the request's head; where not `exact`, the answer may be said in other words.
    """
    until = perf_counter() + seconds
    callers = [await connect(port, play, lambda: perf_counter() < until, fields, exact) for _ in range(connections)]
    start = perf_counter()
    until = start + seconds
    for caller in callers:
        asyncio.get_running_loop().call_later(random.uniform(0, spread), caller.call)
    _, late = await asyncio.wait([caller.done for caller in callers], timeout=seconds + spread + PATIENCE)
    took = perf_counter() - start
    for caller in callers:
        caller.transport.abort()
    total = [second for caller in callers for second in caller.seconds]
    first = [second for caller in callers for second in caller.first]
    return {
        "calls": len(total),
        "failed": sum(caller.failed for caller in callers) + len(late),
        "seconds": took,
        "p50": quantile(total, 0.5),
        "p99": quantile(total, 0.99),
        "first_p50": quantile(first, 0.5),
        "first_p99": quantile(first, 0.99),
    }


async def paired(ports: dict[str, int], play: str, rounds: int) -> dict[str, Any]:
    """One call at a time, to each of `ports` in turn; what is reported is the difference to the first of them, pair by pair."""
    callers = {name: await connect(port, play, lambda: False) for name, port in ports.items()}
    times: dict[str, list[float]] = {name: [] for name in ports}
    failed = 0
    for turn in range(rounds + 100):
        for name, caller in callers.items():
            caller.done = asyncio.get_running_loop().create_future()
            caller.call()
            await caller.done
            if turn >= 100:  # the first hundred warm up
                times[name].append(caller.seconds[-1])
    for caller in callers.values():
        failed += caller.failed
        caller.transport.abort()
    base = next(iter(times.values()))
    return {"failed": failed} | {
        name: {
            "p50": quantile(values, 0.5),
            "p99": quantile(values, 0.99),
            "added_p50": quantile([value - other for value, other in zip(values, base, strict=True)], 0.5),
            "added_p99": quantile([value - other for value, other in zip(values, base, strict=True)], 0.99),
        }
        for name, values in times.items()
    }


HELD: list[Caller] = []


async def hold(port: int, count: int) -> dict[str, Any]:
    """Open `count` more streams and keep them; returns when each has had its first event."""
    new = []
    for number in range(count):
        caller = await connect(port, "hold", lambda: False)
        caller.call()
        new.append(caller)
        if number % 50 == 49:
            await asyncio.wait([caller.done for caller in new], timeout=PATIENCE)
    _, late = await asyncio.wait([caller.done for caller in new], timeout=PATIENCE)
    HELD.extend(new)
    return {"open": len(HELD), "failed": sum(caller.failed for caller in new) + len(late)}


async def release() -> dict[str, Any]:
    """Leave every held stream."""
    for caller in HELD:
        caller.transport.abort()
    HELD.clear()
    await asyncio.sleep(0.2)
    return {"open": 0, "failed": 0}


async def main() -> None:
    """Do what each line says until there are no more."""
    acts: dict[str, Any] = {"calls": calls, "paired": paired, "open": hold, "close": release}
    while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        print(json.dumps(await acts[order.pop("do")](**order)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
