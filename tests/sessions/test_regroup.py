"""Sessions that a person puts right: the tasks move, every sum follows, later calls follow, and nothing undoes it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest

from proxy.record.regroup import NotThere, Pointless, merge, moved, split
from proxy.record.threads import Threads
from proxy.store import open_store
from proxy.store.memory import MemoryStore
from proxy.task import Filter
from tests.proc import Tasktap, clean_environment, serving
from tests.relay.caller import once, request
from tests.sessions.linking import linked
from tests.sessions.talk import MINUTE, NOON, App, model, user
from tests.store.rewriting import sums
from tests.store.tasks import a_task
from tests.upstream import Upstream, ok

AT = "2026-11-25T12:00:00.000000Z"
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["memory:", "sqlite:"])
async def store(request, tmp_path):
    store = await open_store(request.param, tmp_path, write=True)
    yield store
    await store.close()


async def must_add_up(store) -> None:
    """Every sum is as if the tasks had been stored as they are now."""
    fresh = MemoryStore()
    await fresh.save([await store.get(task.id) for task in (await store.find(Filter(), limit=500)).items])
    assert await sums(store) == await sums(fresh)


async def ids(store, session: str) -> list[str]:
    return [task.id for task in (await store.find(Filter(session_id=session), limit=500, oldest_first=True)).items]


async def test_a_task_and_what_came_after_it_move_into_a_session_of_their_own(store):
    await store.save([a_task(n, session_id="s", user_id=f"u{n % 2}") for n in range(5)])
    done = await split(store, "s", None, "id-2", thread=False, at=AT)
    assert (done.session_id, done.tasks) == ("auto-id-2", 3)
    assert await ids(store, "s") == ["id-0", "id-1"]
    assert await ids(store, "auto-id-2") == ["id-2", "id-3", "id-4"]
    evidence = (await store.get("id-3")).session_evidence
    assert evidence == {"by": "person", "act": "split", "at": AT, "from": "s", "found": None}
    assert moved(await store.get("id-3"))
    assert not moved(await store.get("id-1"))
    await must_add_up(store)


async def test_two_sessions_become_one(store):
    await store.save([a_task(n, session_id="st"[n % 2], user_id="u") for n in range(5)])
    done = await merge(store, "s", "default", "t", at=AT)
    assert (done.session_id, done.tasks) == ("t", 3)
    assert await store.session("s") is None
    assert await ids(store, "t") == [f"id-{n}" for n in range(5)]
    assert (await store.user("u")).sessions == 1
    await must_add_up(store)


async def test_a_merge_can_be_taken_back_by_a_split_and_what_was_found_is_still_told(store):
    found = {"by": "reply", "task": "id-0"}
    await store.save([a_task(0, session_id="s"), a_task(1, session_id="t", session_evidence=found)])
    await merge(store, "t", None, "s", at=AT)
    await split(store, "s", None, "id-1", thread=False, at=AT, into="t")
    assert (await store.get("id-1")).session_evidence["found"] == found
    assert [await ids(store, id) for id in "st"] == [["id-0"], ["id-1"]]
    await must_add_up(store)


async def test_only_the_thread_of_a_task_moves_where_that_is_asked_and_later_calls_follow(store):
    threads = Threads(store, b"pepper", 1800)

    async def said(turns, answer, minutes):
        [task] = await linked(threads, [App().call(turns, answer, NOON + minutes * MINUTE)], at_once)
        await store.save([task])
        return task

    hello = [user("Hello there, who are you?")]
    one = await said(hello, model("I am one."), 0)
    two = await said(hello, model("I am two."), 1)
    on_one = await said([*hello, model("I am one."), user("Good.")], model("Yes."), 2)
    on_two = await said([*hello, model("I am two."), user("Bad.")], model("No."), 3)
    assert len({task.session_id for task in (one, two, on_one, on_two)}) == 1
    done = await split(store, one.session_id, None, two.id, thread=True, at=AT)
    assert (done.session_id, done.tasks) == (f"auto-{two.id}", 2)
    assert await ids(store, one.session_id) == [one.id, on_one.id]
    later = await said([*hello, model("I am two."), user("Bad."), model("No."), user("Well.")], model("Hm."), 4)
    other = await said([*hello, model("I am one."), user("Good."), model("Yes."), user("Well.")], model("Hm."), 5)
    assert (later.session_id, other.session_id) == (done.session_id, one.session_id)
    await must_add_up(store)


async def at_once(act, *arguments):
    return act(*arguments)


async def test_what_is_not_there_or_would_change_nothing_is_refused(store):
    await store.save([a_task(n, session_id="s") for n in range(2)])
    await store.save([a_task(2, session_id="t"), a_task(3, session_id="p", project_id="else")])
    for wrong, act in (
        (NotThere, split(store, "nobody", None, "id-1", thread=False, at=AT)),
        (NotThere, split(store, "s", None, "id-2", thread=False, at=AT)),
        (NotThere, split(store, "s", "else", "id-1", thread=False, at=AT)),
        (Pointless, split(store, "s", None, "id-0", thread=False, at=AT)),
        (Pointless, split(store, "s", None, "id-1", thread=False, at=AT, into="t")),
        (NotThere, merge(store, "s", None, "nobody", at=AT)),
        (NotThere, merge(store, "nobody", None, "s", at=AT)),
        (NotThere, merge(store, "s", None, "p", at=AT)),
        (Pointless, merge(store, "s", None, "s", at=AT)),
    ):
        with pytest.raises(wrong):
            await act
    assert await ids(store, "s") == ["id-0", "id-1"]


async def test_a_session_of_more_than_a_page_moves_whole(store):
    await store.save([a_task(n, session_id="s") for n in range(1203)])
    assert (await split(store, "s", None, "id-1", thread=False, at=AT, into="new/ü")).tasks == 1202
    assert (await merge(store, "s", None, "new/ü", at=AT)).tasks == 1
    assert (await store.session("new/ü")).tasks == 1203


# -- through a running desk, and without one ------------------------------------------------------------------------------


def asked(house: Tasktap, path: str, body: object) -> tuple[int, dict]:
    host, port = house.address("desk")
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    question = urllib.request.Request(f"http://{host}:{port}{path}", data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(question, timeout=150) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def said(house: Tasktap, upstream: Upstream, turns: list, answer) -> dict:
    """One chat through the proxy; the task that came of it."""
    upstream.play(ok(json.dumps(App().response(answer, [])).encode(), b"Content-Type: application/json"))
    body = json.dumps(App().request(turns)).encode()
    lines = [b"Content-Type: application/json", b"Authorization: Bearer sk-a"]
    return house.task(once(house.calls, request(b"POST", b"/v1/chat/completions", *lines, body=body)).id)


def tasktap(house: Tasktap, *words: str, code: int = 0) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "proxy", *words, "--config", str(house.config), "--data-dir", str(house.data)],
        cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_calls_without_a_session_id_find_theirs_and_a_person_can_put_it_right(tmp_path):
    upstream = Upstream()
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n'
    hello, answer = [user("Where is the bakery?")], model("In Mill Street.")
    with serving(tmp_path, config) as house:
        first = said(house, upstream, hello, answer)
        assert (first["session_id"], first["session_source"]) == (f"auto-{first['id']}", "inferred")
        assert house.get(f"/api/sessions/{first['session_id']}")["implicit"] is True
        second = said(house, upstream, [*hello, answer, user("When does it open?")], model("At six."))
        assert (second["session_id"], second["session_evidence"]["task"]) == (first["session_id"], first["id"])
        assert house.get(f"/api/sessions/{first['session_id']}")["implicit"] is False

        path = f"/api/sessions/{first['session_id']}"
        status, done = asked(house, f"{path}/split", {"from_task": second["id"], "into": "a/b"})
        assert (status, done["moved"], done["session"]["id"], done["left"]["task_count"]) == (200, 1, "a/b", 1)
        assert asked(house, f"{path}/split", {"from_task": first["id"]})[0] == 409
        assert asked(house, f"{path}/split", {"from_task": "nobody"})[0] == 404
        assert asked(house, f"{path}/split", {})[1]["error"]["param"] == "from_task"
        assert asked(house, f"{path}/split", {"from_task": 5})[0] == 400
        assert asked(house, f"{path}/split", {"from_task": "x", "thread": "yes"})[0] == 400
        assert asked(house, f"{path}/merge", {"in": "x"})[1]["error"]["message"].count('Did you mean "into"?') == 1
        assert asked(house, f"{path}/merge", b"[]")[0] == 400
        status, done = asked(house, f"/api/sessions/{quote('a/b', safe='')}/merge", {"into": first["session_id"]})
        assert (status, done["left"], done["session"]["task_count"]) == (200, None, 2)

        assert "1 task moved into session new" in tasktap(
            house, "session-split", first["session_id"], "--from-task", second["id"], "--into", "new"
        )
        tasktap(house, "session-merge", first["session_id"], "nobody", code=1)
        house.stop()
    done = json.loads(tasktap(house, "session-merge", "new", first["session_id"], "--json"))
    assert (done["moved"], done["session"]["task_count"]) == (1, 2)
    tasktap(house, "session-split", "new", "--from-task", second["id"], code=1)
    upstream.close()
