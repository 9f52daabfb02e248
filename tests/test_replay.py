"""`tasktap replay`: a kept stream again, in its own time."""

from __future__ import annotations

import json
import time

import pytest

from tests.store.tasks import a_task
from tests.test_again import kept_in, tasktap

PIECES = (
    b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"lo \x1b[31m"}}]}\n\ndata: {"choi',
    b'ces":[{"delta":{"content":"there"}}]}\n\ndata: [DONE]\n\n',
)
STREAM = a_task(
    1,
    response_body=b"".join(PIECES),
    pieces=tuple((at, len(data)) for at, data in zip((0.5, 1.0, 60.25), PIECES, strict=True)),
    response_headers=(("Content-Type", "text/event-stream"),),
    output="Hello there",
)
WHOLE = a_task(2, response_body=b'{"choices": []}', pieces=((0.1, 15),), output="all at once")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "tasktap.toml").write_text("")
    kept_in(tmp_path, STREAM, WHOLE, a_task(3))
    return tmp_path


def test_a_stream_says_again_what_it_said_and_cannot_steer_the_terminal(place):
    assert tasktap(place, "replay", "id-1", "--speed", "0") == "Hello ␛[31mthere\n"
    assert tasktap(place, "replay", "id-2", "--speed", "0") == "all at once\n"


def test_raw_gives_the_very_bytes(place):
    assert tasktap(place, "replay", "id-1", "--speed", "0", "--raw").encode() == STREAM.response_body


def test_it_takes_its_own_time_divided_by_the_speed(place):
    begun = time.monotonic()
    tasktap(place, "replay", "id-1", "--speed", "0")
    at_once = time.monotonic() - begun
    begun = time.monotonic()
    tasktap(place, "replay", "id-1", "--speed", "30")
    assert time.monotonic() - begun > 60.25 / 30
    assert at_once < 60.25


def test_json_gives_when_each_piece_came_and_what_it_said(place):
    assert json.loads(tasktap(place, "replay", "id-1", "--json")) == {
        "id": "id-1",
        "pieces": [
            {"at": at, "bytes": len(data), "text": text}
            for at, data, text in zip((0.5, 1.0, 60.25), PIECES, ("Hel", "lo \x1b[31m", "there"), strict=True)
        ],
    }


def test_what_cannot_be_shown_is_said(place):
    assert "nothing of an answer is kept" in tasktap(place, "replay", "id-3")
    assert 'no task "nobody"' in tasktap(place, "replay", "nobody", code=1)
    assert "--speed" in tasktap(place, "replay", "id-1", "--speed", "-1", code=2)
