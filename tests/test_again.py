"""`tasktap reprice` and its kin, through a running desk and without one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from proxy.server import data_dir
from proxy.store import open_store
from tests.proc import Tasktap, clean_environment, serving
from tests.record.test_reread import read_as_before
from tests.sockets import PATIENCE
from tests.store.tasks import a_task
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event

pytestmark = pytest.mark.timeout(300)  # they start many processes, one after another
ROOT = Path(__file__).parents[1]
OWN = '[prices."gpt-5*"]\ninput = 1.0\noutput = 2.0\n'


def tasktap(place: Path, *words: str, code: int = 0) -> str:
    """What a command prints, standard error after standard output."""
    files = ["--config", str(place / "tasktap.toml"), "--data-dir", str(place / "data")]
    ran = subprocess.run(
        [sys.executable, "-m", "proxy", *words, *files],
        cwd=ROOT,
        env=clean_environment(COLUMNS="120"),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ran.returncode == code, f"{ran.returncode}: {ran.stdout}{ran.stderr}"
    return ran.stdout + ran.stderr


def kept_in(place: Path, *tasks) -> None:
    async def save() -> None:
        store = await open_store("sqlite:", place / "data", write=True)
        await store.save(tasks)
        await store.close()

    (place / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(save())


@pytest.fixture
def place(tmp_path):
    (tmp_path / "tasktap.toml").write_text(OWN)
    carried = [a_task(n, cost=None, method="POST") for n in range(3)]
    kept_in(tmp_path, *carried, a_task(3, model="other", model_requested=None, method="POST"))
    return tmp_path


def test_without_a_desk_costs_are_reckoned_under_the_lock(place):
    assert "2 tasks read, 2 would change" in tasktap(place, "reprice", "--dry-run", "--session", "s0")
    assert json.loads(tasktap(place, "show", "id-2", "--json"))["cost"] is None
    said = tasktap(place, "reprice", "--model", "gpt-5")
    assert "gpt-5-2026-01-01" in said
    assert "3 tasks read, 3 changed" in said
    assert json.loads(tasktap(place, "show", "id-2", "--json"))["cost"] == pytest.approx((10 + 2 * 2) / 1e6)
    again = json.loads(tasktap(place, "reprice", "--json"))
    assert (again["read"], again["changed"]) == (4, 1)
    assert again["models"] == [{"model": "other", "changed": 1, "learned": 0, "forgotten": 1, "before": 0.001, "after": 0.0}]


def test_while_another_holds_the_data_it_says_so(place):
    lock = data_dir.lock(place / "data", "lock")
    assert "its desk does not answer" in tasktap(place, "reprice", code=3)
    os.close(lock)


def test_where_nothing_is_stored_nothing_is_made(tmp_path):
    (tmp_path / "tasktap.toml").write_text("")
    assert "nothing is stored yet" in tasktap(tmp_path, "reprice")
    assert not (tmp_path / "data").exists()
    assert "--ending" in tasktap(tmp_path, "reprice", "--ending", "complete", code=2)


def test_without_a_desk_bytes_are_read_again_under_the_lock(place):
    kept_in(place, read_as_before(7), read_as_before(8))
    said = tasktap(place, "reread", "--kind", "chat", "--dry-run")
    assert "6 tasks read, 2 would change, 4 that were not read from bytes left alone" in said
    assert json.loads(tasktap(place, "show", "t7", "--json"))["output"] == "nonsense"
    said = tasktap(place, "reread", "--task", "t7")
    assert "1 task read, 1 changed." in said
    assert [line.split()[:2] for line in said.splitlines() if line.startswith("output ")] == [["output", "1"]]
    assert "nonsense" in said
    done = json.loads(tasktap(place, "reread", "--json"))
    assert (done["read"], done["changed"], done["skipped"], done["fields"]["output"]) == (6, 1, 4, 1)
    assert {"id": "t8", "field": "output", "before": "nonsense", "after": "Hello"} in done["examples"]
    assert json.loads(tasktap(place, "show", "t8", "--json"))["output"] == "Hello"
    assert 'no task "nobody"' in tasktap(place, "reread", "--task", "nobody", code=1)


ANSWER = {
    "id": "c1", "object": "chat.completion", "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
}  # fmt: skip


def call(house: Tasktap, model: str = "gpt-4o") -> None:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    request = urllib.request.Request(
        f"{house.run['calls']}/v1/chat/completions",
        body,
        {"Content-Type": "application/json", "X-Session-Id": "s", "X-User-Id": "u"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
        answer.read()


def test_a_running_desk_prices_what_it_stores_and_reprices_it_when_asked(tmp_path):
    upstream = Upstream()
    body = json.dumps(ANSWER).encode()
    upstream.play(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    config = f'[upstreams.openai]\nurl = "{upstream.url}"\nprovider = "openai"\n'
    with serving(tmp_path, config) as house:
        call(house)
        house.quiet()
        task = house.newest(session_id="s")
        assert task["cost"] == 0.0035
        assert task["price"]["provider"] == "openai"
        assert house.get("/api/sessions/s")["cost"] == house.get("/api/users/u")["cost"] == 0.0035
        assert "1 task read, 0 changed." in tasktap(tmp_path, "reread")
        house.stop()
        house.config.write_text(config + '[prices."gpt-4o*"]\ninput = 10.0\noutput = 0\n')
        house.start()
        assert "1 task read, 1 would change: $0.003500 → $0.010000 (+$0.006500)" in tasktap(tmp_path, "reprice", "--dry-run")
        assert "1 changed" in tasktap(tmp_path, "reprice")
        task = house.newest(session_id="s")
        assert (task["cost"], task["price"]["source"]) == (0.01, "config")
        assert house.get("/api/sessions/s")["cost"] == house.get("/api/users/u")["cost"] == 0.01
    upstream.check()
    upstream.close()


def test_a_stream_that_nobody_counted_is_estimated_where_it_is_asked_for(tmp_path):
    upstream = Upstream()
    answer = b"".join(chunk(part) for part in (event("Hello "), event("there."), event("", '"stop"'), DONE)) + b"0\r\n\r\n"
    for _ in range(2):
        upstream.play(STREAM_HEAD + answer)
    config = f'[upstreams.openai]\nurl = "{upstream.url}"\n[prices."*"]\ninput = 1\noutput = 2\n'
    with serving(tmp_path, config) as house:
        call(house)
        house.quiet()
        first = house.newest(session_id="s")
        assert (first["output"], first["usage"], first["cost"]) == ("Hello there.", None, None)
        house.stop()
        house.config.write_text(config + "[usage]\nestimate = true\n")
        house.start()
        call(house)
        house.quiet()
        usage = {"source": "estimated", "input_tokens": 7, "output_tokens": 3}
        second = house.newest(session_id="s")
        assert {name: second["usage"][name] for name in usage} == usage
        assert (second["cost"], second["price"]["tokens"]) == (pytest.approx(13e-6), "estimated")
        assert "2 tasks read, 1 changed." in tasktap(tmp_path, "reread")
        again = house.task(first["id"])
        assert (again["usage"], again["cost"]) == (second["usage"], second["cost"])
        assert house.get("/api/sessions/s")["output_tokens"] == 6
    upstream.check()
    upstream.close()
