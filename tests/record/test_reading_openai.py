"""OpenAI's other dialects: nothing makes them raise, no cut changes what they say, and forms are read like JSON."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.record.reading import read
from proxy.store.record import read as kept_as
from proxy.store.record import write
from proxy.task import Ending, Piece
from proxy.wire.response_events import DELTAS, DONES
from tests.tapes.tape import make_call, said

KINDS = ("completion", "response", "embedding", "moderation", "image", "audio", "file", "batch", "model")
TARGETS = ("/v1/responses", "/v1/responses/r", "/v1/audio/speech", "/v1/files/f/content", "")
EVENTS = (
    *DELTAS,
    *DONES,
    "response.created",
    "response.completed",
    "response.failed",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.annotation.added",
    "error",
    "image_generation.completed",
    "transcript.text.delta",
    "transcript.text.done",
    "transcript.text.segment",
    "speech.audio.delta",
    "speech.audio.done",
)
KEYS = (
    *("type", "id", "item", "item_id", "output_index", "content_index", "summary_index", "part", "delta", "text", "logprobs"),
    *(
        "response",
        "status",
        "output",
        "content",
        "summary",
        "role",
        "name",
        "arguments",
        "input",
        "action",
        "queries",
        "annotation",
    ),
    *(
        "incomplete_details",
        "reason",
        "error",
        "code",
        "message",
        "usage",
        "input_tokens",
        "input_tokens_details",
        "instructions",
    ),
    *(
        "choices",
        "index",
        "prompt",
        "suffix",
        "finish_reason",
        "object",
        "data",
        "embedding",
        "b64_json",
        "results",
        "categories",
    ),
    *(
        "flagged",
        "file",
        "filename",
        "image[]",
        "mask",
        "model",
        "stream",
        "deleted",
        "annotations",
        "segments",
        "audio",
        "bytes",
    ),
)
WORDS = (
    "message",
    "function_call",
    "function_call_output",
    "reasoning",
    "assistant",
    "system",
    "output_text",
    "list",
    "failed",
    "AA=",
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | st.text(max_size=4) | st.sampled_from(WORDS + EVENTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)
events = st.builds(
    lambda kind, rest: f"event: {kind}\ndata: {json.dumps(rest | {'type': kind})}\n\n".encode(),
    st.sampled_from(EVENTS),
    st.dictionaries(st.sampled_from(KEYS), values, max_size=6),
)
bodies = st.binary(max_size=80) | values.map(lambda value: json.dumps(value).encode())
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=6).map(lambda value: json.dumps(value).encode())
streams = st.lists(events | st.sampled_from([b"data: [DONE]\n\n", b"data: ", b"\n\n", b": x\n\n"]) | bodies, max_size=8)
content_types = st.sampled_from(
    [b"application/json", b"text/event-stream", b"text/plain", b"audio/mpeg", b"multipart/form-data; boundary=x", b""]
)


def call(kind, request, pieces, **given):
    return make_call(
        **{
            "kind": kind,
            "request_body": request,
            "request_size": len(request),
            "http_status": 200,
            "response": tuple(Piece(float(at), piece) for at, piece in enumerate(pieces)),
            "response_size": sum(map(len, pieces)),
        }
        | given
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)  # of each kind
@given(
    request=objects | bodies,
    response=streams | objects.map(lambda body: [body]),
    content_type=content_types,
    target=st.sampled_from(TARGETS),
    method=st.sampled_from(["POST", "GET"]),
    status=st.sampled_from([None, 200, 500]),
    ending=st.sampled_from([Ending.COMPLETED, Ending.UPSTREAM_BROKE]),
)
def test_nothing_makes_reading_raise_and_all_it_says_can_be_written(
    kind, request, response, content_type, target, method, status, ending
):
    fields = ((b"content-type", content_type),)
    task = read(
        call(
            kind,
            request,
            response,
            target=target,
            method=method,
            http_status=status,
            ending=ending,
            request_fields=fields,
            response_fields=fields,
        )
    )

    assert not any("could not be read: " in problem for problem in task.problems)
    for text in (task.input, task.output, task.system_prompt, task.model):
        assert text is None or isinstance(text, str)
    orjson.dumps([task.raw_input, task.raw_output, task.metadata, task.input, task.output, task.problems, task.model])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(streams, st.lists(st.integers(0, 600), max_size=4))
def test_any_stream_says_the_same_however_it_is_cut(kind, response, cuts):
    body = b"".join(response)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in itertools.pairwise(edges)]

    assert said(read(call(kind, b"{}", pieces))) == said(read(call(kind, b"{}", [body])))


def sse(*events):
    return [b"data: " + orjson.dumps(event) + b"\n\n" for event in events]


@pytest.mark.parametrize(
    ("kind", "quiet", "token"),
    [
        ("completion", {"choices": [{"index": 0, "text": ""}]}, {"choices": [{"index": 0, "text": "x"}]}),
        ("response", {"type": "response.created", "response": {}}, {"type": "response.output_text.delta", "delta": "x"}),
        (
            "response",
            {"type": "response.output_text.delta", "delta": ""},
            {"type": "response.reasoning_text.delta", "delta": "x"},
        ),
        (
            "response",
            {"type": "response.output_item.added", "item": {"type": "reasoning"}},
            {"type": "response.output_item.added", "item": {"type": "function_call"}},
        ),
        ("response", {"type": "keepalive"}, {"type": "response.audio.delta", "delta": "AA"}),
        ("audio", {"type": "transcript.text.delta", "delta": ""}, {"type": "transcript.text.delta", "delta": "x"}),
        ("image", {"type": "image_generation.queued"}, {"type": "image_generation.partial_image", "b64_json": "AA"}),
    ],
)
def test_the_first_token_is_in_the_first_event_that_says_something(kind, quiet, token):
    task = read(call(kind, b"{}", sse(quiet, quiet, token, token)))

    assert task.seconds_to_first_token == 2.0


def test_speech_has_its_first_sound_where_it_came():
    pieces = sse({"type": "speech.audio.none"}, {"type": "speech.audio.delta", "audio": "AA"})

    assert read(call("audio", b"{}", pieces, target="/v1/audio/speech")).seconds_to_first_token == 1.0


def test_a_caller_that_left_after_the_last_event_had_it_all():
    pieces = sse({"type": "response.completed", "response": {"status": "completed"}})

    assert read(call("response", b"{}", pieces, ending=Ending.CALLER_LEFT)).ending is Ending.COMPLETED
    assert read(call("response", b"{}", sse({"type": "x"}), ending=Ending.CALLER_LEFT)).ending is Ending.CALLER_LEFT


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--b\r\nContent-Disposition: form-data; name="user"\r\n\r\nu1\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\nID3\r\n--b--\r\n'
)


def test_a_form_is_read_like_json():
    fields = ((b"Content-Type", b"multipart/form-data; boundary=b"),)
    task = read(call("audio", FORM, [b'{"text": "Hello"}'], request_fields=fields, target="/v1/audio/transcriptions"))

    assert (task.input, task.output) == ("[audio a.mp3, audio/mpeg, 3 bytes]", "Hello")
    assert (task.model_requested, task.user_id, task.stream) == ("whisper-1", "u1", False)
    assert task.raw_input["file"]["bytes"] == 3
    assert task.problems == ()


def test_a_form_that_is_not_whole_says_so():
    fields = ((b"Content-Type", b"multipart/form-data; boundary=b"),)
    task = read(call("image", FORM[:-20], [b"{}"], request_fields=fields))

    assert task.problems == ("the request is not whole: not all of its form can be read",)
    assert task.raw_input["model"] == "whisper-1"


@pytest.mark.parametrize("kind", ["chat", "message", "response"])
@pytest.mark.parametrize("plain", [True, False])
def test_json_that_was_read_is_kept_with_the_body_that_says_it(kind, plain):
    """And only there: what is redacted, decoded or mended on the way is no longer what the body says."""
    answer = b'{"id": "c1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}'
    asked = b'{"model": "m",  "messages": [{"role": "user", "content": "Hello"}]}'
    if not plain:  # half a surrogate pair
        answer, asked = answer.replace(b"Hi", b"\\ud83d"), asked.replace(b"Hello", b"\\ud83d")
    sizes = {"response_size": len(answer), "request_size": len(asked)}
    task = read(make_call(kind=kind, request_body=asked, http_status=200, response=(Piece(0.5, answer),), **sizes))
    assert task.as_read == (((task.raw_input, asked), (task.raw_output, answer)) if plain else ())
    for changes in ({}, {"raw_output": {"other": 1}, "raw_input": [2]}, {"request_body": b"{}", "response_body": b"[]"}):
        kept = replace(task, **changes)
        found = kept_as(write(kept))
        assert (found.raw_input, found.raw_output) == (kept.raw_input, kept.raw_output)
        assert (found.request_body, found.response_body) == (kept.request_body, kept.response_body)
        assert write(replace(kept, as_read=())) == write(kept)
