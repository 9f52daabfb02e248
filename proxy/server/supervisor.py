"""Holds what must outlive a crash (data directory, listening sockets, counters) and keeps the other processes running.

It carries nothing and stores nothing, so there is little in it that can fail. When it is killed all the same, its children
see the end of their lifeline and go within two seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from proxy.record import faults
from proxy.record.board import Board, Column
from proxy.server import allowance, data_dir, doors, logs, relay_main
from proxy.server.change import Change, Refused, fresh
from proxy.server.child import Child
from proxy.server.plan import Given, Plan
from proxy.server.told import Told

START_SECONDS: Final = 20.0  # for all processes to be ready
DESK_SECONDS: Final = 1.5  # for the desk to store what is left, at least
RETRY_SECONDS: Final = 0.5  # after a process could not be started
ALREADY_RUNNING: Final = 3


class Supervisor:
    """One run of `tasktap serve`."""

    def __init__(self, plan: Plan, given: Given) -> None:
        self._plan = plan
        self._given = given
        self._run = f"{time.time_ns() // 1000:016x}"
        self._board = Board.made()
        self._serial = 0
        self._children: list[Child] = []
        self._change: Change | None = None
        self._leaving: list[Child] = []  # relays that end their last calls
        self._lifeline_read, self._lifeline_write = os.pipe()
        self._stop_asked = 0
        self._change_asked = False
        self._announced = False
        self._unwritten = False  # run.json does not say what is so by now: the disk did not take it

    def run(self) -> int:
        """Until stopped. Returns the exit status."""
        from setproctitle import setproctitle

        setproctitle("tasktap: supervisor")
        allowance.take()
        plan = self._plan
        logs.begin("supervisor", plan.log)
        path = self._path
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
            calls = doors.listen(plan.calls, "listen.calls", plan.workers)
            desk = doors.listen(plan.desk, "listen.desk", 1)
        except doors.Taken as error:
            return _say(str(error), 1)
        self._children = [Child("desk", 0, desk[0]), *(Child("relay", number, sock) for number, sock in enumerate(calls))]
        try:
            return self._watch()
        finally:
            with contextlib.suppress(OSError):  # a disk that cannot be written: who reads it finds that the pids are gone
                (path / "run.json").unlink(missing_ok=True)
            os.close(lock)

    @property
    def _path(self) -> Path:
        return Path(self._plan.data_dir)

    # -- watching

    def _watch(self) -> int:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGHUP, self._ask_to_change)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        deadline = time.monotonic() + START_SECONDS
        for child in reversed(self._children):  # the desk last: calls come first
            self._start(child, forks=True)
        while not self._stop_asked:
            self._wait(wake_read, 0.5)
            self._look_after_children()
            self._look_after_change()
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

    def _ask_to_change(self, *_: object) -> None:
        self._change_asked = True

    def _all(self) -> list[Child]:
        return [*self._children, *(self._change.comers if self._change is not None else ())]

    def _wait(self, wake_read: int, seconds: float) -> None:
        fds = [wake_read, *(child.ready_fd for child in self._all() if child.ready_fd >= 0)]
        soon = [child.start_after - time.monotonic() for child in self._children if child.process is None]
        readable, _, _ = select.select(fds, [], [], max(0.0, min([seconds, *soon])))
        if wake_read in readable:
            os.read(wake_read, 4096)
        for child in self._all():
            if child.ready_fd in readable:
                child.hear()

    def _look_after_children(self) -> None:
        changed = False
        now = time.monotonic()
        for child in self._children:
            if child.has_ended:
                if not (child.asked or self._stop_asked) and child.process is not None:
                    how = child.process.returncode
                    logs.warning("a process ended by itself", role=child.role, process_pid=child.process.pid, status=how)
                child.buried(now)
                changed = True
            if child.process is None and now >= child.start_after:
                try:
                    self._start(child)
                except OSError as error:  # no room for another process, or no file: those that run go on meanwhile
                    child.buried(now)
                    child.start_after = now + RETRY_SECONDS
                    logs.warning("a process could not be started", role=child.role, why=error.strerror)
                    continue
                logs.info("a process was started", role=child.role, process_pid=child.process.pid if child.process else None)
                changed = True
        for child in [each for each in self._leaving if each.has_ended]:
            child.buried(now)
            self._leaving.remove(child)
            changed = True
        if (changed or self._unwritten) and self._announced:
            self._write_run_json()

    # -- changing

    def _look_after_change(self) -> None:
        """On SIGHUP: new relays with the settings and the code as they are by now, then a new desk."""
        change = self._change
        try:
            self._go_on_with(change)
        except Exception as error:  # a fault of ours in a change must not end what works: the old relays go on
            begun = change or self._change
            self._change = None
            if begun is not None and begun.plan is not self._plan:
                self._undo(begun)
            _say(f"nothing was changed: {type(error).__name__}", 0)

    def _go_on_with(self, change: Change | None) -> None:
        if change is None:
            if self._change_asked and self._announced:
                self._change_asked = False
                self._begin_change()
        elif change.failed:
            self._change = None
            self._undo(change)
            _say("nothing was changed: a new relay did not start; what it said is above.", 0)
        elif change.works:
            if faults.ARMED:
                faults.hit("change.done")
            self._change = None
            self._plan = change.plan
            self._leaving += change.done(self._children)
            desk = self._children[0]
            if desk.process is not None:
                desk.asked = True
                desk.process.send_signal(signal.SIGUSR1)
            self._write_run_json()
            _print("tasktap has changed over to its settings and code as they are now\n")
            logs.info("changed over to new settings and code")

    def _undo(self, change: Change) -> None:
        """Its new relays go: what one that works has accepted meanwhile is carried to its end, as by an old one."""
        self._leaving += change.undone()
        self._write_run_json()

    def _begin_change(self) -> None:
        if faults.ARMED:
            faults.hit("change.begin")
        try:
            plan = fresh(self._given, self._plan)
        except Refused as refused:
            _say(f"nothing was changed: {refused}", 0)
            return
        change = self._change = Change(plan, [child for child in self._children if child.role == "relay"])
        for child in change.comers:
            self._start(child, plan)

    # -- starting

    def _start(self, child: Child, plan: Plan | None = None, *, forks: bool = False) -> None:
        plan = plan or self._plan
        told = Told(
            run=self._run,
            board=self._board.fd,
            lifeline=self._lifeline_read,
            data_dir=plan.data_dir,
            stop_seconds=plan.stop_deadline,
        )
        if child.role == "desk":
            calls = next(one.sock for one in self._children if one.role != "desk")
            doors_of = {"address": doors.url(child.sock), "calls": doors.url(calls), "given": list(self._given)}
            child.start(replace(told, settings=plan.desk_part | doors_of), time.monotonic(), _desk if forks else None)
            return
        self._serial += 1
        child.row = self._board.begun(self._serial, child.worker)
        settings = plan.relay_part | {"desk": doors.url(self._children[0].sock)}
        told = replace(told, worker=child.worker, serial=self._serial, row=self._serial, settings=settings)
        child.start(told, time.monotonic(), relay_main.run if forks else None)

    # -- saying

    def _write_run_json(self) -> None:
        own: dict[str, Any] = {"role": "supervisor", "pid": os.getpid()}
        others = [{"role": child.role, "pid": child.process.pid} for child in self._children if child.process is not None]
        others += [{"role": "relay, leaving", "pid": child.process.pid} for child in self._leaving if child.process is not None]
        what = {
            "pid": os.getpid(),
            "run": self._run,
            "calls": doors.url(self._children[1].sock),
            "desk": doors.url(self._children[0].sock),
            "processes": [own, *others],
        }
        try:
            data_dir.write(self._path / "run.json", json.dumps(what).encode() + b"\n")
            self._unwritten = False
        except OSError:  # a full disk: calls flow all the same, and it is tried again
            self._unwritten = True

    def _announce(self) -> None:
        self._write_run_json()
        calls, desk = doors.url(self._children[1].sock), doors.url(self._children[0].sock)
        rows = [
            ("calls", f"{calls}  ->  {self._plan.upstream}"),
            ("desk", desk),
            ("data", f"{self._plan.data_dir}/"),
            ("set", f"OPENAI_BASE_URL={calls}/v1"),
            ("look", "tasktap tasks   tasktap tail   tasktap status"),
        ]
        _print("tasktap is carrying calls\n" + "".join(f"  {name:<6} {text}\n" for name, text in rows))
        logs.info("carrying calls", calls=calls, desk=desk, data_dir=self._plan.data_dir)

    # -- stopping

    def _stop(self) -> None:
        """In order: the relays end their calls, the desk stores what they left."""
        logs.info("stopping", seconds=self._plan.stop_deadline)
        for child in self._children:
            child.sock.close()
        begun = time.monotonic()
        seconds = self._plan.stop_deadline
        relays = [child for child in (*self._all(), *self._leaving) if child.role == "relay"]
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


def _desk(told: Told) -> None:
    from proxy.server.desk_main import run  # what only the desk needs, only the desk loads

    run(told)


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:  # nobody listens: serving goes on
        pass


def _say(text: str, status: int) -> int:
    logs.complain(text)
    return status


def main() -> int:
    """Run by the plan in the descriptor that is named; exit status as `proxy.server.serve` says."""
    with open(int(sys.argv[1]), "rb") as file:
        plan = Plan.unpack(file.read())
    return Supervisor(plan, Given(*json.loads(sys.argv[2]))).run()


if __name__ == "__main__":
    sys.exit(main())
