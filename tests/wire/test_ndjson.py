"""Lines of JSON, at every cut."""

from __future__ import annotations

from proxy.wire.ndjson import Decoder

STREAM = b'{"a":1}\r\n\n  \n{"b":"\xe2\x82\xac\\r"}\n\r\n{"c":"\xe2\x80\xa8 \r x"}\n{"done":true}'
LINES = [b'{"a":1}', b'{"b":"\xe2\x82\xac\\r"}', b'{"c":"\xe2\x80\xa8 \r x"}']


def decoded(*pieces: bytes, limit: int = 100):
    decoder = Decoder(limit)
    return [line for piece in pieces for line in decoder.feed(piece)], decoder.finish(), decoder.unterminated, decoder.dropped


def test_lines_are_the_same_wherever_they_are_cut():
    expected = (LINES, [b'{"done":true}'], True, 0)

    assert decoded(STREAM) == expected
    assert decoded(*(bytes([byte]) for byte in STREAM)) == expected
    for at in range(len(STREAM) + 1):
        assert decoded(STREAM[:at], STREAM[at:]) == expected


def test_a_stream_that_ends_with_a_line_end_is_whole():
    assert decoded(b"1\n2\r\n") == ([b"1", b"2"], [], False, 0)


def test_a_line_over_the_limit_is_dropped_and_the_next_is_read():
    stream = b"123456\n12345\r\n1234567890\r\n1\n123456"

    assert decoded(stream, limit=5) == ([b"12345", b"1"], [], False, 3)
    assert decoded(*(bytes([byte]) for byte in stream), limit=5) == ([b"12345", b"1"], [], False, 3)
