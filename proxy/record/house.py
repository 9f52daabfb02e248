"""What a call needs of the worker it runs in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from proxy.record.journal import Journal
from proxy.record.privacy import PrivacyRules
from proxy.record.redact_rules import Redaction
from proxy.record.tap import Ids, TapSettings
from proxy.record.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration leaves open."""

    drain: bool = False  # on_caller_left = "drain": read an abandoned answer to its end, for the record
    strip_aliases: bool = False
    privacy: PrivacyRules = field(default_factory=PrivacyRules)
    redaction: Redaction = field(default_factory=Redaction)


class House(Protocol):
    """A worker, as its calls see it."""

    loop: asyncio.AbstractEventLoop
    soon: float  # the time of the next look at time limits: what happens now is timed as then, never too early
    journal: Journal
    row: memoryview
    stopping: bool
    upstreams: dict[str, Upstream]
    rules: Rules
    tap_settings: TapSettings

    def another(self, of: str) -> Ids:
        """Number and id of a further part of the upgraded connection that was given the id `of`."""
        ...

    def over(self, call: object) -> None:
        """A call has ended in every respect."""
        ...
