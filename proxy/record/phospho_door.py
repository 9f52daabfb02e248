"""phospho's own API, as its unmodified clients speak it (Python 0.3.45, JavaScript 1.3.13): to log, read and give feedback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from proxy.record.intake import Intake
from proxy.record.intake_acts import Answer
from proxy.record.phospho_keep import Keeper
from proxy.record.phospho_log import Telling
from proxy.record.phospho_reads import Asking
from proxy.record.phospho_routes import Path, Query
from proxy.store import Store

Act = Callable[[Path, Query, bytes, Path], Awaitable[Answer]]


class PhosphoDoor:
    """Finds the acts of `phospho_routes.ROUTES`."""

    def __init__(self, intake: Intake, store: Store) -> None:
        self._asking = Asking(store)
        self._telling = Telling(Keeper(intake, store), store, self._asking.project_of)

    def act(self, name: str) -> Act:
        """The act of that name."""
        return cast("Act", getattr(self._telling, name, None) or getattr(self._asking, name))
