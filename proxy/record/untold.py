"""The witness of a call that is nobody's business: it keeps nothing, counts nothing and waits for nothing.

The calls door carries questions about the record itself to the desk (`/tasktap/...`); they are no tasks.
"""

from __future__ import annotations

from typing import Any

from proxy.record.fields import Line
from proxy.record.tap import Ids, Tap
from proxy.task import Ending

DESK = "tasktap"
"""The upstream that is the desk; no upstream of the configuration can have this name."""


class Untold(Tap):
    """A tap that tells nobody."""

    def begin(self, ids: Ids, payload: bytes, done: bool) -> int:
        return 0

    def sent(self, data: bytes, done: bool) -> None:
        return

    def answer(self, status: int, reason: bytes, fields: list[Line]) -> None:
        return

    def data(self, payload: bytes, at: Any) -> int:
        return 0

    def end(self, ending: Ending, payload: bytes = b"") -> int:
        self.ended = True
        return 0

    def note(self, problem: str) -> None:
        return
