"""Callers who leave: the upstream is told at once, and the record says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.proc import Tasktap, serving, slack, soon
from tests.relay.caller import CHAT_STREAM, Caller, chat, heard_of_it, request
from tests.relay.test_upgrade import SWITCH, UPGRADE
from tests.sockets import PATIENCE
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, echo, event, gate, hang, ok

AT_ONCE = 0.25  # seconds; the promise is 0.1, the rest is for a shared machine

ways = pytest.mark.parametrize("by_rst", [False, True], ids=["fin", "rst"])


STAGES = {
    "before the head": ([hang], chat(), b""),
    "in mid stream": ([STREAM_HEAD + chunk(event("one")), hang], chat(body=CHAT_STREAM), b"one"),
    "in mid upload": ([ok()], request(b"POST", b"/v1/files", b"Content-Length: 100000") + b"x" * 5000, b""),
    "in a chunk of an upload": ([ok()], request(b"POST", b"/v1/files", b"Transfer-Encoding: chunked") + b"9\r\nx", b""),
    "before its turn": ([hang], chat() * 3, b""),
    "in a tunnel": ([SWITCH + b"good day", echo], UPGRADE, b"good day"),
}


@pytest.mark.timed
@ways
@pytest.mark.parametrize("stage", STAGES)
def test_an_upstream_is_told_at_once_that_its_caller_left(house: Tasktap, upstream: Upstream, stage: str, by_rst: bool) -> None:
    steps, said, heard = STAGES[stage]
    tape = upstream.play(*steps)
    with Caller(house.calls) as caller:
        caller.send(said)
        assert tape.head
        while heard not in caller.wire.buffer:
            caller.wire.need()
        left = caller.leave(by_rst)
    assert tape.seconds_until_left(left) < AT_ONCE * slack()


@ways
def test_a_caller_that_leaves_before_the_head_ends_the_upstreams_work(house: Tasktap, upstream: Upstream, by_rst: bool) -> None:
    """A FIN of a socket that was closed is a leaving; one of a socket that was half closed is not (see test_messages)."""
    name = f"left-head-{by_rst}".encode()
    tape = upstream.play(hang)
    with Caller(house.calls) as caller:
        caller.send(chat(b"X-Task-Id: " + name))
        assert tape.head
        left = caller.leave(by_rst)
    assert tape.seconds_until_left(left) < PATIENCE
    task = house.task(name)
    assert (task["ending"], task["http_status"], task["output"], task["input"]) == ("caller_left", None, None, "hello")


@ways
def test_a_caller_that_leaves_in_mid_stream_ends_the_upstreams_work(house: Tasktap, upstream: Upstream, by_rst: bool) -> None:
    tape = upstream.play(STREAM_HEAD + chunk(event("one")) + chunk(event("two")), hang)
    with Caller(house.calls) as caller:
        head = caller.send(chat(body=CHAT_STREAM)).head()
        while b"two" not in caller.wire.buffer:
            caller.wire.need()
        left = caller.leave(by_rst)
    assert tape.seconds_until_left(left) < PATIENCE
    task = house.task(head.values(b"x-task-id")[0])
    assert (task["ending"], task["output"], task["http_status"]) == ("caller_left", "onetwo", 200)


@ways
def test_a_caller_that_leaves_in_mid_upload_ends_the_upstreams_work(house: Tasktap, upstream: Upstream, by_rst: bool) -> None:
    name = f"left-upload-{by_rst}".encode()
    tape = upstream.play(ok())
    with Caller(house.calls) as caller:
        caller.send(
            b"POST /v1/files HTTP/1.1\r\nHost: h\r\nX-Task-Id: " + name + b"\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000
        )
        soon(lambda: tape.received > 5000, what="5000 bytes at the upstream")
        left = caller.leave(by_rst)
    assert tape.seconds_until_left(left) < PATIENCE
    assert tape.cut is not None
    assert house.task(name)["ending"] == "upload_incomplete"


@ways
def test_a_chunked_upload_that_is_cut_never_looks_whole(house: Tasktap, upstream: Upstream, by_rst: bool) -> None:
    tape = upstream.play(ok())
    with Caller(house.calls) as caller:
        caller.send(b"POST /v1/files HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 5000))
        soon(lambda: tape.received > 5000, what="5000 bytes at the upstream")
        left = caller.leave(by_rst)
    assert tape.seconds_until_left(left) < PATIENCE
    assert tape.cut is not None


def test_a_caller_that_only_half_closed_in_mid_upload_has_not_sent_it_all(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok())
    with Caller(house.calls) as caller:
        caller.send(b"POST /v1/files HTTP/1.1\r\nHost: h\r\nX-Task-Id: half-1\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
        assert tape.head
        caller.half_close()
        tape.wait()
    assert tape.cut is not None
    assert house.task("half-1")["ending"] == "upload_incomplete"


@ways
def test_a_caller_that_closes_right_behind_done_has_had_its_answer(house: Tasktap, upstream: Upstream, by_rst: bool) -> None:
    """The OpenAI SDK does not wait for the last chunk (http-proxy.md, 0.6)."""
    upstream.play(STREAM_HEAD + chunk(event("one")) + chunk(event("", '"stop"')) + chunk(DONE), hang)
    with Caller(house.calls) as caller:
        head = caller.send(chat(body=CHAT_STREAM)).head()
        while DONE not in caller.wire.buffer:
            caller.wire.need()
        caller.leave(by_rst)
    task = house.task(head.values(b"x-task-id")[0])
    assert (task["ending"], task["output"], task["finish_reasons"]) == ("completed", "one", ["stop"])


@ways
def test_a_caller_that_leaves_an_answer_about_end_markers_has_not_had_it_all(
    house: Tasktap, upstream: Upstream, by_rst: bool
) -> None:
    said = event("It ends with data: [DONE], and ")
    upstream.play(STREAM_HEAD + chunk(said), hang)
    with Caller(house.calls) as caller:
        head = caller.send(chat(body=CHAT_STREAM)).head()
        while said not in caller.wire.buffer:
            caller.wire.need()
        caller.leave(by_rst)
    task = house.task(head.values(b"x-task-id")[0])
    assert (task["ending"], task["output"]) == ("caller_left", "It ends with data: [DONE], and ")


def test_others_are_not_harmed_by_100_callers_who_leave(house: Tasktap, upstream: Upstream) -> None:
    tapes = [upstream.play(STREAM_HEAD + chunk(event("x")), hang) for _ in range(100)]
    callers = [Caller(house.calls).send(chat(body=CHAT_STREAM)) for _ in tapes]
    for caller in callers:
        while b"content" not in caller.wire.buffer:
            caller.wire.need()
    for number, caller in enumerate(callers):
        caller.leave(rst=bool(number % 2))
    for tape in tapes:
        tape.wait()
    upstream.play(ok(b"well"))
    with Caller(house.calls) as caller:
        assert caller.ask(chat()).body.data == b"well"
    status = house.quiet()
    assert status["carried"] == status["stored"] + status["lost"]


def test_a_caller_that_leaves_before_its_turn_in_the_pipeline_costs_nothing(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(hang)
    with Caller(house.calls) as caller:
        caller.send(chat() + chat() + chat())
        assert tape.head
        left = caller.leave(rst=True)
    assert tape.seconds_until_left(left) < PATIENCE


@pytest.fixture(scope="module")
def draining(tmp_path_factory: pytest.TempPathFactory, the_upstream: Upstream) -> Iterator[Tasktap]:
    config = f'default_upstream = "main"\non_caller_left = "drain"\n[upstreams.main]\nurl = "{the_upstream.url}"\n'
    with serving(tmp_path_factory.mktemp("drain"), config) as house:
        yield house


@ways
def test_drain_reads_the_answer_to_its_end_for_the_record(draining: Tasktap, upstream: Upstream, by_rst: bool) -> None:
    may = threading.Event()
    tape = upstream.play(
        STREAM_HEAD + chunk(event("one")),
        gate(may),
        chunk(event("two")) + chunk(event("", '"stop"')) + chunk(DONE) + b"0\r\n\r\n",
    )
    with Caller(draining.calls) as caller:
        head = caller.send(chat(body=CHAT_STREAM)).head()
        while b"one" not in caller.wire.buffer:
            caller.wire.need()
        caller.leave(by_rst)
    heard_of_it(draining.calls)
    may.set()
    tape.wait()
    assert tape.cut is None
    task = draining.task(head.values(b"x-task-id")[0])
    assert (task["ending"], task["output"]) == ("caller_left", "onetwo")


def test_drain_is_no_reason_to_finish_an_upload(draining: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok())
    with Caller(draining.calls) as caller:
        caller.send(request(b"POST", b"/v1/x", b"Content-Length: 10") + b"12345")
        assert tape.head
        caller.leave()
    tape.wait()
    assert tape.cut is not None
