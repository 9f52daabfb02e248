"""Every tape says what it must, however the network cut it and whatever coded it."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest

from proxy.record.reading import read
from tests.cuts import cuts
from tests.tapes.tape import Tape, again, parts, said, tapes, words

try:
    from compression import zstd
except ImportError:
    from backports import zstd

TAPES = tapes()
each_tape = pytest.mark.parametrize("tape", TAPES, ids=lambda tape: f"{tape.kind}-{tape.name}")


def _raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


CODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": _raw_deflate,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


def coded(tape: Tape, coding: str, *pieces: bytes):
    call = tape.call(*pieces)
    return tape.call(*pieces, response_fields=(*call.response_fields, (b"Content-Encoding", coding.encode())))


@each_tape
def test_a_tape_is_read_as_its_task_says(tape):
    task = read(tape.call())

    assert parts(task, tape.expected) == tape.expected, tape.doc["about"]


@each_tape
def test_a_tape_cut_in_two_anywhere_says_the_same(tape):
    call = tape.call()
    whole = words(read(call))

    for at in cuts(tape.body):
        assert words(read(again(call, tape.body[:at], tape.body[at:]))) == whole, at


@each_tape
def test_a_tape_fed_byte_by_byte_says_the_same(tape):
    single = tuple(bytes([byte]) for byte in tape.body)

    assert said(read(tape.call(*single))) == said(read(tape.call()))


@pytest.mark.parametrize("coding", CODERS)
@each_tape
def test_a_coded_tape_says_the_same(tape, coding):
    data = CODERS[coding](tape.body)
    plain = said(read(tape.call()))

    for pieces in ((data,), tuple(bytes([byte]) for byte in data)):
        assert said(read(coded(tape, coding, *pieces))) == plain


@pytest.mark.parametrize("coding", ["gzip", "deflate", "Deflate", "br", "zstd", "gzip, br"])
def test_a_coded_tape_cut_in_two_anywhere_says_the_same(coding):
    tape = next(tape for tape in tapes("chat") if tape.name == "tool_calls_parallel")
    data = CODERS[coding](tape.body)
    whole = said(read(coded(tape, coding, data)))

    for at in range(len(data) + 1):
        assert said(read(coded(tape, coding, data[:at], data[at:]))) == whole, at


def test_there_is_a_tape_for_every_trap():
    assert len(TAPES) >= 60
    assert all(tape.doc["about"] and tape.body for tape in TAPES)
