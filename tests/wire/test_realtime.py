"""What is said on a realtime connection: one response, with what was asked before it."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire import Said, Turn
from proxy.wire.dialect import Reading
from proxy.wire.realtime import read
from proxy.wire.websocket import BINARY, CLOSE, TEXT, Message, plain


def frames(event) -> bytes:
    return plain(Message(TEXT, json.dumps(event).encode()))


def up(kind, **more) -> tuple[bool, bytes]:
    """An event of the caller."""
    return True, frames({"type": kind} | more)


def down(kind, **more) -> tuple[bool, bytes]:
    """An event of the upstream."""
    return False, frames({"type": kind, "event_id": "event_1"} | more)


def reading(*events: tuple[bool, bytes], **more) -> Reading:
    """What is read of them, a second apart."""
    numbers = iter(range(len(events)))
    turns = [Turn(sent, data, float(at), 0 if sent else next(numbers)) for at, (sent, data) in enumerate(events)]
    return read(Said(method="GET", target="/v1/realtime?model=gpt-realtime", status=101, turns=tuple(turns), **more))


SESSION = down("session.created", session={"id": "sess_1", "model": "gpt-realtime-2026", "instructions": "Be brief."})
USAGE = {
    "total_tokens": 30,
    "input_tokens": 20,
    "output_tokens": 10,
    "input_token_details": {"text_tokens": 12, "audio_tokens": 8, "cached_tokens": 4},
    "output_token_details": {"text_tokens": 3, "audio_tokens": 7},
}
MESSAGE = {
    "id": "item_2",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_audio", "transcript": "Good day."}],
}
CALL = {"id": "item_3", "type": "function_call", "name": "weather", "call_id": "c1", "arguments": '{"city":"Paris"}'}
SOUND = b64encode(b"\0" * 480).decode()


def response(status="completed", **more):
    return {"id": "resp_1", "object": "realtime.response", "status": status, "output": [MESSAGE], "usage": USAGE} | more


SPOKEN = [
    SESSION,
    up("session.update", session={"type": "realtime", "instructions": "Be brief."}),
    *[up("input_audio_buffer.append", audio=SOUND)] * 3,
    down("input_audio_buffer.speech_started", item_id="item_1"),
    up("input_audio_buffer.append", audio=SOUND),
    down("input_audio_buffer.committed", item_id="item_1"),
    down("response.created", response=response("in_progress", output=[], usage=None)),
    down("response.output_item.added", response_id="resp_1", output_index=0, item=MESSAGE | {"content": []}),
    down(
        "response.output_audio_transcript.delta",
        response_id="resp_1",
        item_id="item_2",
        output_index=0,
        content_index=0,
        delta="Good",
    ),
    down("response.output_audio.delta", response_id="resp_1", item_id="item_2", output_index=0, content_index=0, delta=SOUND),
    down("response.output_audio.delta", response_id="resp_1", item_id="item_2", output_index=0, content_index=0, delta=SOUND),
    up("input_audio_buffer.append", audio=SOUND),
    down(
        "response.output_audio_transcript.delta",
        response_id="resp_1",
        item_id="item_2",
        output_index=0,
        content_index=0,
        delta=" day.",
    ),
    down("response.output_item.added", response_id="resp_1", output_index=1, item=CALL | {"arguments": ""}),
    down(
        "response.function_call_arguments.delta", response_id="resp_1", item_id="item_3", output_index=1, delta=CALL["arguments"]
    ),
    down("response.done", response=response(output=[MESSAGE, CALL])),
    down("conversation.item.input_audio_transcription.completed", item_id="item_1", transcript="Hello there.", usage={}),
    down("rate_limits.updated", rate_limits=[]),
]


def test_a_spoken_turn_is_read_with_both_transcripts_and_its_sound_by_size():
    found = reading(*SPOKEN)

    assert found.input == "Hello there."
    assert found.output == 'Good day.\nweather({"city":"Paris"})'
    assert (found.model_requested, found.model, found.system_prompt) == ("gpt-realtime", "gpt-realtime-2026", "Be brief.")
    assert (found.finish_reasons, found.response_id, found.stream, found.marked) == (("completed",), "resp_1", True, True)
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (20, 10, 30)
    assert (found.usage.cached_input_tokens, found.usage.audio_input_tokens, found.usage.audio_output_tokens) == (4, 8, 7)
    assert found.raw_output["output"][0]["content"] == [
        {"type": "output_audio", "transcript": "Good day.", "audio": {"bytes": 960}}
    ]
    assert SOUND not in json.dumps(found.raw_output)
    assert SOUND not in json.dumps(found.asked)
    appended = [event for event in found.asked["events"] if event["type"] == "input_audio_buffer.append"]
    assert appended == [{"type": "input_audio_buffer.append", "audio": {"bytes": 5 * 480}, "events": 5}]
    assert found.span == (7.0, 17.0)  # from the end of the speech to the end of the response
    assert found.problems == ()


def test_a_response_that_was_cut_is_put_together_from_its_deltas():
    found = reading(*SPOKEN[: SPOKEN.index(SPOKEN[-3])], whole=False)

    assert found.output == 'Good day.\nweather({"city":"Paris"})'
    assert (found.input, found.usage, found.finish_reasons, found.marked) == ("[audio 1920 bytes]", None, (None,), False)


TYPED = [
    SESSION,
    up(
        "conversation.item.create",
        item={
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "What is this?"}, {"type": "input_image"}],
        },
    ),
    up("conversation.item.create", item={"type": "function_call_output", "call_id": "c1", "output": "sunny"}),
    up(
        "conversation.item.create", item={"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": SOUND}]}
    ),
    up("response.create", response={"output_modalities": ["text"], "instructions": "In one word."}),
    down("response.created", response=response("in_progress", output=[])),
    down("response.output_text.delta", response_id="resp_1", item_id="i", output_index=0, content_index=0, delta="A"),
    down("response.output_text.delta", response_id="resp_1", item_id="i", output_index=0, content_index=0, delta=" cat"),
    down("response.done", response=response("incomplete", output=[], status_details={"reason": "max_output_tokens"})),
]


def test_a_typed_turn_says_what_was_typed_and_given_and_why_it_is_incomplete():
    found = reading(*TYPED)

    assert found.input == "What is this?\n[image]\n[tool] sunny\n[audio]"
    assert (found.output, found.system_prompt) == ("A cat", "In one word.")
    assert (found.finish_reasons, found.first, found.span) == (("max_output_tokens",), 2, (4.0, 8.0))
    assert found.asked["events"][2]["item"]["content"][0]["audio"]["bytes"] == 480


DONE = "conversation.item.input_audio_transcription.completed"


def test_a_sound_that_was_put_into_the_conversation_is_told_by_its_transcript():
    sound = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": SOUND}]}
    found = reading(
        up("conversation.item.create", item=sound),
        down("conversation.item.added", item=sound | {"id": "item_9"}),
        up("response.create"),
        down(DONE, item_id="item_9", transcript="Hello."),
        down("response.done", response=response()),
    )

    assert found.input == "Hello."


def test_the_late_transcript_of_an_older_turn_is_no_part_of_this_one():
    found = reading(
        down(DONE, item_id="item_before", transcript="That was before."),
        down("input_audio_buffer.committed", item_id="item_1"),
        down(DONE, item_id="item_1", transcript="This is now."),
        down("response.done", response=response()),
    )

    assert found.input == "This is now."


def test_the_beta_names_of_events_are_read_too():
    found = reading(
        up("response.create"),
        down("response.created", response=response("in_progress", output=[])),
        down("response.audio_transcript.delta", response_id="resp_1", item_id="i", output_index=0, content_index=0, delta="Hi"),
        down("response.text.delta", response_id="resp_1", item_id="j", output_index=1, content_index=0, delta="Ho"),
    )

    assert found.output == "Hi\nHo"


def test_a_response_beside_the_conversation_is_told_from_another_one_that_runs_meanwhile():
    other = {"response_id": "resp_2", "item_id": "z", "output_index": 0, "content_index": 0}
    found = reading(
        down("response.created", response=response("in_progress", id="resp_2", output=[])),
        down("response.output_text.delta", delta="not this", **other),
        down("response.created", response=response("in_progress", output=[])),
        down("response.output_text.delta", response_id="resp_1", item_id="i", output_index=0, content_index=0, delta="this"),
        down("response.done", response=response(output=[])),
    )

    assert (found.response_id, found.output) == ("resp_1", "this")


def test_a_failed_response_and_an_error_without_one_are_failures_and_an_error_beside_one_is_noted():
    error = {"type": "server_error", "code": "oops", "message": "It broke."}
    failed = reading(
        down("response.done", response=response("failed", output=[], status_details={"type": "failed", "error": error}))
    )
    assert (failed.failed, failed.error, failed.finish_reasons) == (True, "It broke.", ("failed",))

    alone = reading(SESSION, up("response.create"), down("error", error=error))
    assert (alone.failed, alone.error, alone.output) == (True, "It broke.", None)

    beside = reading(up("response.create"), down("error", error=error), down("response.done", response=response()))
    assert (beside.failed, beside.problems) == (False, ("an error event came beside the response: It broke.",))


def test_a_connection_that_only_writes_down_is_read_as_its_transcripts():
    used = {"type": "tokens", "total_tokens": 7, "input_tokens": 5, "output_tokens": 2}
    found = reading(
        up("input_audio_buffer.append", audio=SOUND),
        down("input_audio_buffer.committed", item_id="a"),
        down(DONE, item_id="a", transcript="One.", usage=used),
        down("conversation.item.input_audio_transcription.delta", item_id="b", delta="Tw"),
        down(DONE, item_id="b", transcript="Two.", usage=used),
    )

    assert (found.input, found.output) == (None, "One.\nTwo.")
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (10, 4, 14)


TRANSLATED = [
    SESSION,
    up("session.input_audio_buffer.append", audio=SOUND),
    down("session.input_transcript.delta", delta="Good ", elapsed_ms=200),
    down("session.output_audio.delta", delta=SOUND, format="pcm16"),
    up("session.input_audio_buffer.append", audio=SOUND),
    down("session.output_transcript.delta", delta="Guten"),
    down("session.input_transcript.delta", delta="day."),
    down("session.output_transcript.delta", delta=" Tag."),
    up("session.close"),
    down("session.closed"),
]


def test_a_connection_that_translates_is_read_as_both_of_its_transcripts():
    found = reading(*TRANSLATED)

    assert (found.input, found.output, found.model) == ("Good day.", "Guten Tag.", "gpt-realtime-2026")
    assert found.raw_output == {"transcript": "Guten Tag.", "audio": {"bytes": 480}}
    assert (found.first, found.usage, found.error, found.problems) == (2, None, None, ())
    assert found.asked["events"][0]["audio"] == {"bytes": 960}


def test_of_a_translation_without_transcripts_the_sound_is_counted():
    found = reading(*[turn for turn in TRANSLATED if b"transcript" not in turn[1]])

    assert (found.input, found.output) == ("[audio 960 bytes]", "[audio 480 bytes]")
    assert found.raw_output == {"audio": {"bytes": 480}}


def test_a_connection_on_which_nothing_was_said_claims_nothing():
    found = reading(SESSION, (True, plain(Message(CLOSE, b"\x03\xe8"))))

    assert (found.input, found.output, found.usage, found.finish_reasons, found.span, found.problems) == (
        None,
        None,
        None,
        (),
        None,
        (),
    )


@pytest.mark.parametrize("turn", [SPOKEN, TYPED, TRANSLATED], ids=["spoken", "typed", "translated"])
def test_where_the_kept_frames_are_cut_changes_nothing_of_what_is_read(turn):
    whole = reading(*turn)

    for at, (sent, data) in enumerate(turn):
        for cut in range(1, len(data)):
            pieces = [*turn[:at], (sent, data[:cut]), (sent, data[cut:]), *turn[at + 1 :]]
            found = reading(*pieces)
            assert (found.input, found.output, found.raw_output, found.asked) == (
                whole.input,
                whole.output,
                whole.raw_output,
                whole.asked,
            )
            assert (found.usage, found.problems, found.error) == (whole.usage, whole.problems, whole.error)


def test_what_is_no_json_object_is_counted():
    found = reading((False, plain(Message(BINARY, b"\xff"))), (False, plain(Message(TEXT, b"[1]"))), *TYPED)

    assert found.output == "A cat"
    assert found.problems == ("messages that are not JSON objects: 2",)


ODD = st.sampled_from(
    [None, True, -1, 1, 1.5, "", "resp_1", SOUND, [], [None], [{}], {}, {"id": 1}, {"id": "resp_1"}, {"output": [1, {}]}]
)
JSONS = ODD | st.fixed_dictionaries(
    {}, optional={"id": ODD, "output": ODD, "content": ODD, "status": ODD, "type": ODD, "usage": ODD}
)
KINDS = sorted(
    {json.loads(data[data.index(b"{") :])["type"] for _, data in SPOKEN + TYPED} | {"error", "input_audio_buffer.clear"}
)
NAMES = (
    "response",
    "item",
    "item_id",
    "delta",
    "session",
    "audio",
    "transcript",
    "usage",
    "response_id",
    "output_index",
    "error",
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES), JSONS)), max_size=8))
def test_no_message_makes_the_reader_raise(events):
    reading(*[(sent, frames({"type": kind} | more)) for sent, kind, more in events])


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=6))
def test_no_bytes_make_the_reader_raise(turns):
    reading(*turns)
