"""What a stream says, piece by piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.record.reading import read
from proxy.wire.saying import saying
from tests.store.tasks import json_values
from tests.tapes.tape import tapes

STREAMS = [tape for tape in tapes() if read(tape.call()).stream]
each_stream = pytest.mark.parametrize("tape", STREAMS, ids=lambda tape: f"{tape.kind}-{tape.name}")


def said(tape, *pieces: bytes) -> list[str]:
    return list(saying(pieces or (tape.body,), tape.call().response_fields[0][1].decode().partition(";")[0], tape.kind))


@each_stream
def test_however_a_stream_was_cut_it_says_the_same(tape):
    whole = said(tape)
    single = said(tape, *(bytes([byte]) for byte in tape.body))
    assert (len(whole), len(single)) == (1, len(tape.body))
    assert "".join(single) == whole[0]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("chat", "plain"), ("chat", "unicode"), ("chat", "refusal"), ("chat", "audio"), ("completion", "plain"),
        ("response", "plain"), ("message", "plain"), ("gemini", "plain"), ("gemini", "array"),
        ("ollama_chat", "plain"), ("ollama_generate", "plain"),
    ],
)  # fmt: skip
def test_what_all_pieces_say_is_what_the_task_says(kind, name):
    found = [tape for tape in STREAMS if (tape.kind, tape.name) == (kind, name)]
    assert found, [tape.name for tape in STREAMS if tape.kind == kind]
    assert "".join(said(found[0])) == read(found[0].call()).output


def test_pieces_say_what_came_in_them():
    piece = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'
    assert list(saying((b": hello\n\n", piece % b"a", piece[:20], piece[20:] % b"b"), "text/event-stream", "chat")) == [
        "",
        "a",
        "",
        "b",
    ]


def test_sound_is_not_text():
    event = (
        b'data: {"type":"response.audio.delta","delta":"AAAA"}\n\ndata: {"type":"response.output_text.delta","delta":"hm"}\n\n'
    )
    assert list(saying((event,), "text/event-stream", "response")) == ["hm"]


@pytest.mark.parametrize("kind", ["chat", "gemini", "ollama_chat"])
def test_a_body_that_is_no_stream_says_nothing_by_itself(kind):
    assert "".join(saying((b'{"choices": [{"mess', b'age": {"content": "x"}}]}'), "application/json", "chat")) == ""
    assert "".join(saying((b"\x00\x01", b"\xff"), "audio/mpeg", kind)) == ""


@given(json_values, st.sampled_from(["chat", "gemini", "ollama_chat"]))
def test_nothing_that_comes_makes_it_raise(value, kind):
    from proxy.store.record import dumps

    data = dumps(value).strip()
    list(saying((b"data: " + data + b"\n\n",), "text/event-stream", kind))
    list(saying((b"[" + data + b"]",), "application/json", kind))
    list(saying((data + b"\n",), "application/x-ndjson", kind))
