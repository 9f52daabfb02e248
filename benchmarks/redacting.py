"""What it costs the relay to take out of a call what `[redact]` names, with all patterns on.

    python -m benchmarks.redacting

CPU microseconds, the best of many rounds. Nothing is found in these calls, as in most.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from proxy.record.patterns import NAMED
from proxy.record.redact_events import EventRedactor
from proxy.record.redact_rules import Rules
from proxy.record.redact_said import SaidRedactor

ALL = Rules(tuple(NAMED))
WORDS = ("The quick brown fox jumps over the lazy dog and then it goes home to sleep. " * 14).split(" ")[:200]
ASKED = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello to the world."}]}).encode()
ANSWERED = json.dumps(
    {
        "id": "chatcmpl-abc123def456",
        "created": 1700000000,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello. " * 30}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 200},
    }
).encode()
GATHERED = 50  # events that the relay gathers before they are one record


def event(text: str) -> bytes:
    """One event of a stream."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {
        "id": "chatcmpl-abc123def456",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "m",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def best(act: Callable[[], object], rounds: int = 300) -> float:
    """CPU microseconds of the quickest round."""
    least = float("inf")
    for _ in range(rounds):
        begun = time.process_time_ns()
        act()
        least = min(least, (time.process_time_ns() - begun) / 1000)
    return least


def small() -> None:
    """A call's two bodies."""
    for body in (ASKED, ANSWERED):
        redactor = SaidRedactor(ALL)
        redactor.feed(body)
        redactor.finish()


def main() -> None:
    """Print the figures."""
    events = [event(word + " ") for word in WORDS]

    def stream() -> None:
        redactor = EventRedactor(ALL)
        for at in range(0, len(events), GATHERED):
            pieces = events[at : at + GATHERED]
            redactor.feed_in_time([0] * len(pieces), pieces)
        redactor.finish()

    text = json.dumps({"messages": [{"role": "user", "content": " ".join(WORDS) * 250}]}).encode()

    def large() -> None:
        redactor = SaidRedactor(ALL)
        redactor.feed(text)
        redactor.finish()

    print(f"small call: {best(small):.0f} µs")
    print(f"request of {len(text) / 1000:.0f} KB: {best(large, 50):.0f} µs")
    print(f"stream of {len(events)} events: {best(stream):.0f} µs")


if __name__ == "__main__":
    main()
