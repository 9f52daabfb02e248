"""Content codings: whole, in pieces, cut short, broken, and bombs."""

from __future__ import annotations

import gzip
import random
import zlib

import brotli
import pytest

from proxy.wire.coding import Decoder, UnknownCodingError, codings, decode

try:
    from compression import zstd
except ImportError:
    from backports import zstd

PLAIN = b"data: \xe2\x82\xac says hello, and hello, and hello\n\n" * 50 + random.Random(7).randbytes(300)


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


CODERS = {
    "identity": bytes,
    "gzip": gzip.compress,
    "X-Gzip": gzip.compress,
    "deflate": zlib.compress,
    "DEFLATE": raw_deflate,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "zstd , identity, gzip": lambda data: gzip.compress(zstd.compress(data)),
}
each_coding = pytest.mark.parametrize(("coding", "coder"), CODERS.items(), ids=CODERS)
compressing = pytest.mark.parametrize(("coding", "coder"), [item for item in CODERS.items() if item[0] != "identity"])


def in_pieces(coding: str, *pieces: bytes, limit: int = 1 << 20):
    decoder = Decoder(coding, limit)
    return b"".join(map(decoder.feed, pieces)) + decoder.finish(), decoder.problem


@each_coding
def test_a_body_is_decoded_wherever_it_is_cut(coding, coder):
    data = coder(PLAIN)

    assert decode(data, coding) == (PLAIN, None)
    assert in_pieces(coding, *(bytes([byte]) for byte in data)) == (PLAIN, None)
    for at in range(len(data) + 1):
        assert in_pieces(coding, data[:at], b"", data[at:]) == (PLAIN, None), at


@compressing
def test_a_body_cut_short_gives_what_there_is_and_says_so(coding, coder):
    whole = random.Random(1).randbytes(200_000).hex().encode()  # zstd gives its text by blocks of 128 KiB
    data = coder(whole)
    for share in (0.5, 0.9):
        plain, problem = decode(data[: int(len(data) * share)], coding)

        assert plain == whole[: len(plain)]
        assert "ends early" in problem
    assert len(plain) > 200_000


@compressing
def test_bytes_that_are_not_in_the_coding_are_told(coding, coder):
    plain, problem = decode(b"\x07this is not compressed at all", coding)

    assert plain == b""
    assert "broken" in problem


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_bytes_after_the_end_are_told_and_the_body_is_kept(coding):
    plain, problem = decode(CODERS[coding](PLAIN) + b"garbage", coding)

    assert plain == PLAIN
    assert "after its end" in problem


@compressing
def test_a_bomb_stops_at_the_limit(coding, coder):
    data = coder(b"\0" * 5_000_000)

    for pieces in ((data,), tuple(bytes([byte]) for byte in data[:20_000])):
        plain, problem = in_pieces(coding, *pieces, limit=100_000)
        assert plain == b"\0" * 100_000
        assert problem == "the body decodes to more than 100000 bytes; the rest was not read"


def test_a_bomb_in_a_bomb_stops_at_the_limit():
    data = gzip.compress(gzip.compress(b"\0" * 50_000_000))

    assert len(data) < 10_000
    assert in_pieces("gzip, gzip", data, limit=200_000)[0] == b"\0" * 200_000


def test_a_body_of_exactly_the_limit_is_whole():
    for coding, coder in CODERS.items():
        assert in_pieces(coding, coder(PLAIN), limit=len(PLAIN)) == (PLAIN, None)


def test_a_plain_body_over_the_limit_is_cut():
    assert in_pieces("identity", b"abc", b"def", b"ghi", limit=4) == (
        b"abcd",
        "the body decodes to more than 4 bytes; the rest was not read",
    )


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_one_member_after_another_is_one_body(coding):
    data = CODERS[coding](b"one ") + CODERS[coding](b"two ") + CODERS[coding](b"three")

    assert decode(data, coding) == (b"one two three", None)
    assert in_pieces(coding, *(bytes([byte]) for byte in data)) == (b"one two three", None)


def test_zeros_after_gzip_are_padding():
    data = gzip.compress(PLAIN) + b"\0" * 50

    assert decode(data, "gzip") == (PLAIN, None)
    assert in_pieces("gzip", *(bytes([byte]) for byte in data)) == (PLAIN, None)


def test_no_bytes_at_all_are_an_empty_body():
    for coding in CODERS:
        assert decode(b"", coding) == (b"", None)


def test_each_piece_gives_what_it_adds():
    coder = zlib.compressobj(wbits=31)
    decoder = Decoder("gzip")

    for event in (b"data: 1\n\n", b"data: 2\n\n"):
        assert decoder.feed(coder.compress(event) + coder.flush(zlib.Z_SYNC_FLUSH)) == event


def test_a_coding_that_nobody_knows_leaves_the_body_as_it_is():
    with pytest.raises(UnknownCodingError):
        Decoder("gzip, rot13")

    assert decode(b"abc", "rot13") == (b"abc", "content coding 'rot13' is not known")
    assert decode(b"abc", "gzip," * 40)[0] == b"abc"


def test_the_names_of_codings():
    assert codings("GZip , identity,x-gzip, br,,") == ("gzip", "gzip", "br")
    assert codings(None) == codings("") == codings("identity") == ()
