"""Bytes pass as they are: bodies, fields, targets, both ways."""

from __future__ import annotations

import gzip
import random
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proc import Tasktap
from tests.relay.caller import CHAT, HOP_BY_HOP, Caller, chat, once, request
from tests.upstream import Upstream, chunk, chunked, fin, mirror, ok, pour

Door = tuple[str, int]

some_bytes = st.binary(max_size=3000)
some_pieces = st.lists(st.binary(min_size=1, max_size=800), max_size=8)
often = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@often
@given(data=some_bytes, length=st.booleans(), pieces=some_pieces)
def test_a_request_body_arrives_as_it_was_sent(
    door: Door, upstream: Upstream, data: bytes, length: bool, pieces: list[bytes]
) -> None:
    tape = upstream.play(ok())
    said = request(body=data) if length else request(pieces=pieces)
    assert once(door, said).status == 200
    assert tape.body.data == (data if length else b"".join(pieces))
    assert tape.head.chunked is not length
    assert tape.head.length == (len(data) if length else None)
    upstream.check()


@often
@given(
    pieces=some_pieces,
    framing=st.sampled_from(["length", "chunked", "eof"]),
    coding=st.sampled_from([b"gzip", b"br", b"identity"]),
)
def test_a_response_body_arrives_as_it_was_sent(
    door: Door, upstream: Upstream, pieces: list[bytes], framing: str, coding: bytes
) -> None:
    whole = b"".join(pieces)
    coded = b"Content-Encoding: " + coding
    if framing == "length":
        upstream.play(ok(whole, coded))
    elif framing == "chunked":
        upstream.play(chunked(pieces, coded))
    else:
        upstream.play(b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n" + coded + b"\r\nConnection: close\r\n\r\n", *pieces, fin)
    answer = once(door, chat())
    assert answer.body.data == whole
    assert answer.cut is None
    assert answer.head.values(b"content-encoding") == [coding]
    if framing == "length":
        assert answer.head.length == len(whole)
    if framing == "chunked":
        assert answer.head.chunked
    upstream.check()


ODD = [
    b"ETag",
    b"ACCEPT",
    b"set-cookie",
    b"Set-Cookie",
    b"DNT",
    b"dnt",
    b"WWW-Authenticate",
    b"x_under_score",
    b"X-Dup",
    b"x-dup",
]
TOKEN = (string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode()
VALUE = bytes(byte for byte in range(0x21, 0x100) if byte != 0x7F)


def random_fields(dice: random.Random) -> list[tuple[bytes, bytes]]:
    fields = []
    for _ in range(dice.randrange(1, 25)):
        name = dice.choice(ODD) if dice.random() < 0.4 else bytes(dice.choices(TOKEN, k=dice.randrange(9, 30)))
        words = [bytes(dice.choices(VALUE, k=dice.randrange(1, 40))) for _ in range(dice.randrange(0, 4))]
        fields.append((name, dice.choice([b" ", b"\t", b"  "]).join(words)))
    return fields


def lines(fields: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [name + b": " + value for name, value in fields]


def without_host(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, b"" if name.lower() == b"host" else value) for name, value in fields if name.lower() not in HOP_BY_HOP]


def test_any_300_field_lists_pass_both_ways_in_order_case_and_bytes(door: Door, upstream: Upstream) -> None:
    dice = random.Random(20261125)
    with Caller(door) as caller:
        for _ in range(300):
            there, back = random_fields(dice), random_fields(dice)
            tape = upstream.play(ok(b"{}", *lines(back)))
            answer = caller.ask(request(b"POST", b"/v1/x", *lines(there), body=b"abc"))
            expected = [(b"Host", b""), *there, (b"Content-Length", b"3")]
            assert without_host(tape.fields) == expected
            assert answer.passed_on == [(b"Content-Type", b"application/json"), *back, (b"Content-Length", b"2")]


def test_nothing_is_added_to_either_side_and_the_host_is_the_upstreams(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    answer = once(house.calls, b"GET /v1/models HTTP/1.1\r\nHost: app.test\r\n\r\n")
    assert [field for field in tape.fields if field[0].lower() not in HOP_BY_HOP] == [(b"Host", upstream.host)]
    assert answer.passed_on == [(b"Content-Length", b"0")]
    names = [name.lower() for name, _ in answer.head.fields]
    assert names.count(b"x-task-id") == 1
    assert not {b"date", b"server", b"via", b"x-forwarded-for"} & set(names)


def test_the_framing_fields_are_not_doubled(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(chunked([b"{}"]))
    answer = once(house.calls, request(pieces=[b"a", b"b"]))
    assert len(tape.head.values(b"transfer-encoding")) == 1
    assert not tape.head.values(b"content-length")
    assert len(answer.head.values(b"transfer-encoding")) == 1
    assert not answer.head.values(b"content-length")


TARGETS = [
    b"/v1/a%2Fb/%7e~/c",
    b"/v1//double///slashes",
    b"/v1/../v1/./x/..",
    b"/v1/a+b?c+d=e+f&g=&=h&&i",
    b"/v1/x?q=%zz&pipe=|&brace={}&caret=^&back=\\&quote='&tick=`&lt=<&gt=>",
    b"/v1/x?",
    b"/v1/x?a=b?c=d",
    b"/v1/x?q=%00%0d%0a",
    b"/v1/x;p=1,2@3:4!$&'()*",
    b"/v1",
    b"/",
    b"/?x",
    b"//v1//",
    b"/v1/" + b"l" * 8000,
]


@pytest.mark.parametrize("target", TARGETS, ids=range(len(TARGETS)))
def test_a_target_reaches_the_upstream_unchanged(door: Door, upstream: Upstream, target: bytes) -> None:
    tape = upstream.play(ok())
    assert once(door, request(b"GET", target)).status == 200
    assert tape.target == target


@pytest.mark.parametrize(
    "method", [b"GET", b"DELETE", b"PUT", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND", b"get", b"M-SEARCH", b"X!#$%&'*+.^_`|~"]
)
def test_any_method_is_carried_as_it_is(door: Door, upstream: Upstream, method: bytes) -> None:
    tape = upstream.play(ok())
    assert once(door, request(method, b"/v1/things")).status == 200
    assert tape.method == method


@pytest.mark.parametrize(
    "line",
    [
        b"200 OK",
        b"200 ",
        b"201 Made It",
        b"299 Na\xefve reason",
        b"404 Not Found",
        b"418 I'm a teapot",
        b"500 Oops",
        b"599 x",
        b"302 Found",
    ],
)
def test_status_and_reason_pass_and_a_redirect_is_not_followed(door: Door, upstream: Upstream, line: bytes) -> None:
    upstream.play(ok(b'{"error":{"message":"m"}}', b"Location: http://127.0.0.1:1/elsewhere", status=line))
    answer = once(door, chat())
    assert b"%d %s" % (answer.status, answer.reason) == line
    assert answer.head.value(b"location") == b"http://127.0.0.1:1/elsewhere"
    assert answer.body.data == b'{"error":{"message":"m"}}'


def test_cookies_of_one_caller_are_not_given_to_another(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b"{}", b"Set-Cookie: a=1; Path=/", b"set-cookie: b=2"))
    tape = upstream.play(ok())
    first = once(house.calls, chat())
    assert first.head.values(b"set-cookie") == [b"a=1; Path=/", b"b=2"]
    once(house.calls, chat())
    assert not tape.head.values(b"cookie")


def test_a_callers_cookies_are_passed(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok())
    once(house.calls, chat(b"Cookie: a=1", b"cookie: b=2"))
    assert tape.head.values(b"cookie") == [b"a=1", b"b=2"]


def test_gzip_bodies_pass_untouched_and_are_readable_in_the_record(house: Tasktap, upstream: Upstream) -> None:
    there = gzip.compress(CHAT, mtime=0)
    back = gzip.compress(
        b'{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"zipped"}}]}',
        mtime=0,
    )
    tape = upstream.play(ok(back, b"Content-Encoding: gzip"))
    answer = once(house.calls, chat(b"Content-Encoding: gzip", body=there))
    assert tape.body.data == there
    assert answer.body.data == back
    task = house.task(answer.id)
    assert task["input"] == "hello"
    assert task["output"] == "zipped"
    assert house.fetch(f"/api/tasks/{task['id']}/request") == (200, there)
    assert house.fetch(f"/api/tasks/{task['id']}/response") == (200, back)
    assert house.fetch(f"/api/tasks/{task['id']}/request?decoded=1") == (200, CHAT)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 1_000_003])
def test_a_body_of_this_size_goes_there_and_back(door: Door, upstream: Upstream, size: int) -> None:
    data = random.Random(size).randbytes(size)
    upstream.play(mirror)
    assert once(door, request(body=data)).body.data == data


def test_a_long_answer_with_a_length_passes_whole(house: Tasktap, upstream: Upstream) -> None:
    total = 100 * 65536
    upstream.play(
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: %d\r\n\r\n" % total, pour(total, bytes(range(256)) * 256)
    )
    answer = once(house.calls, request(b"GET", b"/v1/files/1/content"))
    assert answer.body.data == bytes(range(256)) * 256 * 100


def test_one_byte_at_a_time_both_ways_changes_nothing(door: Door, upstream: Upstream) -> None:
    back = chunked([b"abc", b"d"], b"X-Odd: \xe9", trailers=b"T: 1\r\n")
    tape = upstream.play(*(back[i : i + 1] for i in range(len(back))))
    said = request(b"POST", b"/v1/x", b"X-Odd: \xff", pieces=[b"12345", b"6"])
    with Caller(door) as caller:
        for i in range(len(said)):
            caller.send(said[i : i + 1])
        answer = caller.answer()
    assert tape.body.data == b"123456"
    assert tape.head.values(b"x-odd") == [b"\xff"]
    assert answer.body.data == b"abcd"
    assert answer.head.values(b"x-odd") == [b"\xe9"]


def test_an_answer_may_be_cut_at_any_byte_and_still_is_the_same(house: Tasktap, upstream: Upstream) -> None:
    back = chunked([b"abc", b"defgh"], b"X-A: b", trailers=b"T: 1\r\n")
    with Caller(house.calls) as caller:
        for at in range(1, len(back)):
            upstream.play(back[:at], back[at:])
            answer = caller.ask(request(b"GET", b"/v1/x"))
            assert (answer.body.data, answer.body.trailers, answer.passed_on[1]) == (b"abcdefgh", [(b"T", b"1")], (b"X-A", b"b"))


def test_a_request_may_be_cut_at_any_byte_and_still_is_the_same(house: Tasktap, upstream: Upstream) -> None:
    said = request(b"POST", b"/v1/x", b"X-A: b", pieces=[b"abc", b"defgh"])
    with Caller(house.calls) as caller:
        for at in range(1, len(said)):
            tape = upstream.play(ok())
            caller.send(said[:at])
            answer = caller.ask(said[at:])
            assert answer.status == 200
            assert (tape.body.data, tape.head.value(b"x-a")) == (b"abcdefgh", b"b")


def test_chunk_extensions_are_understood_and_their_data_passes(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunk(b"abc", b';a="b"')
        + chunk(b"d", b";x")
        + b"0;last\r\n\r\n"
    )
    tape_body = chunk(b"one", b";q=1") + chunk(b"two", b';s="a,b"') + b"0;end=1\r\n\r\n"
    tape = upstream.all[-1]
    answer = once(house.calls, b"POST /v1/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + tape_body)
    assert answer.body.data == b"abcd"
    assert tape.body.data == b"onetwo"
