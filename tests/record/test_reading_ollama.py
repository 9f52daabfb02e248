"""Ollama's lines: any answer cut into lines is that answer again, any cut of the bytes says the same, and nothing raises."""

from __future__ import annotations

import itertools

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.record.reading import read
from proxy.task import Call, Piece
from tests.tapes.tape import make_call, said

LINES = ((b"Content-Type", b"application/x-ndjson"),)
JSON = ((b"Content-Type", b"application/json"),)


def answered(*pieces: bytes, kind: str = "ollama_chat", fields=LINES, request: bytes = b'{"model": "m"}', status=200) -> Call:
    return make_call(
        kind=kind,
        target="/api/chat",
        http_status=status,
        request_body=request,
        response=tuple(Piece(float(at), piece) for at, piece in enumerate(pieces)),
        response_fields=fields,
        response_size=sum(map(len, pieces)),
    )


def line(**members) -> bytes:
    return orjson.dumps(members) + b"\n"


def say(**message) -> bytes:
    return line(message={"role": "assistant"} | message, done=False)


DONE = line(message={"role": "assistant", "content": ""}, done=True)


@pytest.mark.parametrize("token", [{"content": "x"}, {"thinking": "x"}, {"tool_calls": [{"function": {"name": "f"}}]}])
def test_the_first_token_is_the_first_line_that_says_something(token):
    task = read(answered(say(content=""), say(**token)[:9], say(**token)[9:], say(content="y"), DONE))

    assert task.seconds_to_first_token == 2.0


def test_a_completion_has_a_first_token_too():
    task = read(answered(line(response="", done=False), line(response="x", done=False), DONE, kind="ollama_generate"))

    assert task.seconds_to_first_token == 1.0


@pytest.mark.parametrize(
    ("request_body", "expected"),
    [(b"{}", True), (b'{"stream": true}', True), (b'{"stream": false}', False), (b'{"stream": null}', True), (b"", None)],
)
def test_a_refusal_is_a_stream_where_one_was_asked_for_and_that_is_the_default(request_body, expected):
    assert read(answered(b'{"error": "no"}', fields=JSON, request=request_body, status=404)).stream is expected


def test_a_refusal_says_nothing_whatever_is_in_it():
    assert read(answered(say(content="x"), DONE, status=500)).output is None


def test_half_a_character_in_each_line_is_one_that_a_store_can_keep():
    first, second = (b'{"message":{"content":"\\ud83d"}}\n', b'{"message":{"content":"\\ude00"},"done":true}\n')

    assert orjson.dumps(read(answered(first, second)).output) == '"\U0001f600"'.encode()


words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
calls = st.fixed_dictionaries(
    {
        "function": st.fixed_dictionaries(
            {"name": st.sampled_from(["f", "g"]), "arguments": st.dictionaries(words, words, max_size=2)}
        )
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(words), st.lists(words), st.lists(st.lists(calls, min_size=1, max_size=2), max_size=3), st.randoms())
def test_a_stream_gives_the_answer_it_was_cut_from(contents, thoughts, called, random):
    said = (
        [{"content": text} for text in contents],
        [{"thinking": text} for text in thoughts],
        [{"tool_calls": some} for some in called],
    )
    queues = [list(queue) for queue in said if queue]
    lines = []
    while queues:
        queue = random.choice(queues)
        lines.append(say(**{"content": ""} | queue.pop(0)))
        queues = [queue for queue in queues if queue]
    message = {"role": "assistant", "content": "".join(contents)}
    if thoughts:
        message["thinking"] = "".join(thoughts)
    if called:
        message["tool_calls"] = list(itertools.chain(*called))

    assert read(answered(b"".join(lines) + DONE)).raw_output == {"message": message, "done": True}


def _fits(value) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


KEYS = ["message", "response", "content", "thinking", "tool_calls", "function", "name", "arguments", "images", "role", "done",
        "done_reason", "error", "logprobs", "context", "model", "prompt_eval_count", "embeddings", "embedding", "image",
        "messages", "prompt", "input", "system", "suffix", "stream", "type"]  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["assistant", "system"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=5)
lines = st.lists(
    objects.filter(_fits).map(lambda value: orjson.dumps(value) + b"\n")
    | st.sampled_from(
        [b"\n", b"\r\n", b"{", b"[]", DONE, say(content="x"), b'{"message":{"content":"\\ud83d"}}\n', b"data: {}\n\n"]
    )
    | st.binary(max_size=6),
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(
    lines,
    lines.map(b"".join),
    st.lists(st.integers(0, 300), max_size=4),
    st.sampled_from(["ollama_chat", "ollama_generate", "ollama_embed"]),
    st.sampled_from([LINES, JSON, ((b"Content-Type", b"text/event-stream"),), ()]),
    st.sampled_from([200, 404]),
)
def test_nothing_makes_it_raise_and_any_cut_says_the_same(response, request, cuts, kind, fields, status):
    body = b"".join(response)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in itertools.pairwise(edges)]
    whole = read(answered(body, kind=kind, fields=fields, request=request, status=status))

    assert not any("the dialect could not be read" in problem for problem in whole.problems)
    assert said(read(answered(*pieces, kind=kind, fields=fields, request=request, status=status))) == said(whole)
    orjson.dumps([whole.raw_output, whole.input, whole.output, whole.model, whole.finish_reasons])


def test_a_model_that_is_copied_says_from_where_to_where_though_nothing_comes_back():
    task = read(answered(kind="model", request=b'{"source":"llama3.2","destination":"mine"}', fields=()))

    assert (task.input, task.output, task.raw_output, task.problems) == ("llama3.2 to mine", None, None, ())
