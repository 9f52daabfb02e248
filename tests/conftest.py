"""What no test may depend on: how fast this machine is just now, and, where a check has to be repeatable, on luck."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.dealing import dealt
from tests.idle import busy, others

HERE = Path(__file__).parent

# What is held to a time is held to it by a test that says so. An example that a busy machine made late is no finding.
settings.register_profile("tasktap", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("check", settings.get_profile("tasktap"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tasktap"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with tests that take long: what is left at the end is short."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = dealt(items, lambda item: item.path.relative_to(HERE).parts[0], workers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """No file leaves a thread that goes round and round: it would take a core from all that comes after."""
    yield
    if nextitem is None or nextitem.path != item.path:
        assert not busy(), f"something goes on working after {item.path.name}: one of {others()}"
