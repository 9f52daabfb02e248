"""The rules for intermediaries: hop-by-hop fields, bodiless answers, trailers, versions, connections, 1xx."""

from __future__ import annotations

import threading

import pytest

from tests.proc import Tasktap
from tests.relay.caller import CHAT, Caller, chat, heard_of_it, once, request
from tests.upstream import STREAM_HEAD, Upstream, chunked, fin, gate, hear_body, ok, pause

Door = tuple[str, int]


def test_hop_by_hop_fields_and_those_named_by_connection_stop_here_on_the_way_there(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok())
    lines = [
        b"Connection: keep-alive, X-Mine, x-other",
        b"X-Mine: 1",
        b"X-OTHER: 2",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"TE: trailers, gzip",
        b"X-Stays: yes",
    ]
    once(house.calls, request(b"GET", b"/v1/x", *lines))
    names = {name.lower() for name, _ in tape.fields}
    assert not names & {b"x-mine", b"x-other", b"keep-alive", b"proxy-connection", b"te", b"upgrade"}
    assert tape.head.values(b"x-stays") == [b"yes"]


def test_hop_by_hop_fields_and_those_named_by_connection_stop_here_on_the_way_back(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(
        ok(b"{}", b"Connection: x-mine", b"X-Mine: 1", b"Keep-Alive: timeout=5", b"Proxy-Connection: close", b"X-Stays: yes")
    )
    answer = once(house.calls, chat())
    names = {name.lower() for name, _ in answer.head.fields}
    assert not names & {b"x-mine", b"proxy-connection"}
    assert answer.head.values(b"keep-alive") != [b"timeout=5"]
    assert answer.head.values(b"x-stays") == [b"yes"]


@pytest.mark.parametrize("named", [b"authorization", b"content-length", b"host", b"X-Session-Id"])
def test_a_caller_that_names_an_end_to_end_field_in_connection_does_not_confuse_the_framing(
    house: Tasktap, upstream: Upstream, named: bytes
) -> None:
    tape = upstream.play(ok())
    answer = once(house.calls, chat(b"Connection: " + named, b"Authorization: Bearer sk-a", b"X-Session-Id: s-7"))
    assert answer.status == 200
    assert tape.body.data == CHAT
    assert tape.head.values(b"host") == [upstream.host]
    if named == b"X-Session-Id":
        assert house.task(answer.id)["session_id"] == "s-7"


@pytest.mark.parametrize("length", [b"Content-Length: 1234", b"Transfer-Encoding: chunked"])
def test_head_gets_no_body_and_the_connection_stays_good(door: Door, upstream: Upstream, length: bytes) -> None:
    upstream.play(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n" + length + b"\r\n\r\n")
    upstream.play(ok(b"next"))
    with Caller(door) as caller:
        answer = caller.ask(request(b"HEAD", b"/v1/models"))
        assert answer.status == 200
        if length.startswith(b"Content-Length"):
            assert answer.head.length == 1234
        assert caller.ask(request(b"GET", b"/v1/models")).body.data == b"next"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_an_answer_without_a_body_ends_at_its_head(door: Door, upstream: Upstream, head: bytes) -> None:
    upstream.play(head)
    upstream.play(ok(b"next"))
    with Caller(door) as caller:
        answer = caller.ask(request(b"GET", b"/v1/x"))
        assert answer.head.line == head.split(b"\r\n")[0]
        if b"304" in head:
            assert answer.head.values(b"content-length") == ([b"77"] if b"77" in head else [])
        assert caller.ask(request(b"GET", b"/v1/x")).body.data == b"next"


def test_trailers_of_an_answer_are_passed(door: Door, upstream: Upstream) -> None:
    upstream.play(chunked([b"abc"], b"Trailer: X-Sum", trailers=b"X-Sum: 1f\r\nx-sum: \xe9\r\n"))
    upstream.play(ok(b"next"))
    with Caller(door) as caller:
        assert caller.ask(chat()).body.trailers == [(b"X-Sum", b"1f"), (b"x-sum", b"\xe9")]
        assert caller.ask(chat()).body.data == b"next"


def test_trailers_of_a_request_are_dropped(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok())
    assert once(house.calls, request(pieces=[b"abc"], trailers=b"X-Sum: 1\r\nX-User-Id: eve\r\n")).status == 200
    assert tape.body.data == b"abc"
    assert tape.body.trailers == []


def test_an_http_1_0_caller_gets_an_unchunked_answer_and_the_end(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(chunked([b"abc", b"def"], trailers=b"T: 1\r\n"))
    with Caller(house.calls) as caller:
        answer = caller.ask(request(b"POST", version=b"HTTP/1.0", body=CHAT))
        assert answer.body.data == b"abcdef"
        assert not answer.head.values(b"transfer-encoding")
        assert caller.ended() == "fin"


def test_an_http_1_0_caller_without_keep_alive_is_let_go(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b"abc"))
    with Caller(house.calls) as caller:
        assert caller.ask(request(b"GET", b"/v1/x", version=b"HTTP/1.0")).body.data == b"abc"
        assert caller.ended() == "fin"


def test_an_http_1_0_caller_may_keep_its_connection(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b"abc"))
    upstream.play(ok(b"def"))
    said = request(b"GET", b"/v1/x", b"Connection: keep-alive", version=b"HTTP/1.0")
    with Caller(house.calls) as caller:
        answer = caller.ask(said)
        assert answer.head.value(b"connection") == b"keep-alive"
        assert caller.ask(said).body.data == b"def"


def test_an_http_1_0_upstream_is_understood(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(b"HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\n", b"until the end", fin)
    answer = once(house.calls, chat())
    assert answer.status == 200
    assert answer.body.data == b"until the end"
    assert answer.cut is None
    assert answer.version == b"HTTP/1.1"


def test_connection_close_from_the_caller_is_obeyed(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b"abc"))
    with Caller(house.calls) as caller:
        answer = caller.ask(chat(b"Connection: close"))
        assert answer.body.data == b"abc"
        assert caller.ended() == "fin"


def test_an_upstreams_connection_close_does_not_cost_the_caller_its_connection(house: Tasktap, upstream: Upstream) -> None:
    first = upstream.play(ok(b"abc", b"Connection: close"), fin)
    second = upstream.play(ok(b"def"))
    with Caller(house.calls) as caller:
        assert caller.ask(chat()).body.data == b"abc"
        assert caller.ask(chat()).body.data == b"def"
    assert first.connection != second.connection


def test_upstream_connections_are_used_again(house: Tasktap, upstream: Upstream) -> None:
    tapes = [upstream.play(ok()) for _ in range(10)]
    for _ in tapes:
        once(house.calls, chat())
    assert len({tape.connection for tape in tapes}) <= 2


def test_pipelined_calls_are_answered_in_order(house: Tasktap, upstream: Upstream) -> None:
    slow = threading.Event()
    tapes = [upstream.play(gate(slow), ok(b"first")), upstream.play(chunked([b"sec", b"ond"])), upstream.play(ok(b"third"))]
    with Caller(house.calls) as caller:
        caller.send(
            request(b"GET", b"/v1/1")
            + request(b"POST", b"/v1/2", body=b"two")
            + request(b"POST", b"/v1/3", pieces=[b"th", b"ree"])
        )
        assert tapes[0].target == b"/v1/1"
        slow.set()
        answers = [caller.answer() for _ in range(3)]
    assert [answer.body.data for answer in answers] == [b"first", b"second", b"third"]
    assert [tape.target for tape in tapes] == [b"/v1/1", b"/v1/2", b"/v1/3"]
    assert tapes[2].body.data == b"three"
    assert len({answer.id for answer in answers}) == 3


def test_a_bad_request_behind_a_good_one_leaves_the_good_one_whole(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b"good"))
    with Caller(house.calls) as caller:
        caller.send(request(b"GET", b"/v1/1") + b"BAD\r\n\r\n")
        assert caller.answer().body.data == b"good"
        assert caller.answer().status == 400
        caller.ended()


def test_an_empty_line_before_a_request_is_forgiven(house: Tasktap, upstream: Upstream) -> None:
    """RFC 9112, 2.2: a server SHOULD ignore at least one empty line before the request line."""
    upstream.play(ok(b"yes"))
    with Caller(house.calls) as caller:
        assert caller.send(b"\r\n" + request(b"GET", b"/v1/x")).answer().body.data == b"yes"


def test_a_caller_that_half_closes_after_its_request_is_served(house: Tasktap, upstream: Upstream) -> None:
    closed = threading.Event()
    upstream.play(gate(closed), ok(b"served"))
    with Caller(house.calls) as caller:
        caller.send(chat())
        caller.half_close()
        closed.set()
        answer = caller.answer()
        assert answer.body.data == b"served"
        assert caller.ended() == "fin"
    assert house.task(answer.id)["ending"] == "completed"


def test_a_caller_that_half_closed_behind_half_a_request_is_let_go_at_once(house: Tasktap, upstream: Upstream) -> None:
    """What it began can never become a request: waiting for the rest would only hold the connection."""
    closed = threading.Event()
    upstream.play(gate(closed), ok(b"served"))
    with Caller(house.calls) as caller:
        caller.send(chat() + b"GET /v1/x HT")
        caller.half_close()
        heard_of_it(house.calls)
        closed.set()
        assert caller.answer().body.data == b"served"
        caller.wire.sock.settimeout(5)  # half of `listen.header_seconds`
        caller.wire.rest()


def test_absolute_form_is_carried_by_its_path_and_its_authority_is_ignored(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok())
    assert once(house.calls, request(b"GET", b"http://evil.invalid:99/v1/models?a=b", host=b"other.invalid")).status == 200
    assert tape.target == b"/v1/models?a=b"
    assert tape.head.values(b"host") == [upstream.host]


def test_absolute_form_without_a_path_is_the_root(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok())
    assert once(house.calls, request(b"GET", b"http://evil.invalid", host=b"evil.invalid")).status == 200
    assert tape.target == b"/"


def test_options_of_the_whole_server_is_carried(house: Tasktap, upstream: Upstream) -> None:
    """RFC 9112, 3.2.4: the asterisk-form."""
    tape = upstream.play(ok(b"all"))
    assert once(house.calls, request(b"OPTIONS", b"*")).body.data == b"all"
    assert tape.target == b"*"


def test_connect_is_refused_with_405_and_the_connection_ends(house: Tasktap, upstream: Upstream) -> None:
    with Caller(house.calls) as caller:
        answer = caller.ask(b"CONNECT evil.invalid:443 HTTP/1.1\r\nHost: evil.invalid:443\r\n\r\n")
        assert answer.status == 405
        assert answer.error == b"method_not_allowed"
        assert answer.json["error"]["type"] == "invalid_request_error"
        assert caller.ended() in ("fin", "rst")


EXPECTING = b"POST /v1/files HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"


def test_the_upstreams_100_reaches_the_caller_before_it_sends_its_body(door: Door, upstream: Upstream) -> None:
    tape = upstream.play(b"HTTP/1.1 100 Continue\r\n\r\n", hear_body, ok(b"done"), read="head")
    with Caller(door) as caller:
        caller.send(EXPECTING)
        assert caller.head().line == b"HTTP/1.1 100 Continue"
        assert tape.head.values(b"expect") == [b"100-continue"]
        caller.send(b"hello")
        assert caller.answer().body.data == b"done"
    assert tape.body.data == b"hello"


def test_a_final_answer_instead_of_100_reaches_the_caller_that_sent_no_body(door: Door, upstream: Upstream) -> None:
    upstream.play(ok(b'{"error":{"message":"too big"}}', b"Connection: close", status=b"413 Content Too Large"), fin, read="head")
    with Caller(door) as caller:
        answer = caller.send(EXPECTING).answer()
    assert answer.status == 413
    assert not answer.interim


def test_after_a_second_of_silence_we_send_the_100(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(hear_body, ok(b"done"), read="head")
    with Caller(house.calls) as caller:
        caller.send(EXPECTING)
        assert caller.head().line.startswith(b"HTTP/1.1 100")
        caller.send(b"hello")
        answer = caller.answer()
    assert answer.body.data == b"done"
    assert tape.body.data == b"hello"


def test_a_caller_that_does_not_wait_for_its_100_is_served(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok(b"done"))
    answer = once(house.calls, EXPECTING + b"hello")
    assert answer.body.data == b"done"
    assert tape.body.data == b"hello"


def test_interim_answers_are_passed_with_their_fields(door: Door, upstream: Upstream) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nlink: </b>\r\n\r\n"
    upstream.play(early, early, b"HTTP/1.1 102 Processing\r\n\r\n", ok(b"done"))
    answer = once(door, chat())
    assert [head.line for head in answer.interim] == [
        b"HTTP/1.1 103 Early Hints",
        b"HTTP/1.1 103 Early Hints",
        b"HTTP/1.1 102 Processing",
    ]
    assert answer.interim[0].fields == [(b"Link", b"</a>; rel=preload"), (b"link", b"</b>")]
    assert answer.body.data == b"done"


def test_an_interim_answer_does_not_wait_for_the_final_one(house: Tasktap, upstream: Upstream) -> None:
    seen = threading.Event()
    upstream.play(b"HTTP/1.1 103 Early Hints\r\n\r\n", gate(seen), ok(b"done"))
    with Caller(house.calls) as caller:
        caller.send(chat())
        assert b"103" in caller.head().line
        seen.set()
        assert caller.answer().body.data == b"done"


def test_an_answer_before_the_request_is_whole_reaches_the_caller(house: Tasktap, upstream: Upstream) -> None:
    """A 401 or 413 that comes while the caller still uploads."""
    tape = upstream.play(
        ok(b'{"error":{"message":"no"}}', b"Connection: close", status=b"401 Unauthorized"), hear_body, read="head"
    )
    with Caller(house.calls) as caller:
        caller.send(b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
        answer = caller.answer()
        assert answer.status == 401
        caller.leave()
    tape.wait()
    assert house.task(answer.id)["ending"] in ("upstream_error", "upload_incomplete")


def test_a_stream_for_http_1_0_comes_as_it_is_said(house: Tasktap, upstream: Upstream) -> None:
    seen = threading.Event()
    upstream.play(STREAM_HEAD + b"6\r\nabcdef\r\n", gate(seen), b"3\r\nghi\r\n0\r\n\r\n")
    with Caller(house.calls) as caller:
        caller.send(request(b"POST", version=b"HTTP/1.0", body=CHAT))
        head = caller.head()
        assert not head.chunked
        assert caller.wire.exactly(6) == b"abcdef"
        seen.set()
        assert caller.wire.rest() == b"ghi"


def test_silence_before_an_answer_costs_nothing(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(pause(1.5), ok(b"late"))
    assert once(house.calls, chat()).body.data == b"late"
