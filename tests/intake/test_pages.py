"""Pages of other sites: they may give feedback where the desk takes it, and nothing else."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.query.pace import Pace
from tests.proc import Tasktap, serving

SITE = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
KEYED = 'key = "the-desk-key"\nfeedback_key = "for-pages"\n'


def ask(house: Tasktap, method: str, path: str, body: Any = None, **fields: str) -> tuple[int, dict[str, str], Any]:
    """Status, fields and JSON of an answer."""
    connection = http.client.HTTPConnection(*house.address("desk"), timeout=10)
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), named)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, dict(answer.getheaders()), json.loads(text) if text else None
    finally:
        connection.close()


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Tasktap]:
    """A desk of each test's own: it counts the wrong keys that come from an address."""
    with serving(tmp_path, f"[desk]\n{KEYED}") as house:
        yield house


PATHS = ("/api/tasks/t-1/feedback", "/v2/tasks/t-1/flag", "/v2/tasks/t-1/human-eval")
BODIES = ({"flag": "success"}, {"flag": "success", "project_id": "p"}, {"human_eval": "success"})


@pytest.mark.parametrize(("path", "body"), list(zip(PATHS, BODIES, strict=True)))
def test_a_page_gives_feedback_with_the_feedback_key(keyed, path, body):
    status, fields, _ = ask(
        keyed, "OPTIONS", path, Access_Control_Request_Method="POST", **{k.replace("-", "_"): v for k, v in SITE.items()}
    )
    assert (status, fields["Access-Control-Allow-Origin"], fields["Access-Control-Allow-Methods"]) == (204, "*", "POST")
    assert "authorization" in fields["Access-Control-Allow-Headers"]
    site = {name.replace("-", "_"): value for name, value in SITE.items()}
    status, fields, _ = ask(keyed, "POST", path, body, Authorization="Bearer for-pages", **site)
    assert (status in {200, 202}, fields["Access-Control-Allow-Origin"]) == (True, "*")
    for bad in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer the-desk-key"}):
        status, fields, _ = ask(keyed, "POST", path, body, **bad, **site)
        assert (status, fields["Access-Control-Allow-Origin"]) == (403, "*"), "the desk's own key is for the desk's own pages"
    assert ask(keyed, "POST", path, body, Authorization="Bearer the-desk-key")[0] in {200, 202}


def test_the_feedback_key_opens_nothing_else(keyed):
    other = ask(
        keyed, "POST", "/api/tasks/t-1/feedback", {"flag": "success"}, Host="evil.example", Authorization="Bearer for-pages"
    )
    assert other[0] == 421
    for method, path in (
        ("GET", "/api/tasks"), ("GET", "/api/tasks/t-1"), ("POST", "/api/tasks"), ("PATCH", "/api/tasks/t-1"), ("GET", "/"),
        ("POST", "/v2/log/p"), ("GET", "/v2/tasks/t-1"), ("POST", "/v2/tasks/t-1"), ("POST", "/v3/otl/p"), ("GET", "/metrics"),
    ):  # fmt: skip
        status, fields, _ = ask(keyed, method, path, {} if method != "GET" else None, Authorization="Bearer for-pages")
        assert (status, "Access-Control-Allow-Origin" in fields) == (401, False), path


def test_without_such_a_key_no_other_sites_page_gives_feedback(tmp_path):
    with serving(tmp_path) as house:
        site = {name.replace("-", "_"): value for name, value in SITE.items()}
        status, fields, _ = ask(house, "POST", PATHS[0], BODIES[0], **site)
        assert (status, "Access-Control-Allow-Origin" in fields) == (403, False)
        assert ask(house, "OPTIONS", PATHS[0], Access_Control_Request_Method="POST", **site)[0] == 405
        assert ask(house, "POST", PATHS[0], BODIES[0])[0] == 202


def test_a_desk_that_is_open_to_feedback_takes_it_from_anybody_but_not_too_often(tmp_path):
    with serving(tmp_path, '[desk]\nkey = "the-desk-key"\nopen_feedback = true\n') as house:
        log_status, _, _ = ask(house, "POST", "/api/tasks", {"task_id": "t-1", "input": "q"}, Authorization="Bearer the-desk-key")
        assert log_status == 200
        site = {name.replace("-", "_"): value for name, value in SITE.items()}
        statuses = [ask(house, "POST", "/v2/tasks/t-1/flag", {"flag": "failure"}, **site)[0] for _ in range(60)]
        assert statuses[:20] == [200] * 20
        assert 429 in statuses
        status, fields, answer = ask(house, "POST", "/v2/tasks/t-1/flag", {"flag": "failure"}, **site)
        if status == 429:
            assert (answer["error"]["code"], int(fields["Retry-After"]) >= 1) == ("too_often", True)
        assert ask(house, "GET", "/api/tasks", **site)[0] == 401


def test_a_pace_gives_each_address_so_much_at_once_and_then_so_much_a_minute():
    pace = Pace(3, 60)
    assert [pace.wait("a", 0.0) for _ in range(3)] == [0.0] * 3
    assert pace.wait("a", 0.0) == pytest.approx(1.0)
    assert pace.wait("b", 0.0) == 0.0
    assert pace.wait("a", 1.0) == 0.0
    assert pace.wait("a", 1.5) == pytest.approx(0.5)


def test_logging_goes_on_beside(keyed):
    assert ask(keyed, "POST", "/api/tasks", {"input": "q"}, Authorization="Bearer the-desk-key")[0] == 200
