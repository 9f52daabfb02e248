"""The sum of a Responses stream: without its last event it gives what was streamed, and every event there is passes."""

from __future__ import annotations

import json
import time
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.response_events import DELTAS, DONES, Events
from tests.tapes.tape import tapes

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def parts(kind: str, member: str):
    return st.lists(st.fixed_dictionaries({"type": st.just(kind), member: words}), max_size=2)


items = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("message"),
            "role": st.just("assistant"),
            "content": parts("output_text", "text") | parts("refusal", "refusal"),
        }
    ),
    st.fixed_dictionaries({"type": st.just("reasoning"), "summary": parts("summary_text", "text")}),
    st.fixed_dictionaries({"type": st.just("function_call"), "name": words, "call_id": words, "arguments": words}),
    st.fixed_dictionaries({"type": st.just("custom_tool_call"), "name": words, "call_id": words, "input": words}),
    st.fixed_dictionaries({"type": st.just("mcp_call"), "name": words, "arguments": words}),
    st.fixed_dictionaries({"type": st.just("code_interpreter_call"), "code": words}),
    st.fixed_dictionaries({"type": st.just("web_search_call"), "action": st.just({"type": "search", "query": "q"})}),
)
outputs = st.lists(items, max_size=4).map(lambda found: [item | {"id": f"i{at}"} for at, item in enumerate(found)])

GROWING = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
    "mcp_call": ("response.mcp_call_arguments", "arguments"),
    "code_interpreter_call": ("response.code_interpreter_call_code", "code"),
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "summary_text": ("response.reasoning_summary_text", "text"),
}


def grown(draw, kind, text, where):
    """The events that bring a text, piece by piece."""
    while text:
        size = draw(st.integers(1, len(text)))
        yield {"type": f"{kind}.delta", "delta": text[:size], **where}
        text = text[size:]


def events_of(draw, at, item):
    """The events of one item: with its `done` events, or (as of a stream that is cut) without."""
    where = {"output_index": at, "item_id": item["id"]}
    rows = next((name for name in ("content", "summary") if name in item), None)
    empty = {"content": [], "summary": []}
    kind, member = GROWING.get(item["type"], (None, None))
    begun = {key: empty.get(key, "" if key == member else value) for key, value in item.items()}
    yield {"type": "response.output_item.added", "output_index": at, "item": begun}
    if kind:
        yield from grown(draw, kind, item[member], where)
    for row, part in enumerate(item[rows] if rows else ()):
        kind, member = GROWING[part["type"]]
        here = where | {"content_index" if rows == "content" else "summary_index": row}
        stem = "response.content_part" if rows == "content" else "response.reasoning_summary_part"
        yield {"type": f"{stem}.added", "part": part | {member: ""}, **here}
        yield from grown(draw, kind, part[member], here)
        if draw(st.booleans()):
            yield {"type": f"{kind}.done", member: part[member], **here}
            yield {"type": f"{stem}.done", "part": part, **here}
    if draw(st.booleans()):
        yield {"type": "response.output_item.done", "output_index": at, "item": item}


@st.composite
def streams(draw):
    """An output, and a stream of it without its last event; its items interleaved at random."""
    output = draw(outputs)
    queues = [list(events_of(draw, at, item)) for at, item in enumerate(output)]
    events = []
    while any(queues):
        events.append(draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    return output, events


def summed(events):
    whole = Events()
    for event in events:
        whole.add(b"message", json.loads(json.dumps(event)))
    return whole.result()


@settings(max_examples=150, deadline=None)
@given(streams())
def test_a_stream_without_its_last_event_gives_the_output_that_was_streamed(stream):
    output, events = stream

    assert (summed(events) or {}).get("output", []) == output


def test_the_last_event_is_the_response_whatever_came_before():
    events = [
        {"type": "response.created", "response": {"id": "r", "status": "in_progress"}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "other"},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [{"type": "message"}]}},
    ]

    assert summed(events) == {"id": "r", "status": "completed", "output": [{"type": "message"}]}


def test_a_done_event_is_the_whole_text_whatever_came_before():
    where = {"item_id": "m", "output_index": 0, "content_index": 0}
    lost = {"type": "response.output_text.delta", "delta": "lo", **where}
    done = {"type": "response.output_text.done", "text": "Hello", "logprobs": [{"token": "Hello"}], **where}
    part = {"type": "output_text", "text": "Hello", "logprobs": [{"token": "Hello"}]}

    assert summed([done]) == summed([lost, done]) == {"output": [{"type": "message", "id": "m", "content": [part]}]}


BEFORE = {f"response.{name}.{stage}" for name in ("text", "audio_transcript", "audio") for stage in ("delta", "done")}
"""What the Realtime API called its events while it was a beta."""


def kinds_of(union):
    """The types of the events in one of the SDK's unions."""
    events = typing.get_args(typing.get_args(union)[0])
    return {typing.get_args(event.model_fields["type"].annotation)[0] for event in events if "type" in event.model_fields}


def test_every_event_of_the_sdk_passes():
    responses = pytest.importorskip("openai.types.responses", reason="the oracle is missing: pip install openai")
    realtime = pytest.importorskip("openai.types.realtime")
    kinds = kinds_of(responses.ResponseStreamEvent) | kinds_of(realtime.RealtimeServerEvent) | BEFORE
    assert len(kinds) > 80
    assert {*DELTAS, *DONES} <= kinds

    for kind in kinds:
        whole = Events()
        whole.add(kind.encode(), {"type": kind})
        whole.add(kind.encode(), {"type": kind, "delta": {}, "item": [], "part": 1, "response": [], "output_index": "x"})
        whole.result()


def test_every_event_of_the_sdk_is_on_a_tape():
    responses = pytest.importorskip("openai.types.responses", reason="the oracle is missing: pip install openai")
    on_tape = b"".join(tape.body for tape in tapes("response"))

    assert [kind for kind in sorted(kinds_of(responses.ResponseStreamEvent)) if f'"{kind}"'.encode() not in on_tape] == []


def test_an_event_that_says_no_place_is_about_the_latest_item():
    spoken = [{"type": "response.audio.transcript.delta", "delta": delta} for delta in ("Two ", "files")]
    begun = {"type": "response.output_item.added", "output_index": 0, "item": {"id": "m", "type": "message"}}
    part = {"type": "output_audio", "transcript": "Two files"}

    assert summed([begun, *spoken]) == {"output": [{"id": "m", "type": "message", "content": [part]}]}
    assert summed(spoken) == {"output": [{"type": "message", "content": [part]}]}


def test_the_commands_of_a_shell_are_what_its_events_gave():
    where = {"output_index": 0, "command_index": 1}
    events = [
        {"type": "response.shell_call_command.delta", "delta": "l", **where},
        {"type": "response.shell_call_command.delta", "delta": "s", **where},
        {"type": "response.shell_call_command.done", "command": "pwd", "output_index": 0, "command_index": 0},
        {"type": "response.shell_call_command.done", "command": "no", "output_index": 0, "command_index": 1 << 40},
        {"type": "response.shell_call_command.added", "command": 7, **where},
    ]

    assert summed(events) == {"output": [{"type": "shell_call", "action": {"commands": ["pwd", "ls"]}}]}


def test_a_long_stream_costs_what_its_length_costs():
    def seconds(count):
        delta = {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "logprobs": []}
        events = [delta | {"delta": "word "} for _ in range(count)]
        whole, start = Events(), time.process_time()
        for event in events:
            whole.add(b"", event)
        assert len(whole.result()["output"][0]["content"][0]["text"]) == 5 * count
        return time.process_time() - start

    assert min(seconds(40_000) for _ in range(3)) < 20 * min(seconds(4_000) for _ in range(3))
