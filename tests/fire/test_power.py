"""The short form of `python -m tests.fire power`: P1 with `durability = "power"`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fire import places
from tests.fire.power import Finding, cut


async def found(folder: Path, durability: str) -> Finding:
    try:
        return await cut(folder, durability, 2)
    except places.Refused as refused:
        pytest.skip(str(refused))


@pytest.mark.timeout(300)
async def test_every_answer_that_was_delivered_before_a_power_cut_is_there_after_it(tmp_path: Path) -> None:
    finding = await found(tmp_path, "power")
    assert not finding.complaints, str(finding)
    assert finding.cuts[-1].delivered > 10, str(finding)


@pytest.mark.timeout(300)
async def test_the_cut_takes_what_was_not_synced(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    finding = await found(tmp_path, "process")
    assert finding.lost > 10, str(finding)
