"""The process that is both ends of a proxy: it does what each line of JSON on its input says, and answers it with one.

    python -m benchmarks.between        # prints the upstream's port first, ends when its input closes

    {"do": "single", "ports": {"direct": 9000, "nginx": 9001}, "rounds": 2000}
    {"do": "streams", "port": 9001, "count": 1000, "events": 40, "apart": 0.1, "seconds": 8}
    {"do": "open", "port": 9001, "count": 5000}, {"do": "pace", "rate": 2, "seconds": 5}, {"do": "close"}

Where that is allowed, it goes before all else on its core.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import json
import os
import random
import sys
from array import array
from pathlib import Path
from typing import Any

from benchmarks import stamps
from benchmarks.ends import Caller, Loop
from benchmarks.script import small, stream
from benchmarks.seen import Seen, quantile

OPENING = 64  # streams that may wait for their first event while others are opened
PATIENCE_NS = 15_000_000_000  # for what is still under way when the time is up
LONGEST = 1000  # events of a stream that is held open


def single(loop: Loop, ports: dict[str, int], rounds: int) -> dict[str, Any]:
    """One small call at a time, by each of `ports` in turn: what lay between the ends, and what the caller saw in all."""
    callers = {name: Caller(loop, port, small()) for name, port in ports.items()}
    own: dict[str, list[int]] = {name: [] for name in ports}
    whole: dict[str, list[int]] = {name: [] for name in ports}
    warming = min(100, rounds)
    for turn in range(rounds + warming):
        for name, caller in callers.items():
            caller.call()
            loop.run(lambda at=caller: at.done)  # type: ignore[misc]
            if turn >= warming:
                own[name].append(caller.way)
                whole[name].append(caller.took)
    base = next(iter(whole.values()))
    said: dict[str, Any] = {}
    for name in ports:
        more = array("q", (value - other for value, other in zip(whole[name], base, strict=True)))
        said[name] = {
            f"{key}_{digits}": quantile(values, part)
            for key, values in (("own", array("q", own[name])), ("seen", array("q", whole[name])), ("more", more))
            for digits, part in (("p50", 0.5), ("p99", 0.99))
        }
    return said | loop.seen.said()


def streams(loop: Loop, port: int, count: int, events: int, apart: float, seconds: float) -> dict[str, Any]:
    """`count` streams at any time, one after the other on each connection; what is counted starts when all have begun."""
    script, length = stream(events), events * apart
    callers = [Caller(loop, port, script, int(apart * 1e9)) for _ in range(count)]
    start = stamps.now()
    seen = loop.seen
    seen.after, seen.before = start + int(length * 1e9), start + int((length + seconds) * 1e9)
    chance = random.Random(count)
    for caller in callers:
        caller.again = lambda: stamps.now() < seen.before
        heapq.heappush(loop.due, (start + int(chance.uniform(0, length) * 1e9), caller.number, caller.begin))
    last = seen.before + int(length * 1e9) + PATIENCE_NS
    loop.run(lambda: stamps.now() > seen.after, prompt=False)
    busy = loop.run(lambda: stamps.now() > seen.before, prompt=False)
    loop.run(lambda: stamps.now() > last or not loop.calls)
    seen.failed += loop.calls
    return seen.said() | {"busy": busy}


def hold(loop: Loop, port: int, count: int) -> dict[str, Any]:
    """Open `count` streams and have each get its first event."""
    script = stream(LONGEST)
    last = stamps.now() + PATIENCE_NS * 4
    for number in range(count):
        caller = Caller(loop, port, script)
        caller.call()
        loop.run(lambda: loop.seen.begun + loop.seen.failed + OPENING > number or stamps.now() > last)  # noqa: B023 it is run here
    loop.run(lambda: loop.seen.begun + loop.seen.failed >= count or stamps.now() > last)
    loop.seen.failed = max(loop.seen.failed, count - loop.seen.begun)
    return loop.seen.said()


def pace(loop: Loop, rate: float, seconds: float) -> dict[str, Any]:
    """`rate` events a second on each open stream, evenly spaced, the streams anyhow against one another."""
    period = int(1e9 / rate)
    start = stamps.now()
    seen = loop.seen
    chance = random.Random(round(rate * 1000))
    for caller in loop.callers:
        caller.apart = period
        if not caller.done:
            heapq.heappush(loop.due, (start + int(chance.uniform(0, period)), caller.number, caller.send_event))
    seen.after = start + period  # by then all are at it
    until = seen.before = seen.after + int(seconds * 1e9)
    busy = loop.run(lambda: stamps.now() > until, prompt=False)
    loop.due.clear()
    last = stamps.now() + PATIENCE_NS
    loop.run(lambda: not loop.under_way or stamps.now() > last)
    seen.failed += loop.under_way
    return seen.said() | {"busy": busy, "seconds": seconds}


def close(loop: Loop) -> dict[str, Any]:
    """Leave every stream."""
    for caller in loop.callers:
        caller.leave()
    loop.callers.clear()
    loop.due.clear()
    last = stamps.now() + 200_000_000  # the proxies close their connections
    loop.run(lambda: stamps.now() > last)
    return loop.seen.said()


def go_first() -> None:
    """Before all else on this core, where that is allowed, and no timer of ours late by more than it must be."""
    with contextlib.suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1")
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def main() -> None:
    """Do what each line says until there are no more."""
    acts: dict[str, Any] = {"single": single, "streams": streams, "open": hold, "pace": pace, "close": close}
    loop = Loop()
    stamps.wait_for_first()  # the listener has asked for good: it does not end again
    go_first()
    gc.freeze()
    gc.disable()
    print(loop.listener.getsockname()[1], flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        loop.seen, ahead = Seen(), stamps.ahead()
        act = order.pop("do")
        said = acts[act](loop, **order)
        if act in ("single", "streams"):
            close(loop)
        print(json.dumps(said | {"set": stamps.was_set(ahead)}), flush=True)


if __name__ == "__main__":
    main()
