"""The merge of Gemini's chunks: however a stream is made and cut, it gives the answer it was cut from."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire import gemini
from proxy.wire.dialect import Said
from proxy.wire.gemini_args import args_of
from proxy.wire.gemini_chunks import Chunks

STREAMED = "/v1beta/models/m:streamGenerateContent"
words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=10)
calls = st.fixed_dictionaries({"functionCall": st.fixed_dictionaries({"name": words, "args": st.dictionaries(words, words)})})
media = st.just({"inlineData": {"mimeType": "image/png", "data": "AA=="}})


@st.composite
def answers(draw):
    """A whole answer: candidates of thoughts, text, calls and images; texts that follow one another are one part."""
    candidates = []
    for index in range(draw(st.integers(1, 3))):
        parts = [{"text": draw(words), "thought": True}] if draw(st.booleans()) else []
        for _ in range(draw(st.integers(0, 3))):
            parts.append({"text": draw(words)})
            if draw(st.booleans()):
                parts[-1]["thoughtSignature"] = "sig"
            parts.append(draw(calls | media))
        candidates.append({"content": {"role": "model", "parts": parts}, "index": index, "finishReason": "STOP"})
    figures = {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}
    return {"candidates": candidates, "usageMetadata": figures, "modelVersion": "m", "responseId": "r"}


def cut(draw, part):
    """A part in pieces. The signature comes with the last one, or after it with an empty text."""
    if "text" not in part:
        return [part]
    rest, pieces = part["text"], []
    while rest:
        size = draw(st.integers(1, len(rest)))
        pieces.append({key: value for key, value in part.items() if key == "thought"} | {"text": rest[:size]})
        rest = rest[size:]
    if "thoughtSignature" in part:
        if draw(st.booleans()):
            pieces.append({"text": ""})
        pieces[-1]["thoughtSignature"] = part["thoughtSignature"]
    return pieces


@st.composite
def streams(draw):
    """An answer, and a stream of it, the candidates interleaved at random."""
    answer = draw(answers())
    head = {"modelVersion": "m", "responseId": "r"}
    queues = []
    for candidate in answer["candidates"]:
        pieces = [piece for part in candidate["content"]["parts"] for piece in cut(draw, part)]
        queue = [{"content": {"role": "model", "parts": [piece]}, "index": candidate["index"]} for piece in pieces]
        queue.append({"content": {"role": "model", "parts": []}, "index": candidate["index"], "finishReason": "STOP"})
        queues.append(queue)
    chunks = []
    while queues:
        queue = draw(st.sampled_from(queues))
        chunks.append({"candidates": [queue.pop(0)], "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}} | head)
        queues = [queue for queue in queues if queue]
    chunks[-1]["usageMetadata"] = answer["usageMetadata"]
    return answer, chunks


def as_events(chunks):
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)


def as_array(chunks):
    return b"[" + b",\r\n".join(json.dumps(chunk, indent=2).encode() for chunk in chunks) + b"]\n"


def read(*pieces, request=None, target=STREAMED, status=200):
    return gemini.read(Said(request=request, target=target, pieces=pieces, content_type="application/json", status=status))


@pytest.mark.parametrize("body_of", [as_events, as_array])
@settings(max_examples=100, deadline=None)
@given(streams(), st.data())
def test_a_stream_gives_the_answer_it_was_cut_from_however_it_is_split(body_of, stream, data):
    answer, chunks = stream
    body = body_of(chunks)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    reading = read(*(body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)))

    assert reading.raw_output == answer
    assert reading.problems == ()
    assert reading.stream
    assert reading.marked
    assert reading.output == read(json.dumps(answer).encode()).output


KEYS = [
    "candidates",
    "content",
    "parts",
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "willContinue",
    "partialArgs",
    "jsonPath",
    "stringValue",
    "functionResponse",
    "inlineData",
    "mimeType",
    "index",
    "finishReason",
    "citationMetadata",
    "promptFeedback",
    "blockReason",
    "usageMetadata",
    "promptTokenCount",
    "promptTokensDetails",
    "totalTokens",
    "error",
    "contents",
    "role",
    "systemInstruction",
    "response",
    "name",
    "args",
]
any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.sampled_from(["model", "user", "$.a[0]", "image/png"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=14,
)
any_part = st.dictionaries(st.sampled_from(KEYS), any_json, max_size=3)
any_candidate = st.fixed_dictionaries(
    {},
    optional={
        "content": st.fixed_dictionaries({"parts": st.lists(any_part | any_json, max_size=3) | any_json}),
        "index": any_json,
    },
)
any_chunk = st.fixed_dictionaries({"candidates": st.lists(any_candidate | any_json, max_size=2) | any_json}) | any_json


@pytest.mark.parametrize("body_of", [as_events, as_array, lambda chunks: json.dumps(chunks[0] if chunks else None).encode()])
@settings(max_examples=250, deadline=None)
@given(st.lists(any_chunk, max_size=4), any_json)
def test_no_answer_and_no_request_make_the_reader_raise(body_of, chunks, request):
    read(body_of(chunks), request=request)


@pytest.mark.parametrize(
    ("target", "model", "stream"),
    [
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "gemini-2.5-flash", True),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash", False),
        ("/google/v1/projects/p/locations/l/publishers/google/models/g-1:generateContent?key=x", "g-1", False),
        ("/v1beta/tunedModels/mine:generateContent", "mine", False),
        ("", None, False),
    ],
)
def test_the_path_says_which_model_and_whether_a_stream_was_asked_for(target, model, stream):
    reading = read(b"", target=target, status=503)

    assert (reading.model_requested, reading.stream) == (model, stream)


@pytest.mark.parametrize(
    ("pieces", "args"),
    [
        ([], {}),
        ([{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": "$.a", "stringValue": "y"}], {"a": "xy"}),
        ([{"jsonPath": "$.a[0]", "numberValue": 1}, {"jsonPath": "$.a[1].b", "boolValue": False}], {"a": [1, {"b": False}]}),
        ([{"jsonPath": '$["a b"].c', "nullValue": None}], {"a b": {"c": None}}),
        ([{"jsonPath": "$.a[5]", "numberValue": 1}], None),
        ([{"jsonPath": "$[0]", "numberValue": 1}], None),
        ([{"jsonPath": "$", "numberValue": 1}], None),
        ([{"jsonPath": "$..a", "numberValue": 1}], None),
        ([{"jsonPath": "$" + ".a" * 51, "numberValue": 1}], None),
        (["x"], None),
    ],
)
def test_streamed_arguments_come_together_where_each_has_a_place(pieces, args):
    assert args_of(pieces) == args


def test_the_first_token_is_in_the_first_piece_that_says_something():
    chunks = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in ("", "Hi", "!")]

    assert read(*(as_events([chunk]) for chunk in chunks)).first == 1
    assert read(b"[" + json.dumps(chunks[0]).encode(), b"," + json.dumps(chunks[1]).encode()[:-1], b"}]").first == 2


def test_what_says_nothing_replaces_nothing():
    said = {
        "usageMetadata": {"promptTokenCount": 3},
        "modelVersion": "m",
        "candidates": [{"content": {"parts": [{"text": "a"}]}}],
    }
    silent = {"usageMetadata": {"promptTokenCount": 0, "totalTokenCount": None}, "modelVersion": "", "responseId": None}
    finished = {"candidates": [{"finishReason": "STOP", "content": None}]}

    raw = read(as_events([said, silent, finished, silent])).raw_output

    assert raw == {
        "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": None},
        "modelVersion": "m",
        "candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}],
        "responseId": None,
    }


def test_a_stream_costs_what_its_length_costs():
    def seconds(number: int) -> float:
        best = 9.0
        for _ in range(3):
            chunks = Chunks()
            start = time.process_time()
            for _ in range(number):
                chunks.add(b"message", {"candidates": [{"content": {"parts": [{"text": "x" * 20}]}}]})
            chunks.result()
            best = min(best, time.process_time() - start)
        return best

    assert seconds(20_000) < 40 * seconds(2_000)  # ten times the work; a merge that joins again and again takes a hundred times
