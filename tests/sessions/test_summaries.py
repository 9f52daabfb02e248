"""What a summary is known by: pieces of it, however they stand in what quotes it; and what does not look like one."""

import pytest

from proxy.record.summaries import is_asked, may_quote, pieces, places, quoted, summary_of
from proxy.wire.remark import ANSWER, USER, Remark

ONE = "The user looks for a bakery that opens early in the morning"
TWO = "They were told of one in Mill Street, next to the chemist's"


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}. {TWO}.",
        f"1. {ONE}\n2. {TWO}!",
        f"Summary of what was said: {ONE}. {TWO}.\nGo on from there.",
        f"<summary>{ONE}. {TWO}</summary>",
        f"Ja. {ONE}? {TWO}",
    ],
)
def test_pieces_are_the_same_wherever_they_stand(text):
    assert {"".join(ONE.split()), "".join(TWO.split())} <= {piece.lstrip("12.") for piece in pieces(text, 8)}


def test_short_pieces_are_nothing_and_the_longest_come_first():
    assert pieces("Yes. No. " + ONE + ". " + TWO + ".", 1) == ["".join(max(ONE, TWO, key=len).split())]
    assert pieces("Yes.\nOf course: go on.", 8) == []


def test_thoughts_before_a_summary_are_no_part_of_it():
    assert summary_of(f"<analysis>{TWO}</analysis><summary>{ONE}</summary>") == ONE
    assert summary_of(f"<think>{TWO}</think>{ONE}").strip() == ONE
    assert summary_of(ONE) == ONE


@pytest.mark.parametrize("names", [("Human", "AI"), ("USER", "ASSISTANT"), ("user", "assistant"), ("**User**", "**Assistant**")])
def test_a_conversation_in_a_text_is_read_speaker_by_speaker(names):
    text = f"Sum this up.\n\n{names[0]}: {ONE}?\n{names[1]}: {TWO}.\nIt is good.\n{names[0]}: Thanks!\n\nNew summary:"
    found = quoted(text)
    assert [remark.side for remark in found][:3] == [USER, ANSWER, USER]
    assert found[0].text.removeprefix("**").strip() == f"{ONE}?"
    assert found[1].text.removeprefix("**") == "".join(f"{TWO}.It is good.".split())


def test_a_text_in_which_nobody_answers_is_no_conversation():
    assert quoted("User: one\nUser: two") == []
    assert quoted("AI is here to stay: " + ONE) == []
    assert quoted("") == []


def test_a_summary_is_asked_of_a_history_or_of_a_conversation_that_is_quoted():
    ask, said = Remark(USER, "Please summarize the conversation."), Remark(ANSWER, "ok")
    assert is_asked([Remark(USER, "hi"), said, ask], False)
    assert not is_asked([ask], False)
    assert not is_asked([Remark(USER, "hi"), said, Remark(USER, "And now?")], True)
    assert is_asked([Remark(USER, f"User: {ONE}\nAssistant: {TWO}")], True)
    assert not is_asked([Remark(USER, f"User: {ONE}\nAssistant: {TWO}")], False)


def test_a_text_that_is_to_be_summed_up_quotes_nothing():
    work = Remark(USER, f"Summarize this: {ONE} so far. {TWO}.")
    assert places([work], False) == []
    assert places([work], True) == [work.text]
    assert places([Remark(USER, f"The conversation so far: {ONE}.")], False) != []
    assert places([Remark(USER, "so far")], False) == []


def test_instructions_that_only_speak_of_summaries_are_not_looked_through():
    assert may_quote("Be kind.\n\nSummary of the conversation so far: " + ONE)
    assert not may_quote("You summarize texts. Previous work has shown that short summaries are best.")
