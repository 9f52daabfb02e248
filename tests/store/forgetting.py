"""What every store must do when it is told to forget; `tests/store/contract.py` includes it."""

import json
from dataclasses import replace

import pytest

from proxy.store import Store
from proxy.store.entries import Amended, Said
from proxy.task import Ending, Feedback, Filter, Flag, Forget, Forgotten
from tests.store.tasks import NOON, a_task


async def left(store: Store, filter: Filter | None = None) -> set[str]:
    return {task.id for task in (await store.find(filter or Filter(), limit=500)).items}


async def forgotten(store: Store, what: Forget, limit: int = 500) -> Forgotten:
    total = Forgotten()
    while ids := await store.doomed(what, limit=limit):
        total += await store.forget(ids)
    return total


class ForgettingContract:
    @pytest.mark.parametrize(
        ("what", "gone"),
        [
            (Forget(task_id="id-3"), {3}),
            (Forget(session_id="s1"), {1, 4}),
            (Forget(user_id="u0"), {0, 2, 4}),
            (Forget(before=NOON + 2000), {0, 1}),
            (Forget(since=NOON + 4000), {4, 5}),
            (Forget(user_id="u0", before=NOON + 3000), {0, 2}),
            (Forget(user_id="u1", session_id="s1"), {1}),
            (Forget(project_id="p"), {5}),
            (Forget(session_id="s2", project_id="default"), {2}),
            (Forget(other_projects=("default",)), {5}),
            (Forget(ended_by=NOON + 3500), {0, 1, 2, 3}),
            (Forget(task_id="id-3", user_id="u0"), set()),
            (Forget(task_id="nobody"), set()),
            (Forget(), {0, 1, 2, 3, 4, 5}),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("limit", [1, 500])
    async def test_what_is_told_to_be_forgotten_is_gone_and_nothing_else(self, store: Store, what: Forget, gone, limit):
        tasks = [a_task(n, project_id="p" if n == 5 else "default") for n in range(6)]
        await store.save(tasks)
        assert await store.doomed_count(what) == len(gone)
        told = await forgotten(store, what, limit)
        assert told.tasks == len(gone)
        assert told.through == max((NOON + n * 1000 for n in gone), default=None)
        assert await left(store) == {f"id-{n}" for n in range(6)} - {f"id-{n}" for n in gone}
        for n in range(6):
            assert await store.get(f"id-{n}") == (None if n in gone else replace(tasks[n], own_id=None))
            assert (f"id-{n}" in await left(store, Filter(words=(f"question {n}",)))) == (n not in gone)

    async def test_the_oldest_are_forgotten_first(self, store: Store):
        await store.save([a_task(n) for n in (3, 1, 4, 2)])
        assert list(await store.doomed(Forget(), limit=2)) == ["id-1", "id-2"]

    async def test_sums_are_those_of_what_is_left(self, store: Store):
        tasks = [a_task(n, cost=n / 1000, ending=Ending.CALLER_LEFT if n % 4 else Ending.COMPLETED) for n in range(30)]
        await store.save(tasks)
        told = await forgotten(store, Forget(user_id="u0", before=NOON + 20_000))
        stays = [task for task in tasks if not (task.user_id == "u0" and task.created_at < NOON + 20_000)]
        assert (told.sessions, told.users) == (0, 0)
        for name in ("u0", "u1"):
            theirs = [task for task in stays if task.user_id == name]
            user = await store.user(name)
            assert (user.tasks, user.errors) == (len(theirs), sum(task.ending != "completed" for task in theirs))
            assert (user.first_seen, user.last_seen) == (theirs[0].created_at, theirs[-1].ended_at)
            assert user.cost == pytest.approx(sum(task.cost for task in theirs))
        for name in ("s0", "s1", "s2"):
            of_it = [task for task in stays if task.session_id == name]
            session = await store.session(name)
            assert (session.tasks, session.first_input, session.last_input) == (len(of_it), of_it[0].input, of_it[-1].input)

    async def test_a_session_and_a_user_without_a_task_are_gone(self, store: Store):
        await store.save([a_task(n) for n in range(6)])
        told = await forgotten(store, Forget(user_id="u1"))
        assert (told.tasks, told.users, told.sessions) == (3, 1, 0)
        assert await store.user("u1") is None
        assert [user.id for user in (await store.users(limit=9)).items] == ["u0"]
        assert (await store.sessions(user_id="u1", limit=9)).items == ()
        told = await forgotten(store, Forget(session_id="s1"))
        assert (told.tasks, told.users, told.sessions) == (1, 0, 1)
        assert await store.session("s1") is None
        assert (await store.user("u0")).sessions == 2

    async def test_feedback_and_prompts_go_with_their_tasks(self, store: Store):
        said = Feedback(id="f", created_at=5, flag=Flag.FAILURE, comment="no")
        await store.save([a_task(n, system_prompt=f"prompt {n % 2}", feedback=(said,), flag=Flag.FAILURE) for n in range(4)])
        assert (await forgotten(store, Forget(user_id="u1"))).feedback == 2
        assert await left(store, Filter(flag=Flag.FAILURE)) == {"id-0", "id-2"}
        assert (await store.get("id-0")).system_prompt == "prompt 0"

    async def test_what_a_user_said_of_others_tasks_is_forgotten(self, store: Store):
        first = Feedback(id="f", created_at=5, flag=Flag.SUCCESS, user_id="eve")
        second = Feedback(id="g", created_at=6, flag=Flag.FAILURE, comment="no", user_id="bob")
        await store.save(
            [a_task(1, feedback=(first, second), flag=Flag.FAILURE), a_task(2, feedback=(second,), flag=Flag.FAILURE)]
        )
        assert await store.forget_feedback("bob", "other") == 0
        assert await store.forget_feedback("bob", "default") == 2
        assert await store.forget_feedback("bob") == 0
        assert (await store.get("id-1")).feedback == (first,)
        assert (await store.get("id-1")).flag is Flag.SUCCESS
        assert (await store.get("id-2")).flag is None

    async def test_turns_that_are_left_come_back_whole(self, store: Store):
        messages, tasks = [], []
        for n in range(30):
            messages.append({"role": "user", "content": f"{n} " * 50})
            body = json.dumps({"messages": messages}).encode()
            tasks.append(a_task(n, session_id="s", request_body=body, raw_input=json.loads(body)))
        await store.save(tasks)
        for gone in ([f"id-{n}" for n in range(5)], ["id-10"], ["id-29"], [f"id-{n}" for n in range(6, 28, 3)]):
            told = await store.forget(gone)
            assert told.tasks == len(gone)
            assert told.bytes > 0
        for task in tasks:
            kept = await store.get(task.id)
            assert kept is None or kept == replace(task, own_id=None)
        assert len(await left(store)) == 30 - 5 - 1 - 1 - 8

    async def test_what_was_stored_stays_counted(self, store: Store):
        await store.save([a_task(n) for n in range(3)])
        await store.forget(["id-1", "id-1", "nobody"])
        assert await store.stored("e1") == 3
        assert await left(store) == {"id-0", "id-2"}
        assert await store.forget([]) == Forgotten()

    async def test_room_is_given_back(self, store: Store):
        await store.save([a_task(n, request_body=bytes([n]) * 10 + str(n).encode() * 20_000) for n in range(100)])
        before = await store.size()
        await store.forget([f"id-{n}" for n in range(100)])
        while await store.give_back():
            pass
        assert await store.size() < before
        assert await store.scrub()

    async def test_what_was_said_of_tasks_that_are_not_there_is_forgotten(self, store: Store):
        def said(id: str, user: str, at: int = 5) -> Said:
            return Said(task_id=id, feedback=Feedback(id=f"f-{id}", created_at=at, comment="no", user_id=user))

        await store.absorb(
            [said("a", "bob"), said("b", "eve"), said("c", "eve", 9), Amended(id="d", at=5, words={"user_id": "bob"})]
        )
        assert await store.forget_parked(Forget(user_id="nobody")) == 0
        assert await store.forget_parked(Forget(user_id="bob")) == 2
        assert await store.forget_parked(Forget(task_id="b", ended_by=1)) == 1
        assert await store.forget_parked(Forget(before=9)) == 0
        assert await store.forget_parked(Forget(before=10)) == 1
