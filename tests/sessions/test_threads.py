"""Which session a call without one gets, and why: every shape that a conversation takes, in every dialect."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from proxy.record.threads import Threads
from proxy.store import open_store
from proxy.task import Source, Task
from tests.sessions.linking import linked
from tests.sessions.talk import KINDS, MINUTE, NOON, SECOND, App, model, task, tool, user

PEPPER = b"p" * 32


async def at_once(act, *arguments):
    return act(*arguments)


class Desk:
    """A store, and what gives tasks their sessions."""

    def __init__(self, store, pepper: bytes = PEPPER) -> None:
        self.store = store
        self.threads = Threads(store, pepper, 30 * 60)

    def again(self) -> Desk:
        return Desk(self.store)

    async def take(self, *tasks: Task) -> list[Task]:
        placed = await linked(self.threads, tasks, at_once)
        await self.store.save(placed)
        return [await self.store.get(task.id) for task in tasks]

    async def one(self, *tasks: Task) -> Task:
        """Each in a batch of its own; the last of them."""
        for each in tasks:
            [last] = await self.take(each)
        return last


@pytest.fixture(params=["memory:", "sqlite:"])
async def desk(request, tmp_path):
    store = await open_store(request.param, tmp_path, write=True)
    yield Desk(store)
    await store.close()


ALL_KINDS = (*KINDS, "converse")
KINDS_OF_TALK = tuple(kind for kind in ALL_KINDS if kind != "completion")  # a prompt has no messages
HELLO = [user("Where is the nearest bakery?")]
BAKERY = model("There is one in Mill Street, next to the chemist's.")
MORE = [*HELLO, BAKERY, user("When does it open?")]
OPENS = model("At half past six, on Sundays at eight.")


async def test_the_task_that_is_followed_is_filled_and_not_made_anew(desk):
    task = App().call(HELLO, BAKERY, NOON)
    followed = desk.threads.followed(task)
    assert followed.task is task
    assert task.traces
    await desk.threads.link([followed], at_once)
    assert followed.task is task
    assert task.session_id is not None


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_a_call_that_brings_an_earlier_ones_messages_and_answer_along_is_in_its_session(desk, kind):
    app = App(kind)
    first, second, third = [
        await desk.one(app.call(turns, answer, NOON + n * MINUTE))
        for n, (turns, answer) in enumerate(
            [(HELLO, BAKERY), (MORE, OPENS), ([*MORE, OPENS, user("Thanks!")], model("Welcome."))]
        )
    ]
    assert (first.session_id, first.session_source) == (f"auto-{first.id}", Source.INFERRED)
    assert first.session_evidence is None
    assert second.session_id == third.session_id == first.session_id
    assert second.session_evidence["by"] == "reply"
    assert second.session_evidence["task"] == first.id
    assert third.session_evidence["task"] == second.id
    assert third.session_evidence["reply_matched"] is True
    assert third.session_evidence["confidence"] == 1.0
    session = await desk.store.session(first.session_id)
    assert (session.tasks, session.implicit) == (3, False)


async def test_the_evidence_says_how_many_messages_matched(desk):
    app = App("chat")
    await desk.one(app.call(HELLO, BAKERY, NOON))
    second = await desk.one(app.call(MORE, OPENS, NOON + MINUTE))
    assert (second.session_evidence["messages_matched"], second.session_evidence["messages"]) == (2, 3)


async def test_a_call_that_nothing_continues_has_an_implicit_session_of_its_own(desk):
    only = await desk.one(App().call(HELLO, BAKERY, NOON))
    session = await desk.store.session(only.session_id)
    assert session.implicit
    assert session.tasks == 1


async def test_a_call_that_names_its_session_keeps_it_and_its_session_is_not_implicit(desk):
    app = App(fields=((b"X-Session-Id", b"mine"),))
    only = await desk.one(app.call(HELLO, BAKERY, NOON))
    assert (only.session_id, only.session_source, only.session_evidence) == ("mine", Source.HEADER, None)
    assert not (await desk.store.session("mine")).implicit


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_all_turns_in_one_batch_and_in_any_order_come_out_the_same(desk, kind):
    app = App(kind)
    turns, tasks = [], []
    for n in range(6):
        turns.append(user(f"question {n}"))
        tasks.append(app.call(turns, answer := model(f"answer {n} to it"), NOON + n * MINUTE))
        turns.append(answer)
    random.Random(kind).shuffle(tasks)
    done = await desk.take(*tasks)
    assert len({each.session_id for each in done}) == 1
    assert sorted(each.session_evidence is None for each in done) == [False] * 5 + [True]


async def test_it_works_across_a_restart(desk):
    first = await desk.one(App().call(HELLO, BAKERY, NOON))
    [second] = await desk.again().take(App().call(MORE, OPENS, NOON + MINUTE))
    assert second.session_id == first.session_id


@pytest.mark.parametrize(
    "other",
    [App(key="key-2"), App(user="eve"), App(project="else"), App(key=None)],
    ids=["key", "user", "project", "no key"],
)
async def test_equal_conversations_of_different_callers_never_merge(desk, other):
    first = await desk.one(App().call(HELLO, BAKERY, NOON))
    theirs = await desk.one(other.call(HELLO, BAKERY, NOON + MINUTE), other.call(MORE, OPENS, NOON + 2 * MINUTE))
    mine = await desk.one(App().call(MORE, OPENS, NOON + 3 * MINUTE))
    assert theirs.session_id != first.session_id == mine.session_id


async def test_keys_of_another_secret_find_nothing(desk):
    first = await desk.one(App().call(HELLO, BAKERY, NOON))
    [second] = await Desk(desk.store, b"q" * 32).take(App().call(MORE, OPENS, NOON + MINUTE))
    assert second.session_id != first.session_id


# -- the same again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_the_same_opening_sent_again_is_a_sibling_within_the_idle_time_only(desk, kind):
    app = App(kind)
    first = await desk.one(app.call(HELLO, BAKERY, NOON))
    again = await desk.one(app.call(HELLO, model("In the station."), NOON + 29 * MINUTE))
    late = await desk.one(app.call(HELLO, BAKERY, NOON + 60 * MINUTE + 3 * SECOND))
    assert again.session_id == first.session_id != late.session_id
    assert (again.session_evidence["by"], again.session_evidence["reply_matched"]) == ("sibling", False)


@pytest.mark.parametrize("together", [True, False])
async def test_what_is_asked_again_after_the_session_was_said_to_be_over_begins_another(desk, together):
    final = App(fields=((b"X-Session-Final", b"true"),))
    failed, good = final.call(HELLO, None, NOON), final.call(HELLO, BAKERY, NOON + 10 * SECOND)
    again, more = App().call(HELLO, BAKERY, NOON + MINUTE), App().call(MORE, OPENS, NOON + 2 * MINUTE)
    calls = (failed, good, again)
    failed, good, again = await desk.take(*calls) if together else [await desk.one(call) for call in calls]
    assert failed.session_id == good.session_id  # its retry
    assert again.session_id != good.session_id
    assert (await desk.one(more)).session_id == again.session_id  # the latest of those that said this


async def test_a_sibling_that_began_later_and_ended_before_is_one_too(desk):
    short = await desk.one(App().call(HELLO, BAKERY, NOON + MINUTE))
    long = await desk.one(App().call(HELLO, BAKERY, NOON, seconds=180))
    early = await desk.one(App().call(HELLO, BAKERY, NOON - 40 * MINUTE))
    assert long.session_id == short.session_id != early.session_id


async def test_an_answer_that_came_later_is_not_what_a_call_went_on_from(desk):
    later = await desk.one(App().call(HELLO, BAKERY, NOON + MINUTE))
    before = await desk.one(App().call(MORE, OPENS, NOON))
    assert before.session_id != later.session_id


async def test_a_call_that_failed_and_its_retry_are_siblings(desk):
    first = await desk.one(App().call(HELLO, None, NOON))
    again = await desk.one(App().call(HELLO, BAKERY, NOON + MINUTE))
    assert again.session_id == first.session_id


async def test_an_answer_made_anew_is_a_sibling_and_either_can_be_gone_on_from(desk):
    first = await desk.one(App().call(HELLO, BAKERY, NOON), App().call(MORE, OPENS, NOON + MINUTE))
    again = await desk.one(App().call(MORE, model("Rather early in the morning."), NOON + 2 * MINUTE))
    assert again.session_id == first.session_id
    for answer in (OPENS, model("Rather early in the morning.")):
        on = await desk.one(App().call([*MORE, answer, user("Is it good?")], model("Very."), NOON + 3 * MINUTE))
        assert on.session_id == first.session_id
        assert on.session_evidence["messages_matched"] == 4


async def test_an_edited_message_forks_in_the_session_and_an_edited_first_one_opens_another(desk):
    first = await desk.one(App().call(HELLO, BAKERY, NOON), App().call(MORE, OPENS, NOON + MINUTE))
    fork = await desk.one(App().call([*HELLO, BAKERY, user("Is it open now?")], model("It is."), NOON + 2 * MINUTE))
    other = await desk.one(App().call([user("Where is the nearest butcher?")], model("Nowhere."), NOON + 3 * MINUTE))
    assert fork.session_id == first.session_id != other.session_id
    assert fork.session_evidence["messages_matched"] == 2


async def test_the_same_opening_under_other_instructions_is_another_conversation(desk):
    first = await desk.one(App(system="You sort questions.").call(HELLO, model("place"), NOON))
    other = await desk.one(App(system="You answer questions.").call(HELLO, BAKERY, NOON + SECOND))
    assert other.session_id != first.session_id


# -- what apps do to a history -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS[2:])
async def test_instructions_that_change_do_not_matter(desk, kind):
    first = await desk.one(App(kind, system="Today is 2026-11-25.").call(HELLO, BAKERY, NOON))
    second = await desk.one(App(kind, system="You are brief. You like cake.").call(MORE, OPENS, NOON + MINUTE))
    assert second.session_id == first.session_id


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("It is 2026-11-25T22:10:00Z.", "It is 2026-11-25T22:11:13Z."),
        ("Today is Wednesday, 25 November 2026, 9:15 pm", "Today is Thursday, 26 November 2026, 12:01 am"),
        ("now: 1764108000", "now: 1764108123"),
        ("Nov 25th, 11:59", "Nov 26th, 00:01"),
    ],
)
async def test_a_date_in_the_instructions_does_not_make_a_retry_another_conversation(desk, one, two):
    first = await desk.one(App(system=one).call(HELLO, BAKERY, NOON))
    again = await desk.one(App(system=two).call(HELLO, BAKERY, NOON + MINUTE))
    assert again.session_id == first.session_id


CALL = ("call_1", "open_hours", {"place": "bakery", "day": "sun"})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "completion"])
async def test_a_loop_of_tool_calls_is_one_session(desk, kind):
    app, turns, tasks = App(kind), [user("When does the bakery open?")], []
    for answer, then in [
        (model("Let me look.", CALL), tool("8:00", "call_1", "open_hours")),
        (model("", ("call_2", "open_hours", {"place": "bakery"})), tool("6:30", "call_2", "open_hours")),
        (model("At half past six, on Sundays at eight."), user("Thanks")),
    ]:
        tasks.append(await desk.one(app.call(turns, answer, NOON + len(tasks) * SECOND)))
        turns = [*turns, answer, then]
    assert len({each.session_id for each in tasks}) == 1
    assert tasks[2].session_evidence["task"] == tasks[1].id


async def test_arguments_spelt_otherwise_and_content_in_parts_are_the_same(desk):
    app = App()
    first = await desk.one(app.call(HELLO, model("Let me look.", CALL), NOON))
    request = app.request([*HELLO, model("Let me look.", CALL), tool("8:00", "call_1", "open_hours")])
    request["messages"][1]["content"] = [{"type": "text", "text": HELLO[0].text + "\n"}]
    request["messages"][2]["content"] = [{"type": "text", "text": "Let me look. "}]
    request["messages"][2]["tool_calls"][0]["function"]["arguments"] = '{ "day":"sun",  "place":"bakery"}'
    second = await desk.one(task(app, request, app.response(OPENS, []), NOON + MINUTE))
    assert (second.session_id, second.session_evidence["by"]) == (first.session_id, "reply")


async def test_thoughts_that_the_app_leaves_out_of_the_history_do_not_matter(desk):
    first = await desk.one(App().call(HELLO, model("<think>\nA bakery...\n</think>\n\n" + BAKERY.text), NOON))
    second = await desk.one(App().call(MORE, OPENS, NOON + MINUTE))
    assert (second.session_id, second.session_evidence["by"]) == (first.session_id, "reply")


async def test_a_beginning_put_into_the_answers_mouth_is_part_of_it(desk):
    app = App("message")
    first = await desk.one(app.call([*HELLO, model('{"street":')], model(' "Mill Street"}'), NOON))
    whole = model('{"street": "Mill Street"}')
    second = await desk.one(app.call([*HELLO, whole, user("When does it open?")], OPENS, NOON + MINUTE))
    assert (second.session_id, second.session_evidence["by"]) == (first.session_id, "reply")


async def test_any_choice_can_be_gone_on_from(desk):
    app = App()
    response = app.response(BAKERY, [])
    other = {"index": 1, "message": {"role": "assistant", "content": "In the station."}, "finish_reason": "stop"}
    response["choices"].append(other)
    first = await desk.one(task(app, app.request(HELLO), response, NOON))
    second = await desk.one(app.call([*HELLO, model("In the station."), user("Which?")], OPENS, NOON + MINUTE))
    assert second.session_id == first.session_id


@pytest.mark.parametrize("kind", KINDS[2:])
async def test_a_history_that_lost_its_beginning_is_found_by_what_is_left_with_less_confidence(desk, kind):
    app, turns = App(kind), []
    for n in range(5):
        turns.append(user(f"question {n} about bread"))
        last = await desk.one(
            app.call(turns, answer := model(f"answer {n}, which is long enough to know it by."), NOON + n * MINUTE)
        )
        turns.append(answer)
    trimmed = await desk.one(app.call([*turns[-3:], user("and then?")], OPENS, NOON + 9 * MINUTE))
    assert trimmed.session_id == last.session_id
    assert trimmed.session_evidence["by"] == "trimmed"
    assert trimmed.session_evidence["confidence"] < 1


async def test_a_history_summed_up_but_for_its_end_is_found_likewise(desk):
    app = App()
    turns = [*MORE, OPENS, user("Do they have rye bread, and what does it cost there?")]
    rye = model("They do, at four euros and twenty cents for a loaf.")
    first = await desk.one(
        app.call(HELLO, BAKERY, NOON), app.call(MORE, OPENS, NOON + MINUTE), app.call(turns, rye, NOON + 2 * MINUTE)
    )
    summed = [user("[Summary: the user asked for a bakery and its hours]"), turns[-1], rye, user("Fine. And cake?")]
    second = await desk.one(app.call(summed, model("Cake too."), NOON + 3 * MINUTE))
    assert (second.session_id, second.session_evidence["by"]) == (first.session_id, "trimmed")


SUMMARY = (
    "The user looks for a bakery in the neighbourhood. There is one in Mill Street that opens at half past six in the morning."
)
SUM_UP = user("Your task is to create a detailed summary of the conversation so far.")
CONTINUED = f"This session is being continued from a previous conversation. Summary:\n{SUMMARY}\nGo on from there."


@pytest.mark.parametrize("kind", KINDS_OF_TALK)
async def test_a_history_that_begins_with_a_summary_goes_on_from_the_call_that_summed_up(desk, kind):
    app = App(kind)
    await desk.one(app.call(HELLO, BAKERY, NOON), app.call(MORE, OPENS, NOON + MINUTE))
    told = model(f"<analysis>It is about bread, and about when a shop opens.</analysis>\n<summary>{SUMMARY}</summary>")
    summed = await desk.one(app.call([*MORE, OPENS, SUM_UP], told, NOON + 2 * MINUTE))
    turns = [user(CONTINUED), user("And do they have cake?")]
    after = await desk.one(app.call(turns, model("They do."), NOON + 3 * MINUTE))
    last = await desk.one(app.call([*turns, model("They do."), user("Fine.")], model("Enjoy."), NOON + 4 * MINUTE))
    assert after.session_id == summed.session_id == last.session_id
    evidence = after.session_evidence
    assert (evidence["by"], evidence["task"], evidence["confidence"]) == ("summary", summed.id, 0.7)
    assert last.session_evidence["by"] == "reply"


async def test_a_summary_of_a_quoted_conversation_among_the_instructions_is_found_too(desk):
    app = App()
    first = await desk.one(app.call(HELLO, BAKERY, NOON))
    quoted = f"Progressively summarize the lines.\n\nNew lines:\nHuman: {HELLO[0].text}\nAI: {BAKERY.text}\n\nNew summary:"
    summed = await desk.one(replace(app, system=None).call([user(quoted)], model(SUMMARY), NOON + MINUTE))
    told = replace(app, system=f"You are kind.\nSummary of the conversation so far: {SUMMARY}")
    after = await desk.one(told.call([user("And cake?")], OPENS, NOON + 2 * MINUTE))
    assert first.session_id == summed.session_id == after.session_id
    assert (summed.session_evidence["by"], summed.session_evidence["messages_matched"]) == ("quoted", 2)
    assert after.session_evidence["by"] == "summary"


@pytest.mark.parametrize(
    "after",
    [
        App(key="another").call([user(CONTINUED)], OPENS, NOON + 3 * MINUTE),
        App(user="somebody").call([user(CONTINUED)], OPENS, NOON + 3 * MINUTE),
        App().call([user(CONTINUED.replace(SUMMARY, SUMMARY.partition(". ")[0] + "."))], OPENS, NOON + 3 * MINUTE),
        App().call([user(CONTINUED)], OPENS, NOON + 300 * MINUTE),
        App().call([user(f"Translate this: {SUMMARY}")], OPENS, NOON + 3 * MINUTE),
    ],
    ids=["another caller", "another user", "less than half of it", "long after", "no word of a summary"],
)
async def test_a_summary_links_nothing_else(desk, after):
    await desk.one(App().call(HELLO, BAKERY, NOON))
    await desk.one(App().call([*HELLO, BAKERY, SUM_UP], model(SUMMARY), NOON + MINUTE))
    assert (await desk.one(after)).session_evidence is None


async def test_a_summary_of_a_text_that_was_no_conversation_links_nothing(desk):
    await desk.one(App().call([user(f"Summarize: {SUMMARY} {SUMMARY}")], model(SUMMARY), NOON))
    assert (await desk.one(App().call([user(CONTINUED)], OPENS, NOON + MINUTE))).session_evidence is None


async def test_two_summaries_that_say_the_same_link_nothing(desk):
    for question in (HELLO, [user("Is there any bread?")]):
        await desk.one(App().call(question, BAKERY, NOON))
        await desk.one(App().call([*question, BAKERY, SUM_UP], model(SUMMARY), NOON + MINUTE))
    assert (await desk.one(App().call([user(CONTINUED)], OPENS, NOON + 2 * MINUTE))).session_evidence is None


async def test_a_compacted_response_is_gone_on_from(desk):
    app = App("response")
    first = await desk.one(app.call(HELLO, BAKERY, NOON))
    asked = {"role": "user", "content": HELLO[0].text, "type": "message"}
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA" + "x" * 200}
    compacted = {"id": "resp_c", "object": "response.compaction", "output": [asked, item]}
    summed = await desk.one(task(app, app.request([*HELLO, BAKERY]), compacted, NOON + MINUTE))
    request = {"model": "m", "input": [asked, item, {"role": "user", "content": "And cake?"}]}
    after = await desk.one(task(app, request, app.response(OPENS, []), NOON + 2 * MINUTE))
    assert first.session_id == summed.session_id == after.session_id
    assert after.session_evidence["task"] == summed.id


async def test_an_answer_that_the_app_changed_is_a_weaker_link(desk):
    first = await desk.one(App().call(HELLO, BAKERY, NOON))
    changed = [*HELLO, model("<b>Mill Street</b>"), user("When does it open?")]
    second = await desk.one(App().call(changed, OPENS, NOON + MINUTE))
    assert second.session_id == first.session_id
    assert (second.session_evidence["by"], second.session_evidence["confidence"]) == ("changed", 0.7)


async def test_examples_that_every_call_brings_along_link_nothing(desk):
    shots = [user("2+2?"), model("4"), user("3+3?"), model("6")]
    one = await desk.one(App().call([*shots, user("4+4?")], model("8"), NOON))
    two = await desk.one(App().call([*shots, user("5+5?")], model("10"), NOON + SECOND))
    assert one.session_id != two.session_id


async def test_short_answers_that_everybody_gets_link_no_trimmed_histories(desk):
    await desk.one(App().call(HELLO, model("Yes, of course."), NOON))
    other = await desk.one(App().call([user("Can I pay by card?"), model("Yes, of course."), user("How?")], OPENS, NOON + SECOND))
    assert other.session_evidence is None


# -- sessions that somebody named --------------------------------------------------------------------------------------

NAMED = App(fields=((b"X-Session-Id", b"mine"),))


async def test_a_named_session_is_joined_only_where_the_answer_matched(desk):
    await desk.one(NAMED.call(HELLO, BAKERY, NOON))
    again = await desk.one(App().call(HELLO, BAKERY, NOON + SECOND))
    assert again.session_id != "mine"
    changed = await desk.one(App().call([*HELLO, model("Mill St"), user("When?")], OPENS, NOON + 2 * SECOND))
    assert changed.session_id != "mine"
    on = await desk.one(NAMED.call(MORE, OPENS, NOON + 3 * SECOND), App().call([*MORE, OPENS, user("!")], OPENS, NOON + MINUTE))
    assert (on.session_id, on.session_source) == ("mine", Source.INFERRED)
    assert not (await desk.store.session("mine")).implicit


# -- by name -----------------------------------------------------------------------------------------------------------


async def test_a_response_that_names_the_one_before_it_is_in_its_session(desk):
    app = App("response")
    first = await desk.one(app.call(HELLO, BAKERY, NOON))
    request = {"model": "m", "input": "When does it open?", "previous_response_id": first.response_id}
    second = await desk.one(task(app, request, app.response(OPENS, []), NOON + 600 * MINUTE))
    third = await desk.one(task(app, request | {"previous_response_id": second.response_id}, None, NOON + 601 * MINUTE))
    assert second.session_id == third.session_id == first.session_id
    assert second.session_evidence["by"] == "response"
    unknown = await desk.one(task(app, request | {"previous_response_id": "resp_else"}, None, NOON + 602 * MINUTE))
    assert unknown.session_id != first.session_id


@pytest.mark.parametrize("named", ["conv_1", {"id": "conv_1"}])
async def test_responses_of_one_conversation_are_one_session(desk, named):
    app = App("response")
    answer = app.response(BAKERY, []) | {"conversation": {"id": "conv_1"}}
    first = await desk.one(task(app, {"model": "m", "input": "Hi", "conversation": named}, answer, NOON))
    second = await desk.one(task(app, {"model": "m", "input": "And?", "conversation": named}, answer, NOON + 600 * MINUTE))
    assert (second.session_id, second.session_evidence["by"]) == (first.session_id, "conversation")


async def test_ollamas_context_is_gone_on_from(desk):
    app = App("ollama_generate")
    first = await desk.one(
        task(app, {"model": "m", "prompt": "Hi"}, {"response": "Hello", "context": [1, 2, 3], "done": True}, NOON)
    )
    second = await desk.one(task(app, {"model": "m", "prompt": "And?", "context": [1, 2, 3]}, {"response": "!"}, NOON + MINUTE))
    assert (second.session_id, second.session_evidence["by"]) == (first.session_id, "context")


# -- what is no conversation -------------------------------------------------------------------------------------------


async def test_what_only_counts_and_what_is_no_conversation_gets_no_session(desk):
    app = App("message")
    counted = await desk.one(replace(app.call(HELLO, None, NOON), path="/v1/messages/count_tokens?beta=true"))
    embedded = await desk.one(replace(app.call(HELLO, None, NOON), kind="embedding"))
    assert counted.session_id is None
    assert embedded.session_id is None


@pytest.mark.parametrize(
    "raw", [None, [], "x", {}, {"messages": None}, {"messages": [None, 1, "x"]}, {"messages": [{"role": ["x"]}]}]
)
async def test_requests_of_any_shape_cost_nothing(desk, raw):
    done = await desk.one(replace(App().call(HELLO, BAKERY, NOON), raw_input=raw, raw_output=raw))
    assert done is not None
