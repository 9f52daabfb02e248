"""What a call needs of the worker it runs in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.record.exchange import Exchange
from proxy.record.journal import Journal
from proxy.record.prepare import Prepared, Preparer
from proxy.record.privacy import PrivacyRules
from proxy.record.redact_rules import Redaction
from proxy.record.tap import Ids, TapSettings
from proxy.record.upstream import Upstream

if TYPE_CHECKING:
    from proxy.record.caller import Caller


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration leaves open."""

    drain: bool = False  # on_caller_left = "drain": read an abandoned answer to its end, for the record
    strip_aliases: bool = False
    inject_usage: bool = False
    privacy: PrivacyRules = field(default_factory=PrivacyRules)
    redaction: Redaction = field(default_factory=Redaction)


class House:
    """A worker, as its callers and calls see it. A class, not a `Protocol`: see `Exchange`."""

    loop: asyncio.AbstractEventLoop
    soon: float  # the time of the next look at time limits: what happens now is timed as then, never too early
    journal: Journal
    row: memoryview
    stopping: bool  # each answer is the last on its connection, and says so
    refusing: bool  # ... and no call is carried any more
    upstreams: dict[str, Upstream]
    rules: Rules
    tap_settings: TapSettings
    prepare: Preparer

    # -- what a caller's connection asks of it

    def call(self, caller: Caller, asked: tuple[Prepared, int, bytes], payload: bytes, done: bool) -> Exchange | None:
        """Serve a call, of whose body `payload` is here already; None where it is over at once."""
        raise AssertionError

    def arrived(self, caller: Caller) -> bool:
        """A connection has been accepted; whether there is room for it."""
        raise AssertionError

    def gone(self, caller: Caller) -> None:
        """... and is no more."""

    def rejected(self, code: str) -> None:
        """What came on it was no call."""

    # -- what a call asks of it

    def another(self, of: str) -> Ids:
        """Number and id of a further part of the upgraded connection that was given the id `of`."""
        raise AssertionError

    def over(self, call: object) -> None:
        """A call has ended in every respect."""
