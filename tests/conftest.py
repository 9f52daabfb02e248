"""What no test may depend on: how fast this machine is just now, and, where a check has to be repeatable, on luck."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
LONGEST = ("fire", "real", "browser")

# What is held to a time is held to it by a test that says so. An example that a busy machine made late is no finding.
settings.register_profile("tasktap", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("check", settings.get_profile("tasktap"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tasktap"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rooms whose tests take longest come first: what is left at the end, for one of several workers, is short."""
    turn = {room: at for at, room in enumerate(LONGEST)}
    items.sort(key=lambda item: turn.get(item.path.relative_to(HERE).parts[0], len(LONGEST)))
