"""What `tasktap import` takes: CPU time and the most memory, into the store itself and through a running desk.

    python -m benchmarks.importing [--rows 100000]

The file is made row by row. CPU is that of the command and, through the desk, of the desk too; memory is the command's alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine
from tests.proc import clean_environment, serving

ROOT = Path(__file__).parents[1]


def written(path: Path, rows: int) -> Path:
    """JSON lines of short tasks, three to a session, each of another user of a hundred."""
    dice = random.Random(7)
    with path.open("w") as file:
        for n in range(rows):
            words = " ".join(f"word{dice.randrange(3000)}" for _ in range(14))
            row = {"task_id": f"t-{n}", "input": f"Question {n}: {words}?", "output": f"Answer {n}: {words}."}
            row |= {"session_id": f"s-{n // 3}", "user_id": f"u-{n % 100}"}
            more = {"created_at": 1_750_000_000 + n, "metadata": {"tier": "gold" if n % 4 else "free"}}
            file.write(json.dumps(row | more) + "\n")
    return path


def taken(words: list[str]) -> tuple[float, float, int]:
    """Seconds of CPU, seconds in all, and the most bytes of memory, of one command."""
    began = time.monotonic()
    command = [sys.executable, "-m", "proxy", "import", *words]
    process = subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"the import ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss * 1024


def main() -> None:
    """Print both."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=100_000)
    rows = asked.parse_args().rows
    print(machine.describe())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        file = written(place / "rows.jsonl", rows)
        print(f"{rows:,} rows, {file.stat().st_size / 1e6:.0f} MB")
        for again in ("", ", where they are already"):
            cpu, wall, most = taken([str(file), "--data-dir", str(place / "straight")])
            print(f"into the store{again}: {cpu:.0f} s of CPU, {wall:.0f} s in all, {most / 2**20:.0f} MiB at most")
        with serving(place) as house:
            desk = house.pid("desk")
            before = machine.cpu_seconds(desk)
            cpu, wall, most = taken([str(file), "--config", str(house.config)])
            print(
                f"through the desk: {cpu:.0f} s of CPU and {machine.cpu_seconds(desk) - before:.0f} s of the desk's,"
                f" {wall:.0f} s in all, {most / 2**20:.0f} MiB at most"
            )


if __name__ == "__main__":
    main()
