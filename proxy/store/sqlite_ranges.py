"""Pure: ranges of time as what SQLite compares: when sessions ended, whole days, keys of tasks."""

from __future__ import annotations

from proxy.store import keys
from proxy.store.insight import Range, floor
from proxy.store.measures import DAY

LOWEST, HIGHEST = keys.EARLIEST, keys.LATEST
"""No time that is kept is before the first or after the second; microseconds."""


def ended(range: Range) -> tuple[str, tuple[str | int, ...]]:
    """The sessions that ended in it, as a condition with its values."""
    project, values = ("", ()) if range.project_id is None else ("project_id = ? AND ", (range.project_id,))
    lowest = LOWEST if range.since is None else range.since
    highest = keys.LARGEST if range.until is None else range.until
    return f"{project}ended_at >= ? AND ended_at < ?", (*values, lowest, highest)


def days(since: int | None, until: int | None) -> tuple[int, int]:
    """The days that `since` and `until` are in, from the first to past the last."""
    first = LOWEST * 2 if since is None else floor(since, DAY)
    return first, HIGHEST if until is None else floor(until - 1, DAY) + DAY


def key_span(range: Range) -> tuple[int, int]:
    """The first and the last key that a task in it may have."""
    lowest = keys.LOWEST if range.since is None else keys.bound(range.since)
    return lowest, keys.HIGHEST if range.until is None else keys.bound(range.until) - 1
