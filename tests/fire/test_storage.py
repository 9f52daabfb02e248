"""The short form of `python -m tests.fire storage`: P2, and what could not be kept is counted."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.fire import places
from tests.fire.kill import family
from tests.fire.load import Ground
from tests.fire.scene import Scene, providing
from tests.fire.storage import TROUBLES, Trouble, disturb
from tests.proc import alive, serving, soon

SECONDS = 2.0


@pytest.mark.timed
@pytest.mark.timeout(300)
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
async def test_calls_flow_and_all_is_stored_or_counted_while(trouble: Trouble, tmp_path: Path) -> None:
    try:
        finding = await disturb(tmp_path, trouble, SECONDS)
    except places.Refused as refused:
        pytest.skip(str(refused))
    assert not finding.all_complaints, str(finding)
    assert finding.verdict.delivered > 20, str(finding)
    assert bool(finding.lost) == trouble.loses, str(finding)


def test_a_relay_that_dies_while_the_disk_is_full_is_back_and_its_supervisor_lives(tmp_path: Path) -> None:
    try:
        with places.small(tmp_path) as place, providing() as port, serving(place, Ground().config(port)) as house:
            scene = Scene(lambda: house.calls)
            relay, supervisor = house.pid("relay"), house.pid("supervisor")
            filler = places.fill(place)
            os.kill(relay, signal.SIGKILL)
            soon(lambda: len([pid for pid in family(supervisor) if alive(pid)]) == 3, "another relay")
            soon(lambda: scene.one("plain").delivered, "an answer")
            assert house.pid("relay") == relay, "run.json was written: the disk was not full"
            filler.unlink()
            house.successor("relay", relay)
            assert alive(supervisor)
            assert scene.one("plain").delivered
            house.quiet()
    except places.Refused as refused:
        pytest.skip(str(refused))
