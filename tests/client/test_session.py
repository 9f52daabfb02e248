"""The current session: of this thread or asyncio task alone, and told to OpenAI's clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import openai
import pytest

from proxy import client as tasktap
from tests.client.places import FakeDesk, Provider
from tests.sockets import PATIENCE

Last = Callable[[], dict[str, Any]]


def test_what_is_logged_inside_a_session_belongs_to_it(desk: FakeDesk):
    with tasktap.session("chat-1", user_id="ada", project_id="shop", metadata={"plan": "pro"}):
        tasktap.log(input="a")
        with tasktap.session() as inner:
            tasktap.log(input="b", metadata={"plan": "free"})
        tasktap.log(input="c", session_id="explicit")
    tasktap.log(input="d")
    assert tasktap.flush(PATIENCE)
    a, b, c, d = desk.tasks
    assert (a["session_id"], a["user_id"], a["project_id"], a["metadata"]) == ("chat-1", "ada", "shop", {"plan": "pro"})
    assert (b["session_id"], b["user_id"], b["metadata"]) == (inner, "ada", {"plan": "free"})
    assert c["session_id"] == "explicit"
    assert "session_id" not in d


def test_threads_have_sessions_of_their_own(desk: FakeDesk):
    both = threading.Barrier(2, timeout=PATIENCE)

    def work(name: str) -> None:
        with tasktap.session(name):
            both.wait()
            tasktap.log(input=name)
            both.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tasktap.flush(PATIENCE)
    assert {task["input"]: task["session_id"] for task in desk.tasks} == {"a": "a", "b": "b"}


async def test_asyncio_tasks_have_sessions_of_their_own(desk: FakeDesk):
    async def work(name: str) -> str:
        with tasktap.session(name):
            await asyncio.sleep(0)
            tasktap.log(input=name)
            await asyncio.sleep(0)
            return str(tasktap.latest_task_id)

    ids = await asyncio.gather(*(work(str(number)) for number in range(20)))
    await asyncio.to_thread(tasktap.flush)
    assert {task["input"]: task["session_id"] for task in desk.tasks} == {str(n): str(n) for n in range(20)}
    assert [desk.of(id)["input"] for id in ids] == [str(number) for number in range(20)]


def test_the_headers_of_here_can_be_passed_with_a_call(provider: Provider):
    with openai.OpenAI(api_key="sk", base_url=f"{provider.url}/v1") as ai, tasktap.session("chat-1", user_id="ada"):
        ai.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], extra_headers=tasktap.openai_headers()
        )
    headers = provider.requests[-1][1]
    assert (headers["x-session-id"], headers["x-user-id"]) == ("chat-1", "ada")
    assert "x-parent-task-id" not in headers


def test_a_labelled_client_sends_the_labels_of_each_call(provider: Provider, desk: FakeDesk):
    with openai.OpenAI(api_key="sk", base_url=f"{provider.url}/v1") as made:
        ai = tasktap.labelled(made)

        @tasktap.wrap(session_id="chat-2")
        def answer(question: str) -> None:
            ai.chat.completions.create(model="m", messages=[{"role": "user", "content": question}])

        with tasktap.session("chat-1"):
            ai.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        answer("why")
        ai.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    sent = [headers for _, headers, _ in provider.requests]
    assert tasktap.flush(PATIENCE)
    assert [headers.get("x-session-id") for headers in sent] == ["chat-1", "chat-2", None]
    assert sent[1]["x-parent-task-id"] == desk.last()["task_id"]


async def test_a_labelled_async_client_sends_the_labels_of_each_task(provider: Provider):
    async with openai.AsyncOpenAI(api_key="sk", base_url=f"{provider.url}/v1") as made:
        ai = tasktap.labelled(made)

        async def call(name: str) -> None:
            with tasktap.session(name):
                await ai.chat.completions.create(model="m", messages=[{"role": "user", "content": name}])

        await asyncio.gather(*(call(name) for name in "abc"))
    assert all(headers["x-session-id"] == body["messages"][0]["content"] for _, headers, body in provider.requests)


@pytest.mark.parametrize("label", ["ünicode", " padded ", "x\u00a0y"])
def test_a_label_that_no_header_can_hold_is_logged_and_not_sent(logged: Last, label: str):
    with tasktap.session(label):
        assert tasktap.openai_headers() == {}
        tasktap.log(input="a")
    assert logged()["session_id"] == label


def test_labelling_what_is_no_client_gives_it_back():
    thing = object()
    assert tasktap.labelled(thing) is thing
