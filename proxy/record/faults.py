"""Named places where a crash or an I/O error may strike, so that a test can strike there.

Nothing is armed unless the environment says `_TASKTAP_FAULT=point:nth:action` (several with commas); `nth` counts from 1,
`*` is every time. Actions: `raise` (an Exception), `enospc`, `eio`, `memory`, `kill` (SIGKILL to this process), `hang` (10
seconds in a thread's sense: it blocks). With `_TASKTAP_FAULT_SEEN=FILE` each point reached is noted there, so that a point
no test reaches can be found, and so is each `point:nth:action` that struck; what struck on its nth time does not strike again
in a process that is started later, so that whoever was killed comes back to work.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

POINTS: Final = (
    "tap.begin",  # before BEGIN is given to the journal
    "tap.begun",  # after it
    "relay.connect",  # before an upstream connection is asked for
    "relay.sent",  # after the request's head went upstream
    "relay.head",  # after the response's head came
    "tap.data",  # before a piece of the response is given to the journal
    "relay.forward",  # before a piece goes to the caller
    "tap.end",  # before END is given to the journal
    "relay.last",  # END is in the journal, the last bytes have not gone out
    "relay.gone",  # they have
    "journal.write",  # before a batch is written
    "journal.torn",  # half of it is: a short write
    "journal.written",  # after it (and after its sync), before anybody is told
    "journal.rotate",  # before a new segment is made
    "journal.rotated",  # it is made, and has not got its name
    "recorder.record",  # each record read back, in replay too
    "recorder.reading",  # before a call is read into a task
    "recorder.save",  # before a batch is given to the store
    "recorder.saved",  # after its commit, before anything is forgotten
    "recorder.forget",  # before a segment is deleted
    "recorder.forgot",  # after it
    "desk.store",  # before the store is opened
    "desk.door",  # somebody has come, and what answers is not loaded yet
    "retention.step",  # before some tasks are let go of
    "retention.stepped",  # after their commit
    "forget.blanked",  # the journals know nothing more of what is to be forgotten, the store does
    "forget.step",  # after a commit that has forgotten some tasks
    "forget.scrub",  # the store has forgotten all, its log and free pages have not
    "change.begin",  # SIGHUP, before the settings are read again
    "change.done",  # new relays work, the old ones have not been told to go
)
ACTIONS: Final = ("raise", "enospc", "eio", "memory", "kill", "hang")


class Fault(Exception):
    """A fault that a test asked for."""


def _nothing(point: str) -> None:
    """No fault is armed: the usual case."""


class _Armed:
    """Counts how often each point was reached, and strikes."""

    def __init__(self, plan: str, seen: str | None) -> None:
        self._seen = None if seen is None else Path(seen)
        struck = self._seen.read_text("ascii").split() if self._seen is not None and self._seen.exists() else []
        self._plan: list[tuple[str, str, str]] = []
        for part in filter(None, plan.split(",")):
            point, nth, action = part.split(":")
            if point not in POINTS or action not in ACTIONS:
                raise ValueError(f"no fault is named {part!r}")
            if nth == "*" or part not in struck:
                self._plan.append((point, nth, action))
        self._counts: dict[str, int] = {}

    def __call__(self, point: str) -> None:
        count = self._counts[point] = self._counts.get(point, 0) + 1
        if count == 1:
            self._note(point)
        for name, nth, action in self._plan:
            if name == point and nth in ("*", str(count)):
                if nth != "*" or count == 1:
                    self._note(f"{name}:{nth}:{action}")
                _strike(point, action)

    def _note(self, what: str) -> None:
        if self._seen is not None:
            with self._seen.open("a", encoding="ascii") as file:
                file.write(what + "\n")


def _strike(point: str, action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "hang":
        threading.Event().wait(10)
    elif action == "memory":
        raise MemoryError(point)
    elif action in ("enospc", "eio"):
        code = errno.ENOSPC if action == "enospc" else errno.EIO
        raise OSError(code, os.strerror(code), point)
    else:
        raise Fault(point)


def _armed() -> Callable[[str], None]:
    plan, seen = os.environ.get("_TASKTAP_FAULT", ""), os.environ.get("_TASKTAP_FAULT_SEEN")
    return _Armed(plan, seen) if plan or seen else _nothing


hit: Final = _armed()
"""Call with the name of a point when it is reached."""

ARMED: Final = hit is not _nothing
"""The path of bytes asks this first: a name look-up is all it pays."""
