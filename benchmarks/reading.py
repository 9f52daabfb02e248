"""What it costs to read a call into a task: microseconds for each event of a stream, and for each call.

    python -m benchmarks.reading [--events 200] [--seconds 3] [--profile]

A machine that others use is slow at times, never fast: each figure is the least of many short runs. The events of the benchmark's
stream come in a piece each, as a proxy sees them, or `--burst` in pieces of 16.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import sys
import time
from collections.abc import Callable

from benchmarks import scenes
from proxy.record.reading import read
from proxy.task import Call, Ending, Piece

FIELDS = ((b"Content-Type", b"text/event-stream; charset=utf-8"), (b"x-request-id", b"req_bench"))
EVENT_US, CALL_US = 3.0, 10.0  # the aim


def call(answer: bytes, pieces: list[bytes], *, stream: bool, kind: bytes) -> Call:
    """The benchmark's call, answered with `pieces`."""
    play = "events 1 0" if stream else "small"
    body = scenes.request(play).partition(b"\r\n\r\n")[2]
    return Call(
        origin="bench.1",
        id="0190a000-0000-7000-8000-000000000000",
        own_id="0190a000-0000-7000-8000-000000000000",
        created_at=1_764_000_000_000_000,
        ended_at=1_764_000_001_000_000,
        ending=Ending.COMPLETED,
        upstream="openai",
        kind="chat",
        method="POST",
        target="/v1/chat/completions",
        caller_key="0123456789abcdef",
        request_fields=(
            (b"Content-Type", b"application/json"),
            (b"Accept", b"application/json"),
            (b"User-Agent", b"benchmark"),
            (b"X-Session-Id", b"s-1"),
            (b"X-User-Id", b"u-1"),
        ),
        request_body=body,
        request_size=len(body),
        http_status=200,
        reason="OK",
        response_fields=((b"Content-Type", kind), FIELDS[1]),
        response=tuple(Piece(0.01 * at, piece) for at, piece in enumerate(pieces)),
        response_size=len(answer),
        seconds_to_first_byte=0.01,
        marked=stream,
    )


def streamed(count: int, together: int) -> Call:
    """A stream of `count` events."""
    answer = scenes.body(f"events {count} 0")
    events = [event + b"\n\n" for event in answer.split(b"\n\n")[:-1]]
    pieces = [b"".join(events[at : at + together]) for at in range(0, len(events), together)]
    return call(answer, pieces, stream=True, kind=FIELDS[0][1])


def small() -> Call:
    """An answer that is one JSON value."""
    answer = scenes.body("small")
    return call(answer, [answer], stream=False, kind=b"application/json")


def least(act: Callable[[], object], seconds: float, runs: int) -> float:
    """Microseconds of one `act`, at best."""
    best, end = float("inf"), time.perf_counter() + seconds
    gc.disable()
    try:
        while time.perf_counter() < end:
            start = time.thread_time()
            for _ in range(runs):
                act()
            best = min(best, (time.thread_time() - start) / runs)
    finally:
        gc.enable()
    return best * 1e6


def main() -> None:
    """Measure, and print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--events", type=int, default=200)
    asked.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    asked.add_argument("--burst", action="store_true", help="16 events in a piece")
    asked.add_argument("--profile", action="store_true")
    asked.add_argument("--json", action="store_true")
    given = asked.parse_args()
    together = 16 if given.burst else 1
    few, many = streamed(given.events, together), streamed(4 * given.events, together)
    task = read(few)
    assert task.output is not None
    assert task.output.startswith(" word0 word1 word2")
    assert not task.problems
    if given.profile:
        profile = cProfile.Profile()
        profile.runcall(lambda: [read(few) for _ in range(200)])
        profile.print_stats("tottime")
        return
    one = small()
    figures = {
        "stream": least(lambda: read(few), given.seconds, 3),
        "longer": least(lambda: read(many), given.seconds, 1),
        "small": least(lambda: read(one), given.seconds, 50),
    }
    event = (figures["longer"] - figures["stream"]) / (3 * given.events)
    figures |= {"event": event, "call": figures["stream"] - given.events * event}
    if given.json:
        print(json.dumps({name: round(value, 2) for name, value in figures.items()}))
        return
    print(f"Python {sys.version.split()[0]}, a stream of {given.events} events, {together} in a piece:")
    print(f"  each event    {event:6.2f} us   (aim {EVENT_US:g})")
    print(f"  each call     {figures['call']:6.2f} us   (aim {CALL_US:g})")
    print(f"  the stream    {figures['stream']:6.1f} us   (aim {CALL_US + given.events * EVENT_US:g})")
    print(f"  a small call  {figures['small']:6.2f} us")


if __name__ == "__main__":
    main()
