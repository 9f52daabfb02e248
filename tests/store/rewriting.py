"""What every store must do when kept tasks are put right. `StoreContract` includes this."""

import random
from dataclasses import fields, replace

import pytest

from proxy.store import Store, StoreRejected, open_store
from proxy.task import Ending, Feedback, Filter, Flag, Summary, Task, Usage, Which
from tests.store.tasks import NOON, a_task

SUMMARY = [field.name for field in fields(Summary)]


def summary_of(task: Task) -> Summary:
    return Summary(**{name: getattr(task, name) for name in SUMMARY})


async def sums(store: Store) -> tuple[object, ...]:
    """All that is added up, and who took part in what."""
    sessions = (await store.sessions(limit=500)).items
    users = (await store.users(limit=500)).items
    took_part = {
        (user.project_id, user.id): {
            s.id for s in (await store.sessions(project_id=user.project_id, user_id=user.id, limit=500)).items
        }
        for user in users
    }
    return (
        {(session.project_id, session.id): session for session in sessions},
        {(user.project_id, user.id): user for user in users},
        took_part,
    )


class RewritingContract:
    async def test_a_rewritten_task_is_as_it_was_given(self, store: Store):
        await store.save([a_task(1, request_body=b"body", raw_input={"a": 1}), a_task(2)])
        better = a_task(1, request_body=b"body", raw_input={"a": 2}, input="asked", output=None, kind="message", model=None,
                        ending=Ending.UPSTREAM_ERROR, problems=("p",), pieces=((0.5, 1),), cost=None, usage=None)  # fmt: skip
        assert await store.rewrite([better]) == 1
        assert await store.get("id-1") == replace(better, own_id=None)
        assert (await store.get("id-2")).input == "question 2"
        assert [task.id for task in (await store.find(Filter(kind="message"), limit=9)).items] == ["id-1"]
        assert [task.id for task in (await store.find(Filter(ending=Ending.COMPLETED), limit=9)).items] == ["id-2"]

    async def test_a_summary_leaves_bodies_and_pieces_alone(self, store: Store):
        task = a_task(1, request_body=b"body", raw_input={"a": 1}, pieces=((0.5, 1),), events=({"e": 1},))
        await store.save([task])
        assert await store.rewrite([summary_of(replace(task, cost=0.5, price={"source": "config"}))]) == 1
        assert await store.get("id-1") == replace(task, cost=0.5, price={"source": "config"}, own_id=None)
        assert (await store.body("id-1", Which.REQUEST)).data == b"body"

    async def test_only_the_named_fields_change_where_some_are_named(self, store: Store):
        await store.save([a_task(1, metadata={"k": 1}, raw_input={"a": 1}, cost=None)])
        given = a_task(1, metadata={}, cost=0.5, input="other", session_id="t", raw_input={"a": 2}, problems=("p",))
        assert await store.rewrite([summary_of(given)], only=("cost", "problems")) == 1
        kept = a_task(1, metadata={"k": 1}, raw_input={"a": 1}, cost=0.5, problems=("p",), own_id=None)
        assert await store.get("id-1") == kept
        assert await store.rewrite([given], only=("input",)) == 1
        assert await store.get("id-1") == replace(kept, input="other", raw_input={"a": 2})
        assert await store.session("t") is None

    async def test_what_somebody_said_of_a_task_stays(self, store: Store):
        said = Feedback(id="f", created_at=5, flag=Flag.FAILURE)
        await store.save([a_task(1, flag=Flag.FAILURE, feedback=(said,))])
        await store.rewrite([a_task(1, input="other")])
        task = await store.get("id-1")
        assert (task.input, task.flag, task.feedback) == ("other", Flag.FAILURE, (said,))
        assert [task.id for task in (await store.find(Filter(flag=Flag.FAILURE), limit=9)).items] == ["id-1"]

    async def test_id_and_beginning_stay_whatever_is_given(self, store: Store):
        await store.save([a_task(1), a_task(2, id="id-1")])
        await store.rewrite([a_task(2, id="id-1", created_at=NOON + 9_000_000, output="new")])
        assert (await store.get("own-2")).output == "new"
        assert (await store.get("own-2")).created_at == NOON + 2000
        assert (await store.get("id-1")).output == "answer 1"

    async def test_what_is_not_kept_is_not_made(self, store: Store):
        await store.save([a_task(1)])
        assert await store.rewrite([a_task(2), a_task(1, input="new")]) == 1
        assert await store.rewrite([]) == 0
        assert await store.get("id-2") is None
        assert await store.stored("e1") == 1
        assert await store.save([a_task(1)]) == 0

    async def test_a_search_finds_the_new_words_and_not_the_old_ones(self, store: Store):
        await store.save([a_task(1, input="a black cat"), a_task(2, input=None, output=None), a_task(3, input="a dog")])
        changed = a_task(1, input="a white mouse"), a_task(2, input="two words", output=None), a_task(3, input=None, output=None)
        await store.rewrite(changed)

        async def found(word: str) -> set[str]:
            return {task.id for task in (await store.find(Filter(words=(word,)), limit=9)).items}

        assert (await found("cat"), await found("mouse"), await found("words"), await found("dog")) == (
            set(), {"id-1"}, {"id-2"}, set(),
        )  # fmt: skip
        assert await found("answer") == {"id-1"}

    async def test_what_can_never_be_kept_changes_nothing(self, store: Store):
        await store.save([a_task(1), a_task(2)])
        before = await sums(store)
        with pytest.raises(StoreRejected):
            await store.rewrite([a_task(1, input="new"), a_task(2, input="half \ud83d")])
        assert (await store.get("id-1")).input == "question 1"
        assert await sums(store) == before

    async def test_a_cost_that_is_put_right_is_put_right_in_every_sum(self, store: Store):
        await store.save([a_task(n, session_id="s", user_id="u", cost=None) for n in range(4)])
        await store.rewrite([summary_of(a_task(n, session_id="s", user_id="u", cost=0.25)) for n in range(3)])
        assert (await store.session("s")).cost == (await store.user("u")).cost == 0.75
        await store.rewrite([a_task(0, session_id="s", user_id="u", cost=1.0), a_task(1, session_id="s", user_id="u", cost=None)])
        assert (await store.session("s")).cost == (await store.user("u")).cost == 1.25
        await store.rewrite([a_task(n, session_id="s", user_id="u", cost=None) for n in range(4)])
        assert (await store.session("s")).cost is (await store.user("u")).cost is None

    async def test_a_session_or_user_without_tasks_is_gone(self, store: Store):
        await store.save([a_task(1, session_id="a", user_id="u"), a_task(2, session_id="b", user_id="v")])
        await store.rewrite([a_task(1, session_id="b", user_id="v")])
        assert await store.session("a") is None
        assert await store.user("u") is None
        assert ((await store.session("b")).tasks, (await store.user("v")).sessions) == (2, 1)
        await store.rewrite([a_task(n, session_id=None, user_id=None) for n in (1, 2)])
        assert (await store.sessions(limit=9)).items == (await store.users(limit=9)).items == ()

    @pytest.mark.parametrize("seed", range(12))
    async def test_the_sums_are_those_of_the_tasks_as_they_are_now(self, store: Store, seed, tmp_path):
        """The same as if they had always been so: against a store of its own that is given the last version of each."""
        dice = random.Random(seed)

        def any_task(n: int) -> Task:
            return a_task(
                n,
                created_at=NOON + n // 2 * 1000,
                ended_at=NOON + n * 1000 + dice.choice((500, 90_000)),
                session_id=dice.choice(("a", "b", None)),
                user_id=dice.choice(("u", "v", None)),
                project_id=dice.choice(("default", "p")),
                session_final=dice.random() < 0.1,
                model=dice.choice(("m", None)),
                input=dice.choice((None, "one", "two")),
                output=dice.choice((None, "three")),
                ending=dice.choice((Ending.COMPLETED, Ending.CALLER_LEFT)),
                cost=dice.choice((None, 0.1, 2.0, 1e300)) if seed % 3 == 0 else dice.choice((None, 0.1, 2.0)),
                usage=dice.choice((None, Usage(input_tokens=dice.choice((5, 2**62 if seed % 4 == 0 else 7)), output_tokens=3))),
                system_prompt=dice.choice((None, "be kind", "be brief")),
            )

        now = {n: any_task(n) for n in range(20)}
        await store.save(list(now.values()))
        for _ in range(4):
            some = {n: any_task(n) for n in dice.sample(range(20), 7)}
            some = {
                n: replace(
                    task, created_at=now[n].created_at, **({"session_id": now[n].session_id} if dice.random() < 0.5 else {})
                )
                for n, task in some.items()
            }
            assert await store.rewrite(list(some.values())) == 7
            now |= some
        fresh = await open_store("memory:", tmp_path, write=True)
        await fresh.save([now[n] for n in range(20)])
        assert await sums(store) == await sums(fresh)
        assert [task.system_prompt for task in (await store.find(Filter(), limit=50)).items] == [
            task.system_prompt for task in (await fresh.find(Filter(), limit=50)).items
        ]
