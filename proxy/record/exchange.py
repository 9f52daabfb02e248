"""What stands between a caller's connection and an upstream's: what each of the two tells it.

A class, not a `Protocol`: compiled, a call of its methods is a jump, and every event of every stream is such a call.
"""

from __future__ import annotations

from typing import Any

from proxy.record.http1 import ResponseHead
from proxy.record.straight import Straight


class Exchange:
    """A call, or what it became. What it is told and does not override does not concern it."""

    # -- by the caller's connection

    def request_data(self, payload: bytes, done: bool) -> None:
        """Some of the request's body has come; `done` with its last bytes."""

    def tunnelled_from_caller(self, data: bytes) -> None:
        """Bytes of an upgraded connection have come."""

    def caller_left(self) -> None:
        """The caller's connection is gone, or its bytes can no longer be followed."""

    def caller_full(self) -> None:
        """The caller takes no more for now."""

    def caller_drained(self) -> None:
        """It takes more again."""

    # -- by the upstream's

    def interim(self, head: ResponseHead, raw: bytes) -> None:
        """A 1xx answer has come."""

    def answer(self, head: ResponseHead) -> None:
        """The answer's head has come."""

    def body(self, raw: bytes, payload: bytes, done: bool) -> None:
        """Some of the answer has come: the bytes as they were, and what of them is body. `done` with its last bytes."""

    def event(self, raw: bytes, payload: bytes, at: Any) -> Straight | None:
        """As `body`, of an answer that goes on, at microsecond `at` of `time.monotonic`.

        What comes back is the way on which to write `raw`, now and before all else.
        """
        return None

    def tunnelled(self, data: bytes) -> None:
        """Bytes of an upgraded connection have come."""

    def upstream_ended(self, problem: str | None, clean: bool) -> None:
        """The connection is gone, or what it sent cannot be passed on (`problem`)."""

    def upstream_full(self) -> None:
        """The upstream takes no more for now."""

    def upstream_drained(self) -> None:
        """It takes more again."""
