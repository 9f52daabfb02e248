"""Strikes at every fault point in every way that makes sense there, and asks afterwards whether the promises were kept.

python -m tests.fire faults [--long] [--only WORD]
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from proxy.record import faults
from tests.fire import chores
from tests.fire.scene import Allowed, Scene, complaints, does_not_add_up, providing, restarted
from tests.proc import Tasktap, slack

FAILURES = ("raise", "enospc", "eio", "memory")
NTHS = (1, 2, 5, 9)
MOST_ROUNDS = 60  # a desk that was killed needs its time to be back
BACK_SECONDS = 30.0  # of grace for what the contract wants in 2: much else may run on this machine
HANG_SECONDS = 10.0
POINTS = tuple(point for point in faults.POINTS if point not in chores.POINTS)

CONFIG = """
default_upstream = "fire"
[upstreams.fire]
url = "http://127.0.0.1:{port}"
[journal]
patience_ms = {patience}
segment_bytes = "64KiB"
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """Faults that strike in one start of tasktap: `point:nth:action` each."""

    faults: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.faults)

    def _any(self, *prefixes: str, kill: bool | None = None) -> bool:
        return any(fault.startswith(prefixes) and kill in (None, fault.endswith(":kill")) for fault in self.faults)

    @property
    def kills(self) -> bool:
        return self._any("", kill=True)

    @property
    def fails_relays(self) -> bool:
        """Whether the code that carries calls is made to fail, which it never should: its callers may then be harmed."""
        return self._any("relay.", kill=False)

    @property
    def kills_relays(self) -> bool:
        return self._any("tap.", "relay.", "journal.", kill=True)

    @property
    def allowed(self) -> Allowed:
        return Allowed(
            cuts=self.kills_relays or self.fails_relays,
            stumbles=self._any("tap.", kill=False),
            unkept=self._any("tap.begin:", kill=False),
        )

    @property
    def patience_ms(self) -> int:
        """Where relays are killed the wait for the journal is as good as endless: no answer that was delivered has an excuse."""
        return 5000 if self.kills_relays else 50


def once(*faults: str) -> Plan:
    return Plan(faults)


SHORT = (
    once("tap.begin:3:raise", "tap.begun:5:memory", "tap.data:2:enospc", "tap.data:5:memory", "tap.end:4:eio", "tap.end:9:raise"),
    once("tap.begin:*:raise"),
    once("tap.begun:*:memory", "tap.data:*:eio", "tap.end:*:raise"),
    once(
        "journal.write:2:enospc",
        "journal.torn:3:enospc",
        "journal.torn:5:eio",
        "journal.written:3:eio",
        "journal.written:9:raise",
    ),
    once("journal.rotate:2:enospc", "journal.rotate:3:memory", "journal.rotated:4:raise", "journal.rotated:2:enospc"),
    once("recorder.record:7:eio", "recorder.record:40:memory", "recorder.reading:3:raise", "recorder.reading:9:memory"),
    once("recorder.save:2:enospc", "recorder.saved:3:raise", "recorder.forget:1:eio", "recorder.forgot:1:raise"),
    once(
        "relay.connect:3:raise",
        "relay.sent:2:raise",
        "relay.head:5:raise",
        "relay.forward:7:raise",
        "relay.last:2:raise",
        "relay.gone:4:raise",
    ),
    once("tap.begin:3:kill", "tap.begun:4:kill", "relay.connect:5:kill", "relay.sent:3:kill"),
    once("relay.head:3:kill", "tap.data:2:kill", "relay.forward:9:kill", "tap.end:3:kill"),
    once("relay.last:2:kill", "relay.gone:2:kill", "journal.write:4:kill", "journal.torn:3:kill", "journal.written:6:kill"),
    once("journal.rotate:2:kill", "journal.rotated:3:kill"),
    once("recorder.record:30:kill", "recorder.reading:4:kill", "recorder.save:3:kill"),
    once("recorder.saved:2:kill", "recorder.forget:1:kill", "recorder.forgot:1:kill"),
)
"""What the test suite runs: every point, failing and killed; points that do not disturb each other share a start."""


CHORES = (
    (
        *(
            "desk.store:1:raise",
            "desk.door:1:memory",
            "retention.step:1:memory",
            "retention.stepped:1:raise",
            "forget.blanked:1:eio",
            "forget.step:1:raise",
        ),
        *("forget.scrub:1:enospc", "change.begin:1:raise", "change.done:1:memory"),
    ),
    (
        *("desk.store:1:kill", "desk.door:1:kill", "retention.step:1:kill", "retention.stepped:1:kill", "forget.blanked:1:kill"),
        *("forget.step:1:kill", "forget.scrub:1:kill"),
    ),
    ("change.begin:1:kill", "change.done:1:kill"),
)
"""Likewise, for the points amid chores."""


def all_alone() -> list[Plan]:
    """Every point alone, with every action that makes sense there, at several times."""
    plans = []
    for point in POINTS:
        nths = NTHS[:2] if point.startswith(("journal.rotate", "recorder.forg")) else NTHS
        actions = ("kill", "raise") if point.startswith("relay.") else ("kill", *FAILURES)
        plans += [once(f"{point}:{nth}:{action}") for action in actions for nth in nths]
        if point.startswith("tap."):
            plans += [once(f"{point}:*:{action}") for action in FAILURES]
        if point.startswith(("journal.", "recorder.")):
            plans.append(once(f"{point}:2:hang"))
    return plans


@dataclass(frozen=True, slots=True)
class Finding:
    """What one plan came to. `complaints` is empty when every promise was kept."""

    calls: int
    delivered: int
    cut: int
    lost: int
    seconds: float
    complaints: tuple[str, ...]

    def __str__(self) -> str:
        figures = f"{self.calls} calls, {self.delivered} delivered, {self.cut} cut, {self.lost} lost, {self.seconds:.1f} s"
        return figures + "".join(f"\n    {complaint}" for complaint in self.complaints)


def struck(seen: Path) -> set[str]:
    """The faults that have struck."""
    return set(seen.read_text().split()) if seen.exists() else set()


def run(folder: Path, plan: Plan, *, restart: bool = True) -> Finding:
    """Calls under the plan's faults, then a restart without any (always after a kill), then the verdict."""
    began = time.monotonic()
    seen = folder / "seen"
    with providing() as port:
        config = CONFIG.format(port=port, patience=plan.patience_ms)
        house = Tasktap(folder, config, {"_TASKTAP_FAULT": str(plan), "_TASKTAP_FAULT_SEEN": str(seen)})
        try:
            house.start()
            scene = Scene(lambda: house.calls)
            scene.rounds()
            rounds = 1
            while not struck(seen).issuperset(plan.faults) and rounds < MOST_ROUNDS:
                scene.rounds()
                rounds += 1
            scene.rounds()
            status = again = quiet(house)
            codes = [house.stop()]
            if restart or plan.kills:
                again = quiet(restarted(house))
                codes.append(house.stop())
        finally:
            house.kill_all()
    found = [f"{fault} never struck" for fault in plan.faults if fault not in struck(seen)]
    found += does_not_add_up(status) + does_not_add_up(again)
    if any(codes):
        found.append(f"SIGTERM: exit {codes}")
    if not plan.allowed.cuts and status["carried"] != len(scene.outcomes):
        found.append(f"{len(scene.outcomes)} calls were made, {status['carried']} carried")
    if len(codes) > 1 and again["lost"]:
        found.append(f"the restart lost calls: {again}")
    if "Traceback" in (said := house.written()) and not plan.fails_relays:
        found.append(f"a traceback was printed: {said[-1500:]}")
    found += complaints(house.data, scene, status["lost"], plan.allowed)
    return Finding(
        calls=len(scene.outcomes),
        delivered=sum(each.delivered for each in scene.outcomes),
        cut=sum(each.broke is not None for each in scene.outcomes),
        lost=status["lost"],
        seconds=time.monotonic() - began,
        complaints=tuple(found),
    )


def quiet(house: Tasktap) -> dict[str, int]:
    """The status once nothing runs or waits; a desk that was killed may be away meanwhile."""
    end = time.monotonic() + BACK_SECONDS * slack()
    status: dict[str, int] = {}
    while time.monotonic() < end:
        try:
            status = house.status()
        except (OSError, AssertionError):
            time.sleep(0.02)
            continue
        if not status["running"] and not status["waiting"]:
            return status
        time.sleep(0.02)
    raise AssertionError(f"something still runs or waits: {status}")


def main(long: bool, only: str = "") -> int:
    """Every plan whose text has `only` in it; prints its table, and returns how many plans broke a promise."""
    plans = [plan for plan in (all_alone() if long else SHORT) if only in str(plan)]
    broken = 0
    for plan in plans:
        with tempfile.TemporaryDirectory(prefix="tasktap-fault-") as folder:
            try:
                finding: Finding | str = run(Path(folder), plan)
                bad = bool(finding.complaints)  # type: ignore[union-attr]  # it is one, just here
            except AssertionError as error:
                finding, bad = f"failed: {error}", True
        broken += bad
        print(f"{'BROKEN' if bad else 'kept':<7} {plan!s:<32} {finding}", flush=True)
    alone = tuple((f"{point}:1:{action}",) for point in chores.POINTS for action in ("kill", *FAILURES))
    amid = [each for each in (alone if long else CHORES) if only in ",".join(each)]
    for each in amid:
        with tempfile.TemporaryDirectory(prefix="tasktap-fault-") as folder:
            try:
                found = chores.strike(Path(folder), each)
            except AssertionError as error:
                found = [f"failed: {error}"]
        broken += bool(found)
        print("\n    ".join((f"{'BROKEN' if found else 'kept':<7} {','.join(each)}", *found)), flush=True)
    print(f"{len(plans) + len(amid)} plans, {broken} broken")
    return broken
