"""tasktap's own figures in Prometheus' text format (version 0.0.4). Pure. Never a label of a session or a user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from proxy.task import Status

_Samples = Iterable[tuple[str, float]]
"""What follows a metric's name (a suffix, labels), and the value."""


def of_status(status: Status) -> str:
    """The whole page. Counters are since this start of tasktap."""
    return "".join(_lines(status))


def _lines(status: Status) -> Iterator[str]:
    calls = ("carried", "journalled", "stored", "lost", "rejected", "recovered")
    yield from _metric(
        "calls_total",
        "counter",
        "Calls, by how far they have come.",
        ((_label("state", name), getattr(status, name)) for name in calls),
    )
    yield from _metric("calls_running", "gauge", "Calls under way.", [("", status.running)])
    yield from _metric("calls_waiting", "gauge", "Calls that have ended and are not in the store yet.", [("", status.waiting)])
    yield from _metric(
        "calls_set_aside", "gauge", "Of the waiting ones: kept in a file, refused by the store.", [("", status.set_aside)]
    )
    yield from _metric(
        "endings_total",
        "counter",
        "How calls ended.",
        ((_label("ending", str(ending)), count) for ending, count in status.endings),
    )
    yield from _metric("unrecorded_total", "counter", "Calls that were to leave no record.", [("", status.unrecorded)])
    yield from _metric("open_streams", "gauge", "Streamed answers under way.", [("", status.open_streams)])
    yield from _metric("open_connections", "gauge", "Callers that are connected.", [("", status.open_connections)])
    yield from _metric("relays", "gauge", "Relay workers that are well.", [("", status.relays)])
    yield from _metric("held_seconds", "histogram", "Time that the last bytes of answers waited for the journal.", _held(status))
    yield from _metric(
        "limits_met_total",
        "counter",
        "Times that a limit was met.",
        ((_label("limit", name), count) for name, count in status.limits),
    )
    yield from _metric("journal_bytes", "gauge", "Size of the journal.", [("", status.journal_bytes)])
    yield from _metric("journal_segments", "gauge", "Files of the journal.", [("", status.journal_segments)])
    yield from _metric("journal_stalled", "gauge", "1 while the journal cannot be written.", [("", int(status.journal_stalled))])
    yield from _metric("journal_damaged_bytes_total", "counter", "Bytes without a record.", [("", status.journal_damaged)])
    yield from _metric("intake_waiting", "gauge", "What apps and people said, not stored yet.", [("", status.intake_waiting)])
    yield from _metric("intake_stalled", "gauge", "1 while what is said cannot be kept.", [("", int(status.intake_stalled))])
    yield from _metric(
        "lag_seconds", "gauge", "Age of the oldest ended call that is not in the store.", [("", status.lag_seconds)]
    )
    commits = [("_count", status.commits), ("_sum", status.commit_seconds)]
    yield from _metric("store_commit_seconds", "summary", "Commits of the store, and the time they took.", commits)
    yield from _metric("store_errors_total", "counter", "Commits that failed.", [("", status.store_errors)])
    yield from _metric("recording_ok", "gauge", "1 while recording is well (what /readyz says).", [("", int(not status.reasons))])


def _metric(name: str, kind: str, help: str, samples: _Samples) -> Iterator[str]:
    yield f"# HELP tasktap_{name} {help}\n# TYPE tasktap_{name} {kind}\n"
    for more, value in samples:
        yield f"tasktap_{name}{more} {value:.15g}\n"


def _label(name: str, value: str) -> str:
    return f'{{{name}="{value}"}}'  # values are words of our own: nothing to escape


def _held(status: Status) -> Iterator[tuple[str, float]]:
    ends = [f"{most:g}" for most, _ in status.held] + ["+Inf"]
    counts = list(accumulate([*(count for _, count in status.held), status.held_more]))
    for end, count in zip(ends, counts, strict=True):
        yield "_bucket" + _label("le", end), count
    yield "_sum", status.held_seconds
    yield "_count", counts[-1]
