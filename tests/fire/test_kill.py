"""The short form of `python -m tests.fire kill`: P1 and P6, with a few kills of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fire.kill import burn


@pytest.mark.timeout(110)
async def test_what_was_delivered_is_stored_once_after_kills_at_random_moments(tmp_path: Path) -> None:
    fire = await burn(tmp_path, kills=6, seed=7)
    assert not fire.verdict.complaints, str(fire)
    assert fire.verdict.delivered > 30, str(fire)
    assert fire.verdict.endings.get("proxy_died"), f"no call was cut, so nothing was tried: {fire}"
