"""WebSocket frames read back: masked and not, whole and in fragments, compressed and not, cut at every position."""

from __future__ import annotations

import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.websocket import BINARY, CLOSE, CONTINUATION, PING, TEXT, Decoder, Deflate, Message, negotiated, plain


def frame(opcode: int, data: bytes, *, fin: bool = True, key: bytes | None = None, packed: bool = False) -> bytes:
    """A frame as RFC 6455 5.2 draws it, written without the code under test."""
    first = (0x80 if fin else 0) | (0x40 if packed else 0) | opcode
    mask = 0x80 if key else 0
    size = len(data)
    short, width = (size, 0) if size < 126 else (126, 2) if size < 65536 else (127, 8)
    length = bytes([mask | short]) + (size.to_bytes(width, "big") if width else b"")
    body = bytes(byte ^ key[at % 4] for at, byte in enumerate(data)) if key else data
    return bytes([first]) + length + (key or b"") + body


class Packer:
    """permessage-deflate, on the sender's side."""

    def __init__(self, resets: bool) -> None:
        self.resets = resets
        self.coder = zlib.compressobj(wbits=-15)

    def __call__(self, data: bytes) -> bytes:
        if self.resets:
            self.coder = zlib.compressobj(wbits=-15)
        return (self.coder.compress(data) + self.coder.flush(zlib.Z_SYNC_FLUSH))[:-4]


def decoded(wire: bytes, *cuts: int, resets: bool | None = None) -> list[Message]:
    decoder = Decoder(resets)
    ends = [0, *cuts, len(wire)]
    messages = [message for a, b in pairwise(ends) for message in decoder.feed(wire[a:b])]
    assert decoder.broken is None
    return messages


PACK = Packer(resets=False)
SAID = [b'{"type":"session.update"}', b'{"type":"session.update","again":true}', b"\xff" * 200, b"x" * 300]
WIRE = b"".join(
    [
        frame(TEXT, b"hello", key=b"\x01\x02\x03\x04"),
        frame(TEXT, b"hel", fin=False, key=b"abcd"),
        frame(PING, b"are you there", key=b"abcd"),
        frame(CONTINUATION, b"lo", fin=False, key=b"\xff\x00\xff\x00"),
        frame(CONTINUATION, b"", key=b"abcd"),
        *[frame(TEXT, PACK(text), packed=True, key=b"efgh") for text in SAID],
        frame(BINARY, b"\0" * 130),
        frame(TEXT, b""),
        frame(CLOSE, b"\x03\xe8bye", key=b"abcd"),
    ]
)
MESSAGES = [
    Message(TEXT, b"hello"),
    Message(PING, b"are you there"),
    Message(TEXT, b"hello"),
    *[Message(TEXT, text) for text in SAID],
    Message(BINARY, b"\0" * 130),
    Message(TEXT, b""),
    Message(CLOSE, b"\x03\xe8bye"),
]


def test_every_kind_of_frame_is_read():
    assert decoded(WIRE, resets=False) == MESSAGES


def test_a_connection_cut_in_two_anywhere_says_the_same():
    for at in range(len(WIRE) + 1):
        assert decoded(WIRE, at, resets=False) == MESSAGES, at


def test_a_connection_fed_byte_by_byte_says_the_same():
    assert decoded(WIRE, *range(1, len(WIRE)), resets=False) == MESSAGES


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 100_000])
def test_a_message_of_any_length_is_written_as_a_plain_frame_and_read_back(size):
    message = Message(BINARY, b"z" * size)

    assert plain(message) == frame(BINARY, b"z" * size)
    assert decoded(plain(message)) == [message]
    assert decoded(frame(BINARY, b"z" * size, key=b"\x91\x02\x00\xfe")) == [message]


@given(st.lists(st.binary(max_size=400), min_size=1), st.booleans(), st.data())
def test_what_was_compressed_is_read_back_whether_or_not_each_message_begins_anew(texts, resets, data):
    pack = Packer(resets)
    wire = b"".join(frame(TEXT, pack(text), packed=True) for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=5)))

    assert decoded(wire, *cuts, resets=resets) == [Message(TEXT, text) for text in texts]


def test_a_sender_may_end_its_compressed_data_with_each_message():
    coder = zlib.compressobj(wbits=-15)
    ended = coder.compress(b"first") + coder.flush()  # RFC 7692 7.2.3.5, with a final block
    wire = frame(TEXT, ended + b"\x00", packed=True) + frame(TEXT, Packer(True)(b"second"), packed=True)

    assert decoded(wire, resets=False) == [Message(TEXT, b"first"), Message(TEXT, b"second")]


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "no WebSocket frame"),
        (frame(3, b"x"), "no WebSocket frame"),
        (frame(PING, b"x", fin=False), "control frame"),
        (frame(PING, b"x" * 126), "control frame"),
        (frame(CONTINUATION, b"x"), "out of order"),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), "out of order"),
        (b"\xc1\x01x", "was not agreed on"),
        (bytes([0x81, 127]) + (1 << 40).to_bytes(8, "big"), "is longer than"),
    ],
)
def test_what_is_no_websocket_is_told_and_nothing_follows(wire, why):
    for size in (len(wire), 1):
        decoder = Decoder()
        before = [message for at in range(0, len(wire), size) for message in decoder.feed(wire[at : at + size])]
        assert before == []
        assert decoder.broken is not None
        assert why in decoder.broken
        assert decoder.feed(frame(TEXT, b"more")) == []


def test_a_compressed_bomb_stops_at_the_limit():
    decoder = Decoder(False, limit=10_000)

    assert decoder.feed(frame(TEXT, Packer(False)(b"0" * 1_000_000), packed=True)) == []
    assert decoder.broken == "a message is longer than 10000 bytes"


def test_fragments_count_together_against_the_limit():
    decoder = Decoder(limit=10)

    assert decoder.feed(frame(TEXT, b"123456", fin=False) + frame(CONTINUATION, b"123456")) == []
    assert decoder.broken == "a message is longer than 10 bytes"


@given(st.binary(max_size=300), st.sampled_from([None, True, False]))
def test_no_bytes_make_it_raise(data, resets):
    whole, single = Decoder(resets), Decoder(resets)

    assert whole.feed(data) == [message for byte in data for message in single.feed(bytes([byte]))]
    assert whole.broken == single.broken


@pytest.mark.parametrize(
    ("value", "agreed"),
    [
        (b"", None),
        (b"x-webkit-deflate-frame", None),
        (b"permessage-deflate", Deflate(False, False)),
        (b"Permessage-Deflate; client_max_window_bits=12; client_no_context_takeover", Deflate(True, False)),
        (b"foo, permessage-deflate;server_no_context_takeover ;client_no_context_takeover", Deflate(True, True)),
    ],
)
def test_what_was_agreed_on_is_read_from_the_header(value, agreed):
    assert negotiated(value) == agreed
