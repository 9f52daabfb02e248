"""`tasktap forget` and POST /api/forget: what was forgotten is in no file of the data directory, and does not come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.proc import Tasktap, serving, soon
from tests.relay.caller import once, request
from tests.store.test_scrub import places
from tests.upstream import Upstream, ok

ROOT = Path(__file__).parents[1]


def forget(house: Tasktap, **body: Any) -> tuple[int, dict[str, Any]]:
    asked = urllib.request.Request(
        f"{house.run['desk']}/api/forget", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=150) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def command(house: Tasktap, *words: str, code: int = 0) -> str:
    files = ["--config", str(house.config), "--data-dir", str(house.data)]
    ran = subprocess.run(
        [sys.executable, "-m", "proxy", "forget", *words, *files],
        cwd=ROOT,
        env=house.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ran.returncode == code, f"{ran.returncode}: {ran.stdout}{ran.stderr}"
    return ran.stdout + ran.stderr


def talk(house: Tasktap, upstream: Upstream, who: str, turns: int) -> None:
    """A chat of some turns: everything in it says whose it is."""
    messages = [{"role": "system", "content": f"You serve {who}."}]
    for turn in range(turns):
        messages.append({"role": "user", "content": f"{who} asks {turn} " * 30})
        answer = {"role": "assistant", "content": f"{who} hears {turn} " * 40}
        done = {"id": f"c-{who}-{turn}", "choices": [{"index": 0, "message": answer, "finish_reason": "stop"}]}
        upstream.play(ok(json.dumps(done).encode()))
        messages.append(answer)
        labels = f"X-Session-Id: chat-of-{who}\r\nX-User-Id: {who}\r\nX-Task-Id: {who}.{turn}".encode().split(b"\r\n")
        body = json.dumps({"model": "m", "messages": messages[:-1]}).encode()
        assert once(house.calls, request(b"POST", b"/v1/chat/completions", *labels, body=body)).status == 200
        house.task(f"{who}.{turn}")


@pytest.fixture
def house(tmp_path, the_upstream):
    with serving(tmp_path, f'default_upstream = "main"\n[upstreams.main]\nurl = "{the_upstream.url}"\n') as house:
        yield house


@pytest.fixture
def the_upstream():
    upstream = Upstream()
    yield upstream
    upstream.check()
    upstream.close()


def test_a_user_is_forgotten_everywhere_and_does_not_come_back(house, the_upstream):
    for who in ("alice", "mallory", "bob"):
        talk(house, the_upstream, who, 3)
    assert len(places(house.data, b"mallory")) >= 3  # the journal, the store, its log or records
    status, said = forget(house, user_id="mallory", dry_run=True)
    assert (status, said) == (200, {"tasks": 3, "dry_run": True})
    status, said = forget(house, user_id="mallory")
    assert (status, said["tasks"], said["sessions"], said["users"], said["clean"]) == (200, 3, 1, 1, True)
    assert said["journal_records"] >= 6
    assert places(house.data, b"mallory") == set()
    assert house.fetch("/api/users/mallory")[0] == 404
    assert [item["id"] for item in house.get("/api/users")["items"]] == ["bob", "alice"]
    desk = house.pid("desk")
    os.kill(desk, signal.SIGKILL)  # the next one reads the journal from its start
    house.successor("desk", desk)
    talk(house, the_upstream, "carol", 1)
    assert house.fetch("/api/tasks/mallory.1")[0] == 404
    assert places(house.data, b"mallory") == set()
    assert house.task("alice.2")["input"].startswith("alice asks 2")
    calls = house.status()
    assert calls["carried"] == calls["stored"] + calls["waiting"] + calls["lost"] == 10
    assert calls["lost"] == 0


def post(house: Tasktap, path: str, body: dict[str, Any]) -> int:
    asked = urllib.request.Request(
        f"{house.run['desk']}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=150) as answer:
        return int(answer.status)


def test_what_an_app_logged_and_a_user_said_is_forgotten_too(house, the_upstream):
    talk(house, the_upstream, "alice", 1)
    logged = {"id": "m.1", "input": "mallory asks", "output": "mallory hears", "user_id": "mallory", "session_id": "of-mallory"}
    assert post(house, "/api/tasks", {"tasks": [logged]}) == 200
    for id in ("alice.0", "not-there-yet"):
        said = {"flag": "failure", "comment": "mallory grumbles", "user_id": "mallory"}
        assert post(house, f"/api/tasks/{id}/feedback", said) < 300
    soon(lambda: house.get("/api/tasks/alice.0")["feedback"], "the feedback")
    assert house.task("m.1")["output"] == "mallory hears"
    status, found = forget(house, user_id="mallory")
    assert (status, found["tasks"], found["settled"], found["clean"]) == (200, 1, True, True)
    assert found["feedback"] == 2
    assert places(house.data, b"mallory") == set()
    assert house.get("/api/tasks/alice.0")["flag"] is None
    desk = house.pid("desk")
    os.kill(desk, signal.SIGKILL)  # the next one reads both journals from their starts
    house.successor("desk", desk)
    talk(house, the_upstream, "carol", 1)
    assert house.fetch("/api/tasks/m.1")[0] == 404
    assert places(house.data, b"mallory") == set()


def test_the_command_forgets_through_the_desk_and_without_it(house, the_upstream):
    for who in ("alice", "mallory"):
        talk(house, the_upstream, who, 2)
    assert "2 tasks would be forgotten" in command(house, "--user", "mallory", code=2)
    assert "2 tasks would be forgotten" in command(house, "--user", "mallory", "--dry-run")
    assert places(house.data, b"mallory") != set()
    assert "Forgotten: 1 tasks" in command(house, "--task", "mallory.0", "--yes")
    assert house.fetch("/api/tasks/mallory.0")[0] == 404
    assert house.fetch("/api/tasks/mallory.1")[0] == 200
    os.kill(house.pid("supervisor"), signal.SIGKILL)
    house.kill_all()  # nothing is drained: the journal still holds the calls
    said = json.loads(command(house, "--session", "chat-of-mallory", "--yes", "--json"))
    assert (said["tasks"], said["sessions"], said["users"]) == (1, 1, 1)
    assert places(house.data, b"mallory") == set()
    assert "Forgotten: 2 tasks" in command(house, "--before", "2100-01-01", "--yes")
    assert places(house.data, b"alice") == set()
    house.start()


def test_what_says_nothing_to_forget_by_is_refused(house):
    for body in ({}, {"project_id": "p"}, {"dry_run": True}):
        status, said = forget(house, **body)
        assert (status, said["error"]["param"]) == (400, "body")
    assert forget(house, user="u")[0] == 400
    assert forget(house, before="soon")[0] == 400
    assert "--user, --session" in command(house, "--project", "p", "--yes", code=2)
    assert "--before" in command(house, "--before", "soon", "--yes", code=2)


def test_retention_works_by_itself(tmp_path, the_upstream):
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{the_upstream.url}"\n'
    with serving(tmp_path / "one", config) as house:
        talk(house, the_upstream, "alice", 2)
    house = Tasktap(tmp_path / "one", config + "[retention]\nmax_age = 0.00001\n").start()
    try:
        soon(lambda: house.get("/api/status")["retention"]["tasks"] == 2, "two tasks retired")
        assert house.get("/api/tasks")["items"] == []
    finally:
        house.stop()
