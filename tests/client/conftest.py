"""A desk, a provider, and the client of this process pointed at them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy import client
from tests.client.places import FakeDesk, Provider
from tests.proc import clean_environment
from tests.sockets import PATIENCE


@pytest.fixture
def desk() -> Iterator[FakeDesk]:
    """The desk that this process' client is pointed at. What a test logged must be with it at the end, without a fault."""
    place = FakeDesk()
    client.init(base_url=place.url, tick=0.01)
    before = client.stats()["errors"]
    yield place
    assert client.flush(PATIENCE)
    place.close()
    after = client.stats()
    assert after["errors"] == before + place.faults, after["last_error"]


@pytest.fixture
def provider() -> Iterator[Provider]:
    place = Provider()
    yield place
    place.close()


@pytest.fixture
def logged(desk: FakeDesk) -> Callable[[], dict[str, Any]]:
    """The task that was logged last, as the desk got it."""

    def last() -> dict[str, Any]:
        assert client.flush(PATIENCE), client.stats()
        return desk.last()

    return last


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def app(tmp_path: Path) -> Run:
    """Run an app in a process of its own: `app(source, url=...)`."""

    def run(source: str, seconds: float = 100, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "app.py"
        script.write_text("from proxy import client as tasktap\n" + source)
        environment = clean_environment(PYTHONPATH=str(Path(__file__).parents[2]), **variables)
        command = [sys.executable, "-W", "error", str(script)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment, cwd=tmp_path, check=False)
        assert ran.returncode == code, ran.stderr
        assert "Traceback" not in ran.stderr or code, ran.stderr
        return ran

    return run
