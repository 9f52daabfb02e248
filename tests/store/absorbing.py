"""What every store must do with what apps and people say of tasks. `StoreContract` includes this."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from proxy.store import Store, StoreRejected
from proxy.store.entries import Amended, Logged, Said
from proxy.store.insight import Range
from proxy.task import Ending, Feedback, Filter, Flag, Source, Usage
from tests.store.rewriting import sums
from tests.store.tasks import NOON, a_task

RUN = "0123456789abcdef"
numbers = itertools.count()


def logged(id: str, **words: object) -> Logged:
    more = {name: words.pop(name) for name in ("weak", "growing", "at") if name in words}
    return Logged(id=id, origin=f"{RUN}i1.{next(numbers)}", at=more.pop("at", NOON), words=words, **more)


def said(id: str | None = "id-1", flag: Flag | None = Flag.SUCCESS, n: int = 1, **more: object) -> Said:
    names = {name: more.pop(name) for name in ("response_id", "project_id") if name in more}
    return Said(task_id=id, feedback=Feedback(id=f"f{n}", created_at=NOON + n, flag=flag, **more), **names)


class AbsorbingContract:
    async def test_a_task_that_is_read_while_it_grows_is_of_one_moment(self, store: Store):
        await store.absorb([logged("t", input="q", output="0", raw_output={"n": 0})])

        async def grow():
            for n in range(1, 120):
                await store.absorb([logged("t", output=str(n), raw_output={"n": n})])

        growing = asyncio.create_task(grow())
        while not growing.done():
            task = await store.get("t")
            assert task.output == str(task.raw_output["n"])
            await asyncio.sleep(0)
        await growing
        assert (await store.get("t")).output == "119"

    async def test_a_logged_task_is_kept_as_it_was_said(self, store: Store):
        usage = {"input_tokens": 3, "output_tokens": 4}
        words = {
            "input": "two and two", "output": "four", "raw_input": {"a": [1]}, "raw_output": [1, "x"], "session_id": "s",
            "user_id": "u", "project_id": "p", "name": "add", "kind": "chain", "metadata": {"n": 1}, "system_prompt": "be right",
            "created_at": NOON, "ended_at": NOON + 2_500_000, "usage": usage, "parent_task_id": "top", "problems": ["p"],
        }  # fmt: skip
        assert await store.absorb([logged("t", **words)]) == 1
        task = await store.get("t")
        for name, value in words.items():
            got = getattr(task, name)
            assert (list(got) if name == "problems" else got) == (Usage(**usage) if name == "usage" else value), name
        assert (task.session_source, task.user_source, task.ending) == (Source.CLIENT, Source.CLIENT, Ending.COMPLETED)
        assert task.seconds_total == 2.5
        session = await store.session("s")
        assert (session.tasks, session.input_tokens, session.first_input) == (1, 3, "two and two")
        assert [t.id for t in (await store.find(Filter(words=("four",)), limit=9)).items] == ["t"]

    async def test_what_was_not_said_is_not_known(self, store: Store):
        await store.absorb([logged("t", input="x")])
        task = await store.get("t")
        assert (task.kind, task.output, task.usage, task.seconds_total, task.session_id) == ("custom", None, None, None, None)
        assert (task.created_at, task.ended_at, task.project_id) == (NOON, NOON, "default")

    async def test_the_same_entries_again_change_nothing(self, store: Store):
        entries = [
            logged("a", input="q", output="one", raw_output=[1], session_id="s", user_id="u"),
            logged("a", output="two", raw_output=[2]),
            Amended(id="a", at=NOON, words={"name": "n", "metadata": {"k": 1}}),
            said("a"),
            said("later"),
        ]
        await store.absorb(entries)
        before, added = await store.get("a"), await sums(store)
        assert (before.output, before.raw_output) == ("two", [1, 2])
        await store.absorb(entries)
        assert await store.get("a") == before
        assert await sums(store) == added
        await store.absorb([logged("later", input="x")])
        assert len((await store.get("later")).feedback) == 1

    async def test_a_later_version_is_merged_and_null_erases_nothing(self, store: Store):
        await store.absorb([logged("t", input="q", output="a", created_at=NOON, metadata={"a": 1, "b": 1}, session_id="s1")])
        await store.absorb(
            [logged("t", created_at=NOON + 9, ended_at=NOON + 50, metadata={"b": 2}, session_id="s2", user_id="u")]
        )
        task = await store.get("t")
        assert (task.input, task.output, task.metadata) == ("q", "a", {"a": 1, "b": 2})
        assert (task.created_at, task.ended_at, task.session_id, task.user_id) == (NOON, NOON + 50, "s2", "u")
        assert await store.session("s1") is None
        assert (await store.session("s2")).tasks == 1
        assert (await store.user("u")).tasks == 1

    @pytest.mark.parametrize(
        ("outputs", "kept"), [(("Hel", "Hello"), "Hello"), (("Hello", "Hel"), "Hello"), (("a1", "a2"), "a2"), (("a", ""), "a")]
    )
    async def test_a_growing_output_never_shrinks(self, store: Store, outputs, kept):
        for output in outputs:
            await store.absorb([logged("t", input="q", output=output, growing=True)])
        assert (await store.get("t")).output == kept

    async def test_versions_in_one_batch_are_one_task(self, store: Store):
        assert await store.absorb([logged("t", input="q"), said("t"), logged("t", output="a"), logged("u", input="v")]) == 2
        task = await store.get("t")
        assert (task.input, task.output, task.flag) == ("q", "a", Flag.SUCCESS)
        assert (await store.find(Filter(), limit=9)).items[0].id == "u"

    @pytest.mark.parametrize("logged_first", [True, False])
    async def test_a_carried_call_and_what_the_app_logged_of_it_are_one_task_in_either_order(self, store: Store, logged_first):
        call = a_task(1, upstream="openai", session_id=None, session_source=None, metadata={"a": 1}, raw_input={"r": 1},
                      response_body=b"bytes", system_prompt="S", user_id="wire", user_source=Source.HEADER)  # fmt: skip
        entry = logged(
            "id-1", at=NOON + 99, input="what she asked", session_id="s", user_id="app", metadata={"b": 2}, name="answer",
            usage={"input_tokens": 999}, kind="chain", raw_input={"other": 1},
        )  # fmt: skip
        if logged_first:
            await store.absorb([entry, said("id-1", comment="ok")])
            assert (await store.session("s")).input_tokens == 999
            assert await store.save([call]) == 1
        else:
            await store.save([call])
            await store.absorb([entry, said("id-1", comment="ok")])
        task = await store.get("id-1")
        want = replace(call, own_id=None, input="what she asked", session_id="s", session_source=Source.CLIENT, name="answer",
                       metadata={"a": 1, "b": 2}, flag=Flag.SUCCESS, feedback=(said("id-1", comment="ok").feedback,),
                       logged={"input": "what she asked", "name": "answer", "session_id": "s", "metadata": {"b": 2}})  # fmt: skip
        assert task == want
        session = await store.session("s")
        assert (session.tasks, session.input_tokens, session.first_input) == (1, 10, "what she asked")
        assert await store.user("app") is None
        assert [t.id for t in (await store.find(Filter(words=("asked",)), limit=9)).items] == ["id-1"]
        assert [t.id for t in (await store.find(Filter(words=("question",)), limit=9)).items] == []
        assert await store.stored("e1") == 1

    async def test_a_call_that_is_replayed_after_it_was_joined_is_not_kept_again(self, store: Store):
        call = a_task(1, upstream="openai")
        await store.absorb([logged("id-1", input="q")])
        assert await store.save([call]) == 1
        before = await store.get("id-1")
        assert await store.save([call]) == 0
        assert await store.get("id-1") == before
        assert await store.get("own-1") is None

    async def test_a_second_call_with_the_id_is_a_task_of_its_own(self, store: Store):
        await store.absorb([logged("id-1", input="q")])
        await store.save([a_task(1, upstream="openai"), a_task(2, id="id-1", upstream="openai")])
        assert (await store.get("id-1")).origin == "e1.1"
        assert (await store.get("own-2")).retry_of == "id-1"
        assert len((await store.find(Filter(), limit=9)).items) == 2

    async def test_events_are_added_by_whoever_says_them_and_an_amendment_has_the_last_word(self, store: Store):
        await store.save([a_task(1, id="call", upstream="openai", session_id="s")])
        refund, churn = {"name": "refund", "source": "app"}, {"name": "churn", "source": "person"}
        await store.absorb([logged("call", events=[refund]), logged("call", events=[refund])])
        assert (await store.get("call")).events == (refund,)
        assert {(f.value, f.lasts) for f in await store.insights.facets(Range()) if f.name == "event"} == {("refund", 1)}
        await store.absorb([Amended(id="call", at=NOON, words={"events": [churn]})])
        [found] = (await store.find(Filter(), limit=9)).items
        assert found.events == (churn,)
        assert {(f.value, f.lasts) for f in await store.insights.facets(Range()) if f.name == "event"} == {("churn", 1)}
        await store.absorb([Amended(id="call", at=NOON, words={"events": None})])
        assert (await store.get("call")).events == ()
        assert not [f for f in await store.insights.facets(Range()) if f.name == "event"]

    async def test_events_that_were_logged_before_the_call_are_the_calls(self, store: Store):
        refund = {"name": "refund", "source": "rule"}
        await store.absorb([logged("call", input="q", events=[refund])])
        await store.save([a_task(1, id="call", upstream="openai")])
        assert (await store.get("call")).events == (refund,)

    async def test_an_amendment_wins_and_null_takes_away(self, store: Store):
        await store.save([a_task(1, upstream="openai", metadata={"a": 1, "b": {"c": 1, "d": 2}})])
        words = {"session_id": "mine", "user_id": None, "name": "n", "output": None, "metadata": {"a": None, "b": {"c": 3}}}
        await store.absorb([Amended(id="id-1", at=NOON, words=words)])
        task = await store.get("id-1")
        assert (task.session_id, task.session_source, task.user_id, task.user_source) == ("mine", Source.CLIENT, None, None)
        assert (task.name, task.output, task.metadata) == ("n", None, {"b": {"c": 3, "d": 2}})
        assert task.input == "question 1"
        assert await store.session("s1") is None
        assert await store.user("u1") is None

    async def test_what_the_wire_measured_is_not_amended(self, store: Store):
        call = a_task(1, upstream="openai")
        await store.save([call])
        await store.absorb([Amended(id="id-1", at=NOON, words={"kind": "mine", "usage": {"input_tokens": 1}, "raw_input": 1})])
        assert await store.get("id-1") == replace(call, own_id=None)

    @pytest.mark.parametrize("by", ["task_id", "response_id"])
    @pytest.mark.parametrize("first", [True, False])
    async def test_feedback_finds_its_task_before_or_after_it_is_there(self, store: Store, by, first):
        name = {"id": "id-1"} if by == "task_id" else {"id": None, "response_id": "chatcmpl-1"}
        call = a_task(1, upstream="openai", response_id="chatcmpl-1")
        entries = [said(flag=Flag.SUCCESS, n=2, **name), said(flag=Flag.FAILURE, n=1, score=0.25, comment="no", **name)]
        if first:
            await store.absorb(entries)
            await store.save([call])
        else:
            await store.save([call])
            await store.absorb(entries)
        task = await store.get("id-1")
        assert [one.id for one in task.feedback] == ["f1", "f2"], "in the order in which it was given"
        assert task.flag is Flag.SUCCESS, "the latest counts, not the one that came last"
        assert (task.feedback[0].score, task.feedback[0].comment) == (0.25, "no")
        assert [t.id for t in (await store.find(Filter(flag=Flag.SUCCESS), limit=9)).items] == ["id-1"]
        assert await store.answered("chatcmpl-1") == "id-1"
        assert await store.answered("chatcmpl-2") is None

    async def test_feedback_that_waited_came_before_what_comes_with_the_task(self, store: Store):
        await store.absorb([said("t", n=1)])
        await store.absorb([said("t", n=2, flag=Flag.FAILURE), logged("t", input="x")])
        task = await store.get("t")
        assert ([one.id for one in task.feedback], task.flag) == (["f1", "f2"], Flag.FAILURE)

    async def test_feedback_that_came_before_its_task_in_one_batch_stays_the_first(self, store: Store):
        await store.absorb([said("t", n=1), logged("t", input="x"), said("t", n=2)])
        assert [one.id for one in (await store.get("t")).feedback] == ["f1", "f2"]

    async def test_feedback_by_a_response_id_finds_the_task_of_its_own_batch(self, store: Store):
        await store.absorb(
            [said(None, response_id="r"), said("r", response_id="r", n=2), logged("t", input="x", response_id="r")]
        )
        assert [one.id for one in (await store.get("t")).feedback] == ["f1", "f2"]

    async def test_an_amendment_waits_for_its_task(self, store: Store):
        await store.absorb([Amended(id="id-1", at=NOON, words={"name": "early"})])
        await store.save([a_task(1)])
        await store.save([a_task(2)])
        assert [(await store.get(id)).name for id in ("id-1", "id-2")] == ["early", None]

    async def test_feedback_without_a_flag_leaves_the_flag_alone(self, store: Store):
        await store.save([a_task(1)])
        await store.absorb([said(n=1), said(flag=None, n=2, comment="and more")])
        task = await store.get("id-1")
        assert (task.flag, len(task.feedback)) == (Flag.SUCCESS, 2)

    async def test_one_id_in_two_projects_is_two_tasks(self, store: Store):
        await store.absorb([logged("1", input="a", project_id="test"), logged("1", input="b", project_id="live")])
        await store.absorb([said("1", project_id="live", flag=Flag.FAILURE)])
        assert ((await store.get("1")).input, (await store.get("1")).flag) == ("a", None)
        assert ((await store.get("live:1")).input, (await store.get("live:1")).flag) == ("b", Flag.FAILURE)

    async def test_a_made_up_session_gives_way_to_any_other(self, store: Store):
        await store.save([a_task(1, upstream="openai")])
        made_up = logged("id-1", input="q", session_id="session_0", weak=("session_id",))
        await store.absorb([made_up, logged("t", input="q", session_id="session_1", weak=("session_id",))])
        assert (await store.get("id-1")).session_id == "s1"
        assert ((await store.get("t")).session_id, (await store.get("t")).session_source) == ("session_1", Source.INFERRED)
        await store.absorb([logged("t", session_id="real")])
        assert ((await store.get("t")).session_id, (await store.get("t")).session_source) == ("real", Source.CLIENT)

    async def test_it_is_known_which_tasks_there_are(self, store: Store):
        await store.save([a_task(1)])
        await store.absorb([logged("t", input="x")])
        assert await store.known(["t", "u", "id-1", "own-1"]) == {"t", "id-1"}
        assert await store.known([]) == frozenset()

    async def test_a_batch_with_what_can_never_be_kept_is_refused_whole(self, store: Store):
        await store.absorb([logged("t", input="x")])
        with pytest.raises(StoreRejected):
            await store.absorb([logged("a", input="fine"), logged("b", input="x", created_at=2**62)])
        assert await store.known(["a", "b", "t"]) == {"t"}

    async def test_tasks_of_one_moment_are_in_the_order_in_which_they_came(self, store: Store):
        await store.absorb([logged(f"t{n}", input="x", session_id="s", created_at=NOON) for n in range(5)])
        await store.absorb([logged("t1", output="later")])
        found = (await store.find(Filter(session_id="s"), limit=9, oldest_first=True)).items
        assert [task.id for task in found] == [f"t{n}" for n in range(5)]
