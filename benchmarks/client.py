"""What the app's own thread pays for a `log` call, and what memory waits while the desk is away.

    python -m benchmarks.client [--calls 100000]

Each figure comes from a process of its own, on one core with its sender thread. A call's cost is the CPU time of the calling
thread, the best and the middle of several rounds. The desk is away (its port is closed), so nothing is sent.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine

ROUNDS = 15
AWAY = "http://127.0.0.1:9"
LINE = "What is the meaning of life, and why? " * 5
MESSAGES = [{"role": "user" if n % 2 == 0 else "assistant", "content": LINE} for n in range(20)]
QUERY = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "system", "content": "You help."}, {"role": "user", "content": "What is 6 * 7?"}],
}


def completion() -> Any:
    """A small answer of OpenAI's SDK."""
    from openai.types.chat import ChatCompletion

    message = {"role": "assistant", "content": "The answer is 42."}
    usage = {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30}
    return ChatCompletion.model_validate(
        {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18", "usage": usage,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        }
    )  # fmt: skip


def price(what: str) -> dict[str, float]:
    """Microseconds of one call, in this process."""
    from proxy import client

    client.init(base_url=AWAY, max_tasks=5000, max_bytes=4_000_000)
    answer = completion()
    plain, wrapped = (lambda question: question), client.wrap(lambda question: question)
    words = [f"word{n} " for n in range(1000)]
    calls = {
        "log(text, text)": lambda: client.log("What is 6 * 7?", "The answer is 42.", session_id="s", user_id="u"),
        "log(20 messages, text)": lambda: client.log(MESSAGES, "The answer is 42."),
        "log(query, ChatCompletion)": lambda: client.log(QUERY, answer),
        "a call of a wrapped function": lambda: wrapped("What is 6 * 7?"),
        "a call of the function itself": lambda: plain("What is 6 * 7?"),
        "an item of a stream of texts": lambda: sum(1 for _ in client.log("q", iter(words), stream=True).stream),
        "an item of the iterator itself": lambda: sum(1 for _ in iter(words)),
    }
    call, each = calls[what], 1000 if "item" in what else 1
    rounds = []
    for _ in range(ROUNDS):
        times = 2000 // each
        began = time.perf_counter()
        for _ in range(times):
            call()
        rounds.append((time.perf_counter() - began) / times / each * 1e6)
        time.sleep(0.02)
    return {"best": min(rounds), "middle": statistics.median(rounds)}


def weigh(calls: int, spool: str) -> dict[str, Any]:
    """Memory of this process before and after `calls` calls with the desk away."""
    from proxy import client

    client.init(base_url=AWAY, **({"spool": spool} if spool else {}))
    client.log("warm", "up")
    time.sleep(0.5)
    before, _ = machine.memory(os.getpid())
    began, used = time.perf_counter(), time.thread_time()
    for number in range(calls):
        client.log(f"question {number} " * 10, f"answer {number} " * 20, session_id=f"s-{number % 100}")
    seconds, used = time.perf_counter() - began, time.thread_time() - used
    if spool:
        client.flush(60)
    after, _ = machine.memory(os.getpid())
    disk = sum(path.stat().st_size for path in Path(spool).iterdir()) / 1e6 if spool else 0.0
    return {"grown": after - before, "us": used / calls * 1e6, "rate": calls / seconds, "disk": disk, **client.stats()}


def alone(*arguments: str) -> Any:
    """Run one part in a process of its own, on the last core."""
    command = [sys.executable, "-m", "benchmarks.client", *arguments]
    core = max(os.sched_getaffinity(0))
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {core}), timeout=280
    )
    return json.loads(ran.stdout.splitlines()[-1])


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--price", help=argparse.SUPPRESS)
    parser.add_argument("--weigh", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.price:
        print(json.dumps(price(asked.price)))
        os._exit(0)  # nobody wants what waits here
    if asked.weigh:
        print(json.dumps(weigh(int(asked.weigh[0]), asked.weigh[1])), flush=True)
        os._exit(0)
    print(machine.describe())
    print(f"\n{'microseconds on the calling thread':<40}{'best':>8}{'middle':>8}")
    for what in (
        "log(text, text)", "log(20 messages, text)", "log(query, ChatCompletion)", "a call of a wrapped function",
        "a call of the function itself", "an item of a stream of texts", "an item of the iterator itself",
    ):  # fmt: skip
        found = alone("--price", what)
        print(f"{what:<40}{found['best']:>8.2f}{found['middle']:>8.2f}")
    print(f"\n{asked.calls} calls with the desk away")
    with tempfile.TemporaryDirectory() as place:
        for title, spool in (("in memory", ""), ("with a spool", place)):
            found = alone("--weigh", str(asked.calls), spool)
            kept = f"{found['waiting']} wait ({found['waiting_bytes'] / 1e6:.1f} MB), {found['dropped']} dropped"
            print(f"{title:<14} +{found['grown']:.1f} MiB, {found['us']:.1f} us a call, {found['rate']:,.0f} calls a second")
            print(f"{'':<14} {kept}, {found['spooled']} on disk ({found['disk']:.0f} MB)")


if __name__ == "__main__":
    main()
