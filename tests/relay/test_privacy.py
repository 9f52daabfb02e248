"""What a caller, or the configuration, keeps out of the record is nowhere; the call itself is carried as any other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proc import Tasktap, files, serving
from tests.relay.caller import chat, once
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event, ok

ASKED, ANSWERED = "what-was-asked-9d1f", "what-was-answered-77c2"
BODY = json.dumps({"model": "m-1", "messages": [{"role": "user", "content": ASKED}]}).encode()
ANSWER = json.dumps({"choices": [{"message": {"role": "assistant", "content": ANSWERED}, "finish_reason": "stop"}]}).encode()
STREAM = STREAM_HEAD + chunk(event(ANSWERED)) + chunk(DONE) + b"0\r\n\r\n"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.check()
    upstream.close()


def config(upstream: Upstream, more: str = "") -> str:
    return f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n{more}'


def written(house: Tasktap) -> bytes:
    """Everything that is on disk now: after an idle moment, and before the store is closed."""
    return b"".join(files(house.data).values())


def kept(house: Tasktap, upstream: Upstream, *fields: bytes, answer: bytes = ok(ANSWER)) -> dict[str, Any]:
    tape = upstream.play(answer)
    got = once(house.calls, chat(b"X-Session-Id: s-1", *fields, body=BODY))
    assert ANSWERED.encode() in got.body.data
    assert tape.body.data == BODY
    return house.task(got.id)


@pytest.mark.parametrize("answer", [ok(ANSWER), STREAM])
def test_metadata_only_keeps_no_body_and_says_so(tmp_path: Path, upstream: Upstream, answer: bytes) -> None:
    with serving(tmp_path / "house", config(upstream)) as house:
        task = kept(house, upstream, b"X-Task-Privacy: metadata-only", b"X-User-Id: u-1", answer=answer)
        assert (task["input"], task["output"], task["raw_input"], task["raw_output"]) == (None, None, None, None)
        assert {"request.body", "response.body"} <= set(task["redactions"])
        assert (task["session_id"], task["user_id"], task["ending"], task["http_status"]) == ("s-1", "u-1", "completed", 200)
        assert task["request_size"] == len(BODY)
        assert task["response_size"] >= len(ANSWERED)
        assert task["problems"] == []
        assert house.fetch(f"/api/tasks/{task['id']}/request") == (200, b"")
        house.quiet()
        for secret in (ASKED, ANSWERED):
            assert secret.encode() not in written(house)


def test_no_record_leaves_a_count_and_nothing_else(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path / "house", config(upstream)) as house:
        for answer in (ok(ANSWER), STREAM):
            upstream.play(answer)
            got = once(house.calls, chat(b"X-Task-Privacy: no-record", b"X-Session-Id: nobody-5ab0", body=BODY))
            assert ANSWERED.encode() in got.body.data
            assert got.id
        task = kept(house, upstream)
        status = house.quiet()
        assert (status["carried"], status["stored"]) == (1, 1)
        assert house.get("/api/status")["unrecorded"] == 2
        assert house.fetch(f"/api/tasks/{got.id}")[0] == 404
        assert task["output"] == ANSWERED
        assert b"nobody-5ab0" not in written(house)


@pytest.fixture(scope="module")
def one_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tasktap, Upstream]]:
    """For tests that look at nothing but their own task."""
    upstream = Upstream()
    with serving(tmp_path_factory.mktemp("house"), config(upstream, '[capture]\nprivate_projects = ["hushed"]\n')) as house:
        yield house, upstream
    upstream.check()
    upstream.close()


@pytest.mark.parametrize(
    ("field", "out"),
    [
        (b"Helicone-Omit-Request: true", {"request.body"}),
        (b"Helicone-Omit-Response: true", {"response.body"}),
        (b"x-portkey-debug: false", {"request.body", "response.body"}),
        (b"X-Task-Privacy: none", set()),
        (b"X-Project-Id: hushed", {"request.body", "response.body"}),
        (b"X-Task-Privacy: hush", {"request.body", "response.body"}),
    ],
)
def test_other_words_for_it(one_for_all: tuple[Tasktap, Upstream], field: bytes, out: set[str]) -> None:
    task = kept(*one_for_all, field)
    assert set(task["redactions"]) == out
    assert (task["input"] is None) == ("request.body" in out)
    assert (task["output"] is None) == ("response.body" in out)
    assert bool(task["problems"]) == (field == b"X-Task-Privacy: hush")


def test_a_setting_holds_for_every_call_and_a_caller_cannot_loosen_it(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path / "house", config(upstream, '[capture]\nprivacy = "metadata-only"\n')) as house:
        task = kept(house, upstream, b"X-Task-Privacy: none")
        assert set(task["redactions"]) == {"request.body", "response.body"}
        house.quiet()
        assert ASKED.encode() not in written(house)
