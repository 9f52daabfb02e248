"""The short forms of `python -m tests.fire abuse`, `leavers` and `streams`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fire.abuse import abuse, kinds
from tests.fire.leavers import leave
from tests.fire.memory import slope
from tests.fire.streams import SHORT_FLAT_BYTES, flow


@pytest.mark.timeout(300)
async def test_every_call_to_a_bad_upstream_has_its_true_ending_and_memory_stays_bounded(tmp_path: Path) -> None:
    finding = await abuse(tmp_path, long=False)
    assert not finding.complaints, str(finding)
    assert finding.calls == sum(len(kind.arguments) for kind in kinds(False).values())


@pytest.mark.timeout(300)
async def test_callers_may_leave_at_any_stage_drip_their_heads_and_read_nothing(tmp_path: Path) -> None:
    finding = await leave(tmp_path, 200)
    assert not finding.complaints, str(finding)


@pytest.mark.timeout(150)
async def test_streams_at_their_own_pace_all_come_whole(tmp_path: Path) -> None:
    finding = await flow(tmp_path, 200, 12, SHORT_FLAT_BYTES)
    assert not finding.complaints, str(finding)


def test_a_slope_is_that_of_the_line_through_the_points() -> None:
    assert slope([(0, 1.0), (1, 3.0), (2, 5.0)]) == 2.0
    assert slope([(0, 1.0)]) == slope([]) == 0.0
