"""A change of relays while calls run (SIGHUP): new ones start on the same sockets, then the old ones end their calls and go.

No connection is refused: the sockets are the supervisor's, and one process or the other accepts from them at every moment.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from proxy.config import ConfigError, Settings
from proxy.server.child import Child

FIXED = ("data_dir", "listen.calls", "listen.desk", "listen.workers")
"""What is the supervisor's own, and changes only when it starts."""


class Refused(Exception):
    """These settings cannot be changed over to. The text says why; calls go on as before."""


def fresh(load: Callable[[], Settings], now: Settings) -> Settings:
    """The settings as they are written by now. Raises Refused."""
    try:
        settings = load()
    except ConfigError as error:
        raise Refused(str(error)) from None
    for name in FIXED:
        before, after = _value(now, name), _value(settings, name)
        if before != after:
            raise Refused(f"{name} is {after} now, {before} at the start: stop tasktap and start it again")
    return settings


def _value(settings: object, name: str) -> object:
    for part in name.split("."):
        settings = getattr(settings, part)
    return settings


class Change:
    """One change: who comes for whom."""

    def __init__(self, settings: Settings, old: list[Child]) -> None:
        self.settings = settings
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
