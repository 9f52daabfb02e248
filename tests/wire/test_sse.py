"""Server-sent events: the rules of the standard, at every cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.sse import Decoder, Event

NASTY = (
    b"\xef\xbb\xbfdata: one\r\n: a comment\r\ndata: \xe2\x82\xac two\r\n\r\nevent: named\ndata:no space\n\n"
    b"event: nothing\n\nid: 1\rdata: cr\r\rid\ndata\n\ndata:\ndata:\n\nretry: 10\n\n\n\ndata: \xe2\x80\xa8 not an end\x0b\n\n"
    b"id: a\0b\ndata:  two spaces\n\nDATA: case\n\n:\ndata: [DONE]\r\n\r\ndata: tail\n"
)

EVENTS = [
    Event(b"message", b"one\n\xe2\x82\xac two", b""),
    Event(b"named", b"no space", b""),
    Event(b"message", b"cr", b"1"),
    Event(b"message", b"", b""),
    Event(b"message", b"\n", b""),
    Event(b"message", b"\xe2\x80\xa8 not an end\x0b", b""),
    Event(b"message", b" two spaces", b""),
    Event(b"message", b"[DONE]", b""),
]

TAIL = [Event(b"message", b"tail", b"")]


def decoded(*pieces: bytes, limit: int = 8 << 20):
    decoder = Decoder(limit)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events, decoder.finish(), decoder.unterminated, decoder.dropped


def test_a_nasty_stream_gives_its_events():
    assert decoded(NASTY) == (EVENTS, TAIL, True, 0)


def test_a_nasty_stream_gives_the_same_wherever_it_is_cut():
    for at in range(len(NASTY) + 1):
        assert decoded(NASTY[:at], NASTY[at:]) == (EVENTS, TAIL, True, 0), at
        assert decoded(NASTY[:at], b"", NASTY[at : at + 1], NASTY[at + 1 :]) == (EVENTS, TAIL, True, 0), at


def test_a_nasty_stream_gives_the_same_byte_by_byte():
    assert decoded(*(bytes([byte]) for byte in NASTY)) == (EVENTS, TAIL, True, 0)


# The standard's own examples (WHATWG HTML 9.2.6), and those of the web platform tests (eventsource/format-*).
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [b"first event", b"second event", b" third event"],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [b"", b"\n"]),
        (b"data:test\n\ndata: test\n\n", [b"test", b"test"]),
        (b"data:\n\ndata\ndata\n\ndata:test\n\n", [b"", b"\n", b"test"]),
        (b"data:test1\n\ndata:test2\n", [b"test1"]),
        (b":\ndata:1\n:\0\n:\ndata:2\n:\ndata:3\n:data:fail\n:\ndata:4\n\n", [b"1\n2\n3\n4"]),
        (b"data:test\ndata\ndata:test\n\n", [b"test\n\ntest"]),
        (
            b"data:test\0\n data:2\nData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
            [b"test\0\n1\n3\n\n4"],
        ),
        (b"data: data\xe2\x80\xa9 \xc2\x85\n\n", [b"data\xe2\x80\xa9 \xc2\x85"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\n", [b"2"]),
    ],
)
def test_examples_of_the_standard(data, expected):
    assert [event.data for event in decoded(data)[0]] == expected


def test_llama_cpps_field_for_errors_is_an_event_and_no_other_use_of_the_name_is():
    stream = b'data: 1\n\nerror: {"code":500}\n\nerror: oops\n\nerror\n\nerror: oops\ndata: 2\n\n'
    expected = [Event(b"message", b"1", b""), Event(b"error", b'{"code":500}', b""), Event(b"message", b"2", b"")]

    assert decoded(stream) == (expected, [], False, 0)
    assert decoded(*(bytes([byte]) for byte in stream)) == (expected, [], False, 0)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@given(
    datas=st.lists(st.binary(max_size=9).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b"")), max_size=8),
    cuts=st.lists(st.integers(0, 200)),
)
def test_any_data_comes_back_however_it_is_cut(end, datas, cuts):
    stream = b"".join(b"data: " + data + end + end for data in datas)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]

    events, tail, unterminated, dropped = decoded(*(stream[a:b] for a, b in itertools.pairwise(edges)))

    assert [event.data for event in events] == datas
    assert (tail, unterminated, dropped) == ([], False, 0)


@given(
    st.lists(
        st.sampled_from([b"\n", b"\r", b"data", b":", b" ", b"x", b"event", b"id", b"\xef\xbb\xbf", b"\xef", b"\0"]), max_size=30
    )
)
def test_any_bytes_say_the_same_whole_and_byte_by_byte(words):
    stream = b"".join(words)

    assert decoded(stream) == decoded(*(bytes([byte]) for byte in stream))


def test_an_event_over_the_limit_is_dropped_and_the_next_is_read():
    stream = b"data: 12345\n\ndata: 1\n\ndata: 1234\n\n\ndata: 123456789\ndata: 1\n\ndata: 2\n\n"
    expected = ([Event(b"message", data, b"") for data in (b"1", b"1234", b"2")], [], False, 2)

    assert decoded(stream, limit=10) == expected
    assert decoded(*(bytes([byte]) for byte in stream), limit=10) == expected
    for at in range(len(stream)):
        assert decoded(stream[:at], stream[at:], limit=10) == expected


def test_an_endless_line_is_not_kept():
    decoder = Decoder(limit=100)
    for _ in range(1000):
        decoder.feed(b"x" * 50)

    assert sum(map(len, decoder._parts)) <= 101
    assert decoder.finish() == []
    assert decoder.dropped == 1
