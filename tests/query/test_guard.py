"""Nobody asks the desk who may not, on any route there is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiohttp.test_utils import TestClient
from multidict import CIMultiDict

from proxy.query.api import ACTS, ROUTES
from proxy.query.dashboard.pages import PAGES
from proxy.query.guard import HEADERS, Desk, bare, refusal, same_origin
from tests.query.conftest import Ask
from tests.query.examples import LOCKED, OPEN, desk

KEY = "Bearer sésame"
PATHS = [route.path.replace("{id}", "t-full") for route in ROUTES]
CLOSED = [route.path.replace("{id}", "t-full") for route in ROUTES if not route.open]


async def test_the_table_is_the_router_so_that_every_route_is_tested_here(store):
    served = {resource.canonical for resource in desk(store).router.resources()}
    assert served == {route.path for route in (*ROUTES, *ACTS, *PAGES)}


async def test_only_health_and_readiness_are_answered_without_the_key():
    assert {route.path for route in ROUTES if route.open} == {"/healthz", "/readyz"}


async def status_of(client: TestClient, path: str, method: str = "GET", **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.request(method, path, headers=named) as answer:
        for name, value in HEADERS.items():
            assert answer.headers.getall(name) == [value]
        if method != "HEAD" and answer.status >= 400:
            assert set((await answer.json())["error"]) == {"message", "type", "code", "param"}
        if answer.status == 401:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        return answer.status


@pytest.mark.parametrize("path", CLOSED)
async def test_with_a_key_a_route_wants_it(ask: Ask, path: str):
    client = await ask(LOCKED)
    for wrong in ({}, {"Authorization": "Bearer sesame"}, {"Authorization": "Basic sésame"}, {"Authorization": "sésame"},
                  {"Authorization": "Bearer"}, {"Authorization": "Bearer sésame2"}, {"X-Api-Key": "sésame"}):  # fmt: skip
        assert await status_of(client, path, **wrong) == 401
    assert await status_of(client, f"{path}?key=sésame") == 401
    assert await status_of(client, path, Authorization=KEY) in {200, 404}
    assert await status_of(client, path, Authorization="bearer  sésame") in {200, 404}


@pytest.mark.parametrize("path", ["/nothing", "/api/tasks/x/y", "/%68ealthz/x"])
async def test_without_the_key_nobody_learns_which_paths_there_are(ask: Ask, path: str):
    assert await status_of(await ask(LOCKED), path) == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_needs_no_key(ask: Ask, path: str):
    assert await status_of(await ask(LOCKED), path) == 200


@pytest.mark.parametrize("path", CLOSED)
async def test_on_loopback_without_a_key_any_bearer_is_accepted(ask: Ask, path: str):
    client = await ask(OPEN)
    assert await status_of(client, path) in {200, 404}
    assert await status_of(client, path, Authorization="Bearer whatever") in {200, 404}


@pytest.mark.parametrize("path", CLOSED)
async def test_a_desk_that_others_can_reach_never_answers_without_a_key(ask: Ask, path: str):
    assert await status_of(await ask(replace(OPEN, loopback=False)), path) == 403


@pytest.mark.parametrize("path", PATHS)
async def test_a_foreign_host_is_misdirected(ask: Ask, path: str):
    client = await ask(LOCKED)
    for host in (
        "evil.example",
        "evil.example:8901",
        "desk.example.evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
    ):
        assert await status_of(client, path, Host=host, Authorization=KEY) == 421


OWN = ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8901", "[::1]", "[::1]:8901", "[0:0:0:0:0:0:0:1]"]
NAMED = ["desk.example", "Desk.Example:443", "desk.example."]


@pytest.mark.parametrize("host", OWN + NAMED)
async def test_the_desks_own_hosts_are_known(ask: Ask, host: str):
    assert await status_of(await ask(LOCKED), "/api/status", Host=host, Authorization=KEY) == 200


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://desk.example:1"},
    {"Origin": ""},
    {"Sec_Fetch_Site": "cross-site"},
)


@pytest.mark.parametrize("path", PATHS)
async def test_another_sites_page_may_not_change_anything(ask: Ask, path: str):
    client = await ask(LOCKED)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for foreign in FOREIGN:
            assert await status_of(client, path, method, Host="desk.example", Authorization=KEY, **foreign) == 403
        own = {"Origin": "http://desk.example", "Sec_Fetch_Site": "same-origin"}
        assert await status_of(client, path, method, Host="desk.example", Authorization=KEY, **own) in {
            405,
            503,
        }  # 503: without its act
    if path not in {"/healthz", "/readyz"}:
        assert await status_of(client, path, "POST", Host="desk.example") == 401


def refused(address: str | None = "10.0.0.7", who: Desk = OPEN, **headers: str) -> int | None:
    no = refusal("GET", CIMultiDict(headers), address, who, open=False)
    return no and no.status


def test_the_bound_address_is_a_known_host_and_no_other_is():
    assert refused(Host="10.0.0.7:8901") is None
    assert refused(Host="10.0.0.8:8901") == 421
    assert refused("::ffff:10.0.0.7", Host="10.0.0.7") is None
    assert refused("fe80::1%eth0", Host="[fe80::1]:8901") is None
    assert refused(None, Host="10.0.0.7") == 421


def test_a_request_without_a_host_or_with_two_is_misdirected():
    assert refused() == 421
    two = CIMultiDict([("Host", "localhost"), ("Host", "evil.example")])
    no = refusal("GET", two, "10.0.0.7", OPEN, open=True)
    assert no is not None
    assert no.status == 421


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("A.B:80", "a.b"),
        ("[::1]:80", "::1"),
        ("::1", "::1"),
        ("a.b.", "a.b"),
        ("[::1", "::1"),
        ("127.0.0.1:x", "127.0.0.1"),
        (":", ""),
    ],
)
def test_a_host_is_bared_of_its_port(host: str, name: str):
    assert bare(host) == name


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://desk:8901", "desk:8901", True), ("https://desk", "desk", True), ("https://desk", "desk:443", True),
        ("http://desk", "desk:80", True), ("http://desk:8901", "desk:8902", False), ("http://desk", "desk:8901", False),
        ("http://DESK", "desk", True), ("http://[::1]:1", "[::1]:1", True), ("ftp://desk", "desk", False),
        ("desk", "desk", False),
        ("http://desk:x", "desk", False), ("null", "null", False), ("http://desk@evil", "desk", False),
    ],
)  # fmt: skip
def test_an_origin_is_the_same_or_it_is_not(origin: str, host: str, same: bool):
    assert same_origin(origin, host) is same


def test_the_key_is_in_no_repr():
    assert "sésame" not in repr(LOCKED)
