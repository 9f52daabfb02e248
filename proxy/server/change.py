"""A change of relays while calls run (SIGHUP): new ones start on the same sockets, then the old ones end their calls and go.

No connection is refused: the sockets are the supervisor's, and one process or the other accepts from them at every moment.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Final

from proxy.server.child import Child
from proxy.server.plan import Given, Plan

LOAD_SECONDS: Final = 20.0
FIXED: Final = {"data_dir": "data_dir", "calls": "listen.calls", "desk": "listen.desk", "workers": "listen.workers"}
"""What is the supervisor's own, and changes only when it starts: fields of the plan, and the settings they come from."""


class Refused(Exception):
    """These settings cannot be changed over to. The text says why; calls go on as before."""


def fresh(given: Given, now: Plan) -> Plan:
    """The plan that the settings make by now. Raises Refused."""
    command = [sys.executable, "-m", "proxy.server.plan", json.dumps(given)]
    try:
        said = subprocess.run(command, capture_output=True, timeout=LOAD_SECONDS, check=False)  # noqa: S603 - ourselves
    except (OSError, subprocess.TimeoutExpired):
        raise Refused("the settings could not be read") from None
    if said.returncode:
        raise Refused(said.stderr.decode(errors="replace").strip() or "the settings could not be read")
    plan = Plan.unpack(said.stdout)
    for field, setting in FIXED.items():
        before, after = getattr(now, field), getattr(plan, field)
        if before != after:
            raise Refused(f"{setting} is {after} now, {before} at the start: stop tasktap and start it again")
    return plan


class Change:
    """One change: who comes for whom."""

    def __init__(self, plan: Plan, old: list[Child]) -> None:
        self.plan = plan
        self._pairs = [(each, Child(each.role, each.worker, each.sock)) for each in old]

    @property
    def comers(self) -> list[Child]:
        """The new ones."""
        return [new for _, new in self._pairs]

    @property
    def works(self) -> bool:
        """Whether every new one does."""
        return all(new.ready for new in self.comers)

    @property
    def failed(self) -> bool:
        """Whether a new one ended before it worked."""
        return any(new.has_ended and not new.ready for new in self.comers)

    def done(self, children: list[Child]) -> list[Child]:
        """The new ones take their places in `children`; returns the old ones, who end their calls and go."""
        for old, new in self._pairs:
            children[children.index(old)] = new
            if old.process is not None:
                old.process.send_signal(signal.SIGUSR1)
        return [old for old, _ in self._pairs if old.process is not None]

    def undone(self) -> list[Child]:
        """The new ones are told to go, and returned: one that does not accept yet ends at once, for it heeds no signal before."""
        for new in self.comers:
            if new.process is not None:
                new.process.send_signal(signal.SIGUSR1)
        return [new for new in self.comers if new.process is not None]
