"""What callers feel of the desk: how long a small call takes while nobody looks at the record, and while it is asked a lot.

    python -m benchmarks.asked DIR [--rounds 4] [--calls 1500] [--plain]

DIR holds a filled `tasktap.db` (`python -m benchmarks.scale --in DIR --keep`); a copy of it is served. Calls are made one after
the other, straight to the upstream and through tasktap in turn, so that what the machine does to both is seen beside what the
desk does to one. In every second round two readers ask for searches, insights over all days and long lists, as fast as they are
answered. The relay has a core; desk, readers, callers and upstream share the other. There callers and upstream run at once when
something comes, before all else (as root): else the p99 is how long the system lets a reader go on, 2 ms.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import compiled, machine
from benchmarks.report import number, table
from benchmarks.rivals import Helper, Rival, drained, stop, tasktap

READERS = 2
DAYS = 62
MOST_MORE_MS = 0.25  # by which the p99 of a call may grow beyond what the direct one's does


def paths(browser: http.client.HTTPConnection) -> list[str]:
    """The questions, of the days that the store is of."""
    browser.request("GET", "/api/tasks?limit=1")
    newest = json.load(browser.getresponse())["items"][0]
    at = datetime.fromisoformat(newest["created_at"]).astimezone(UTC)
    since, until = (at - timedelta(days=DAYS)).date().isoformat(), (at + timedelta(days=1)).date().isoformat()
    span = f"from={since}&to={until}"
    word = next(iter(str(newest["input"] or "hello").split()), "hello")
    return [
        f"/api/insights/overview?{span}",
        f"/api/insights/series?{span}&step=day",
        f"/api/insights/breakdown?{span}&by=model",
        f"/api/insights/users?{span}",
        f"/insights?{span}",
        f"/insights/sessions?{span}",
        f"/tasks?q={word}",
        "/users?sort=cost",
        "/sessions",
        "/api/tasks?limit=500",
    ]


class Readers:
    """Threads that ask one question after the other until they are stopped; they count the answers: `200`, or what went wrong."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._over = threading.Event()
        self.answers: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(READERS)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        door = http.client.HTTPConnection(self._address, timeout=60)
        questions = paths(door)
        at = number * len(questions) // READERS
        while not self._over.is_set():
            door.request("GET", questions[at % len(questions)])
            answer = door.getresponse()
            body = answer.read()
            wrong = f"{answer.status} {questions[at % len(questions)]} {body[:300]!r}"
            self.answers["200" if answer.status == 200 else wrong] += 1
            at += 1

    def stop(self) -> None:
        """Wait for the last answers."""
        self._over.set()
        for thread in self._threads:
            thread.join()


def ask(url: str) -> None:
    """A process of readers: from now on until standard input ends; then it prints the answers by status."""
    readers = Readers(url)
    sys.stdin.read()
    readers.stop()
    print(json.dumps(readers.answers))


def once(load: Helper, rivals: list[Rival], calls: int, asked: bool) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Make the calls; the times of both ways, and how many questions were answered meanwhile."""
    command = [sys.executable, "-m", "benchmarks.asked", rivals[-1].desk_url, "--ask"]
    readers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) if asked else None
    said = load.order(do="paired", ports={each.name: each.port for each in rivals}, play="small", rounds=calls)
    answers: dict[str, int] = {}
    if readers is not None:
        answers = json.loads(readers.communicate(timeout=120)[0])
    if said["failed"]:
        raise SystemExit(f"{said['failed']} calls failed")
    return said, answers


def before_others(process: subprocess.Popen[str]) -> None:
    """Let a process of the benchmark's own have its core before the desk: its time is measured.

    A better `nice` is not enough: whoever runs keeps the core to the end of its slice, some 3 ms.
    """
    try:
        os.sched_setscheduler(process.pid, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        print("(callers and upstream cannot be put before the desk: not root)")


def main() -> int:
    """Measure and print; 1 where the desk was felt."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("place", help="a directory with a filled store")
    words.add_argument("--rounds", type=int, default=4)
    words.add_argument("--calls", type=int, default=1500)
    words.add_argument("--plain", action="store_true", help="run this source tree as it is, nothing compiled")
    words.add_argument("--ask", action="store_true", help=argparse.SUPPRESS)
    said = words.parse_args()
    if said.ask:
        ask(said.place)
        return 0
    cores = sorted(os.sched_getaffinity(0))
    python = None if said.plain else compiled.python()
    os.sched_setaffinity(0, {cores[1]})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tasktap-asked-")))
        upstream, load = Helper("benchmarks.upstream"), Helper("benchmarks.load")
        stack.callback(upstream.close)
        stack.callback(load.close)
        port = int(upstream.read())
        ours = folder / "tasktap"
        (ours / "data").mkdir(parents=True, mode=0o700)
        shutil.copy(Path(said.place) / "tasktap.db", ours / "data" / "tasktap.db")
        rival, process = tasktap(port, ours, cores[0], "", python)
        stack.callback(stop, process)
        before_others(upstream.process)
        before_others(load.process)
        rivals = [Rival("direct", port), rival]
        once(load, rivals, 300, False)
        print(f"{machine.describe()}; load {os.getloadavg()[0]:.1f} at the start")
        found: dict[tuple[bool, str, str], list[float]] = {}
        answers: Counter[str] = Counter()
        for _ in range(said.rounds):
            for asked in (False, True):
                times, more = once(load, rivals, said.calls, asked)
                answers.update(more)
                for name in ("direct", "tasktap"):
                    for figure in ("p50", "p99"):
                        found.setdefault((asked, name, figure), []).append(times[name][figure] * 1e3)
        least = {which: min(several) for which, several in found.items()}
        figures = [(asked, figure) for figure in ("p50", "p99") for asked in (False, True)]
        rows = [[name, *(number(least[asked, name, figure], 2) for asked, figure in figures)] for name in ("direct", "tasktap")]
        table("small call, one connection|p50 ms|p50 ms, asked|p99 ms|p99 ms, asked", rows)
        took, status = drained(rival, 60)
        print(f"\n{sum(answers.values())} questions were answered ({dict(answers)}); all stored {took:.1f} s after the last call")
        more_ms = {name: least[True, name, "p99"] - least[False, name, "p99"] for name in ("direct", "tasktap")}
        broken = more_ms["tasktap"] > max(0.0, more_ms["direct"]) + MOST_MORE_MS
        failed = {code: count for code, count in answers.items() if code != "200"}
        if broken or failed or status["calls"]["lost"]:
            print(f"BROKEN: p99 grew by {more_ms['tasktap']:.2f} ms, direct by {more_ms['direct']:.2f}; failed {failed}")
        return 1 if broken or failed or status["calls"]["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
