"""The part of a task that no list shows, as a value: what `proxy.store.record` writes and reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proxy.quick import quickly
from proxy.task import JSON


@quickly
@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The fields of `Task` that are not in `Summary`, feedback aside."""

    raw_input: Any
    raw_output: Any
    request_headers: tuple[tuple[str, str], ...]
    response_headers: tuple[tuple[str, str], ...]
    request_body: bytes
    request_coding: str | None
    response_body: bytes
    response_coding: str | None
    pieces: tuple[tuple[float, int], ...]
    redactions: tuple[str, ...]
    carried: JSON
    evaluations: tuple[JSON, ...]
