"""Pure: ranges of time as what SQLite compares: when sessions ended, whole days, keys of tasks, cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from proxy.store import keys
from proxy.store.insight import Range, floor
from proxy.store.measures import DAY, HOUR, MINUTE

LOWEST, HIGHEST = keys.EARLIEST, keys.LATEST
"""No time that is kept is before the first or after the second; microseconds."""

HOURS, DAYS, MINUTES = 0, 1, 2
"""Spans of cells."""

LENGTHS = {DAYS: DAY, HOURS: HOUR, MINUTES: MINUTE}
"""How long they are, the longest first; microseconds."""


class Part(NamedTuple):
    """From `first` to before `end`; made of the cells of a span, or, where that is `None`, of tasks."""

    first: int
    end: int
    span: int | None


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


def spans(step: int | None) -> list[int]:
    """Those whose cells can be put together to stretches of `step` microseconds, the longest first."""
    return [span for span, length in LENGTHS.items() if step is None or step % length == 0]


def parts(since: int | None, until: int | None, step: int | None, minutes_since: int) -> Iterator[Part]:
    """A time as whole days, then hours, then minutes, of which there are none before `minutes_since`, and the rest."""
    first = floor(LOWEST * 2, DAY) if since is None else since
    end = floor(HIGHEST * 2, DAY) if until is None else until
    return _parts(first, end, spans(step), minutes_since)


def _parts(first: int, end: int, spans: Sequence[int], minutes_since: int) -> Iterator[Part]:
    if first >= end:
        return
    if not spans:
        yield Part(first, end, None)
        return
    span, *finer = spans
    length = LENGTHS[span]
    low = -(-(max(first, minutes_since) if span == MINUTES else first) // length) * length
    high = floor(end, length)
    if low > high:  # nothing whole is in it
        yield from _parts(first, end, finer, minutes_since)
        return
    yield from _parts(first, low, finer, minutes_since)
    if low < high:
        yield Part(low, high, span)
    yield from _parts(high, end, finer, minutes_since)
