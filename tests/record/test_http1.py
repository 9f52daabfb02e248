"""Framing: what is accepted goes on as it is, what is not grammar is refused, wherever the bytes are cut."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.record.http1 import UNTIL_CLOSE, BadMessage, Chunked, chunk, joined, request_head, response_head

LIMIT = 1024


def refused(head: bytes) -> int:
    with pytest.raises(BadMessage) as caught:
        request_head(head, LIMIT)
    return caught.value.status


def test_a_plain_request_says_its_length_and_stays_open():
    head = request_head(b"POST /v1/x?a=%7e HTTP/1.1\r\nHost: a:1\r\nContent-Length: 12", LIMIT)

    assert (head.method, head.target, head.length, head.chunked, head.keep_alive) == (b"POST", b"/v1/x?a=%7e", 12, False, True)


@pytest.mark.parametrize(
    ("line", "open_after"),
    [(b"Connection: close", False), (b"Connection: Keep-Alive, X-Foo", True), (b"A: b", True)],
)
def test_connection_decides_whether_the_caller_stays(line, open_after):
    assert request_head(b"GET / HTTP/1.1\r\nHost: a\r\n" + line, LIMIT).keep_alive is open_after


def test_an_http_1_0_caller_stays_only_when_it_asks_to():
    assert request_head(b"GET / HTTP/1.0", LIMIT).keep_alive is False
    assert request_head(b"GET / HTTP/1.0\r\nConnection: keep-alive", LIMIT).keep_alive is True


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 1\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 1",
        b"Content-Length: 1\r\nContent-Length: 1",
        b"Content-Length: 1, 1",
        b"Content-Length: +1",
        b"Content-Length: -1",
        b"Content-Length: 0x1",
        b"Content-Length: 1_0",
        b"Content-Length: ",
        b"Content-Length: 18446744073709551618",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: ,chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\x0bchunked",
        b" Transfer-Encoding: chunked",
        b"A: b\r\n folded",
        b"A: b\nB: c",
        b"A: b\rB: c",
        b"A: \x00",
        b"A",
        b": a",
        b"A b: c",
        b"Host: b",
    ],
)
def test_framing_that_two_readers_could_read_differently_is_refused(framing):
    assert refused(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing) == 400


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/2.0", 505),
        (b"GET /", 505),
        (b"PRI * HTTP/2.0", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /\xff HTTP/1.1", 400),
        (b"GET /#a HTTP/1.1", 400),
        (b"G@T / HTTP/1.1", 400),
        (b"", 400),
        (b"GET /" + b"a" * LIMIT + b" HTTP/1.1", 414),
    ],
)
def test_a_bad_request_line_gets_the_status_that_says_why(line, status):
    assert refused(line + b"\r\nHost: a") == status


@pytest.mark.parametrize("host", [b"a/@evil", b"a b", b"", b"a\r\nHost: b"])
def test_host_is_there_once_and_is_a_host(host):
    head = b"GET / HTTP/1.1" + (b"\r\nHost: " + host if host else b"")

    assert refused(head) == 400


def test_transfer_codings_do_not_belong_in_http_1_0():
    assert refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked") == 400


@pytest.mark.parametrize(
    ("method", "head", "length"),
    [
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5", 5),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5", 0),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5", 0),
        (b"GET", b"HTTP/1.1 304 \r\nContent-Length: 5", 0),
        (b"GET", b"HTTP/1.1 200", UNTIL_CLOSE),
    ],
)
def test_the_length_of_an_answer_follows_rfc_9112_section_6_3(method, head, length):
    assert response_head(head, method).length == length


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: foo",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 99999 OK",
        b"HTTP/2 200",
        b"HTTP/1.1 200 OK\r\nA: \x00",
        b"garbage",
    ],
)
def test_an_answer_with_unclear_framing_is_refused(head):
    with pytest.raises(BadMessage):
        response_head(head, b"GET")


def test_field_bytes_above_ascii_order_case_and_doubles_are_kept():
    raw = [b"Host: a", b"x-a: caf\xe9", b"X-A:2 ", b"SET-cookie: 1", b"set-Cookie: 2"]

    head = request_head(b"GET / HTTP/1.1\r\n" + b"\r\n".join(raw), LIMIT)

    assert [field.raw for field in head.fields] == raw


CHUNKED = b"3\r\nabc\r\n2;x=1\r\nde\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n"


def fed(pieces: list[bytes]) -> tuple[bytes, int, bool]:
    body, payload, used = Chunked(), b"", 0
    for piece in pieces:
        if body.done or not piece:
            continue
        part, count = body.feed(piece)
        payload += part
        used += count
    return payload, used, body.done


@pytest.mark.parametrize("cut", range(len(CHUNKED) + 1))
def test_a_chunked_body_is_the_same_however_it_is_cut(cut):
    assert fed([CHUNKED[:cut], CHUNKED[cut:] + b"GET /next"]) == (b"abcde0123456789", len(CHUNKED), True)


def test_a_chunked_body_is_the_same_byte_by_byte():
    assert fed([CHUNKED[at : at + 1] for at in range(len(CHUNKED))]) == (b"abcde0123456789", len(CHUNKED), True)


@pytest.mark.parametrize(
    "body",
    [
        b"0x2\r\nab\r\n",
        b"2_\r\nab\r\n",
        b"2 \r\nab\r\n",
        b"+2\r\nab\r\n",
        b"2\nab\r\n",
        b"\r\n",
        b"2;a\nb\r\nab\r\n",
        b"2\r\nabc\r\n",
        b"2\r\nab\n",
        b"2\r\nab\rX",
        b"FFFFFFFFFFFFFFFFF\r\n",
        b"0\r\nContent-Length: 1\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"2" + b";" * 5000,
    ],
)
def test_a_chunk_that_is_not_grammar_is_refused_wherever_it_is_cut(body):
    for cut in range(len(body)):
        with pytest.raises(BadMessage):
            fed([body[:cut], body[cut:]])


@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
def test_what_chunk_writes_h11_and_chunked_read_alike(parts, data):
    wire = b"".join(map(chunk, parts)) + b"0\r\n\r\n"
    cut = data.draw(st.integers(0, len(wire)))
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(joined(b"POST / HTTP/1.1", [b"Host: a", b"Transfer-Encoding: chunked"]) + wire)
    seen, event = b"", peer.next_event()
    while not isinstance(event, h11.EndOfMessage):
        seen += bytes(event.data) if isinstance(event, h11.Data) else b""
        event = peer.next_event()

    assert fed([wire[:cut], wire[cut:]]) == (b"".join(parts), len(wire), True)
    assert seen == b"".join(parts)
