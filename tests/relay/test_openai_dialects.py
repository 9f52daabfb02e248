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
from tests.tapes.tape import tapes
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


PNG = ("a.png", b"\x89PNG\r\n\x1a\n--", "image/png")
PICTURE = "[image a.png, image/png, 10 bytes]"
JOBS = [
    ("moderation/flagged", lambda raw, sdk: raw(sdk.moderations).create(input=["kill", "kiss"]), "kill\nkiss"),
    ("image/json", lambda raw, sdk: raw(sdk.images).generate(prompt="A fox", model="gpt-image-1"), "A fox"),
    ("image/stream", lambda raw, sdk: raw(sdk.images).generate(prompt="A fox", stream=True, partial_images=1), "A fox"),
    ("image/edited", lambda raw, sdk: raw(sdk.images).edit(image=[PNG, PNG], prompt="A hat"), f"A hat\n{PICTURE}\n{PICTURE}"),
    ("image/json", lambda raw, sdk: raw(sdk.images).create_variation(image=PNG), PICTURE),
    ("audio/speech", lambda raw, sdk: raw(sdk.audio.speech).create(input="Hello", model="tts-1", voice="alloy"), "Hello"),
    (
        "audio/transcript_stream",
        lambda raw, sdk: raw(sdk.audio.transcriptions).create(file=("a.wav", b"RIFF", "audio/wav"), model="m", stream=True),
        "[audio a.wav, audio/wav, 4 bytes]",
    ),
    (
        "audio/transcript",
        lambda raw, sdk: raw(sdk.audio.translations).create(file=("a.wav", b"RIFF", "audio/wav"), model="m", prompt="Names"),
        "[audio a.wav, audio/wav, 4 bytes]\nNames",
    ),
    (
        "file/uploaded",
        lambda raw, sdk: raw(sdk.files).create(file=("d.jsonl", b"{}\n{}", "application/jsonl"), purpose="batch"),
        "[file d.jsonl, application/jsonl, 5 bytes] batch",
    ),
    ("file/content", lambda raw, sdk: raw(sdk.files).content("file-1"), None),
    ("file/deleted", lambda raw, sdk: raw(sdk.files).delete("file-1"), None),
    (
        "batch/created",
        lambda raw, sdk: raw(sdk.batches).create(completion_window="24h", endpoint="/v1/responses", input_file_id="file-1"),
        "/v1/responses file-1",
    ),
    ("model/one", lambda raw, sdk: raw(sdk.models).retrieve("gpt-4o"), None),
    ("response/retrieved", lambda raw, sdk: raw(sdk.responses).retrieve("resp_1"), None),
    ("response/retrieved_stream", lambda raw, sdk: raw(sdk.responses).retrieve("resp_1", stream=True), None),
    ("response/cancelled", lambda raw, sdk: raw(sdk.responses).cancel("resp_1"), None),
    ("response/deleted", lambda raw, sdk: raw(sdk.responses).delete("resp_1"), None),
    ("response/input_items", lambda raw, sdk: raw(sdk.responses.input_items).list("resp_1"), None),
    ("response/input_tokens", lambda raw, sdk: raw(sdk.responses.input_tokens).count(model="m", input="Hi"), "Hi"),
]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK's word for variations and translations
@pytest.mark.parametrize(("name", "act", "given"), JOBS, ids=[f"{number}-{job[0]}" for number, job in enumerate(JOBS)])
def test_what_else_the_sdk_sends_is_read(
    house: Tasktap, upstream: Upstream, sdk: Any, name: str, act: Any, given: str | None
) -> None:
    tape = next(tape for tape in tapes(name.partition("/")[0]) if tape.name == name.partition("/")[2])
    fields = tape.doc.get("response_fields", tape.fields)
    head = "".join(f"{field}: {value}\r\n" for field, value in fields.items()).encode()
    upstream.play(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(tape.body), tape.body))
    answer = act(lambda resource: resource.with_raw_response, sdk)
    task = house.task(answer.headers["x-task-id"])

    assert (task["kind"], task["input"], task["output"]) == (tape.kind, given, tape.expected["output"])
    assert (task["ending"], task["problems"]) == ("completed", [])
