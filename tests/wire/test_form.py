"""Forms of several parts: what is in them, wherever they are cut."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.form import form_of, is_form

TYPE = "multipart/form-data; boundary=XyZ"
SOUND = b"ID3\x00\r\n--XyY\r\n\r\n\xff"
BODY = (
    b'--XyZ\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--XyZ\r\nContent-Disposition: form-data; name="timestamp_granularities[]"\r\n\r\nword\r\n'
    b'--XyZ\r\nContent-Disposition: form-data; name="include"\r\n\r\na\r\n'
    b'--XyZ\r\nContent-Disposition: form-data; name="include"\r\n\r\nb\r\n'
    b'--XyZ\r\nContent-Disposition: form-data; name="file"; filename="a \\"b\\".mp3"\r\nContent-Type: audio/mpeg\r\n\r\n'
    + SOUND
    + b"\r\n--XyZ\r\ncontent-disposition: form-data; filename*=utf-8''%C3%A9.txt; name=note\r\n\r\n\xc3\xa9\r\n--XyZ--\r\n"
)
FORM = {
    "model": "whisper-1",
    "timestamp_granularities[]": ["word"],
    "include": ["a", "b"],
    "file": {
        "filename": 'a "b".mp3',
        "bytes": len(SOUND),
        "content_type": "audio/mpeg",
        "sha256": hashlib.sha256(SOUND).hexdigest(),
    },
    "note": {"filename": "é.txt", "bytes": 2, "sha256": hashlib.sha256(b"\xc3\xa9").hexdigest()},
}


def test_fields_are_text_and_files_are_described():
    assert form_of(BODY, TYPE) == (FORM, True)
    assert form_of(b"preamble\r\n" + BODY, 'multipart/form-data; charset=x; boundary="XyZ"') == (FORM, True)


def test_a_form_that_is_cut_says_so_and_keeps_what_came():
    for at in range(len(BODY) - len(b"--\r\n")):
        form, whole = form_of(BODY[:at], TYPE)

        assert not whole, at
        assert list(form) == list(FORM)[: len(form)]


def test_a_file_that_is_cut_has_no_digest():
    form, whole = form_of(BODY[: BODY.index(SOUND) + 3], TYPE)

    assert not whole
    assert form["file"] == {"filename": 'a "b".mp3', "bytes": 3, "content_type": "audio/mpeg"}


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (TYPE, True),
        ("Multipart/Form-Data; Boundary=a", True),
        ("multipart/form-data", False),
        ("multipart/mixed; boundary=a", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_a_form_is_told_by_its_type_and_boundary(content_type, expected):
    assert is_form(content_type) is expected


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([b"--XyZ", b"--", b"\r\n", b"\r\n\r\n", b' name="a"', b"; filename=b", b"\xff", b"x"]), max_size=20),
    st.sampled_from([TYPE, "multipart/form-data", "multipart/form-data; boundary=é", ""]),
)
def test_nothing_makes_it_raise(parts, content_type):
    form_of(b"".join(parts), content_type)
