"""How long the desk takes to draw each page over a store that is full, and what a page weighs.

    python -m benchmarks.scale --in DIR --keep   or any data directory of a tasktap
    python -m benchmarks.pages DIR [--times N]

The desk's application runs in a process of its own over connections that only read, with its clock at the newest task. Prints the
CPU time of the desk for each page, the median and 95th percentile of what a browser waits, one after another, and the bytes as
sent (gzip). On a machine that others use the CPU time says more.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from benchmarks.machine import cpu_seconds, describe
from proxy.query.api import Desk, DeskRunner, build
from proxy.query.dashboard.room import Room
from proxy.query.segments import Thresholds
from proxy.store import open_store
from proxy.task import Filter, Status

FLOOR_MS = 80.0
PAGE_BYTES = 100_000


async def _serve(place: Path) -> None:
    """The desk over `place`, until standard input ends; prints its port."""
    store = await open_store("sqlite:", place, write=False)
    newest = (await store.find(Filter(), limit=1)).items[0]
    Room.now = staticmethod(lambda: newest.created_at + 60_000_000)  # type: ignore[method-assign]  # the store's own today

    async def status() -> Status:
        return Status(relays=1)

    desk = Desk(key=None, hosts=(), loopback=True, version="0", thresholds=Thresholds())
    runner = DeskRunner(build(store, status, desk, lambda data, _: data))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()
    await store.close()


class Browser:
    """Asks as a browser does, a connection for all."""

    def __init__(self, port: int) -> None:
        self._door = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(self, path: str, accept: str = "text/html") -> tuple[float, bytes]:
        """Milliseconds, and the bytes as they were sent."""
        begun = time.perf_counter()
        self._door.request("GET", path, headers={"Accept": accept, "Accept-Encoding": "gzip"})
        answer = self._door.getresponse()
        body = answer.read()
        took = (time.perf_counter() - begun) * 1000
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
        return took, body

    def items(self, path: str) -> list[dict[str, object]]:
        """What a list of the API has."""
        found: list[dict[str, object]] = json.loads(self.get(path, "application/json")[1])["items"]
        return found


def pages(browser: Browser) -> dict[str, list[str]]:
    """Each page, as the addresses that are asked in turn: of many tasks, sessions and users."""

    def of(kind: str, sort: str = "") -> list[str]:
        return [f"/{kind}/{quote(str(one['id']), safe='')}" for one in browser.items(f"/api/{kind}?limit=40{sort}")]

    words = [word for one in browser.items("/api/tasks?limit=20") for word in str(one["input"] or "").split()[:2]]
    older = json.loads(browser.get("/api/tasks?limit=500", "application/json")[1])["next"]
    return {
        "overview, 7 days": ["/"],
        "overview, 30 days": ["/?period=30d"],
        "overview, 90 days": ["/?period=90d"],
        "tasks": ["/tasks"],
        "tasks, an older page": [f"/tasks?cursor={quote(older, safe='')}"] if older else [],
        "tasks, filtered": ["/tasks?ending=upstream_error&period=30d", "/tasks?flag=failure", "/tasks?kind=chat&period=7d"],
        "tasks, searched": [f"/tasks?q={quote(word)}" for word in dict.fromkeys(words)],
        "a task": of("tasks"),
        "sessions": ["/sessions"],
        "a session": of("sessions"),
        "users": ["/users"],
        "users, by cost": ["/users?sort=cost"],
        "a user": [*of("users"), *of("users", "&sort=tasks")],
        "insights": ["/insights"],
        "insights by kind": ["/insights?by=kind"],
        "insights of sessions": ["/insights/sessions"],
        "insights of users": ["/insights/users"],
        "comparison": ["/insights/compare"],
        "live": ["/live"],
        "health": ["/status"],
    }


def measure(place: Path, times: int) -> bool:
    """Print the table; whether each page was quick and light."""
    command = [sys.executable, "-m", "benchmarks.pages", str(place), "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as desk:
        assert desk.stdout is not None
        assert desk.stdin is not None
        browser = Browser(int(desk.stdout.readline()))
        size = (place / "tasktap.db").stat().st_size
        print(describe())
        print(f"{place / 'tasktap.db'}, {size / 1e6:,.0f} MB\n")
        print(f"{'page':24} {'CPU':>8} {'p50':>8} {'p95':>8} {'sent':>9}")
        well = True
        for name, paths in pages(browser).items():
            if not paths:
                continue
            browser.get(paths[0])
            before = cpu_seconds(desk.pid)
            found = [browser.get(paths[number % len(paths)]) for number in range(times)]
            spent = (cpu_seconds(desk.pid) - before) / times * 1000
            took = sorted(one for one, _ in found)
            p95, largest = took[min(len(took) - 1, int(0.95 * len(took)))], max(len(body) for _, body in found)
            late = "  over" if p95 > FLOOR_MS or largest > PAGE_BYTES else ""
            well = well and not late
            print(
                f"{name:24} {spent:5.0f} ms {statistics.median(took):5.0f} ms {p95:5.0f} ms {largest / 1000:6.1f} KB{late}",
                flush=True,
            )
        desk.stdin.close()
        desk.wait(20)
    return well


def main() -> None:
    """See above."""
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    words.add_argument("place", type=Path)
    words.add_argument("--times", type=int, default=40)
    words.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    said = words.parse_args()
    if said.serve:
        asyncio.run(_serve(said.place))
    else:
        sys.exit(0 if measure(said.place, said.times) else 1)


if __name__ == "__main__":
    main()
