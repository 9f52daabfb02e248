"""The short form of `python -m tests.fire kill`: P1 and P6, with a few kills of each kind."""

from __future__ import annotations

import asyncio

import pytest

from tests.fire.kill import Fire, burn


@pytest.fixture(scope="module")
def fire(tmp_path_factory: pytest.TempPathFactory) -> Fire:
    return asyncio.run(burn(tmp_path_factory.mktemp("fire"), kills=6, seed=7))


@pytest.mark.timeout(300)
def test_what_was_delivered_is_stored_once_after_kills_at_random_moments(fire: Fire) -> None:
    assert not fire.verdict.complaints, str(fire)
    assert fire.verdict.delivered > 30, str(fire)
    assert fire.verdict.big, str(fire)
    assert fire.verdict.endings.get("proxy_died"), f"no call was cut, so nothing was tried: {fire}"


@pytest.mark.timed
@pytest.mark.timeout(300)
def test_no_record_of_a_stream_that_a_kill_cut_was_far_behind_it(fire: Fire) -> None:
    assert fire.verdict.behind, f"no stream was cut, so nothing was tried: {fire}"
    assert not fire.verdict.late, str(fire)
