"""One started tasktap and one upstream for all tests of a worker that need nothing special."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.proc import Tasktap, serving
from tests.upstream import Upstream


@pytest.fixture(scope="session")
def the_upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, the_upstream: Upstream) -> Iterator[Tasktap]:
    """A tasktap with nothing unusual; when all is over its figures must add up."""
    config = f"""
        default_upstream = "main"
        [upstreams.main]
        url = "{the_upstream.url}"
        [upstreams.other]
        url = "{the_upstream.url}/deep/prefix"
        [upstreams.keyed]
        url = "{the_upstream.url}"
        key = "sk-configured-0001"
        [upstreams.always]
        url = "{the_upstream.url}"
        key = "sk-configured-0002"
        key_mode = "always"
        [upstreams.x-key]
        url = "{the_upstream.url}"
        key = "sk-configured-0003"
        auth = "x-api-key"
        [upstreams.azure]
        url = "{the_upstream.url}"
        key = "sk-configured-0004"
        auth = "api-key"
        [upstreams.google]
        url = "{the_upstream.url}"
        key = "sk-configured-0005"
        auth = "x-goog-api-key"
    """
    with serving(tmp_path_factory.mktemp("house"), config) as house:
        yield house
        status = house.quiet()
        assert status["lost"] == 0
        assert status["carried"] == status["stored"] + status["waiting"] + status["lost"]


@pytest.fixture
def upstream(the_upstream: Upstream) -> Iterator[Upstream]:
    """The shared upstream; every tape put in must have been played when the test ends."""
    yield the_upstream
    the_upstream.check()


@pytest.fixture(params=["direct", "proxied"])
def door(request: pytest.FixtureRequest, upstream: Upstream) -> tuple[str, int]:
    """Where to call: the upstream itself (which proves the test), or through tasktap."""
    if request.param == "direct":
        return upstream.address
    house: Tasktap = request.getfixturevalue("house")
    return house.calls
