"""Each limit holds, and is counted in `/api/status`; of a body that is too long the beginning and the end are kept."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.record.board import LIMITS
from tests.proc import Tasktap, files, serving, soon
from tests.relay.caller import Caller, chat, once, request
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event, hang, ok

LIMIT = 4096
CONFIG = """
default_upstream = "main"
[upstreams.main]
url = "{}"
timeouts = {{first_byte = 2, idle = 2}}
[listen]
header_seconds = 2
[capture]
max_body = {}
"""


@pytest.fixture(scope="module")
def the_upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def upstream(the_upstream: Upstream) -> Iterator[Upstream]:
    yield the_upstream
    the_upstream.check()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, the_upstream: Upstream) -> Iterator[Tasktap]:
    with serving(tmp_path_factory.mktemp("limits"), CONFIG.format(the_upstream.url, LIMIT)) as house:
        yield house


def met(house: Tasktap) -> dict[str, int]:
    return {name: count for name, count in house.get("/api/status")["limits"].items() if count}


def more(house: Tasktap, before: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in met(house).items() if count != before.get(name, 0)}


# --- capture.max_body ---


def test_of_a_long_body_the_beginning_and_the_end_are_kept_with_a_mark_between(house: Tasktap, upstream: Upstream) -> None:
    asked = b'{"messages":[{"role":"user","content":"BEGIN ' + b"a" * 9000 + b' END"}]}'
    said = b'{"choices":[' + b"b" * 20000 + b"FINIS]}"
    before = met(house)
    tape = upstream.play(ok(said))
    got = once(house.calls, chat(body=asked))
    assert (got.body.data, tape.body.data) == (said, asked)
    task = house.task(got.id)
    for part, whole, first, last in (
        ("request", asked, b'{"messages"', b' END"}]}'),
        ("response", said, b'{"choices"', b"FINIS]}"),
    ):
        kept = house.fetch(f"/api/tasks/{task['id']}/{part}")[1]
        assert kept.startswith(first)
        assert kept.endswith(last)
        assert len(kept) <= LIMIT
        head, mark, rest = kept.partition(b"\n\n[tasktap: ")
        lost, _, tail = rest.partition(b" bytes are left out here]\n\n")
        assert mark
        assert (head, tail) == (whole[: len(head)], whole[-len(tail) :])
        assert len(head) + int(lost) + len(tail) == len(whole)
        assert any(f"{part} body: {int(lost)} bytes in its middle were not kept" in each for each in task["problems"])
    assert (task["request_size"], task["response_size"], task["ending"]) == (len(asked), len(said), "completed")
    assert more(house, before) == {"capture.max_body": 2}


def test_of_a_long_stream_the_last_events_are_kept_whole(house: Tasktap, upstream: Upstream) -> None:
    words = [f"word-{number} " for number in range(400)]
    upstream.play(STREAM_HEAD, *(chunk(event(word)) for word in words), chunk(DONE) + b"0\r\n\r\n")
    task = house.task(once(house.calls, chat()).id)
    kept = house.fetch(f"/api/tasks/{task['id']}/response")[1]
    assert len(kept) <= LIMIT
    assert kept.startswith(event("word-0 "))
    assert kept.endswith(event("word-399 ") + DONE)
    tail = kept.partition(b" bytes are left out here]\n\n")[2]
    assert tail.startswith((b"data: ", b"\ndata: "))
    assert task["output"].startswith("word-0 word-1 ")
    assert task["output"].endswith("word-398 word-399 ")
    assert "word-200 " not in task["output"]
    assert task["ending"] == "completed"


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 40])
@pytest.mark.parametrize("pieces", [1, 7])
def test_at_the_very_limit_all_is_kept_and_past_it_never_more(house: Tasktap, upstream: Upstream, size: int, pieces: int) -> None:
    said = bytes(33 + at % 90 for at in range(size))
    step = -(-size // pieces)
    upstream.play(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % size,
        *(said[at : at + step] for at in range(0, size, step)),
    )
    task = house.task(once(house.calls, chat()).id)
    kept = house.fetch(f"/api/tasks/{task['id']}/response")[1]
    assert kept == said if size <= LIMIT else len(kept) <= LIMIT and kept.endswith(said[-500:])
    assert any("not kept" in each for each in task["problems"]) == (size > LIMIT)


def test_no_secret_comes_back_with_the_end(house: Tasktap, upstream: Upstream) -> None:
    secret = b"sk-canary-in-the-end-0001"
    upstream.play(ok(b"x" * 9000 + b'{"echo":"' + secret + b'","api_key":"another-canary-0002"}'))
    task = house.task(once(house.calls, chat(b"Authorization: Bearer " + secret)).id)
    kept = house.fetch(f"/api/tasks/{task['id']}/response")[1]
    assert kept.endswith(b'{"echo":"[redacted]","api_key":"[redacted]"}')
    house.quiet()
    assert all(secret not in data for data in files(house.data).values())


def test_a_long_body_takes_no_memory_but_that_of_its_end(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path / "house", CONFIG.format(upstream.url, 1 << 20).replace(" = 2", " = 60")) as house:
        upstream.play(ok(b"warm"))
        once(house.calls, chat())
        rss = resident(house)
        upstream.play(ok(b"y" * (96 << 20)))
        got = once(house.calls, chat())
        assert len(got.body.data) == 96 << 20
        assert resident(house) - rss < 32 << 20
        assert len(house.fetch(f"/api/tasks/{house.task(got.id)['id']}/response")[1]) <= 1 << 20


def resident(house: Tasktap) -> int:
    status = Path(f"/proc/{house.pid('relay')}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


# --- the others ---


def test_a_bomb_is_not_unpacked_and_is_counted(house: Tasktap, upstream: Upstream) -> None:
    before = met(house)
    bomb = gzip.compress(b"\0" * (64 << 20))
    upstream.play(ok(bomb, b"Content-Encoding: gzip"))
    got = once(house.calls, chat())
    assert got.body.data == bomb
    task = house.task(got.id)
    assert any("nor kept" in each for each in task["problems"])
    assert more(house, before)["decompression"] == 1


def test_limits_of_time_are_counted(house: Tasktap, upstream: Upstream) -> None:
    before = met(house)
    with Caller(house.calls) as one, Caller(house.calls) as two, Caller(house.calls) as three, Caller(house.calls) as four:
        tape = upstream.play(hang)
        one.send(chat())
        assert tape.head
        tape = upstream.play(STREAM_HEAD + chunk(event("a")), hang)
        two.send(chat())
        assert tape.head
        tape = upstream.play(hang, read="head")
        three.send(request(b"POST", b"/v1/x", b"Content-Length: 100") + b"half")
        assert tape.head
        four.send(b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX-Half: ")
        assert one.answer().status == 504
        assert two.answer().cut is not None
        assert three.answer().status == 408
        assert four.answer().status == 408
    house.quiet()
    assert more(house, before) == {"upstreams.timeouts": 2, "listen.header_seconds": 1, "upload": 1}


def test_a_full_journal_drops_bodies_then_calls_and_counts_each(tmp_path: Path, upstream: Upstream) -> None:
    # each answer waits until it is written
    journal = '[journal]\nmax_bytes = "1MiB"\nsegment_bytes = "64KiB"\npatience_ms = 5000\n'
    config = CONFIG.format(upstream.url, 1 << 20) + journal
    with serving(tmp_path / "house", config) as house:
        os.kill(house.pid("desk"), signal.SIGSTOP)
        try:
            for _ in range(40):
                upstream.play(ok(b"z" * 90_000))
                assert len(once(house.calls, chat()).body.data) == 90_000
        finally:
            os.kill(house.pid("desk"), signal.SIGCONT)
        status = house.quiet()
        assert met(house)["journal.max_bytes"] > 0, (status, met(house))
        assert status["carried"] == 40 == status["stored"] + status["lost"]


def test_a_stop_that_cuts_a_call_is_counted(tmp_path: Path, upstream: Upstream) -> None:
    with serving(
        tmp_path / "house", "stop_deadline = 2\n" + CONFIG.format(upstream.url, 1 << 20).replace(" = 2", " = 60")
    ) as house:
        tape = upstream.play(STREAM_HEAD + chunk(event("a")), hang)
        with Caller(house.calls) as caller:
            caller.send(chat())
            while b'"a"' not in caller.wire.buffer:
                caller.wire.need()
            os.kill(house.pid("relay"), signal.SIGTERM)
            soon(lambda: met(house).get("stop_deadline"))
        tape.wait()


def test_every_limit_has_a_counter_that_is_shown(house: Tasktap) -> None:
    assert set(house.get("/api/status")["limits"]) == set(LIMITS)
    text = house.fetch("/metrics")[1].decode()
    for name in LIMITS:
        assert f'tasktap_limits_met_total{{limit="{name}"}}' in text
    assert json.dumps(house.get("/api/status"))
