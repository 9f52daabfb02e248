"""The merge of Anthropic's events: any conforming stream gives the message it was cut from; nothing makes the reader raise."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire import messages
from proxy.wire.dialect import Said
from proxy.wire.message_events import Events

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=5,
)
blocks = (
    st.fixed_dictionaries({"type": st.just("text"), "text": words})
    | st.fixed_dictionaries({"type": st.just("text"), "text": words, "citations": st.lists(st.fixed_dictionaries({"c": words}))})
    | st.fixed_dictionaries({"type": st.just("thinking"), "thinking": words, "signature": words})
    | st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": words})
    | st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tool_use", "server_tool_use"]),
            "id": st.just("toolu_1"),
            "name": st.just("f"),
            "input": st.dictionaries(words, plain_json, max_size=3),
        }
    )
    | st.fixed_dictionaries({"type": st.just("web_search_tool_result"), "tool_use_id": words, "content": st.lists(plain_json)})
)
GROWING = {
    "text": ("text", "text_delta"),
    "thinking": ("thinking", "thinking_delta"),
    "signature": ("signature", "signature_delta"),
}


def cut(draw, text):
    """Some text in pieces, none of them lost."""
    pieces, rest = [], text
    while rest:
        size = draw(st.integers(1, len(rest)))
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces


def events_of(draw, index, block):
    """The events in which a block comes."""
    start, deltas = dict(block), []
    if "citations" in block:
        start["citations"] = draw(st.sampled_from([None, []]))
        deltas += [{"type": "citations_delta", "citation": each} for each in block["citations"]]
        if not block["citations"]:
            start["citations"] = []
    for key, (member, kind) in GROWING.items():
        if key in block:
            start[key] = ""
            deltas += [{"type": kind, member: piece} for piece in cut(draw, block[key])]
    if "input" in block:
        start["input"] = {}
        pieces = cut(draw, json.dumps(block["input"], ensure_ascii=draw(st.booleans()))) if block["input"] else [""]
        deltas += [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


@st.composite
def streams(draw):
    """A message, and a conforming stream of it, its blocks interleaved at random."""
    content = draw(st.lists(blocks, max_size=4))
    used = {"input_tokens": 5, "cache_read_input_tokens": 0, "output_tokens": 9}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    message = head | {"content": content, "stop_reason": "end_turn", "usage": used}
    begun = head | {"content": [], "stop_reason": None, "usage": used | {"output_tokens": 1}}
    queues = [events_of(draw, index, block) for index, block in enumerate(content)]
    events = [{"type": "message_start", "message": begun}]
    while queues:
        queue = draw(st.sampled_from(queues))
        events.append(queue.pop(0))
        if draw(st.booleans()):
            events.append({"type": "ping"})
        queues = [queue for queue in queues if queue]
    events += [
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return message, events


def body_of(events):
    return b"".join(
        f"event: {event.get('type')}\n".encode() + b"data: " + json.dumps(event).encode() + b"\n\n" for event in events
    )


def read(*pieces, request=None):
    return messages.read(Said(request=request, pieces=pieces, content_type="text/event-stream", status=200))


@settings(max_examples=150, deadline=None)
@given(streams())
def test_a_stream_gives_the_message_it_was_cut_from(stream):
    message, events = stream

    reading = read(body_of(events))

    assert reading.raw_output == message
    assert reading.problems == ()
    assert reading.marked


@settings(max_examples=100, deadline=None)
@given(streams(), st.data())
def test_any_split_of_the_bytes_says_the_same(stream, data):
    body = body_of(stream[1])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    whole, cut_up = read(body), read(*pieces)

    assert (cut_up.raw_output, cut_up.output, cut_up.usage, cut_up.problems) == (
        whole.raw_output,
        whole.output,
        whole.usage,
        whole.problems,
    )


KEYS = [
    "type",
    "index",
    "message",
    "content",
    "content_block",
    "delta",
    "text",
    "thinking",
    "partial_json",
    "citation",
    "citations",
    "input",
    "name",
    "usage",
    "output_tokens",
    "input_tokens",
    "stop_reason",
    "stop_details",
    "error",
    "system",
    "messages",
    "role",
    "source",
    "title",
    "tool_references",
]
TYPES = [
    "message_start",
    "message_delta",
    "message_stop",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "error",
    "ping",
    "text",
    "tool_use",
    "tool_result",
    "input_json_delta",
    "assistant",
    "user",
    "system",
    "document",
    "image",
]
any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.sampled_from(TYPES) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
any_event = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES) | any_json},
    optional={
        "index": any_json,
        "delta": any_json,
        "content_block": any_json,
        "message": any_json,
        "usage": any_json,
        "error": any_json,
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(any_event, max_size=5), any_json)
def test_no_stream_and_no_request_make_the_reader_raise(events, request):
    read(body_of(events), request=request)


@settings(max_examples=300, deadline=None)
@given(any_json, any_json)
def test_no_answer_makes_the_reader_raise(answer, request):
    body = json.dumps(answer).encode()
    messages.read(Said(request=request, pieces=(body,), content_type="application/json", status=200))


def test_the_first_token_is_in_the_first_piece_that_says_something():
    start = {"type": "message_start", "message": {"id": "m", "content": []}}
    opened = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    nothing = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}}
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
    call = {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}

    assert read(*(body_of([event]) for event in (start, opened, nothing, {"type": "ping"}, text, text))).first == 4
    assert read(*(body_of([event]) for event in (start, call))).first == 1
    assert read(body_of([start, opened])).first is None


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"type": "mcp_tool_use", "name": "ask", "input": {"q": 1}}, 'ask({"q":1})'),
        ({"type": "mcp_tool_result", "content": [{"type": "text", "text": "yes"}], "is_error": False}, "[tool] yes"),
        (
            {
                "type": "web_fetch_tool_result",
                "content": {
                    "type": "web_fetch_result",
                    "url": "https://a.example/",
                    "content": {"type": "document", "source": {"type": "text", "data": "long"}, "title": "A"},
                },
            },
            "[tool] https://a.example/\n[file A]",
        ),
        (
            {
                "type": "tool_search_tool_result",
                "content": {
                    "type": "tool_search_tool_search_result",
                    "tool_references": [
                        {"type": "tool_reference", "tool_name": "a"},
                        {"type": "tool_reference", "tool_name": "b"},
                    ],
                },
            },
            "[tool] a\nb",
        ),
        ({"type": "container_upload", "file_id": "file_1"}, "[file]"),
        ({"type": "from_the_future", "data": 1}, "[from_the_future]"),
    ],
)
def test_a_block_is_said_in_words(block, said):
    body = json.dumps({"type": "message", "content": [block]}).encode()

    assert messages.read(Said(pieces=(body,), content_type="application/json", status=200)).output == said


def test_a_refused_call_has_no_output_whatever_its_answer_holds():
    body = json.dumps({"type": "message", "content": [{"type": "text", "text": "No"}]}).encode()

    assert messages.read(Said(pieces=(body,), content_type="application/json", status=400)).output is None


def test_a_stream_costs_what_its_length_costs():
    def seconds(number: int) -> float:
        deltas = [{"type": "text_delta", "text": "x" * 20}, {"type": "input_json_delta", "partial_json": "y" * 20}]
        best = 9.0
        for _ in range(3):
            events = Events()
            start = time.process_time()
            for _ in range(number):
                for index, delta in enumerate(deltas):
                    events.add(b"content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})
            events.result()
            best = min(best, time.process_time() - start)
        return best

    assert seconds(40_000) < 40 * seconds(4_000)  # ten times the work; a merge that joins again and again takes a hundred times
