"""Holds what must outlive a crash (data directory, listening sockets, counters) and keeps the other processes running.

It carries nothing and stores nothing, so there is little in it that can fail. When it is killed all the same, its children
see the end of their lifeline and go within two seconds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.config import Settings
from proxy.record.board import Board, Column
from proxy.server import data_dir, doors, parts
from proxy.server.told import Told

START_SECONDS: Final = 20.0  # for all processes to be ready
HEALTHY_SECONDS: Final = 5.0  # a child that lived for longer is started again at once
LONGEST_PAUSE: Final = 5.0  # between two starts of a child that dies at once
DESK_SECONDS: Final = 1.5  # for the desk to store what is left, at least
ALREADY_RUNNING: Final = 3


@dataclass(slots=True)
class Child:
    """One process of ours, through all its starts."""

    role: str  # "relay" or "desk"
    worker: int
    sock: socket.socket
    process: subprocess.Popen[bytes] | None = None
    ready_fd: int = -1
    ready: bool = False
    started_at: float = 0.0
    failures: int = 0
    start_after: float = 0.0
    row: memoryview | None = field(default=None, repr=False)


class Supervisor:
    """One run of `tasktap serve`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._run = f"{time.time_ns() // 1000:016x}"
        self._board = Board.made()
        self._serial = 0
        self._children: list[Child] = []
        self._lifeline_read, self._lifeline_write = os.pipe()
        self._stop_asked = 0
        self._announced = False

    def run(self) -> int:
        """Until stopped. Returns the exit status."""
        from setproctitle import setproctitle

        setproctitle("tasktap: supervisor")
        settings = self._settings
        path = settings.data_dir
        try:
            data_dir.prepare(path)
            lock = data_dir.lock(path, "lock")
        except data_dir.InUse:
            found = data_dir.running(path) or {}
            who = f"process {found['pid']}" if "pid" in found else "another process"
            return _say(f"tasktap is already running on {path} ({who}). Stop it, or use another --data-dir.", ALREADY_RUNNING)
        except OSError as error:
            return _say(f"data_dir: {path} cannot be used: {error.strerror or error}.", 1)
        try:
            calls = doors.listen(settings.listen.calls, "listen.calls", settings.listen.workers)
            desk = doors.listen(settings.listen.desk, "listen.desk", 1)
        except doors.Taken as error:
            return _say(str(error), 1)
        self._children = [Child("desk", 0, desk[0]), *(Child("relay", number, sock) for number, sock in enumerate(calls))]
        try:
            return self._watch()
        finally:
            (path / "run.json").unlink(missing_ok=True)
            os.close(lock)

    # -- watching

    def _watch(self) -> int:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        deadline = time.monotonic() + START_SECONDS
        for child in self._children:
            self._start(child)
        while not self._stop_asked:
            self._wait(wake_read, 0.5)
            self._look_after_children()
            if not self._announced:
                failed = next((child for child in self._children if child.failures >= 3 and not child.ready), None)
                if failed is not None or time.monotonic() > deadline:
                    who = failed.role if failed is not None else "tasktap"
                    self._stop()
                    return _say(f"The {who} did not start; what it said is above.", 1)
                if all(child.ready for child in self._children):
                    self._announced = True
                    self._announce()
        self._stop()
        return 0

    def _ask_to_stop(self, *_: object) -> None:
        self._stop_asked += 1

    def _wait(self, wake_read: int, seconds: float) -> None:
        fds = [wake_read, *(child.ready_fd for child in self._children if child.ready_fd >= 0)]
        soon = [child.start_after - time.monotonic() for child in self._children if child.process is None]
        readable, _, _ = select.select(fds, [], [], max(0.0, min([seconds, *soon])))
        if wake_read in readable:
            os.read(wake_read, 4096)
        for child in self._children:
            if child.ready_fd in readable:
                if os.read(child.ready_fd, 16):
                    child.ready = True
                os.close(child.ready_fd)
                child.ready_fd = -1

    def _look_after_children(self) -> None:
        changed = False
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._buried(child, now)
                changed = True
            if child.process is None and now >= child.start_after:
                self._start(child)
                changed = True
        if changed and self._announced:
            self._write_run_json()

    def _buried(self, child: Child, now: float) -> None:
        """A child has ended, without being asked."""
        child.process = None
        child.failures = 1 if now - child.started_at > HEALTHY_SECONDS or child.ready else child.failures + 1
        child.ready = False
        if child.ready_fd >= 0:
            os.close(child.ready_fd)
            child.ready_fd = -1
        if child.row is not None:
            child.row[Column.DEAD] = 1
            child.row = None
        lived = now - child.started_at
        pause = 0.0 if lived > 1.0 else min(LONGEST_PAUSE, 0.1 * 2**child.failures)
        child.start_after = now + pause

    # -- starting

    def _start(self, child: Child) -> None:
        ready_read, ready_write = os.pipe()
        told_read, told_write = os.pipe()
        told = Told(
            run=self._run,
            board=self._board.fd,
            socket=child.sock.fileno(),
            ready=ready_write,
            lifeline=self._lifeline_read,
            data_dir=str(self._settings.data_dir),
            stop_seconds=self._settings.stop_deadline,
        )
        message = self._told(child, told)
        inherited = (told.board, told.socket, told.ready, told.lifeline, told_read)
        child.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", f"proxy.server.{child.role}_main", str(told_read)],
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
        )
        child.started_at = time.monotonic()
        os.close(told_read)
        os.close(ready_write)
        child.ready_fd = ready_read
        with open(told_write, "wb") as pipe:
            pipe.write(message)

    def _told(self, child: Child, told: Told) -> bytes:
        from dataclasses import replace

        if child.role == "desk":
            return replace(told, settings=parts.desk_part(self._settings, doors.url(child.sock))).pack()
        self._serial += 1
        row = self._board.row(self._serial)
        row[:] = memoryview(bytes(len(row) * 8)).cast("Q")
        row[Column.SERIAL] = self._serial
        row[Column.WORKER] = child.worker
        row[Column.USED] = 1
        child.row = row
        return replace(
            told, worker=child.worker, serial=self._serial, row=self._serial, settings=parts.relay_part(self._settings)
        ).pack()

    # -- saying

    def _write_run_json(self) -> None:
        own: dict[str, Any] = {"role": "supervisor", "pid": os.getpid()}
        others = [{"role": child.role, "pid": child.process.pid} for child in self._children if child.process is not None]
        what = {
            "pid": os.getpid(),
            "run": self._run,
            "calls": doors.url(self._children[1].sock),
            "desk": doors.url(self._children[0].sock),
            "processes": [own, *others],
        }
        data_dir.write(self._settings.data_dir / "run.json", json.dumps(what).encode() + b"\n")

    def _announce(self) -> None:
        self._write_run_json()
        calls, desk = doors.url(self._children[1].sock), doors.url(self._children[0].sock)
        settings = self._settings
        upstream = settings.upstreams[settings.default_upstream]
        rows = [
            ("calls", f"{calls}  ->  {settings.default_upstream} ({upstream.url})"),
            ("desk", desk),
            ("data", f"{settings.data_dir}/"),
            ("set", f"OPENAI_BASE_URL={calls}/v1"),
            ("look", "tasktap tasks   tasktap tail   tasktap status"),
        ]
        _print("tasktap is carrying calls\n" + "".join(f"  {name:<6} {text}\n" for name, text in rows))

    # -- stopping

    def _stop(self) -> None:
        """In order: the relays end their calls, the desk stores what they left."""
        for child in self._children:
            child.sock.close()
        begun = time.monotonic()
        seconds = self._settings.stop_deadline
        relays = [child for child in self._children if child.role == "relay"]
        self._end(relays, begun + max(0.0, seconds - DESK_SECONDS) + 1.0)
        for child in relays:
            if child.row is not None:
                child.row[Column.DEAD] = 1
        self._end([child for child in self._children if child.role == "desk"], begun + max(seconds, DESK_SECONDS) + 0.5)

    def _end(self, children: list[Child], deadline: float) -> None:
        alive = [child.process for child in children if child.process is not None]
        for process in alive:
            process.terminate()
        for process in alive:
            try:
                process.wait(max(0.05, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:  # nobody listens: serving goes on
        pass


def _say(text: str, status: int) -> int:
    sys.stderr.write(f"tasktap: {text}\n")
    return status
