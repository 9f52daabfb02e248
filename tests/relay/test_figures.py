"""What tasktap says of itself: how calls ended, how often a limit was met, and no word of who called."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.proc import Tasktap, serving, soon
from tests.relay.caller import CHAT_STREAM, Caller, chat, once
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event, gate, ok

CONFIG = """
default_upstream = "main"
[upstreams.main]
url = "{}"
[listen]
max_head_bytes = 2048
max_target_bytes = 1024
max_calls = 1
[capture]
max_body = 1024
[journal]
patience_ms = 5000
"""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.check()
    upstream.close()


def samples(house: Tasktap) -> dict[str, float]:
    status, text = house.fetch("/metrics")
    assert status == 200
    families = text_string_to_metric_families(text.decode())
    return {each.name + "".join(each.labels.values()): each.value for family in families for each in family.samples}


def test_limits_and_endings_are_counted(tmp_path: Path, upstream: Upstream) -> None:
    go_on = threading.Event()
    with serving(tmp_path / "house", CONFIG.format(upstream.url)) as house:
        assert once(house.calls, chat(b"X-Long: " + b"a" * 4096)).status == 431
        assert once(house.calls, b"GET /" + b"a" * 1500 + b" HTTP/1.1\r\nHost: x\r\n\r\n").status == 414
        upstream.play(ok(b"." * 3000))
        once(house.calls, chat(b"X-Session-Id: who-asked", b"X-User-Id: somebody"))
        upstream.play(STREAM_HEAD + chunk(event("a")), gate(go_on), chunk(DONE) + b"0\r\n\r\n")
        with Caller(house.calls) as caller:
            caller.send(chat(body=CHAT_STREAM))
            while b'"a"' not in caller.wire.buffer:
                caller.wire.need()
            assert once(house.calls, chat()).status == 503
            assert samples(house)["tasktap_open_streams"] == 1
            go_on.set()
            caller.answer()
        status = house.quiet()
        whole = house.get("/api/status")
        assert status["carried"] == 3
        assert whole["endings"]["completed"] == 2
        assert whole["endings"]["rejected"] == 1
        assert whole["open_streams"] == 0
        assert {name: count for name, count in whole["limits"].items() if count} == {
            "capture.max_body": 1,
            "listen.max_calls": 1,
            "listen.max_head_bytes": 1,
            "listen.max_target_bytes": 1,
        }
        found = soon(lambda: samples(house) if samples(house)["tasktap_calls_totalstored"] == 3 else None)
        assert found["tasktap_held_seconds_count"] >= 1
        assert found["tasktap_store_commit_seconds_count"] >= 1
        text = house.fetch("/metrics")[1]
        assert b"who-asked" not in text
        assert b"somebody" not in text
