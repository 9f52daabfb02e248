"""Starts a real `tasktap serve`, waits until it is ready, asks its desk, and stops it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.sockets import PATIENCE

T = TypeVar("T")

# Promises of time: what is held to them is marked `timed`. Everything else waits with PATIENCE.
READABLE_SECONDS = 2.0  # the contract says 1 s after the last byte; a shared machine gets twice that
RETURN_SECONDS = 2.0  # a relay or desk that dies is back within these

SERVES = os.environ.get("TAP_SERVES", sys.executable)
"""The Python whose tasktap is tried: ours from this tree, or one that has it installed (compiled, perhaps)."""

_straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def slack() -> float:
    """How many want each core of this machine just now: what promises of time are stretched by where it is shared."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def soon(question: Callable[[], T | None], what: str = "", within: float = PATIENCE) -> T:
    """Ask until the answer is true; fails after `within` seconds, which are many: other tests run beside this one."""
    end, rest = time.monotonic() + within, 0.005
    while True:
        if answer := question():
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {what or question}; last answer: {answer!r}")
        time.sleep(rest)
        rest = min(rest * 1.2, 0.05)  # what takes longer is asked for less often: asking takes time from what is waited for


def alive(pid: int) -> bool:
    """Does this process run? (One that waits to be reaped does not.)"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def files(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """What every file below a folder holds; one that goes meanwhile (a segment that was stored, a `.tmp`) is not in it."""
    found = {}
    for path in folder.rglob(pattern):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def clean_environment(**more: str) -> dict[str, str]:
    """Ours, without what would change where calls go, and without a wish to compile every module at every start."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith("_PROXY")
        and name not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        and not name.startswith(("TASKTAP_", "OPENAI_", "ANTHROPIC_"))
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | more


class Tasktap:
    """One `tasktap serve` on a data directory of its own."""

    def __init__(self, place: Path, config: str = "", environment: dict[str, str] | None = None) -> None:
        self.place = place
        self.data = place / "data"
        self.config = place / "tasktap.toml"
        self.out, self.err = place / "stdout", place / "stderr"
        place.mkdir(parents=True, exist_ok=True)
        self.config.write_text(config)
        self.environment = clean_environment(**(environment or {}))
        self.process: subprocess.Popen[bytes] | None = None
        self.run: dict[str, Any] = {}

    def command(self) -> list[str]:
        flags = ["--config", str(self.config), "--data-dir", str(self.data), "--calls", "127.0.0.1:0", "--desk", "127.0.0.1:0"]
        return [SERVES, "-m", "proxy", "serve", *flags]

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it and do not wait."""
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.environment,
                cwd=Path(__file__).parents[1] if sys.executable == SERVES else self.place,
            )
        return self.process

    def start(self) -> Tasktap:
        process = self.launch()
        try:
            self.run = soon(lambda: self._ready(process), f"a run.json of pid {process.pid}")
        except BaseException:
            self.kill_all()
            raise
        return self

    def _ready(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        assert process.poll() is None, f"serve ended with {process.returncode}: {self.err.read_text()[-2000:]}"
        run = self.read_run()
        return run if run and run.get("pid") == process.pid else None

    def read_run(self) -> dict[str, Any] | None:
        try:
            run: dict[str, Any] = json.loads((self.data / "run.json").read_bytes())
        except (OSError, ValueError):
            return None
        return run

    def address(self, door: str) -> tuple[str, int]:
        host, _, port = str(self.run[door]).removeprefix("http://").rpartition(":")
        return host, int(port)

    @property
    def calls(self) -> tuple[str, int]:
        return self.address("calls")

    def pid(self, role: str) -> int:
        """The pid that has this role now ("supervisor", "relay", "desk")."""
        found = self._pid(role)
        assert found is not None, f"no {role} runs: {self.read_run()}"
        return found

    def successor(self, role: str, dead: int) -> int:
        """The pid of whoever came after the dead one."""

        def look() -> int | None:
            found = self._pid(role)
            return found if found != dead else None

        return soon(look, f"a new {role}")

    def _pid(self, role: str) -> int | None:
        run = self.read_run() or self.run
        return next((int(entry["pid"]) for entry in run["processes"] if str(entry["role"]).startswith(role)), None)

    def pids(self) -> list[int]:
        return [int(entry["pid"]) for entry in (self.read_run() or self.run)["processes"]]

    def fetch(self, path: str) -> tuple[int, bytes]:
        """GET from the desk: status and body."""
        try:
            with _straight.open(f"{self.run['desk']}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()

    def get(self, path: str) -> Any:
        """GET JSON from the desk; anything but 200 fails."""
        status, body = self.fetch(path)
        assert status == 200, f"{path}: {status} {body[:300]!r}"
        return json.loads(body)

    def status(self) -> dict[str, Any]:
        calls: dict[str, Any] = self.get("/api/status")["calls"]
        return calls

    def task(self, id: str | bytes) -> dict[str, Any]:
        """The task with this id, as soon as it can be read."""
        name = id.decode() if isinstance(id, bytes) else id

        def look() -> dict[str, Any] | None:
            with contextlib.suppress(OSError):
                status, body = self.fetch(f"/api/tasks/{name}")
                if status == 200:
                    found: dict[str, Any] = json.loads(body)
                    return found
            return None

        return soon(look, f"task {name}")

    def newest(self, **wanted: str) -> dict[str, Any]:
        """The newest task whose fields have these values: for calls whose caller never saw an id."""

        def look() -> dict[str, Any] | None:
            for item in self.get("/api/tasks?limit=50")["items"]:
                if all(str(item.get(name)) == value for name, value in wanted.items()):
                    return self.task(item["id"])
            return None

        return soon(look, f"a task with {wanted}")

    def quiet(self, within: float = PATIENCE) -> dict[str, Any]:
        """The status, once no call runs and none waits to be stored."""
        status: dict[str, Any] = {}

        def look() -> bool:
            status.update(self.status())
            return not status["running"] and not status["waiting"]

        try:
            soon(look, within=within)
        except AssertionError:
            raise AssertionError(f"something still runs or waits: {status}") from None
        return status

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.kill_all()

    def written(self) -> str:
        """All that it printed."""
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")

    def kill_all(self) -> None:
        """Leave nothing of ours running, whatever happened."""
        pids = [int(entry["pid"]) for entry in (self.read_run() or {}).get("processes", [])]
        for pid in pids:
            if alive(pid) and _is_ours(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait(PATIENCE)
        soon(
            lambda: not any(alive(pid) and _is_ours(pid) for pid in pids), "the end of what was killed: it holds locks until then"
        )


def _is_ours(pid: int) -> bool:
    """A pid may have been given to somebody else since it was written down."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"tasktap" in title or b"proxy" in title


@contextlib.contextmanager
def serving(place: Path, config: str = "", clean_exit: bool = True, **environment: str) -> Iterator[Tasktap]:
    """A running tasktap; at the end it must stop with 0 and must not have printed a traceback."""
    house = Tasktap(place, config, environment).start()
    try:
        yield house
    except BaseException:
        house.kill_all()
        raise
    if not clean_exit:
        house.kill_all()
        return
    code = house.stop()
    assert code == 0, f"exit {code}: {house.written()[-2000:]}"
    assert "Traceback" not in house.written(), house.written()[-4000:]
