"""One kind of call through one rival, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from benchmarks import machine
from benchmarks.rivals import Helper, Rival, drained, status


@dataclass(frozen=True, slots=True)
class Scene:
    """One kind of call, made on many connections for some seconds."""

    title: str
    play: str
    connections: int
    seconds: float
    spread: float = 0.0
    floor: float | None = None  # the most that tasktap's CPU may be, in nginx's


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one scene cost one rival, once."""

    calls: int
    failed: int
    rate: float
    relay_us: float | None = None
    busy: float | None = None  # part of its core that the relay used
    desk_us: float | None = None
    lag: float | None = None  # the status's lag_seconds when the last call had ended
    drain: float | None = None  # seconds until all was stored
    said: dict[str, Any]


def measure(load: Helper, rival: Rival, scene: Scene) -> Cost:
    """Run one scene through one rival."""
    load.order(do="calls", port=rival.port, play=scene.play, connections=scene.connections, seconds=min(0.4, scene.seconds / 4))
    if rival.desk is not None:
        drained(rival)
    relay = machine.cpu_seconds(rival.relay) if rival.relay else 0
    desk = machine.cpu_seconds(rival.desk) if rival.desk else 0
    said = load.order(
        do="calls", port=rival.port, play=scene.play, connections=scene.connections, seconds=scene.seconds, spread=scene.spread
    )
    calls = said["calls"]
    cost = Cost(calls=calls, failed=said["failed"], rate=calls / said["seconds"], said=said)
    if rival.relay:
        used = machine.cpu_seconds(rival.relay) - relay
        cost = replace(cost, relay_us=used / max(1, calls) * 1e6, busy=used / said["seconds"])
    if rival.desk:
        lag = status(rival)["lag_seconds"]
        seconds, _ = drained(rival)
        cost = replace(cost, desk_us=(machine.cpu_seconds(rival.desk) - desk) / max(1, calls) * 1e6, lag=lag, drain=seconds)
    return cost


def middle(costs: list[Cost]) -> Cost:
    """The round in the middle, by relay CPU (by rate where there is no relay); its failures are all rounds'."""
    ordered = sorted(costs, key=lambda cost: cost.relay_us if cost.relay_us is not None else cost.rate)
    return replace(ordered[len(ordered) // 2], failed=sum(cost.failed for cost in costs))
