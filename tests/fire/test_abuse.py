"""The short forms of `python -m tests.fire abuse`, `hostile`, `leavers`, `streams` and `soak`."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.fire import leavers, streams
from tests.fire.abuse import abuse, kinds
from tests.fire.hostile import hostile
from tests.fire.memory import slope
from tests.fire.soak import soak
from tests.fire.streams import SHORT_FLAT_BYTES


@pytest.mark.timeout(300)
async def test_every_call_to_a_bad_upstream_has_its_true_ending_and_memory_stays_bounded(tmp_path: Path) -> None:
    finding = await abuse(tmp_path, long=False)
    assert not finding.complaints, str(finding)
    assert finding.calls == sum(len(kind.arguments) for kind in kinds(False).values())


@pytest.mark.timeout(300)
async def test_what_is_no_http_goes_nowhere_and_who_is_one_too_many_is_told_so(tmp_path: Path) -> None:
    finding = await hostile(tmp_path, 100)
    assert not finding.complaints, str(finding)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> leavers.Finding:
    return asyncio.run(leavers.leave(tmp_path_factory.mktemp("left"), 200))


@pytest.mark.timeout(300)
def test_callers_may_leave_at_any_stage_drip_their_heads_and_read_nothing(left: leavers.Finding) -> None:
    assert not left.complaints, str(left)


@pytest.mark.timed
@pytest.mark.timeout(300)
def test_who_leaves_or_drips_is_known_for_it_soon(left: leavers.Finding) -> None:
    assert not left.late, str(left)


@pytest.fixture(scope="module")
def flowed(tmp_path_factory: pytest.TempPathFactory) -> streams.Finding:
    return asyncio.run(streams.flow(tmp_path_factory.mktemp("flowed"), 200, 12, SHORT_FLAT_BYTES))


@pytest.mark.timeout(300)
def test_streams_at_their_own_pace_all_come_whole(flowed: streams.Finding) -> None:
    assert not flowed.complaints, str(flowed)


@pytest.mark.timed
@pytest.mark.timeout(300)
def test_events_come_soon_after_they_were_said(flowed: streams.Finding) -> None:
    assert not flowed.late, str(flowed)


def test_a_slope_is_that_of_the_line_through_the_points() -> None:
    assert slope([(0, 1.0), (1, 3.0), (2, 5.0)]) == 2.0
    assert slope([(0, 1.0)]) == slope([]) == 0.0


@pytest.mark.timeout(300)
async def test_after_thousands_of_calls_memory_files_and_threads_are_as_before(tmp_path: Path) -> None:
    finding = await soak(tmp_path, (500, 1500))
    assert not finding.complaints, str(finding)


def test_every_test_that_the_list_of_rows_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", (Path(__file__).parent / "rows.md").read_text())
    assert len(named) > 40
    tests = Path(__file__).parents[1]
    assert [name for name in named if not (tests / name[0]).exists()] == []
    assert [name for name in named if f"def {name[1]}" not in (tests / name[0]).read_text()] == []
