"""Where the time of a call goes before its answer begins: a connection that had to be made, a request that came in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proc import Tasktap, serving, soon
from tests.relay.caller import CHAT, Answer, Caller, chat, once, request
from tests.upstream import Upstream, ok


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.check()
    upstream.close()


def task(house: Tasktap, answer: Answer) -> dict[str, Any]:
    path = f"/api/tasks/{answer.id.decode()}"
    soon(lambda: house.fetch(path)[0] == 200)
    return house.get(path)


def test_the_time_to_a_new_connection_is_told_and_of_one_that_was_there_none(tmp_path: Path, upstream: Upstream) -> None:
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n'
    with serving(tmp_path / "house", config) as house:
        upstream.play(ok())
        upstream.play(ok())
        with Caller(house.calls) as caller:
            first = caller.send(chat()).answer()
            second = caller.send(chat()).answer()
        new, kept = task(house, first), task(house, second)
        assert 0 < new["seconds_to_connect"] < new["seconds_to_first_byte"]
        assert kept["seconds_to_connect"] is None
        assert (new["seconds_to_sent"], kept["seconds_to_sent"]) == (None, None)


def test_the_time_until_a_whole_request_had_come_is_told(tmp_path: Path, upstream: Upstream) -> None:
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n'
    with serving(tmp_path / "house", config) as house:
        upstream.play(ok())
        answer = once(house.calls, request(body=b"{" + b" " * 400_000 + b"}"))
        told = task(house, answer)
        assert 0 < told["seconds_to_sent"] <= told["seconds_to_first_byte"]
        page = house.fetch(f"/tasks/{answer.id.decode()}")[1].decode()
        assert "connecting" in page


def test_the_upstream_has_a_call_before_its_record_is_made(tmp_path: Path, upstream: Upstream) -> None:
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n'
    with serving(tmp_path / "house", config, _TASKTAP_FAULT="tap.begin:2:kill") as house:
        upstream.play(ok())
        once(house.calls, chat())  # from now on a connection waits
        tape = upstream.play(ok())
        with Caller(house.calls) as caller:
            caller.send(chat()).ended()
        assert tape.body.data == CHAT
