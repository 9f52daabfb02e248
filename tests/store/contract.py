"""What every store must do. An adapter's test class inherits this and gives a `store`."""

import gzip
import json
import random
from dataclasses import replace
from urllib.parse import quote

import pytest

from proxy.store import BadCursor, Store, StoreRejected
from proxy.task import Body, Ending, Feedback, Filter, Flag, Source, Which
from tests.store.absorbing import AbsorbingContract
from tests.store.forgetting import ForgettingContract
from tests.store.insight_contract import InsightContract
from tests.store.rewriting import RewritingContract
from tests.store.storytelling import StoryContract
from tests.store.tasks import NOON, a_task
from tests.store.tracing import TracingContract


async def ids_of(store: Store, filter: Filter, limit: int = 500, **more) -> list[str]:
    return [summary.id for summary in (await store.find(filter, limit=limit, **more)).items]


async def every(page_of) -> list:
    items, cursor = [], None
    while True:
        page = await page_of(cursor)
        items += page.items
        if (cursor := page.next) is None:
            return items
        assert page.items


class StoreContract(AbsorbingContract, RewritingContract, TracingContract, ForgettingContract, InsightContract, StoryContract):
    async def test_a_kept_task_comes_back_whole(self, store: Store):
        task = a_task(
            1,
            request_body=b'{"model": "gpt-5"}',
            raw_input={"model": "gpt-5"},
            response_body=gzip.compress(b'{"id": "x"}'),
            response_coding="gzip",
            raw_output={"id": "x"},
            pieces=((0.5, 10), (0.25, 20), (0.250001, 5)),
            request_headers=(("a", "b"), ("A", "c")),
            system_prompt="be kind",
            metadata={"system_prompt": "be kind", "n": [1, None]},
            feedback=(Feedback(id="f", created_at=5, flag=Flag.FAILURE, score=0.5, comment="no"),),
            flag=Flag.FAILURE,
        )
        assert await store.save([task]) == 1
        assert await store.get("id-1") == replace(task, own_id=None)
        assert await store.get("own-1") is None

    async def test_a_streams_answer_is_kept_beside_its_events(self, store: Store):
        task = a_task(1, response_body=b'data: {"a": 1}\n\ndata: [DONE]\n\n', raw_output={"whole": "answer"})
        await store.save([task])
        assert await store.get("id-1") == replace(task, own_id=None)

    async def test_bodies_come_back_byte_for_byte_with_their_coding(self, store: Store):
        packed = gzip.compress(b"x" * 1000)
        await store.save([a_task(1, request_body=b"\0\xff" * 500, response_body=packed, response_coding="gzip")])
        assert await store.body("id-1", Which.REQUEST) == Body(b"\0\xff" * 500, None)
        assert await store.body("id-1", Which.RESPONSE) == Body(packed, "gzip")
        assert await store.body("nobody", Which.REQUEST) is None

    async def test_a_chat_that_sends_its_history_along_comes_back_turn_by_turn(self, store: Store):
        said, turns = [], []
        for n in range(70):
            said.append({"role": "user", "content": f"question {n} " * 9})
            body = json.dumps({"messages": said}).encode()
            turns.append(a_task(n, session_id="s", request_body=body, raw_input=json.loads(body), response_body=b"ok" * n))
        await store.save(turns[:30])
        await store.save(turns[30:])
        for task in (turns[0], turns[29], turns[64], turns[69]):
            assert await store.get(task.id) == replace(task, own_id=None)
            assert await store.body(task.id, Which.REQUEST) == Body(task.request_body, None)

    async def test_an_id_that_is_taken_is_found_whatever_letters_it_has(self, store: Store):
        ids = ["", "A", "a", "a\0", "a\0b", "é", "\uffff", "\U0001f600", "0190a000-0000-7000-8000-000000000001"]
        for n, id in enumerate(ids):
            await store.save([a_task(n, id=id, own_id=f"first-{n}")])
        for n, id in enumerate(ids):
            await store.save([a_task(n + 100, id=id, own_id=f"own-{n}")])
            again = await store.get(f"own-{n}")
            assert again is not None, id
            assert again.retry_of == id

    async def test_nul_characters_come_back(self, store: Store):
        task = a_task(
            1, input="a\0b", output="\0", user_id="u\0", session_id="s\0", raw_input={"a\0": "\0"}, metadata={"k\0": "v\0"}
        )
        await store.save([task])
        assert await store.get("id-1") == replace(task, own_id=None)
        assert await ids_of(store, Filter(user_id="u\0")) == ["id-1"]
        assert (await store.session("s\0")).last_input == "a\0b"

    async def test_saving_again_changes_nothing(self, store: Store):
        tasks = [a_task(n) for n in range(5)]
        assert await store.save(tasks) == 5
        before = (await store.session("s0"), await store.user("u0"), await ids_of(store, Filter()))
        assert await store.save([*tasks, tasks[0], a_task(5, session_id="else", user_id="else")]) == 1
        assert await store.save([replace(tasks[0], input="other")]) == 0
        assert await store.stored("e1") == 6
        assert (await store.session("s1"), await store.get("id-0")) == (await store.session("s1"), replace(tasks[0], own_id=None))
        assert (await store.session("s0"), await store.user("u0")) == before[:2]
        assert await ids_of(store, Filter()) == ["id-5", *before[2]]

    async def test_the_same_task_twice_in_one_batch_is_kept_once(self, store: Store):
        assert await store.save([a_task(1), a_task(1)]) == 1
        assert (await store.user("u1")).tasks == 1

    async def test_an_id_that_is_taken_is_kept_under_an_id_of_ours(self, store: Store):
        await store.save([a_task(1)])
        assert await store.save([a_task(2, id="id-1")]) == 1
        assert (await store.get("id-1")).origin == "e1.1"
        again = await store.get("own-2")
        assert (again.origin, again.retry_of) == ("e1.2", "id-1")

    async def test_an_id_that_is_taken_within_the_batch_goes_to_the_first(self, store: Store):
        await store.save([a_task(2, id="same"), a_task(1, id="same")])
        assert (await store.get("same")).origin == "e1.2"
        assert (await store.get("own-1")).retry_of == "same"

    async def test_an_id_that_is_taken_and_no_other_is_rejected(self, store: Store):
        await store.save([a_task(1)])
        with pytest.raises(StoreRejected):
            await store.save([a_task(2, id="id-1", own_id=None)])
        with pytest.raises(StoreRejected):
            await store.save([a_task(2, id="id-1", own_id="id-1")])

    @pytest.mark.parametrize(
        "changes",
        [
            {"input": "half \ud83d"},
            {"user_id": "\udcff"},
            {"system_prompt": "\udcff"},
            {"ended_at": 2**63},
            {"created_at": 2**62},
            {"raw_input": {"a": b"no JSON"}},
            {"pieces": ((float("nan"), 1),)},
        ],
        ids=str,
    )
    async def test_what_can_never_be_kept_is_rejected_with_all_of_its_batch(self, store: Store, changes):
        with pytest.raises(StoreRejected):
            await store.save([a_task(1), a_task(2, **changes)])
        assert await ids_of(store, Filter()) == []
        assert await store.stored("e1") == 0
        assert (await store.users(limit=10)).items == ()
        assert await store.save([a_task(1)]) == 1

    async def test_half_a_surrogate_pair_inside_json_is_kept(self, store: Store):
        task = a_task(1, raw_output={"text": "\ud83d", "n": 2**80}, metadata={"big": 2**70})
        await store.save([task])
        assert await store.get("id-1") == replace(task, own_id=None)

    async def test_an_empty_batch_is_nothing(self, store: Store):
        assert await store.save([]) == 0

    async def test_epochs_are_counted_apart(self, store: Store):
        await store.save([a_task(1), a_task(2), a_task(3, origin="e2.1"), a_task(4, origin="e11.1")])
        assert [await store.stored(epoch) for epoch in ("e1", "e2", "e11", "e", "e3")] == [2, 1, 1, 0, 0]

    async def test_lists_are_newest_first_however_tasks_arrive(self, store: Store):
        numbers = list(range(30))
        random.Random(1).shuffle(numbers)
        for start in range(0, 30, 7):
            await store.save([a_task(n) for n in numbers[start : start + 7]])
        newest = [f"id-{n}" for n in reversed(range(30))]
        assert await ids_of(store, Filter()) == newest
        assert await ids_of(store, Filter(), oldest_first=True) == newest[::-1]

    @pytest.mark.parametrize("oldest_first", [False, True])
    @pytest.mark.parametrize(
        "filter", [Filter(), Filter(session_id="s1"), Filter(model="gpt-5"), Filter(words=("question",))], ids=str
    )
    async def test_pages_follow_one_another_without_gap_or_double(self, store: Store, filter, oldest_first):
        await store.save([a_task(n, created_at=NOON + n // 4, model="gpt-5" if n % 2 else "m") for n in range(25)])
        whole = await ids_of(store, filter, oldest_first=oldest_first)
        paged = await every(lambda cursor: store.find(filter, limit=3, cursor=cursor, oldest_first=oldest_first))
        assert [summary.id for summary in paged] == whole
        assert len(whole) == (8 if filter.session_id else 25)

    async def test_a_page_is_not_moved_by_newer_tasks(self, store: Store):
        await store.save([a_task(n) for n in range(4)])
        page = await store.find(Filter(), limit=2)
        await store.save([a_task(9)])
        assert [task.id for task in (await store.find(Filter(), limit=2, cursor=page.next)).items] == ["id-1", "id-0"]

    async def test_the_last_page_says_so(self, store: Store):
        await store.save([a_task(n) for n in range(4)])
        page = await store.find(Filter(), limit=4)
        assert (len(page.items), page.next) == (4, None)

    async def test_many_tasks_of_one_moment_all_are_kept_in_order(self, store: Store):
        tasks = [a_task(n, created_at=NOON, session_id=None, user_id=None) for n in range(4200)]
        assert await store.save(tasks[:3000]) == 3000
        assert await store.save(tasks[3000:]) == 1200
        paged = await every(lambda cursor: store.find(Filter(), limit=500, cursor=cursor))
        assert [summary.id for summary in paged] == [task.id for task in reversed(tasks)]

    @pytest.mark.parametrize(
        ("filter", "found"),
        [
            (Filter(session_id="s1"), {1, 4}),
            (Filter(user_id="u0"), {0, 2, 4}),
            (Filter(project_id="p"), {3}),
            (Filter(kind="embedding"), {2}),
            (Filter(ending=Ending.CALLER_LEFT), {4}),
            (Filter(ending=Ending.COMPLETED), {0, 1, 2, 3, 5}),
            (Filter(flag=Flag.SUCCESS), {5}),
            (Filter(model="gpt-5"), {0, 1, 2, 3, 4}),
            (Filter(model="gpt-5-2026-01-01"), {0, 2, 3, 4}),
            (Filter(model="other"), {1}),
            (Filter(model="unasked"), {5}),
            (Filter(model="gpt-5", session_id="s1"), {1, 4}),
            (Filter(model="gpt-5", kind="chat", project_id="default"), {0, 1, 4}),
            (Filter(model="gpt-5", ending=Ending.CALLER_LEFT), {4}),
            (Filter(session_id="s1", user_id="u0", kind="chat", ending=Ending.CALLER_LEFT, project_id="default"), {4}),
            (Filter(since=NOON + 1000, until=NOON + 3000), {1, 2}),
            (Filter(since=NOON + 3000, model="gpt-5"), {3, 4}),
            (Filter(since=2**70), set()),
            (Filter(until=-(2**70)), set()),
            (Filter(since=-(2**70), until=2**70), {0, 1, 2, 3, 4, 5}),
            (Filter(words=("question",), session_id="s1"), {1, 4}),
            (Filter(words=("question",), model="other"), {1}),
            (Filter(words=("question",), until=NOON + 2000), {0, 1}),
            (Filter(session_id="nobody"), set()),
            (Filter(user_id="\udcff"), set()),
        ],
        ids=str,
    )
    async def test_every_field_of_a_filter_must_hold(self, store: Store, filter, found):
        await store.save(
            [
                a_task(0),
                a_task(1, model="other"),
                a_task(2, kind="embedding"),
                a_task(3, project_id="p"),
                a_task(4, ending=Ending.CALLER_LEFT),
                a_task(5, flag=Flag.SUCCESS, model="unasked", model_requested=None),
            ]
        )
        assert set(await ids_of(store, filter)) == {f"id-{n}" for n in found}

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            (("cat",), {1, 2}),
            (("CAT",), {1, 2}),
            (("ca",), set()),
            (("black", "mouse"), {1}),
            (("black cat",), {1}),
            (("cat black",), {2}),
            (("mouse black",), set()),
            (("eclair",), {3}),
            (("Éclair",), {3}),
            (("cat", "!"), {1, 2}),
            (("!",), set()),
            (('"',), set()),
            (("cat\0",), {1, 2}),
        ],
        ids=str,
    )
    async def test_each_word_must_be_in_input_or_output(self, store: Store, words, found):
        await store.save(
            [
                a_task(1, input="The black cat", output="A mouse."),
                a_task(2, input=None, output="white-cat, black dog"),
                a_task(3, input="un Éclair", output=None),
                a_task(4, input=None, output=None),
            ]
        )
        assert set(await ids_of(store, Filter(words=words))) == {f"id-{n}" for n in found}

    @pytest.mark.parametrize(
        "word",
        [
            'cat"',
            "cat*",
            "^cat",
            "cat OR mouse",
            "NOT cat",
            "input:cat",
            "{input output}:cat",
            "cat)",
            "(cat",
            "NEAR(cat)",
            "-cat",
            "'",
        ],
    )
    async def test_a_searches_own_syntax_means_nothing(self, store: Store, word):
        await store.save([a_task(1, input="a cat", output="a mouse"), a_task(2, input="a dog")])
        assert await ids_of(store, Filter(words=(word,))) in ([], ["id-1"])
        assert await ids_of(store, Filter(words=("cat OR dog",))) == []
        assert await ids_of(store, Filter(words=("ca*",))) == []
        assert await ids_of(store, Filter(words=("input:cat",))) == []

    async def test_a_cursor_of_another_list_is_refused(self, store: Store):
        await store.save([a_task(n) for n in range(4)])
        cursor = (await store.find(Filter(), limit=2)).next
        assert cursor == quote(cursor, safe="")
        with pytest.raises(BadCursor):
            await store.find(Filter(session_id="s1"), limit=2, cursor=cursor)
        with pytest.raises(BadCursor):
            await store.find(Filter(), limit=2, cursor=cursor, oldest_first=True)
        with pytest.raises(BadCursor):
            await store.sessions(limit=2, cursor=cursor)
        with pytest.raises(BadCursor):
            await store.users(limit=2, cursor=cursor)

    @pytest.mark.parametrize("cursor", ["", "x", "0", "é", "a" * 32, "a" * 1000, "../..", "' OR 1", "\0", json.dumps([1, 2])])
    async def test_anything_else_is_no_cursor(self, store: Store, cursor):
        await store.save([a_task(n) for n in range(4)])
        good = (await store.find(Filter(), limit=2)).next
        for bad in (cursor, good + "=", good[:-1], good + "A", " " + good, good + "\n", good[:-1] + "_"):
            for ask in (lambda c: store.find(Filter(), limit=2, cursor=c), lambda c: store.users(limit=2, cursor=c)):
                if bad != good:
                    with pytest.raises(BadCursor):
                        await ask(bad)

    async def test_a_session_adds_up_its_tasks(self, store: Store):
        await store.save(
            [a_task(2, session_id="s", user_id="eve", ending=Ending.CALLER_LEFT, output=None, cost=None, usage=None)]
        )
        await store.save([a_task(1, session_id="s", model=None, session_final=True), a_task(3, session_id=None)])
        session = await store.session("s")
        assert (session.tasks, session.errors, session.input_tokens, session.output_tokens, session.cost) == (2, 1, 10, 1, 0.001)
        assert (session.started_at, session.ended_at, session.seconds) == (NOON + 1000, NOON + 2500, 0.0015)
        assert (session.first_input, session.last_input, session.last_output) == ("question 1", "question 2", None)
        assert (session.user_id, session.last_ending, session.model) == ("eve", Ending.CALLER_LEFT, "gpt-5-2026-01-01")
        assert session.final
        assert [s.id for s in (await store.sessions(limit=10)).items] == ["s"]
        assert await store.session("nobody") is None

    async def test_a_cost_that_nobody_knows_stays_unknown(self, store: Store):
        await store.save([a_task(1, cost=None), a_task(3, cost=float("nan"))])
        assert (await store.user("u1")).cost is None
        assert (await store.session("s1")).cost is None

    async def test_a_long_text_is_shown_by_its_first_words(self, store: Store):
        await store.save([a_task(1, input="long " * 1000)])
        session = await store.session("s1")
        assert session.first_input == session.last_input == ("long " * 1000)[:300]
        assert (await store.get("id-1")).input == "long " * 1000

    async def test_a_sessions_last_input_is_its_last_whether_it_has_one_task_or_more(self, store: Store):
        async def texts() -> tuple[str | None, str | None]:
            session = await store.session("s")
            return session.first_input, session.last_input

        await store.save([a_task(1, session_id="s", input="one")])
        assert await texts() == ("one", "one")
        await store.save([a_task(2, session_id="s", input="two")])
        assert await texts() == ("one", "two")
        await store.save([a_task(3, session_id="s", input=None)])
        assert await texts() == ("one", None)
        await store.forget(["id-2", "id-3"])
        assert await texts() == ("one", "one")

    async def test_sums_stop_where_64_bits_end(self, store: Store):
        huge = replace(a_task(0).usage, input_tokens=2**62, output_tokens=2**62)
        await store.save([a_task(0, usage=huge, cost=1e300), a_task(6, usage=huge), a_task(12, usage=huge)])
        assert (await store.session("s0")).input_tokens == 2**63 - 1

    async def test_a_users_sessions_are_counted_once_each(self, store: Store):
        await store.save([a_task(n, user_id="u", session_id="a") for n in range(3)])
        await store.save([a_task(n, user_id="u", session_id="ab"[n % 2]) for n in range(3, 6)])
        await store.save([a_task(7, user_id="u", session_id=None), a_task(8, user_id="v", session_id="a")])
        await store.save([a_task(9, user_id="u", session_id="a", project_id="p")])
        user = await store.user("u", "default")
        assert (user.tasks, user.sessions, user.first_seen, user.last_seen) == (7, 2, NOON, NOON + 7500)
        assert (await store.user("u", "p")).sessions == 1
        assert (await store.user("u")).project_id == "p"
        assert await store.user("u", "q") is None

    async def test_the_same_session_in_two_projects_is_two(self, store: Store):
        await store.save([a_task(1, session_id="s"), a_task(2, session_id="s", project_id="p"), a_task(3, session_id="t")])
        assert (await store.session("s")).project_id == "p"
        assert (await store.session("s", "default")).tasks == 1
        assert [(s.id, s.project_id) for s in (await store.sessions(limit=9)).items] == [
            ("t", "default"),
            ("s", "p"),
            ("s", "default"),
        ]
        assert [s.id for s in (await store.sessions(project_id="default", limit=9)).items] == ["t", "s"]
        assert [u.project_id for u in (await store.users(project_id="p", limit=9)).items] == ["p"]

    async def test_sessions_of_one_call_that_named_none_can_be_listed_alone_or_left_out(self, store: Store):
        await store.save([a_task(n, session_id=f"auto-{n}", session_source=Source.INFERRED) for n in range(4)])
        await store.save([a_task(5, session_id="auto-1", session_source=Source.INFERRED), a_task(6, session_id="named")])

        async def listed(**asked) -> list[str]:
            found, cursor = [], None
            while True:
                page = await store.sessions(limit=1, cursor=cursor, **asked)
                found += [session.id for session in page.items]
                if (cursor := page.next) is None:
                    return found

        assert await listed(implicit=True) == ["auto-3", "auto-2", "auto-0"]
        assert await listed(implicit=False) == ["named", "auto-1"]
        assert await listed(implicit=True, project_id="default") == ["auto-3", "auto-2", "auto-0"]
        assert await listed(implicit=False, project_id="p") == []
        assert await listed(implicit=True, user_id="u1") == ["auto-3"]

    async def test_a_user_has_every_session_that_he_took_part_in(self, store: Store):
        await store.save([a_task(1, session_id="both", user_id="u"), a_task(2, session_id="mine", user_id="u")])
        await store.save([a_task(3, session_id="both", user_id="v"), a_task(4, session_id="else", user_id="v")])
        assert [s.id for s in (await store.sessions(user_id="u", limit=9)).items] == ["both", "mine"]
        assert [s.id for s in (await store.sessions(user_id="v", limit=9)).items] == ["else", "both"]
        assert (await store.sessions(user_id="u", project_id="p", limit=9)).items == ()
        assert (await store.session("both")).user_id == "v"

    async def test_sessions_and_users_are_paged_latest_first(self, store: Store):
        await store.save([a_task(n, session_id=f"s{n // 2}", user_id=f"u{n // 2 % 7}") for n in range(40)])
        for page_of, expected in (
            (lambda cursor: store.sessions(limit=3, cursor=cursor), [f"s{n}" for n in reversed(range(20))]),
            (lambda cursor: store.sessions(limit=3, cursor=cursor, project_id="default"), [f"s{n}" for n in reversed(range(20))]),
            (lambda cursor: store.sessions(limit=2, cursor=cursor, user_id="u3"), ["s17", "s10", "s3"]),
            (lambda cursor: store.users(limit=3, cursor=cursor), ["u5", "u4", "u3", "u2", "u1", "u0", "u6"]),
            (
                lambda cursor: store.users(limit=3, cursor=cursor, project_id="default"),
                ["u5", "u4", "u3", "u2", "u1", "u0", "u6"],
            ),
        ):
            assert [item.id for item in await every(page_of)] == expected
