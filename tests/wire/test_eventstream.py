"""Amazon's event stream: frames out of bytes, however they were cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.dialect import Said
from proxy.wire.eventstream import CONTENT_TYPE, Decoder, unwrapped
from tests.tapes.tape import tapes

BEDROCK = next(tape.body for tape in tapes("message") if tape.name == "bedrock")


def test_frames_are_the_same_wherever_the_stream_was_cut():
    whole = Decoder().feed(BEDROCK)
    assert len(whole) == 7
    assert whole[0][0] == {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    for at in range(len(BEDROCK) + 1):
        decoder = Decoder()
        assert decoder.feed(BEDROCK[:at]) + decoder.feed(BEDROCK[at:]) == whole
        assert not decoder.unterminated
    single = Decoder()
    assert [frame for byte in BEDROCK for frame in single.feed(bytes([byte]))] == whole


def test_each_piece_gives_the_events_that_it_completes():
    said, problems = unwrapped(Said(pieces=(BEDROCK[:100], BEDROCK[100:700], BEDROCK[700:]), content_type=CONTENT_TYPE))
    assert (said.content_type, problems) == ("text/event-stream", ())
    assert said.pieces[0] == b""
    assert all(piece.count(b"data: ") == piece.count(b"\n\n") for piece in said.pieces)
    assert b"".join(said.pieces).count(b"data: ") == 7


def test_what_is_no_event_stream_is_left_alone():
    said = Said(pieces=(BEDROCK,), content_type="application/json")
    assert unwrapped(said) == (said, ())


def test_after_a_frame_whose_sum_is_wrong_nothing_is_read():
    for at in (0, 9, 40, len(BEDROCK) // 2):
        broken = bytearray(BEDROCK)
        broken[at] ^= 1
        decoder = Decoder()
        assert len(decoder.feed(bytes(broken))) < 7
        assert decoder.broken or decoder.unterminated
        assert decoder.feed(BEDROCK) == [] or not decoder.broken


@given(st.binary(max_size=300), st.integers(0, 299))
def test_no_bytes_make_it_raise(data, at):
    unwrapped(Said(pieces=(data[:at], data[at:]), content_type=CONTENT_TYPE))
    unwrapped(Said(pieces=(BEDROCK[:200] + data,), content_type=CONTENT_TYPE))
