"""Malformed HTTP is refused, counted, and never reaches an upstream."""

from __future__ import annotations

import contextlib
import random

import pytest

from tests.proc import Tasktap, serving
from tests.relay.caller import Caller, chat, request
from tests.relay.oracle import Oracle
from tests.sockets import Cut
from tests.upstream import Upstream, hang, ok

H = b"POST /v1/x HTTP/1.1\r\nHost: h\r\n"
BODY = b"5\r\nhello\r\n0\r\n\r\n"

FRAMING = {
    "CL with TE": H + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
    "TE with CL": H + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + BODY,
    "TE xchunked": H + b"Transfer-Encoding: xchunked\r\n\r\n" + BODY,
    "TE chunked, identity": H + b"Transfer-Encoding: chunked, identity\r\n\r\n" + BODY,
    "TE identity": H + b"Transfer-Encoding: identity\r\n\r\n" + BODY,
    "TE gzip, chunked": H + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + BODY,
    "TE ,chunked": H + b"Transfer-Encoding: ,chunked\r\n\r\n" + BODY,
    "TE chunked,": H + b"Transfer-Encoding: chunked,\r\n\r\n" + BODY,
    "TE twice": H + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
    "TE twice, differing": H + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + BODY,
    "TE empty": H + b"Transfer-Encoding:\r\n\r\n" + BODY,
    "TE with a tab inside": H + b"Transfer-Encoding: chun\tked\r\n\r\n" + BODY,
    "TE with VT": H + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + BODY,
    "TE quoted": H + b'Transfer-Encoding: "chunked"\r\n\r\n' + BODY,
    "TE with a space before the colon": H + b"Transfer-Encoding : chunked\r\n\r\n" + BODY,
    "TE folded": H + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + BODY,
    "TE in HTTP/1.0": b"POST /v1/x HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
    **{
        f"CL {value!r}": H + b"Content-Length: " + value + b"\r\n\r\nhello"
        for value in (
            b"+5",
            b"-5",
            b"5, 5",
            b"5 5",
            b"0x5",
            b"1_0",
            b"",
            b"5.0",
            b"5e0",
            b"18446744073709551618",
            b"\xb2",
            b"five",
            b"5;a",
            b'"5"',
        )
    },
    "CL twice, equal": H + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "CL twice, differing": H + b"Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "CL with a space before the colon": H + b"Content-Length : 5\r\n\r\nhello",
}

LINES = {
    "bare LF": b"GET /v1/x HTTP/1.1\nHost: h\n\n",
    "bare LF after a field": b"GET /v1/x HTTP/1.1\r\nHost: h\nX-A: b\r\n\r\n",
    "bare CR in a value": H + b"X-A: b\rX-C: d\r\n\r\n",
    "bare CR in the line": b"GET /v1/x\r HTTP/1.1\r\nHost: h\r\n\r\n",
    "NUL in a value": H + b"X-A: b\0c\r\n\r\n",
    "NUL in a name": H + b"X-\0A: b\r\n\r\n",
    "NUL in the target": b"GET /v1/\0x HTTP/1.1\r\nHost: h\r\n\r\n",
    "a folded field": H + b"X-A: b\r\n c\r\n\r\n",
    "a field that begins with a space": b"GET /v1/x HTTP/1.1\r\n X-A: b\r\nHost: h\r\n\r\n",
    "no colon": H + b"nonsense\r\n\r\n",
    "an empty name": H + b": b\r\n\r\n",
    "a space in a name": H + b"X A: b\r\n\r\n",
    "a space before the colon": H + b"X-A : b\r\n\r\n",
    "bytes over 0x7f in a name": H + b"X-\xe9: b\r\n\r\n",
    "double Host": b"GET /v1/x HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
    "double Host, equal": b"GET /v1/x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "no Host": b"GET /v1/x HTTP/1.1\r\nX-A: b\r\n\r\n",
    "Host with a path and userinfo": b"GET /v1/x HTTP/1.1\r\nHost: a/@evil\r\n\r\n",
    "Host with a space": b"GET /v1/x HTTP/1.1\r\nHost: a b\r\n\r\n",
    "two spaces in the line": b"GET  /v1/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "two spaces before the version": b"GET /v1/x  HTTP/1.1\r\nHost: h\r\n\r\n",
    "a tab in the line": b"GET\t/v1/x\tHTTP/1.1\r\nHost: h\r\n\r\n",
    "a space in the target": b"GET /v1/x y HTTP/1.1\r\nHost: h\r\n\r\n",
    "a fragment": b"GET /v1/x#frag HTTP/1.1\r\nHost: h\r\n\r\n",
    "bytes over 0x7f in the target": b"GET /v1/\xe9 HTTP/1.1\r\nHost: h\r\n\r\n",
    "a control byte in the target": b"GET /v1/\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
    "a target without a slash": b"GET v1/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "a bad method": b"G@T /v1/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "an empty method": b" /v1/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 64 + b"\r\n\r\n",
    "garbage": b"\x00\xff\xfe\r\n\r\n",
}

CHUNKS = {
    "size 0x5": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size 5_": b"5_\r\nhello\r\n0\r\n\r\n",
    "size with a space": b"5 \r\nhello\r\n0\r\n\r\n",
    "size +5": b"+5\r\nhello\r\n0\r\n\r\n",
    "size -1": b"-1\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "no hex": b"g\r\nhello\r\n0\r\n\r\n",
    "too large": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF after an extension": b"5;a=b\nhello\r\n0\r\n\r\n",
    "bare CR in an extension": b"5;a=\rb\r\nhello\r\n0\r\n\r\n",
    "bare LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "data longer than said": b"5\r\nhello!\r\n0\r\n\r\n",
    "data shorter than said": b"6\r\nhello\r\n0\r\n\r\n",
    "a framing field in the trailers": b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    "TE in the trailers": b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a bad trailer": b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
    "an endless extension": b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    "endless trailers": b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
}


def refused(house: Tasktap, said: bytes, status: int) -> None:
    before = house.status()["rejected"]
    with Caller(house.calls) as caller:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            caller.send(said)
        answer = caller.answer()
        assert answer.status == status
        assert answer.json["error"]["type"] == "invalid_request_error"
        assert set(answer.json["error"]) == {"message", "type", "code", "param"}
        assert answer.error == answer.json["error"]["code"].encode()
        with contextlib.suppress(Cut, ConnectionResetError):
            assert caller.wire.rest() == b""
    assert house.status()["rejected"] == before + 1


@pytest.mark.parametrize("said", (FRAMING | LINES).values(), ids=(FRAMING | LINES).keys())
def test_it_is_refused_with_400_and_nothing_goes_upstream(house: Tasktap, upstream: Upstream, said: bytes) -> None:
    heard = upstream.bytes_heard
    refused(house, said, 400)
    assert upstream.bytes_heard == heard


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET /v1/x\r\n\r\n", 505),
        (b"GET /v1/x HTTP/0.9\r\nHost: h\r\n\r\n", 505),
        (b"GET /v1/x HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"GET /v1/x HTTP/1.2\r\nHost: h\r\n\r\n", 505),
        (b"GET /v1/x HTTP/11\r\nHost: h\r\n\r\n", 400),
        (b"GET /v1/x http/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /v1/x XTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
def test_other_versions_are_refused(house: Tasktap, upstream: Upstream, said: bytes, status: int) -> None:
    """400 and 505 are both honest for a version that is none (CONTRACT: 400, 414, 431 or 505)."""
    with Caller(house.calls) as caller:
        caller.send(said)
        answer = caller.answer()
        assert answer.status in {status, 400, 505}
        assert answer.version in (b"HTTP/1.1", b"HTTP/1.0")
        caller.ended()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET /v1/" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        (b"GET /v1/" + b"a" * 200_000, 414),
        (b"A" * 200_000, 400),
        (H + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n", 431),
        (H + b"X-A: a\r\n" * 20_000 + b"\r\n", 431),
        (H + b"X-A: " + b"a" * 200_000, 431),
        (H + b"a" * 200_000, 431),
    ],
    ids=["long target", "endless target", "endless method", "long value", "many fields", "endless value", "endless name"],
)
def test_a_head_that_is_too_long_has_its_own_status(house: Tasktap, upstream: Upstream, said: bytes, status: int) -> None:
    heard = upstream.bytes_heard
    with Caller(house.calls) as caller:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            caller.send(said)
        assert caller.answer().status in ((400, 414, 431) if status == 400 else (status,))
        with contextlib.suppress(Cut, ConnectionResetError):
            caller.wire.rest()
    assert upstream.bytes_heard == heard


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS.keys())
def test_a_bad_chunk_never_becomes_a_whole_request(house: Tasktap, upstream: Upstream, body: bytes) -> None:
    """Bodies stream, so a head may be on its way already; then the upstream must see a break, never an end."""
    before = house.quiet()
    tape = upstream.play(hang)
    with Caller(house.calls) as caller:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            caller.send(H + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        with contextlib.suppress(Cut):
            assert caller.answer().status == 400
        with contextlib.suppress(Cut, ConnectionResetError):
            caller.wire.rest()
    after = house.quiet()
    assert after["running"] == 0
    if after["carried"] == before["carried"] or not tape.started.wait(2):  # nothing went upstream: what the contract says
        upstream.tapes.get_nowait()
        upstream.all.remove(tape)
        return
    tape.wait()
    assert tape.cut is not None
    assert not tape.body_heard.raw.endswith(b"0\r\n\r\n")
    assert not bytes(tape.cut.data).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("name", [name for name, body in CHUNKS.items() if len(body) < 1000])
def test_a_bad_chunk_in_the_packet_of_its_head_sends_nothing_upstream(house: Tasktap, upstream: Upstream, name: str) -> None:
    before, heard = house.status()["rejected"], upstream.bytes_heard
    with Caller(house.calls) as caller:
        answer = caller.send(H + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[name]).answer()
        assert answer.status == 400
    assert house.status()["rejected"] == before + 1
    assert upstream.bytes_heard == heard


def test_data_behind_a_closing_request_is_not_a_request(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b"one"))
    with Caller(house.calls) as caller:
        caller.send(chat(b"Connection: close") + chat())
        assert caller.answer().body.data == b"one"
        with contextlib.suppress(Cut):
            assert caller.wire.rest() == b""


def test_a_hidden_request_in_a_body_stays_a_body(house: Tasktap, upstream: Upstream) -> None:
    hidden = request(b"GET", b"/v1/hidden")
    tape = upstream.play(ok(b"one"))
    after = upstream.play(ok(b"two"))
    with Caller(house.calls) as caller:
        assert caller.ask(chat(body=hidden)).body.data == b"one"
        assert caller.ask(request(b"GET", b"/v1/after")).body.data == b"two"
    assert tape.body.data == hidden
    assert after.target == b"/v1/after"


def mutated(dice: random.Random) -> bytes:
    said = bytearray(
        dice.choice(
            [chat(b"X-A: b"), request(b"GET", b"/v1/x"), request(pieces=[b"abc", b"defg"]), request(b"PUT", b"/v1/y", body=b"zz")]
        )
    )
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(said))
        match dice.randrange(4):
            case 0:
                said[at] = dice.randrange(256)
            case 1:
                del said[at : at + dice.randrange(1, 6)]
            case 2:
                said[at:at] = dice.choice(
                    [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b"0\r\n\r\n", b"Content-Length: 3\r\n", b"\x0b"]
                )
            case _:
                said[at:at] = said[at : at + dice.randrange(1, 30)]
    return bytes(said)


def test_whatever_of_1000_mutations_reaches_the_upstream_is_well_formed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """And each is answered or ended within its time, and the relay is the same process afterwards."""
    oracle = Oracle()
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{oracle.url}"\n'
    dice = random.Random(2)
    with serving(tmp_path_factory.mktemp("mutations"), config) as house:
        relay = house.pid("relay")
        for _ in range(1000):
            with Caller(house.calls) as caller, contextlib.suppress(ConnectionError, Cut):
                caller.send(mutated(dice))
                caller.half_close()
                caller.wire.rest()
        status = house.quiet()
        assert status["carried"] == status["stored"] + status["waiting"] + status["lost"]
        assert house.pid("relay") == relay
    assert not oracle.bad
    assert oracle.whole > 50, "hardly a mutation was harmless: this proves little"
    oracle.close()
