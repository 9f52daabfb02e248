"""The merge of chunks: any conforming stream gives the answer it was cut from, and OpenAI's own accumulator agrees."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.deltas import Chunks

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
names = st.text("abcdefgh_", min_size=1, max_size=6)
vendor_fields = st.dictionaries(names.map("x_{}".format), words, max_size=2)
tool_calls = st.lists(st.tuples(names, st.dictionaries(names, words, max_size=2)), max_size=3)


@st.composite
def answers(draw):
    """A whole answer, as the non-streamed API would have given it."""
    choices = []
    for index in range(draw(st.integers(1, 3))):
        message = {"role": "assistant", "content": draw(words)}
        for field in draw(st.sets(st.sampled_from(["refusal", "reasoning_content"]))):
            message[field] = draw(words)
        calls = draw(tool_calls)
        if calls:
            message["tool_calls"] = [
                {"id": f"call_{index}_{at}", "type": "function", "function": {"name": name, "arguments": str(arguments)}}
                for at, (name, arguments) in enumerate(calls)
            ]
        message |= draw(vendor_fields)
        logprobs = draw(
            st.none()
            | st.lists(
                st.fixed_dictionaries(
                    {"token": words, "logprob": st.floats(-9, 0), "bytes": st.just([65]), "top_logprobs": st.just([])}
                ),
                min_size=1,
                max_size=3,
            )
        )
        choices.append(
            {
                "index": index,
                "message": message,
                "logprobs": None if logprobs is None else {"content": logprobs, "refusal": None},
                "finish_reason": draw(st.sampled_from(["stop", "length", "tool_calls"])),
            }
        )
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "system_fingerprint": "fp"}
    usage = draw(st.none() | st.just({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}))
    return whole | {"choices": choices} | ({"usage": usage} if usage else {})


def cut(draw, text):
    """Some text in pieces, none of them lost."""
    pieces, rest = [], text
    while rest:
        size = draw(st.integers(1, len(rest)))
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces or [""]


@st.composite
def streams(draw):
    """An answer, and a conforming stream of it: each choice in order, the choices interleaved at random."""
    answer = draw(answers())
    queues = []
    for choice in answer["choices"]:
        message, parts = choice["message"], [{"role": "assistant"}]
        for field, value in message.items():
            if isinstance(value, str) and field != "role":
                parts += [{field: piece} for piece in cut(draw, value)]
        for at, call in enumerate(message.get("tool_calls", ())):
            name, arguments = call["function"].values()
            first = {"index": at, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
            parts += [{"tool_calls": [first]}]
            parts += [{"tool_calls": [{"index": at, "function": {"arguments": piece}}]} for piece in cut(draw, arguments)]
        deltas = [{"index": choice["index"], "delta": part, "logprobs": None, "finish_reason": None} for part in parts]
        if choice["logprobs"]:
            for entry in choice["logprobs"]["content"]:
                deltas.append(deltas[0] | {"delta": {}, "logprobs": {"content": [entry], "refusal": None}})
        queues.append([*deltas, deltas[0] | {"delta": {}, "finish_reason": choice["finish_reason"]}])
    head = {key: value for key, value in answer.items() if key not in ("choices", "usage")} | {"object": "chat.completion.chunk"}
    chunks = [head | {"choices": [queue.pop(0)]} for queue in queues]  # the first ones in order, as OpenAI's accumulator wants
    rest = [queue for queue in queues if queue]
    while rest:
        queue = draw(st.sampled_from(rest))
        chunks.append(head | {"choices": [queue.pop(0)]})
        rest = [queue for queue in rest if queue]
    if "usage" in answer:
        chunks.append(head | {"choices": [], "usage": answer["usage"]})
    return answer, chunks


def merged(chunks):
    whole = Chunks("chat.completion")
    for chunk in chunks:
        whole.add(chunk)
    return whole.result()


@settings(max_examples=150, deadline=None)
@given(streams())
def test_a_stream_gives_the_answer_it_was_cut_from(stream):
    answer, chunks = stream

    assert merged(chunks) == answer


@settings(max_examples=60, deadline=None)
@given(streams())
def test_openais_accumulator_says_the_same(stream):
    chat = pytest.importorskip("openai.types.chat", reason="the oracle is missing: pip install openai")
    from openai.lib.streaming.chat import ChatCompletionStreamState

    _, chunks = stream
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chat.ChatCompletionChunk.model_validate(chunk))
    theirs = state.current_completion_snapshot.model_dump(exclude_unset=True, warnings=False)
    for choice in theirs["choices"]:
        for call in choice["message"].get("tool_calls") or ():
            call.pop("index", None)  # the non-streamed API has none
            call["function"].pop("parsed_arguments", None)
        choice["message"].pop("parsed", None)

    assert _without_nulls(merged(chunks)) == _without_nulls(theirs)


def _without_nulls(value):
    """The accumulator fills in nulls that were not on the wire (`refusal`); we do not."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


KEYS = [
    "choices",
    "delta",
    "message",
    "index",
    "tool_calls",
    "function",
    "custom",
    "arguments",
    "name",
    "id",
    "type",
    "content",
    "error",
    "logprobs",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
deltas = st.dictionaries(st.sampled_from(KEYS), json_values, max_size=4)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"choices": st.lists(st.fixed_dictionaries({"index": json_values, "delta": deltas}) | json_values, max_size=2)}
        )
        | deltas,
        max_size=4,
    )
)
def test_no_chunks_make_the_merge_raise(chunks):
    merged(chunks)


def test_a_stream_costs_what_its_length_costs():
    def seconds(events: int) -> float:
        piece = {
            "choices": [
                {"index": 0, "delta": {"content": "x" * 20, "tool_calls": [{"index": 0, "function": {"arguments": "y" * 20}}]}}
            ]
        }
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            merged([piece] * events)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(40_000) < 40 * seconds(4_000)  # ten times the work; a merge that joins again and again takes a hundred times


def test_fragments_of_many_calls_in_any_order_come_together():
    fragments = [(call, at) for call in range(20) for at in range(5)]
    order = random.Random(3)
    by_call = dict.fromkeys(range(20), 0)
    chunks = []
    while fragments:
        call, _ = fragments.pop(order.randrange(len(fragments)))
        at = by_call[call]
        by_call[call] += 1
        entry = {"index": call, "function": {"arguments": f"{call}.{at};"}}
        if at == 0:
            entry |= {"id": f"call_{call}", "type": "function"}
            entry["function"]["name"] = "f"
        chunks.append({"choices": [{"index": 0, "delta": {"tool_calls": [entry]}}]})

    calls = merged(chunks)["choices"][0]["message"]["tool_calls"]

    assert [call["id"] for call in calls] == [f"call_{call}" for call in range(20)]
    assert [call["function"]["arguments"] for call in calls] == [
        "".join(f"{call}.{at};" for at in range(5)) for call in range(20)
    ]
