"""What is promised holds wherever a fault strikes: the short form of `python -m tests.fire faults`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from proxy.record.faults import POINTS
from tests.fire import chores
from tests.fire.faults import CHORES, CONFIG, HANG_SECONDS, SHORT, Plan, quiet, run, struck
from tests.fire.scene import Allowed, Scene, complaints, does_not_add_up, providing
from tests.proc import serving, slack

FLOWS_SECONDS = 1.0  # a call takes a quarter of it, and may lose its patience three times


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plan", SHORT, ids=str)
def test_promises_are_kept_where_faults_strike(plan: Plan, tmp_path: Path) -> None:
    finding = run(tmp_path, plan, restart=False)
    assert not finding.complaints, str(finding)
    assert finding.delivered > finding.calls / 3, str(finding)


@pytest.mark.timeout(150)
@pytest.mark.parametrize("faults", CHORES, ids="+".join)
def test_what_was_to_go_goes_and_the_rest_stays_where_faults_strike_amid_chores(faults: tuple[str, ...], tmp_path: Path) -> None:
    found = chores.strike(tmp_path, faults)
    assert not found, found


def test_every_fault_point_fails_or_is_killed_in_some_plan() -> None:
    """Each plan complains of a fault that never struck, so this makes it every point that there is."""
    faults = [fault for plan in (*(plan.faults for plan in SHORT), *CHORES) for fault in plan]
    killed = {fault.split(":")[0] for fault in faults if fault.endswith(":kill")}
    failed = {fault.split(":")[0] for fault in faults if not fault.endswith(":kill")}
    assert killed == set(POINTS)
    assert failed == set(POINTS)


@pytest.mark.timed
def test_calls_flow_and_lapses_are_counted_while_the_journal_hangs(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    fault = "journal.write:3:hang"
    with providing() as port:
        config = CONFIG.format(port=port, patience=50)
        with serving(tmp_path, config, _TASKTAP_FAULT=fault, _TASKTAP_FAULT_SEEN=str(seen)) as house:
            scene = Scene(lambda: house.calls)
            while fault not in struck(seen):
                scene.one("plain")
            hung, slowest = time.monotonic(), 0.0
            for kind in ("plain", "stream", "pieces", "content", "leaves", "plain"):
                began = time.monotonic()
                scene.one(kind)
                slowest = max(slowest, time.monotonic() - began)
            assert time.monotonic() - hung < HANG_SECONDS - 1, "the calls took so long that nothing hung meanwhile"
            during = house.status()
            assert slowest < FLOWS_SECONDS * slack()
            assert house.get("/api/status")["journal"]["lapses"] >= 5
            assert during["waiting"] >= 5
            status = quiet(house)
    found = complaints(house.data, scene, status["lost"], Allowed())
    assert not found + does_not_add_up(status), found
    assert status["lost"] == 0
