"""Upstreams that answer nonsense, break, or are not there: the caller is told the truth, and so is the record."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.proc import Tasktap, serving
from tests.relay.caller import CHAT_STREAM, Answer, Caller, chat, once, request
from tests.relay.elsewhere import closed_port, silent_port
from tests.sockets import Cut
from tests.upstream import STREAM_HEAD, Step, Upstream, chunk, event, fin, gate, hang, ok, pause, rst

OK = b"HTTP/1.1 200 OK\r\n"

NONSENSE = {
    "CL with TE": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a bad length": OK + b"Content-Length: five\r\n\r\nhello",
    "a signed length": OK + b"Content-Length: +5\r\n\r\nhello",
    "a listed length": OK + b"Content-Length: 5, 6\r\n\r\nhello",
    "an unknown coding": OK + b"Transfer-Encoding: foo\r\n\r\nhello",
    "chunked twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "garbage": b"\x00\x01\x02 no http at all\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18,
    "another version": b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status 99999": b"HTTP/1.1 99999 No\r\nContent-Length: 0\r\n\r\n",
    "status 20x": b"HTTP/1.1 20x No\r\nContent-Length: 0\r\n\r\n",
    "status 000": b"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "NUL in a field": OK + b"X-A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "a field without a colon": OK + b"nonsense\r\nContent-Length: 0\r\n\r\n",
    "a field without a name": OK + b": a\r\nContent-Length: 0\r\n\r\n",
    "bare CR in a field": OK + b"X-A: b\rX-C: d\r\nContent-Length: 0\r\n\r\n",
    "an unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "an endless head": OK + b"X-A: " + b"a" * 2_000_000,
    "endless fields": OK + b"X-A: b\r\n" * 200_000,
    "an endless status line": b"HTTP/1.1 200 " + b"O" * 2_000_000,
}


def our_error(answer: Answer, status: int, code: bytes) -> None:
    assert (answer.status, answer.error) == (status, code)
    assert answer.head.value(b"content-type") is not None
    error = answer.json["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert (error["type"], error["code"]) == ("proxy_error", code.decode())
    assert answer.id
    assert answer.cut is None


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_from_the_upstream_is_a_502_and_its_connection_is_given_up(
    house: Tasktap, upstream: Upstream, said: bytes
) -> None:
    tape = upstream.play(said, hang)
    answer = once(house.calls, chat())
    our_error(answer, 502, b"upstream_malformed")
    assert tape.wait().left_at is not None
    task = house.task(answer.id)
    assert task["ending"] in ("unreachable", "upstream_broke")
    assert task["http_status"] == 502
    assert task["error_code"] == "upstream_malformed"


def test_a_flood_of_interim_answers_ends(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(b"HTTP/1.1 102 Processing\r\n\r\n" * 100_000, hang)
    with Caller(house.calls) as caller:
        caller.send(chat())
        answer = caller.answer()
    assert answer.status == 502


@pytest.mark.parametrize("end", [fin, rst], ids=["fin", "rst"])
@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 2", OK, OK + b"Content-Length: 5\r\n"], ids=["nothing", "half a line", "a line", "half a head"]
)
def test_an_upstream_that_goes_before_its_head_is_whole_is_a_502(
    house: Tasktap, upstream: Upstream, said: bytes, end: Step
) -> None:
    upstream.play(*([said] if said else []), end)
    answer = once(house.calls, chat())
    our_error(answer, 502, b"upstream_closed")
    task = house.task(answer.id)
    assert task["ending"] == ("unreachable" if not said else task["ending"])
    assert task["ending"] in ("unreachable", "upstream_broke")


def test_an_upstream_that_goes_before_its_head_is_asked_only_once(house: Tasktap, upstream: Upstream) -> None:
    """A POST is never sent twice, on a new connection or on a used one."""
    upstream.play(ok(b"warm"))
    upstream.play(rst)
    with Caller(house.calls) as caller:
        assert caller.ask(chat()).status == 200
        assert caller.ask(chat()).status == 502
        upstream.play(ok(b"again"))
        assert caller.ask(chat()).body.data == b"again"


BREAKS = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 100\r\n\r\n" + b"x" * 40,
    "between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 40),
    "inside a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"64\r\n" + b"x" * 40,
    "after the last size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 40) + b"0\r\n",
    "inside the trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 40) + b"0\r\nT: ",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 40) + b"zz\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("end", [fin, rst], ids=["fin", "rst"])
@pytest.mark.parametrize("name", BREAKS)
def test_a_break_in_the_middle_reaches_the_caller_as_a_break(
    house: Tasktap, upstream: Upstream, name: str, end: Step, version: bytes
) -> None:
    seen = threading.Event()
    head, _, start = BREAKS[name].partition(b"\r\n\r\n")
    upstream.play(head + b"\r\n\r\n", start, gate(seen), end)
    with Caller(house.calls) as caller:
        caller.send(request(b"POST", b"/v1/x", version=version, body=b"{}"))
        got = caller.head()
        assert got.line.startswith(b"HTTP/1.1 200")
        if "bad" not in name:
            while b"x" * 40 not in caller.wire.buffer:
                assert caller.wire.more(), "ended before the bytes that came"
        seen.set()
        answer = Answer(got)
        broken = _read_out(caller, answer)
        assert broken, "a clean end of a cut body"
    task = house.task(answer.id)
    assert task["ending"] == "upstream_broke"
    assert task["http_status"] == 200
    if "bad" not in name:
        assert house.fetch(f"/api/tasks/{task['id']}/response")[1].startswith(b"x" * 40)


def _read_out(caller: Caller, answer: Answer) -> bool:
    """Read the rest of the answer; was it broken?"""
    try:
        answer.body = caller.wire.body(answer.head, until_eof=True)
    except Cut:
        return True
    return False


def test_a_body_until_the_end_that_breaks_by_rst_reaches_the_caller_as_a_break(house: Tasktap, upstream: Upstream) -> None:
    seen = threading.Event()
    upstream.play(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n", b"x" * 40, gate(seen), rst)
    with Caller(house.calls) as caller:
        answer = Answer(caller.send(chat()).head())
        while b"x" * 40 not in caller.wire.buffer:
            assert caller.wire.more()
        seen.set()
        assert _read_out(caller, answer)
    assert house.task(answer.id)["ending"] == "upstream_broke"


def test_a_cut_stream_keeps_what_came(house: Tasktap, upstream: Upstream) -> None:
    seen = threading.Event()
    upstream.play(STREAM_HEAD + chunk(event("one")) + chunk(event("two")), gate(seen), rst)
    with Caller(house.calls) as caller:
        answer = Answer(caller.send(chat(body=CHAT_STREAM)).head())
        while b"two" not in caller.wire.buffer:
            caller.wire.need()
        seen.set()
        assert _read_out(caller, answer)
    task = house.task(answer.id)
    assert (task["ending"], task["output"], task["finish_reasons"]) == ("upstream_broke", "onetwo", [None])


def test_bytes_behind_an_answer_are_not_the_next_answer(house: Tasktap, upstream: Upstream) -> None:
    """Response smuggling: what follows a whole answer must never reach another caller."""
    upstream.play(ok(b"first") + ok(b"smuggled"))
    upstream.play(ok(b"second"))
    assert once(house.calls, chat()).body.data == b"first"
    assert once(house.calls, chat()).body.data == b"second"


def test_bytes_of_an_idle_connection_are_not_an_answer(house: Tasktap, upstream: Upstream) -> None:
    seen = threading.Event()
    first = upstream.play(ok(b"first"), gate(seen), ok(b"unasked"), hang)
    assert once(house.calls, chat()).body.data == b"first"
    seen.set()
    first.wait()
    upstream.play(ok(b"second"))
    assert once(house.calls, chat()).body.data == b"second"


def test_a_free_connection_that_the_upstream_has_ended_is_not_used(house: Tasktap, upstream: Upstream) -> None:
    for _ in range(20):
        upstream.play(ok(b"and good-bye"), fin)
        assert once(house.calls, chat()).status == 200
        upstream.all[-1].wait()
        with Caller(house.calls) as caller:  # a turn of the relay's loop, in which it must hear of the end
            assert caller.send(b"BAD\r\n\r\n").answer().status == 400
        upstream.play(ok(b"new"))
        assert once(house.calls, chat()).body.data == b"new"


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory, the_upstream: Upstream) -> Iterator[Tasktap]:
    """A tasktap with short time limits, and upstreams that are not there."""
    with closed_port() as closed, silent_port() as silent:
        config = f"""
            default_upstream = "slow"
            [upstreams.slow]
            url = "{the_upstream.url}"
            timeouts = {{ connect = 10, first_byte = 1.5, idle = 1.5, keep_alive = 0.3 }}
            [upstreams.refused]
            url = "http://127.0.0.1:{closed}"
            [upstreams.nowhere]
            url = "http://no-such-host.invalid"
            [upstreams.silent]
            url = "http://127.0.0.1:{silent}"
            timeouts = {{ connect = 0.4 }}
            [listen]
            header_seconds = 1.5
            idle_seconds = 1.5
        """
        with serving(tmp_path_factory.mktemp("faulty"), config) as house:
            yield house


@pytest.mark.parametrize(
    ("name", "status", "code", "ending"),
    [
        (b"refused", 502, b"upstream_unreachable", "unreachable"),
        (b"nowhere", 502, b"upstream_unreachable", "unreachable"),
        (b"silent", 504, b"upstream_timeout", "timed_out"),
    ],
)
def test_an_upstream_that_is_not_there(faulty: Tasktap, name: bytes, status: int, code: bytes, ending: str) -> None:
    with Caller(faulty.calls) as caller:
        answer = caller.ask(request(b"POST", b"/" + name + b"/v1/chat/completions", body=b"{}"))
        our_error(answer, status, code)
        again = caller.ask(request(b"POST", b"/" + name + b"/v1/chat/completions", pieces=[b"{", b"}"]))
        our_error(again, status, code)
    task = faulty.task(answer.id)
    assert (task["ending"], task["http_status"], task["error_code"]) == (ending, status, code.decode())
    assert faulty.fetch(f"/api/tasks/{task['id']}/request") == (200, b"{}")


def test_no_first_byte_in_time_is_a_504(faulty: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(hang)
    answer = once(faulty.calls, chat())
    our_error(answer, 504, b"upstream_timeout")
    assert tape.wait().left_at is not None
    assert faulty.task(answer.id)["ending"] == "timed_out"


def test_a_free_connection_is_closed_when_its_time_is_over(faulty: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok(b"warm"), hang)
    assert once(faulty.calls, chat()).body.data == b"warm"
    tape.wait()
    assert tape.cut is not None


def test_half_a_head_in_time_is_a_504(faulty: Tasktap, upstream: Upstream) -> None:
    upstream.play(b"HTTP/1.1 200 O", hang)
    answer = once(faulty.calls, chat())
    assert answer.status == 504
    assert faulty.task(answer.id)["ending"] == "timed_out"


def test_a_stream_that_falls_silent_is_broken_off(faulty: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(STREAM_HEAD + chunk(event("one")), hang)
    answer = once(faulty.calls, chat(body=CHAT_STREAM))
    assert answer.status == 200
    assert answer.cut is not None
    tape.wait()
    task = faulty.task(answer.id)
    assert (task["ending"], task["output"]) == ("timed_out", "one")


def test_a_stream_that_is_only_slow_is_not_broken_off(faulty: Tasktap, upstream: Upstream) -> None:
    upstream.play(STREAM_HEAD, *(step for _ in range(4) for step in (pause(0.5), chunk(b": ping\n\n"))), b"0\r\n\r\n")
    answer = once(faulty.calls, chat(body=CHAT_STREAM))
    assert answer.cut is None
    assert answer.body.data == b": ping\n\n" * 4


def test_an_upload_that_takes_longer_than_the_first_byte_may_is_not_cut(faulty: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok(b"got it"))
    with Caller(faulty.calls) as caller:
        caller.send(b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n")
        for n in range(4):
            threading.Event().wait(0.5)
            caller.send(b"%d" % n)
        assert caller.answer().body.data == b"got it"
    assert tape.body.data == b"0123"


@pytest.mark.parametrize("start", [b"GET /v1/x HT", b"GET /v1/x HTTP/1.1\r\nHost: h\r\n"])
def test_a_head_that_does_not_come_in_time_is_a_408(faulty: Tasktap, start: bytes) -> None:
    with Caller(faulty.calls) as caller:
        caller.send(start)
        answer = caller.answer()
        assert (answer.status, answer.error) == (408, b"header_timeout")
        caller.ended()


def test_an_idle_connection_of_a_caller_is_let_go_without_a_word(faulty: Tasktap) -> None:
    with Caller(faulty.calls) as caller:
        assert caller.ended() == "fin"
