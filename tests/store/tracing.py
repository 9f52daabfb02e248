"""What every store must do so that the tasks of a conversation are found. `StoreContract` includes this."""

from dataclasses import replace

from proxy.store import Store
from proxy.task import Ending, Source, Trace
from tests.store.tasks import NOON, a_task

LOW, HIGH = -(2**63), 2**63 - 1


class TracingContract:
    async def test_tasks_are_found_by_their_traces_with_the_sessions_that_they_are_in(self, store: Store):
        await store.save([a_task(1, session_id="s", traces=(Trace(HIGH, 7), Trace(LOW, 0))), a_task(2, traces=(Trace(5, 9),))])
        await store.save([a_task(4, session_id="s")])
        [found] = await store.traced([HIGH, 6], 8)
        assert (found.key, found.mark, found.task_id, found.session_id, found.explicit) == (HIGH, 7, "id-1", "s", True)
        assert (found.created_at, found.last_at) == (NOON + 1000, NOON + 4500)
        assert {each.task_id for each in await store.traced([LOW, 5], 8)} == {"id-1", "id-2"}
        assert await store.traced([], 8) == []

    async def test_of_many_tasks_of_one_key_the_latest_are_found(self, store: Store):
        await store.save([a_task(n, traces=(Trace(1, n),)) for n in (3, 9, 1, 7, 5)])
        await store.save([a_task(n, traces=(Trace(1, n), Trace(2, n))) for n in (8, 2)])
        assert {each.mark for each in await store.traced([1], 3)} == {9, 8, 7}
        assert sorted((each.key, each.mark) for each in await store.traced([1, 2], 2)) == [(1, 8), (1, 9), (2, 2), (2, 8)]

    async def test_a_session_that_was_said_to_be_over_and_ended_well_is_over(self, store: Store):
        await store.save([a_task(1, session_id="s", session_final=True, traces=(Trace(1, 1),))])
        await store.save([a_task(2, session_id="t", session_final=True, ending=Ending.TIMED_OUT, traces=(Trace(2, 1),))])
        over, failed = sorted(await store.traced([1, 2], 8), key=lambda each: each.key)
        assert over.last_at == 0
        assert failed.last_at > NOON

    async def test_a_task_without_a_session_is_not_found(self, store: Store):
        await store.save([a_task(1, session_id=None, traces=(Trace(1, 1),))])
        assert await store.traced([1], 8) == []

    async def test_a_trace_that_is_left_twice_is_one(self, store: Store):
        await store.save([a_task(1, traces=(Trace(1, 1), Trace(1, 1)))])
        assert len(await store.traced([1], 8)) == 1

    async def test_traces_are_no_part_of_the_task(self, store: Store):
        task = a_task(1, traces=(Trace(1, 1),))
        await store.save([task])
        assert await store.get("id-1") == replace(task, own_id=None, traces=())

    async def test_a_task_that_is_moved_is_found_in_its_new_session(self, store: Store):
        task = a_task(1, session_id="s", traces=(Trace(1, 1),))
        await store.save([task])
        assert await store.rewrite([replace(task, session_id="t", session_source=Source.INFERRED)]) == 1
        [found] = await store.traced([1], 8)
        assert (found.session_id, found.explicit) == ("t", False)
        assert await store.session("s") is None

    async def test_a_session_is_implicit_while_it_is_one_call_that_nobody_named(self, store: Store):
        await store.save([a_task(1, session_id="s", session_source=Source.INFERRED), a_task(2, session_id="t")])
        assert (await store.session("s")).implicit
        assert not (await store.session("t")).implicit
        await store.save([a_task(3, session_id="s", session_source=Source.INFERRED)])
        assert not (await store.session("s")).implicit
        await store.rewrite([a_task(1, session_id="u", session_source=Source.INFERRED)])
        assert [(await store.session(id)).implicit for id in "su"] == [True, True]
        await store.rewrite([a_task(3, session_id="s", session_source=Source.HEADER)])
        assert not (await store.session("s")).implicit
