"""Tries to break the promises, and prints what came of it: `python -m tests.fire RUN [--long]`.

Each run starts tasktaps of its own, ends by itself within twenty minutes in its long form (most within ten) and within a minute
or two in its short one, and exits with 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time

RUNS = {
    "kill": "SIGKILL to relay, desk, both, supervisor or all, under load and during recovery",
    "faults": "errors and kills at every named place where one can strike",
    "power": "the power is cut: what the disk held is started again",
    "abuse": "upstreams that refuse, hang, break at every byte, talk nonsense, drip, flood",
    "hostile": "requests that are no HTTP, pipelined ones, ends of one side, and more calls than are let in",
    "leavers": "callers who leave by the thousand, drip their heads, do not read",
    "streams": "two thousand streams at the pace of a model, and the memory line",
    "soak": "small calls by the thousand: memory, files and threads stay as they were",
    "storage": "disk full, read-only or hanging; store locked, deleted, damaged; the clock an hour back",
}


def main() -> int:
    """Do one run, or all of them one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.fire", description=__doc__.partition("\n")[0] if __doc__ else None)
    known = "; ".join(f"{name}: {what}" for name, what in RUNS.items())
    parser.add_argument("run", choices=[*RUNS, "all"], help=known)
    parser.add_argument("--long", action="store_true", help="the real thing: minutes")
    parser.add_argument("--only", default="", help="of the run's parts those whose name has this in it")
    said = parser.parse_args()
    broken = 0
    for name in RUNS if said.run == "all" else [said.run]:
        began = time.monotonic()
        broken += importlib.import_module(f"tests.fire.{name}").main(said.long, said.only)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
