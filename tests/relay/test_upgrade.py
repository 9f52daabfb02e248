"""Upgrades: a tunnel after the upstream's 101, and never before."""

from __future__ import annotations

import threading

import pytest

from tests.proc import Tasktap
from tests.relay.caller import Caller, request
from tests.sockets import PATIENCE
from tests.upstream import Step, Upstream, echo, fin, gate, hear, ok, rst

UPGRADE = request(
    b"GET",
    b"/v1/realtime?model=m",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"X-Session-Id: s-ws",
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
Door = tuple[str, int]


def test_after_101_bytes_go_both_ways_as_they_are(door: Door, upstream: Upstream) -> None:
    upstream.play(SWITCH, echo)
    with Caller(door) as caller:
        answer = caller.send(UPGRADE).answer(b"GET")
        assert (answer.status, answer.reason) == (101, b"Switching Protocols")
        assert answer.head.value(b"upgrade") == b"websocket"
        assert answer.head.value(b"connection").lower() == b"upgrade"  # type: ignore[union-attr]
        for message in (b"\x81\x85\x00\x00\x00\x00hello", b"\x00\xff\r\n\r\n" * 1000, b"GET / HTTP/1.1\r\n\r\n"):
            caller.send(message)
            assert caller.wire.exactly(len(message)) == message


def test_the_upstream_gets_the_upgrade_and_no_labels(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(SWITCH, echo)
    with Caller(house.calls) as caller:
        answer = caller.send(UPGRADE).answer(b"GET")
        assert answer.id
        head = tape.head
        assert head.value(b"upgrade") == b"websocket"
        assert b"upgrade" in head.values(b"connection")[0].lower()
        assert head.value(b"sec-websocket-key") == b"dGhlIHNhbXBsZSBub25jZQ=="
        assert not head.values(b"x-session-id")
    task = house.task(answer.id)
    assert (task["http_status"], task["session_id"]) == (101, "s-ws")


def test_bytes_right_behind_the_101_reach_the_caller(door: Door, upstream: Upstream) -> None:
    upstream.play(SWITCH + b"early bird", echo)
    with Caller(door) as caller:
        assert caller.send(UPGRADE).answer(b"GET").status == 101
        assert caller.wire.exactly(10) == b"early bird"


def test_bytes_sent_before_the_101_wait_for_it(house: Tasktap, upstream: Upstream) -> None:
    """CVE-2026-2833: what follows an Upgrade request is no tunnel until the upstream says so."""
    may = threading.Event()
    tape = upstream.play(gate(may), SWITCH, hear(5), b"done", fin)
    with Caller(house.calls) as caller:
        caller.send(UPGRADE + b"early")
        assert tape.head.value(b"upgrade")
        assert tape.wire is not None
        assert not tape.wire.buffer
        may.set()
        assert caller.answer(b"GET").status == 101
        assert caller.wire.exactly(4) == b"done"
    assert tape.body.raw == b"early"


def test_a_refused_upgrade_is_an_answer_like_any_other(door: Door, upstream: Upstream) -> None:
    upstream.play(ok(b"no", status=b"426 Upgrade Required"))
    after = upstream.play(ok(b"next"))
    with Caller(door) as caller:
        answer = caller.send(UPGRADE).answer(b"GET")
        assert (answer.status, answer.body.data) == (426, b"no")
        assert caller.ask(request(b"GET", b"/v1/next")).body.data == b"next"
    assert after.target == b"/v1/next"


def test_a_request_hidden_behind_a_refused_upgrade_is_a_request(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b"no"))
    upstream.play(ok(b"next"))
    with Caller(house.calls) as caller:
        caller.send(UPGRADE + request(b"GET", b"/v1/next"))
        first, second = caller.answer(b"GET"), caller.answer(b"GET")
    assert (first.body.data, second.body.data) == (b"no", b"next")
    assert first.id != second.id


@pytest.mark.parametrize(("end", "kinds"), [(fin, ("fin",)), (rst, ("fin", "rst"))], ids=["fin", "rst"])
def test_the_upstreams_end_of_a_tunnel_is_the_callers(
    house: Tasktap, upstream: Upstream, end: Step, kinds: tuple[str, ...]
) -> None:
    upstream.play(SWITCH + b"bye", hear(2), end)
    with Caller(house.calls) as caller:
        answer = caller.send(UPGRADE).answer(b"GET")
        assert caller.wire.exactly(3) == b"bye"
        caller.send(b"ok")
        assert caller.ended() in kinds
    assert house.task(answer.id)["ending"] in ("completed", "upstream_broke")


def test_the_callers_end_of_a_tunnel_is_the_upstreams(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(SWITCH, echo)
    with Caller(house.calls) as caller:
        answer = caller.send(UPGRADE).answer(b"GET")
        caller.send(b"hello")
        assert caller.wire.exactly(5) == b"hello"
        left = caller.leave()
    assert tape.seconds_until_left(left) < PATIENCE
    assert house.task(answer.id)["ending"] in ("completed", "caller_left")


def test_an_h2c_upgrade_is_not_passed_on(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok(b"plain"))
    lines = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
    with Caller(house.calls) as caller:
        assert caller.ask(request(b"GET", b"/v1/x", *lines)).body.data == b"plain"
    assert not tape.head.values(b"upgrade")
    assert not tape.head.values(b"http2-settings")
