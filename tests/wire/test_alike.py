"""Events that differ in their text alone are not read one by one; what comes out is what reading each of them gives."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.wire import Said
from proxy.wire.alike import alike
from proxy.wire.chat import read
from tests.tapes.tape import tapes


def chunk(content, **more):
    """One event of a chat's stream."""
    choice = {"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": None}
    whole = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice | more.pop("choice", {})],
    }
    return b"data: " + json.dumps(whole | more, ensure_ascii=more.pop("ascii", True)).encode() + b"\n\n"


def said(*pieces, whole=True):
    return Said(pieces=pieces, content_type="text/event-stream", status=200, whole=whole)


def same(*pieces):
    """Both ways of reading agree; what they read."""
    quick, slow = read(said(*pieces)), read(said(*pieces), lessons=0)
    assert quick == slow
    return quick


DONE = b"data: [DONE]\n\n"
TEXTS = (
    "one",
    " two",
    "",
    "\u00e9",
    "\u4e16\u754c",
    '"quoted"',
    "back\\slash",
    "line\nfeed",
    "\x7f",
    "\u2028",
    "\ud83d",
    "stop",
    "content",
    "m",
    ",",
    ":",
)


def test_the_texts_of_events_that_are_alike_are_all_there():
    events = [chunk(f" word{number}") for number in range(50)]

    assert same(*events, DONE).output == "".join(f" word{number}" for number in range(50))


def test_events_that_are_alike_are_not_read():
    """Told by what is between them: an event that would be no JSON with another text is not asked."""
    pattern = alike(b'{"choices": "one"}', {"choices": "one"}, "one", None, into := [])
    assert pattern is not None
    assert [
        pattern.take(block) for block in (b'data: {"choices": "two"}', b'data: {"choices":"two"}', b'data: {"choices": "2\\n"}')
    ] == [
        True,
        False,
        False,
    ]
    assert (pattern.flush(), into) == ([], ["two"])


def test_events_that_are_alike_save_for_their_padding_are_not_read():
    data = b'{"choices": "one", "obfuscation": "x1y2"}'
    pattern = alike(data, json.loads(data), "one", "x1y2", into := [])
    assert pattern is not None
    assert [
        pattern.take(block)
        for block in (
            b'data: {"choices": "two", "obfuscation": "z"}',
            b'data: {"choices": "two", "obfuscation": """}',
            b'data: {"choices": "two", "obfuscation": "}',  # one quote for two
            b'data: {"choices": "two"}',
        )
    ] == [True, False, False, False]
    assert (pattern.flush(), into) == ([], ["two"])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"a": "one", "b": "one"}', "one"),  # which of them is the text?
        (b'{"a": "\\u006fne", "b": "one"}', "one"),  # the other one is, spelled otherwise
        (b'{"a": "o\\nne"}', "o\nne"),
        (b'{"one": "one"}', "one"),
        (b'{"a": "tw\\u006f", "b": "one", "two": "two"}', "two"),  # only a key is spelled so
        (b'{"a": "tw\\u006f", "two": 1}', "two"),
    ],
)
def test_an_event_whose_text_is_not_surely_found_is_no_pattern(data, text):
    assert alike(data, json.loads(data), text, None, []) is None


TEMPLATE = chunk("~")
ODD = (
    b'x"},"finish_reason":"stop',
    b'"',
    b'a"',
    b"\\",
    b"a\x00b",
    b"\xff",
    b"\xc3",
    b"a\nb",
    b"a\n\nb",
    b"\r",
    b"\r\r",
    b'","role":"user',
)


@pytest.mark.parametrize("odd", ODD)
def test_bytes_that_mean_something_else_are_read_after_all(odd):
    events = [chunk("a"), chunk("b"), TEMPLATE.replace(b"~", odd), chunk("c"), DONE]
    same(*events)
    same(b"".join(events))


def test_a_character_that_two_events_share_is_no_character():
    events = [chunk("a"), chunk("b"), TEMPLATE.replace(b"~", b"\xc3"), TEMPLATE.replace(b"~", b"\xa9"), chunk("c"), DONE]

    assert same(*events).output == "ab\ufffd\ufffdc"


def test_an_event_whose_text_has_lost_a_quote_is_read_after_all():
    broken = TEMPLATE.replace(b'"~"', b'"')
    same(chunk("a"), chunk("b"), broken, chunk("c"), DONE)
    padded = chunk("~", obfuscation="xx").replace(b'"xx"', b'"')
    same(*[chunk(text, obfuscation="xx") for text in "ab"], padded, chunk("c", obfuscation="xx"), DONE)


def test_padding_says_nothing_whatever_it_is():
    events = [
        chunk(f" {number}", obfuscation=padding) for number, padding in enumerate(("xK9", "a", "", "b c", '"', "zz", "zz", "q"))
    ]

    assert same(*events, DONE).output == " 0 1 2 3 4 5 6 7"
    assert "obfuscation" not in same(*events, DONE).raw_output


def test_two_choices_and_tool_calls_and_a_changed_head_between_are_told_apart():
    call = {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}]}
    events = [chunk(f"{number}", choice={"index": number % 2}) for number in range(8)]
    events += [chunk("x", id=f"c{number}") for number in range(4)] + [chunk("y") for _ in range(4)]
    events += [chunk("", choice={"delta": call}), chunk("z"), chunk("z"), chunk("", usage={"total_tokens": 3}, choices=[])]

    assert same(*events, DONE).finish_reasons == (None, None)


def test_what_comes_with_each_text_is_there_as_often():
    events = [chunk(text, choice={"logprobs": {"content": [{"token": "!"}]}}) for text in "abcd"]

    assert len(same(*events, DONE).raw_output["choices"][0]["logprobs"]["content"]) == 4
    listed = [chunk("", choice={"delta": {"content": text, "parts": ["!"]}}) for text in "abcd"]
    assert same(*listed, DONE).raw_output["choices"][0]["message"]["parts"] == ["!"] * 4


OTHERS = [
    DONE,
    b": ping\n\n",
    b"\n",
    b"data: {\n\n",
    b"event: error\ndata: broken\n\n",
    chunk("t", choice={"delta": {"reasoning_content": "think"}}),
    chunk("t", choice={"delta": {"content": "t", "reasoning": "t"}}),
    chunk("t", choice={"delta": {"content": [{"type": "text", "text": "t"}]}}),
    chunk("t", choice={"finish_reason": "stop"}),
    chunk("t", choice={"logprobs": {"content": [{"token": "t"}]}}),
    chunk("t", usage={"total_tokens": 3}),
    chunk("t", system_fingerprint="fp"),
    chunk("t", citations=["t"]),
    chunk("t", error={"message": "t"}),
    chunk("t").replace(b"\n\n", b"\r\n\r\n"),
]
EVENTS = st.one_of(
    st.builds(chunk, st.sampled_from(TEXTS) | st.text(max_size=4)),
    st.builds(lambda text: chunk(text, ascii=False), st.sampled_from([text for text in TEXTS if text != "\ud83d"])),
    st.builds(
        lambda text, noise: chunk(text, obfuscation=noise), st.sampled_from(TEXTS), st.sampled_from(("aB", "zz", "x y", ""))
    ),
    st.builds(lambda text, index: chunk(text, choice={"index": index}), st.sampled_from(TEXTS), st.integers(0, 2)),
    st.sampled_from(OTHERS),
    (st.sampled_from(ODD) | st.binary(max_size=3)).map(lambda odd: TEMPLATE.replace(b"~", odd)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(EVENTS, max_size=14), st.lists(st.integers(0, 4000), max_size=6), st.booleans())
@example([chunk("a"), chunk("a"), chunk("~").replace(b"~", b"\xc3"), chunk("~").replace(b"~", b"\xa9")], [], True)
def test_any_stream_cut_anywhere_is_read_as_if_each_event_were_read(events, cuts, apart):
    wire = b"".join(events)
    ends = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    same(*(events if apart else [wire[a:b] for a, b in pairwise(ends)]))


@pytest.mark.parametrize(
    "tape", [tape for tape in tapes("chat") if tape.doc.get("status", 200) == 200], ids=lambda tape: tape.name
)
def test_every_tape_is_read_as_if_each_event_were_read(tape):
    events = [event + b"\n\n" for event in tape.body.split(b"\n\n")]
    same(tape.body)
    same(*events)
    same(*[tape.body[at : at + 7] for at in range(0, len(tape.body), 7)])
