"""What every store must do with tasks that are parts of others. `StoreContract` includes this."""

import itertools
from dataclasses import replace

import pytest

from proxy.store import Store
from proxy.store.entries import Amended
from proxy.store.story import LABELS
from proxy.task import Ending, Filter, Source, Task
from tests.store.absorbing import logged
from tests.store.rewriting import sums
from tests.store.tasks import NOON, a_task

AUTO = Source.INFERRED


def carried(n: int, parent: str | None = None, **changes: object) -> Task:
    """A call that names neither session nor user, as the recorder gives it to the store."""
    mine = {"session_id": f"auto-id-{n}", "session_source": AUTO, "user_id": None, "user_source": None}
    return a_task(n, **{**mine, "parent_task_id": parent, **changes})


async def kept(store: Store, *ids: str) -> list[Task]:
    found = [await store.get(id) for id in ids]
    assert None not in found
    return found


async def places(store: Store, *ids: str) -> list[tuple[str | None, str | None]]:
    return [(task.session_id, task.user_id) for task in await kept(store, *ids)]


async def in_order(store: Store, session: str, project: str = "default") -> list[str]:
    found = await store.find(Filter(session_id=session, project_id=project), limit=50, oldest_first=True)
    return [task.id for task in found.items]


async def tell(store: Store, *said: object) -> None:
    """Each by itself, as it comes: calls are saved, what apps log is absorbed."""
    for each in said:
        if isinstance(each, Task):
            await store.save([each])
        else:
            await store.absorb([each])


def adds_up_alone(task: Task) -> Task:
    return replace(task, origin=f"again.{task.id}", own_id=None)


class StoryContract:
    @pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
    async def test_parts_are_in_their_parents_session_whichever_comes_first(self, store: Store, order):
        said = [
            logged("top", input="all of it", session_id="s", user_id="ada", at=NOON),
            logged("step", input="a part", parent_task_id="top", created_at=NOON + 500),
            carried(1, "step"),
            carried(2, "top"),
        ]
        await tell(store, *(said[place] for place in order))
        assert await places(store, "top", "step", "id-1", "id-2") == [("s", "ada")] * 4
        assert await in_order(store, "s") == ["top", "step", "id-1", "id-2"]
        step, first = await kept(store, "step", "id-1")
        assert (step.session_source, step.user_source, first.session_source, first.user_source) == (AUTO,) * 4
        assert step.session_evidence == {"by": "parent", "task": "top"}
        assert first.session_evidence == {"by": "parent", "task": "step"}
        session = await store.session("s")
        assert (session.tasks, session.user_id, session.implicit) == (4, "ada", False)
        assert [s.id for s in (await store.sessions(limit=9)).items] == ["s"], "the sessions that were made for parts are gone"
        assert (await store.user("ada")).tasks == 4

    async def test_all_in_one_batch_end_as_one_by_one(self, store: Store):
        await store.save([carried(3, "id-2"), carried(2, "id-1"), carried(1, session_id="s", session_source=Source.HEADER)])
        assert [place for place, _ in await places(store, "id-1", "id-2", "id-3")] == ["s"] * 3
        await store.absorb([logged("b", input="x", parent_task_id="a"), logged("a", input="x", parent_task_id="id-3")])
        assert sorted(await in_order(store, "s")) == ["a", "b", "id-1", "id-2", "id-3"]

    async def test_the_sums_are_those_of_tasks_that_were_there_from_the_beginning(self, store: Store, tmp_path):
        from proxy.store import open_store

        await tell(store, carried(1, "top"), carried(2, "top"), carried(3, "id-2"))
        await tell(store, logged("top", input="question 2", session_id="s", user_id="ada", created_at=NOON))
        fresh = await open_store("memory:", tmp_path, write=True)
        await fresh.save([adds_up_alone(task) for task in await kept(store, "top", "id-1", "id-2", "id-3")])
        assert await sums(store) == await sums(fresh)
        await fresh.close()

    async def test_what_a_part_says_itself_stays(self, store: Store):
        own = {"session_id": "mine", "session_source": Source.BODY, "user_id": "bob", "user_source": Source.HEADER}
        await tell(store, carried(1, "top", **own), logged("part", input="x", parent_task_id="top", session_id="logged"))
        await tell(store, logged("top", input="x", session_id="s", user_id="ada"))
        assert await places(store, "id-1", "part") == [("mine", "bob"), ("logged", "ada")]

    async def test_what_a_person_has_moved_stays(self, store: Store):
        moved = {"session_id": "there", "session_evidence": {"by": "person", "act": "split"}}
        await tell(store, carried(1, "top", **moved), logged("top", input="x", session_id="s"))
        assert await places(store, "id-1") == [("there", None)]

    @pytest.mark.parametrize("first", ["parent", "part"])
    async def test_a_parent_without_a_session_gets_one_with_its_first_part(self, store: Store, first):
        said = [logged("top", input="x"), carried(1, "top")]
        await tell(store, *(said if first == "parent" else said[::-1]))
        assert [place for place, _ in await places(store, "top", "id-1")] == ["auto-top"] * 2
        assert not (await store.session("auto-top")).implicit
        await tell(store, logged("top", session_id="s", user_id="ada"))
        assert await places(store, "top", "id-1") == [("s", "ada")] * 2, "what the app says later holds for all of it"
        assert await store.session("auto-top") is None

    async def test_a_task_of_no_parts_stays_in_no_session(self, store: Store):
        await tell(store, logged("top", input="x"), logged("lost", input="x", parent_task_id="nowhere"))
        assert await places(store, "top", "lost") == [(None, None)] * 2

    async def test_a_conversation_follows_the_part_that_it_began_with(self, store: Store):
        goes_on = {"session_id": "auto-id-1", "session_evidence": {"by": "history", "task": "id-1"}}
        await tell(store, carried(1, "top"), carried(2, None, **goes_on))
        await tell(store, logged("top", input="x", session_id="s"))
        assert [place for place, _ in await places(store, "id-1", "id-2")] == ["s", "s"]
        assert (await kept(store, "id-2"))[0].session_evidence == goes_on["session_evidence"]

    async def test_a_part_is_in_its_parents_project_if_it_names_none(self, store: Store):
        await tell(store, logged("top", input="x", session_id="s", project_id="shop"), carried(1, "top"))
        elsewhere = carried(2, "top", project_id="other")
        await tell(store, elsewhere)
        first, second = await kept(store, "id-1", "id-2")
        assert (first.project_id, first.session_id, second.project_id, second.session_id) == ("shop", "s", "other", "auto-id-2")
        assert await in_order(store, "s", "shop") == ["top", "id-1"]

    async def test_of_two_projects_parents_of_one_name_each_has_its_own_parts(self, store: Store):
        for project in ("one", "two"):
            await tell(store, logged("top", input=project, session_id=f"s-{project}", project_id=project))
        await tell(store, carried(1, "top", project_id="two"), carried(2, "top", project_id="one"))
        assert [place for place, _ in await places(store, "id-1", "id-2")] == ["s-two", "s-one"]

    async def test_a_parent_that_is_told_its_session_later_takes_its_parts_along(self, store: Store):
        await tell(store, logged("top", input="x", session_id="s"), carried(1, "top"), carried(2, "id-1"))
        await tell(store, Amended(id="top", at=NOON, words={"session_id": "better", "user_id": "ada"}))
        assert await places(store, "top", "id-1", "id-2") == [("better", "ada")] * 3
        await tell(store, Amended(id="id-1", at=NOON, words={"parent_task_id": None, "session_id": "alone"}))
        assert [place for place, _ in await places(store, "id-1", "id-2")] == ["alone", "alone"]

    @pytest.mark.parametrize("how", ["logged", "amended"])
    async def test_a_part_that_is_told_its_session_later_is_there(self, store: Store, how: str):
        await tell(store, logged("top", input="x", session_id="s"), carried(1, "top"))
        said = Amended(id="id-1", at=NOON, words={"session_id": "own"}) if how == "amended" else logged("id-1", session_id="own")
        await tell(store, said, logged("top", session_id="elsewhere"))
        [part] = await kept(store, "id-1")
        assert (part.session_id, part.session_source, part.session_evidence) == ("own", Source.CLIENT, None)

    async def test_a_call_joined_with_a_logged_part_is_a_part(self, store: Store):
        await tell(store, logged("top", input="x", session_id="s"), logged("id-1", input="x", parent_task_id="top"), carried(1))
        assert [place for place, _ in await places(store, "id-1")] == ["s"]
        assert (await kept(store, "id-1"))[0].http_status == 200

    async def test_rings_of_parents_end(self, store: Store):
        ring = [carried(n, f"id-{(n + 1) % 4}") for n in range(4)]
        await tell(store, *ring, carried(9, "id-9"), logged("self", input="x", parent_task_id="self"))
        found = await kept(store, "id-0", "id-1", "id-2", "id-3", "id-9", "self")
        assert [task.ending for task in found] == [Ending.COMPLETED] * 6
        assert await places(store, "id-9", "self") == [("auto-id-9", None), (None, None)]

    async def test_a_part_that_asks_what_the_whole_was_asked_repeats_nothing(self, store: Store):
        asked = "why is the sky over the sea so blue"
        whole = logged("top", input=asked, output="x", session_id="s", kind="chat", created_at=NOON)
        await tell(store, whole, carried(1, "top", input=asked))
        assert (await store.session("s")).signs.repeated == 0
        await tell(store, a_task(2, session_id="s", input=asked))
        assert (await store.session("s")).signs.repeated == 1

    async def test_parts_are_found_by_their_parent(self, store: Store):
        await tell(store, logged("top", input="x", session_id="s", user_id="u1"))
        await store.save([carried(n, "top" if n % 2 else "id-1", kind="response" if n == 3 else "chat") for n in range(1, 8)])
        of_top = Filter(parent_task_id="top")
        page = await store.find(of_top, limit=3)
        assert [task.id for task in page.items] == ["id-7", "id-5", "id-3"]
        rest = await store.find(of_top, limit=3, cursor=page.next)
        assert ([task.id for task in rest.items], rest.next) == (["id-1"], None)
        for narrowed, found in (
            (replace(of_top, kind="response"), ["id-3"]),
            (replace(of_top, words=("question", "5")), ["id-5"]),
            (replace(of_top, session_id="s", user_id="u1", since=NOON + 4000), ["id-7", "id-5"]),
            (replace(of_top, model="gpt-5"), ["id-7", "id-5", "id-3", "id-1"]),
            (Filter(parent_task_id="nobody"), []),
        ):
            assert [task.id for task in (await store.find(narrowed, limit=9)).items] == found, narrowed

    async def test_labels_of_parts_are_all_that_changes(self, store: Store):
        part = carried(1, "top", problems=("p",), metadata={"n": 1}, raw_input={"a": 1}, request_body=b"{}", pieces=((0.5, 2),))
        await tell(store, part, logged("top", input="x", session_id="s", user_id="ada"))
        [found] = await kept(store, "id-1")
        same = [name for name in Task.__dataclass_fields__ if name not in (*LABELS, "own_id")]
        assert all(getattr(found, name) == getattr(part, name) for name in same)
