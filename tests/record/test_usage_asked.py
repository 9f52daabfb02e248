"""Asking a stream for its usage, and taking the answer to that out again, whatever the cuts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.record.fields import line
from proxy.record.usage_asked import Sieve, asking_body, asking_head, is_usage, may_ask

USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}'
WORD = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"say \\"usage\\": []"}}],"usage":null}'
EMPTY = b'data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}],"usage":null}'  # Azure's first
EVENTS = [EMPTY, WORD, b": OPENROUTER PROCESSING", WORD, USAGE, b"data: [DONE]"]


def stream(events: list[bytes], end: bytes = b"\n\n") -> bytes:
    return b"".join(event + end for event in events)


WITHOUT = [event for event in EVENTS if event is not USAGE]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_the_chunk_with_the_usage_is_taken_out_at_every_cut(end):
    whole, wanted = stream(EVENTS, end), stream(WITHOUT, end)
    for at in range(len(whole) + 1):
        sieve = Sieve()
        assert sieve.feed(whole[:at]) + sieve.feed(whole[at:]) + sieve.rest() == wanted, at
    sieve = Sieve()
    assert b"".join(sieve.feed(whole[at : at + 1]) for at in range(len(whole))) + sieve.rest() == wanted


@given(
    st.lists(st.binary(max_size=30) | st.sampled_from([USAGE, WORD, EMPTY, b"\n", b"\r\n", b"\r", b"data: [DONE]"]), max_size=12)
)
def test_nothing_else_is_ever_lost_or_moved(pieces):
    whole = b"".join(pieces)
    sieve = Sieve()
    in_pieces = b"".join(map(sieve.feed, pieces)) + sieve.rest()
    sieve = Sieve()
    assert sieve.feed(whole) + sieve.rest() == in_pieces
    if USAGE not in whole:
        assert in_pieces == whole


def test_an_event_passes_as_soon_as_it_is_whole():
    sieve = Sieve()
    assert sieve.feed(WORD + b"\n") == b""
    assert sieve.feed(b"\n" + WORD[:9]) == WORD + b"\n\n"


def test_an_event_without_end_is_not_held_for_ever():
    sieve = Sieve()
    assert sieve.feed(b"data: " + b"x" * 300_000) != b""


def test_only_a_chunk_without_choices_and_with_figures_is_the_usage():
    assert is_usage(USAGE)
    assert is_usage(b"event: message\r\n" + USAGE + b"\r\n\r\n")
    for other in (WORD, EMPTY, b"data: [DONE]", b'data: "usage"', b'data: {"usage":{}}', b'data: {"choices":[],"usage":{', b""):
        assert not is_usage(other), other


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":true}',
        b'{"stream": true,\n "messages": [{"content": "}"}]\n}\r\n ',
        b' {"a":{"stream_options":1},"stream":true}',
    ],
)
def test_the_option_is_put_into_a_body_that_stays_as_it_was_otherwise(body):
    edited = asking_body(body)
    assert edited is not None
    assert json.loads(edited) == json.loads(body) | {"stream_options": {"include_usage": True}}
    assert edited.replace(b',"stream_options":{"include_usage":true}', b"") == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"stream":false}',
        b'{"stream":1}',
        b"{}",
        b'{"stream":true,"stream_options":{"include_usage":false}}',
        b'{"stream":true,"stream_options":null}',
        b'{"stream":true} x',
    ],
)
def test_whoever_asks_for_no_stream_or_says_what_it_wants_is_left_alone(body):
    assert asking_body(body) is None


def test_the_head_says_the_new_length_and_asks_for_no_coding():
    head = b"POST /v1 HTTP/1.1\r\nHost: h\r\ncontent-length: 9\r\nAccept-Encoding: gzip, br\r\nX-A: content-length: 9\r\n\r\n"
    assert asking_head(head, 51) == (
        b"POST /v1 HTTP/1.1\r\nHost: h\r\ncontent-length: 51\r\nAccept-Encoding: identity\r\nX-A: content-length: 9\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("kind", "method", "fields", "may"),
    [
        ("chat", b"POST", [b"Content-Type: application/json", b"Content-Length: 9"], True),
        ("completion", b"POST", [b"content-type: Application/JSON; charset=utf-8", b"content-length: 9"], True),
        ("response", b"POST", [b"Content-Type: application/json", b"Content-Length: 9"], False),
        ("chat", b"GET", [b"Content-Type: application/json", b"Content-Length: 9"], False),
        ("chat", b"POST", [b"Content-Type: application/json", b"Transfer-Encoding: chunked"], False),
        ("chat", b"POST", [b"Content-Type: application/json", b"Content-Length: 9", b"Content-Encoding: gzip"], False),
        ("chat", b"POST", [b"Content-Type: application/json", b"Content-Length: 9", b"Content-Digest: sha-256=:x:"], False),
        ("chat", b"POST", [b"Content-Type: application/json", b"Content-Length: 9", b"Expect: 100-continue"], False),
        ("chat", b"POST", [b"Content-Type: text/plain", b"Content-Length: 9"], False),
    ],
)
def test_only_a_body_that_can_be_edited_is(kind, method, fields, may):
    assert may_ask(kind, method, [line(field) for field in fields]) is may
