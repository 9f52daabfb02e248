"""Where every call is: the relays' counters and the recorder's, put together. `carried == stored + waiting + lost`, always."""

from __future__ import annotations

import time
from typing import Final

from proxy.record.board import COLUMNS, HELD_SECONDS, LIMITS, Board, Column
from proxy.record.recorder import Recorder
from proxy.task import Ending, Status

HEARTBEAT_SECONDS: Final = 2.0  # a relay that has not been heard of for longer is not well


def epoch_of(run: str, row: memoryview) -> str:
    """The name of the relay start that a row counts for."""
    return f"{run}w{row[Column.WORKER]}s{row[Column.SERIAL]}"


def status(board: Board, recorder: Recorder, run: str, recovered: int) -> Status:
    """What can be said now."""
    open_epochs = recorder.open_epochs()
    now = time.monotonic_ns() // 1000
    carried = running = journalled = stored = lost = rejected = lapses = dropped = connections = streams = relays = aside = 0
    stalled = False
    sums = [0] * COLUMNS
    for row in board.used():
        epoch = epoch_of(run, row)
        kept = recorder.stored.get(epoch, 0) + recorder.let_go.get(epoch, 0)
        missing = recorder.missing.get(epoch, 0)
        put_aside = recorder.set_aside.get(epoch, 0)
        dead = bool(row[Column.DEAD])
        ended = row[Column.BEGUN] if dead else row[Column.ENDED]
        carried += ended
        stored += kept
        aside += put_aside
        lost += max(0, ended - kept - put_aside) if dead and epoch not in open_epochs else row[Column.LOST] + missing
        sums = [total + count for total, count in zip(sums, row, strict=True)]
        journalled += row[Column.JOURNALLED]
        rejected += row[Column.REJECTED]
        lapses += row[Column.LAPSES]
        dropped += row[Column.BODIES_DROPPED]
        if not dead:
            running += max(0, row[Column.BEGUN] - row[Column.ENDED])
            connections += row[Column.CONNECTIONS]
            streams += row[Column.STREAMS]
            stalled = stalled or bool(row[Column.STALLED])
            relays += now - row[Column.HEARTBEAT] < HEARTBEAT_SECONDS * 1e6
    journal_bytes, segments = recorder.journal_bytes()
    reasons = []
    if not relays:
        reasons.append("no relay is running")
    if stalled:
        reasons.append("the journal cannot be written: is the disk full, or hanging?")
    if recorder.error is not None:
        reasons.append(f"the store cannot be written: {recorder.error}")
    if recorder.stumble is not None:
        reasons.append(recorder.stumble)
    for epoch, why in sorted(recorder.unreadable.items()):
        reasons.append(f"the journal {epoch} cannot be read: {why}")
    return Status(
        carried=carried,
        running=running,
        journalled=journalled,
        stored=stored,
        waiting=max(0, carried - stored - lost),
        lost=lost,
        rejected=rejected,
        recovered=recovered,
        set_aside=aside,
        lapses=lapses,
        bodies_dropped=dropped,
        journal_bytes=journal_bytes,
        journal_segments=segments,
        journal_stalled=stalled,
        journal_damaged=recorder.damaged,
        store_error=recorder.error,
        lag_seconds=recorder.lag_seconds(),
        relays=relays,
        open_connections=connections,
        open_streams=streams,
        unrecorded=sums[Column.UNRECORDED],
        endings=tuple((ending, sums[Column.ENDINGS + at]) for at, ending in enumerate(Ending)),
        limits=tuple((name, sums[column]) for name, column in LIMITS.items()),
        held=tuple((most, sums[Column.HELD + at]) for at, most in enumerate(HELD_SECONDS)),
        held_more=sums[Column.HELD + len(HELD_SECONDS)],
        held_seconds=sums[Column.HELD_MICROSECONDS] / 1e6,
        commits=recorder.commits,
        commit_seconds=recorder.commit_seconds,
        store_errors=recorder.store_errors,
        reasons=tuple(reasons),
    )
