"""Pure: where the time of a call went, as a drawing: connecting, sending, waiting, answering, each piece of a stream, stalls."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from proxy.query.dashboard.figures import seconds
from proxy.query.dashboard.scale import steps
from proxy.task import Task

MOST_MARKS = 320
"""Pieces that are drawn one by one; of more, every n-th."""

MOST_STALLS = 6


@dataclass(frozen=True, slots=True)
class Phase:
    """A span of the call, in percent of its length."""

    name: str
    style: str
    at: float
    width: float
    took: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the template draws. Places are percent of the width; `curve` is in a box of 1000 by 100."""

    total: str
    phases: tuple[Phase, ...]
    marks: tuple[float, ...]
    stalls: tuple[Phase, ...]
    ticks: tuple[tuple[float, str], ...]
    curve: str
    pieces: int
    bytes: int
    median_gap: str


def timeline(task: Task) -> Timeline | None:
    """The drawing; None where no time is known."""
    pieces = tuple((at, size) for at, size in task.pieces if at >= 0)
    total = max([task.seconds_total or 0.0, task.seconds_to_first_byte or 0.0, *(at for at, _ in pieces[-1:])])
    if total <= 0:
        return None
    scale = 100 / total
    first = task.seconds_to_first_byte if task.seconds_to_first_byte is not None else pieces[0][0] if pieces else None
    token = task.seconds_to_first_token
    silent = "no answer" if task.upstream is not None else "at work"  # nobody was called for what an app logs itself
    phases = []
    at = 0.0
    for name, style, until in (
        ("connecting", "v6", task.carried.get("seconds_to_connect")),
        ("sending the request", "v4", task.carried.get("seconds_to_sent")),
        ("waiting for the first byte", "wait", first),
        ("to the first token", "v7", token),
        ("answer", "v1", total),
    ):
        if until is not None and until > at:
            phases.append(
                Phase(
                    silent if first is None and until == total else name,
                    style,
                    at * scale,
                    (until - at) * scale,
                    seconds(until - at),
                )
            )
            at = until
    gaps = [(later[0] - earlier[0], earlier[0]) for earlier, later in pairwise(pieces)]
    usual = median(gap for gap, _ in gaps) if gaps else 0.0
    long = sorted((gap for gap in gaps if gap[0] > max(0.25, 8 * usual, total / 40)), reverse=True)[:MOST_STALLS]
    stalls = tuple(
        Phase("stall", "stall", begin * scale, gap * scale, seconds(gap)) for gap, begin in sorted(long, key=lambda g: g[1])
    )
    every = max(1, len(pieces) // MOST_MARKS)
    return Timeline(
        total=seconds(total),
        phases=tuple(phases),
        marks=tuple(round(at * scale, 3) for at, _ in pieces[::every]) if len(pieces) > 1 else (),
        stalls=stalls,
        ticks=tuple((value * scale, seconds(value) if value else "0") for value in steps(0, total, 6)),
        curve=_curve(pieces[::every] if every == 1 else _thinned(pieces, every), total),
        pieces=len(pieces),
        bytes=sum(size for _, size in pieces),
        median_gap=seconds(usual) if gaps else "",
    )


def _thinned(pieces: tuple[tuple[float, int], ...], every: int) -> tuple[tuple[float, int], ...]:
    return tuple(
        (pieces[min(at + every, len(pieces)) - 1][0], sum(size for _, size in pieces[at : at + every]))
        for at in range(0, len(pieces), every)
    )


def _curve(pieces: tuple[tuple[float, int], ...], total: float) -> str:
    whole = sum(size for _, size in pieces)
    if whole <= 0 or len(pieces) < 2:
        return ""
    seen, path = 0, list[str]()
    for at, size in pieces:
        x = 1000 * at / total
        path.append(f"{'L' if path else 'M'}{x:.1f} {100 - 100 * seen / whole:.1f}")
        seen += size
        path.append(f"L{x:.1f} {100 - 100 * seen / whole:.1f}")
    path.append("L1000 0")
    return "".join(path)
