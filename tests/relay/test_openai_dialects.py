"""OpenAI's SDK, through the house: what it sends in other dialects is read, and it reads what it got as we do."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proc import Tasktap
from tests.upstream import Upstream, chunked, ok

openai = pytest.importorskip("openai", reason="the caller is missing: pip install openai")

TAPES = Path(__file__).parents[1] / "tapes"


@pytest.fixture
def sdk(house: Tasktap) -> Iterator[Any]:
    host, port = house.calls
    with openai.OpenAI(base_url=f"http://{host}:{port}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


def test_a_streamed_response_is_what_the_sdk_says_it_is(house: Tasktap, upstream: Upstream, sdk: Any) -> None:
    upstream.play(chunked([(TAPES / "response/tools.sse").read_bytes()], kind=b"text/event-stream"))
    answer = sdk.responses.with_raw_response.create(model="gpt-5-mini", input="Weather?", stream=True)
    *_, last = answer.parse()
    task = house.task(answer.headers["x-task-id"])

    assert last.response.to_dict(mode="json") == task["raw_output"]
    assert (task["kind"], task["input"], task["ending"], task["problems"]) == ("response", "Weather?", "completed", [])
    assert task["output"].startswith('get_weather({"city":"Oslo"})\n')


def test_the_vectors_of_an_embedding_are_counted_and_its_bytes_kept(house: Tasktap, upstream: Upstream, sdk: Any) -> None:
    vector = base64.b64encode(struct.pack("<3f", 1, 2, 3))
    body = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":"%b"}],"model":"m"}' % vector
    upstream.play(ok(body))
    answer = sdk.embeddings.with_raw_response.create(model="m", input=["one"])
    task = house.task(answer.headers["x-task-id"])

    assert answer.parse().data[0].embedding == [1.0, 2.0, 3.0]
    assert (task["kind"], task["input"], task["output"]) == ("embedding", "one", "1 vector of 3")
    assert house.fetch(f"/api/tasks/{task['id']}/response") == (200, body)


def test_a_file_that_is_sent_is_described(house: Tasktap, upstream: Upstream, sdk: Any) -> None:
    upstream.play(ok(b'{"text":"Hello."}'))
    sound = b"RIFF\x00\r\n--" + bytes(range(256))
    answer = sdk.audio.transcriptions.with_raw_response.create(model="whisper-1", file=("a.wav", sound, "audio/wav"))
    task = house.task(answer.headers["x-task-id"])

    assert (task["kind"], task["output"]) == ("audio", "Hello.")
    assert task["input"] == f"[audio a.wav, audio/wav, {len(sound)} bytes]"
    assert task["raw_input"]["file"]["sha256"] == hashlib.sha256(sound).hexdigest()


def test_a_streamed_completion_is_read(house: Tasktap, upstream: Upstream, sdk: Any) -> None:
    upstream.play(chunked([(TAPES / "completion/plain.sse").read_bytes()], kind=b"text/event-stream"))
    answer = sdk.completions.with_raw_response.create(model="m", prompt="Once upon", stream=True)
    text = "".join(chunk.choices[0].text for chunk in answer.parse() if chunk.choices)
    task = house.task(answer.headers["x-task-id"])

    assert (task["kind"], task["input"], task["output"]) == ("completion", "Once upon", text)
