"""Forms of several parts: what has no secret in it comes out byte for byte, however it came in."""

from __future__ import annotations

import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.record.redact_multipart import MultipartRedactor
from proxy.record.redact_text import TextRedactor

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    b"RIFF\r\n--\r\n\r\n--b--\r\n"
)


def kept(body: bytes, *cuts: int) -> bytes:
    redactor = MultipartRedactor(TextRedactor((b"sk-canary",)), b"b")
    edges = [0, *cuts, len(body)]
    out = [redactor.feed(body[start:end]) for start, end in itertools.pairwise(edges)]
    return b"".join([*out, redactor.finish()])


def test_a_form_cut_in_two_anywhere_is_kept_as_it_is():
    for at in range(len(FORM) + 1):
        assert kept(FORM, at) == FORM, at


def test_a_form_fed_byte_by_byte_is_kept_as_it_is():
    assert kept(FORM, *range(1, len(FORM))) == FORM


def test_a_form_that_comes_as_httpx_sends_it_is_kept_as_it_is():
    ends = [at + len(mark) for mark in (b"\r\n\r\n", b"whisper-1", b"whisper-1\r\n") for at in [FORM.index(mark)]]

    assert kept(FORM, *ends) == FORM


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([b"--b", b"--", b"-", b"\r\n", b"\r", b"\r\n\r\n", b"x", b"b"]), max_size=14).map(b"".join),
    st.lists(st.integers(0, 30), max_size=5),
)
@example(b"\r\n", [])
@example(b"-", [])
def test_whatever_comes_is_kept_as_it_is(body, cuts):
    assert kept(body, *sorted(min(cut, len(body)) for cut in cuts)) == body
