"""What phospho's client gets wrong, and ours must not: async, generators, exceptions, names, labels, time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import Any

import openai
import pytest

from proxy import client as tasktap
from tests.client.places import FakeDesk, Provider
from tests.sockets import PATIENCE

Last = Callable[[], dict[str, Any]]


def seconds(task: dict[str, Any]) -> float:
    return (datetime.fromisoformat(task["ended_at"]) - datetime.fromisoformat(task["created_at"])).total_seconds()


def test_a_wrapped_function_keeps_its_name_signature_and_kind():
    def plain(a: int, *, b: int = 2) -> int:
        """What it does."""
        return a + b

    async def later() -> None: ...

    def items() -> Iterator[int]:
        yield 1

    async def async_items() -> AsyncIterator[int]:
        yield 1

    assert (tasktap.wrap(plain).__name__, tasktap.wrap(plain).__doc__) == ("plain", "What it does.")
    assert inspect.signature(tasktap.wrap(plain)) == inspect.signature(plain)
    assert inspect.iscoroutinefunction(tasktap.wrap(later))
    assert inspect.isgeneratorfunction(tasktap.wrap(items))
    assert inspect.isasyncgenfunction(tasktap.wrap(async_items))


def test_what_a_function_raises_is_recorded_and_raised(logged: Last):
    @tasktap.wrap
    def fail(x: int) -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        fail(1)
    task = logged()
    assert (task["ending"], task["output"]) == ("upstream_error", None)
    assert task["metadata"] == {"error": {"type": "LookupError", "message": "nothing there"}}
    assert task["problems"] == ["fail raised LookupError: nothing there"]


async def test_what_an_async_function_raises_is_recorded_and_raised(logged: Last):
    @tasktap.wrap
    async def fail(x: int) -> None:
        await asyncio.sleep(0)
        raise LookupError("nothing there")

    with pytest.raises(LookupError):
        await fail(1)
    assert logged()["ending"] == "upstream_error"


async def test_an_error_of_the_provider_is_recorded_and_raised(logged: Last, provider: Provider):
    async with openai.AsyncOpenAI(api_key="sk", base_url=f"{provider.url}/v1", max_retries=0) as ai:
        with pytest.raises(openai.BadRequestError):
            await tasktap.wrap(ai.chat.completions.create)(messages=[{"role": "user", "content": "fail"}], model="m")
    assert logged()["metadata"]["error"]["type"] == "BadRequestError"


async def test_a_cancelled_call_is_recorded_and_stays_cancelled(logged: Last):
    @tasktap.wrap
    async def hang() -> None:
        await asyncio.Event().wait()

    job = asyncio.ensure_future(hang())
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert logged()["metadata"]["error"]["type"] == "CancelledError"


async def test_the_time_of_a_call_is_measured(logged: Last):
    @tasktap.wrap
    async def wait() -> str:
        await asyncio.sleep(0.05)
        return "done"

    await wait()
    assert 0.05 <= seconds(logged()) < 5


def test_what_a_function_does_to_its_arguments_is_not_in_the_record(logged: Last):
    @tasktap.wrap
    def append(messages: list[dict[str, str]]) -> str:
        messages.append({"role": "assistant", "content": "hello"})
        messages[0]["content"] = "changed"
        return "hello"

    append([{"role": "user", "content": "hi"}])
    assert logged()["raw_input"] == {"messages": [{"role": "user", "content": "hi"}]}


def test_arguments_are_known_by_name_and_self_is_left_out(logged: Last):
    class Search:
        @tasktap.wrap
        def find(self, question: str, limit: int = 3, *more: str, deep: bool = False) -> str:
            return f"{question} {limit}"

    assert Search().find("cats", 5, "x", deep=True) == "cats 5"
    task = logged()
    assert task["raw_input"] == {"question": "cats", "limit": 5, "2": "x", "deep": True} or task["raw_input"] == {
        "question": "cats", "limit": 5, "3": "x", "deep": True,
    }  # fmt: skip
    assert task["input"].splitlines()[:2] == ["question: cats", "limit: 5"]


def test_arguments_that_are_labels_label_the_task(logged: Last):
    @tasktap.wrap
    def answer(question: str, session_id: str, task_id: str) -> str:
        return question.upper()

    answer("why", session_id="sess-7", task_id="task-7")
    task = logged()
    assert (task["input"], task["session_id"], task["task_id"]) == ("why", "sess-7", "task-7")


def test_arguments_named_as_our_own_keywords_do_no_harm(logged: Last):
    @tasktap.wrap
    def odd(input: str, output: str, raw_input: str, metadata: str) -> str:
        return input + output

    assert odd("a", output="b", raw_input="c", metadata="d") == "ab"
    assert logged()["raw_input"] == {"input": "a", "output": "b", "raw_input": "c", "metadata": "d"}


def test_extractors_of_a_wrapped_function_get_its_arguments_and_its_result(logged: Last):
    @tasktap.wrap(input_to_str_function=lambda x: x["q"].upper(), output_to_str_function=lambda x: x["a"])
    def answer(q: str) -> dict[str, str]:
        return {"a": "because"}

    answer("why")
    assert (logged()["input"], logged()["output"]) == ("WHY", "because")


def test_an_extractor_written_for_phospho_finds_arguments_by_place(logged: Last):
    tasktap.wrap(lambda q: q, input_to_str_function=lambda x: "by place: " + x["0"])("why")
    assert logged()["input"] == "by place: why"


def test_what_is_logged_inside_is_a_part_of_the_functions_task(desk: FakeDesk):
    @tasktap.wrap(session_id="s-1", user_id="ada")
    def outer() -> str:
        tasktap.log(input="inner")
        return str(tasktap.openai_headers()["X-Parent-Task-Id"])

    parent = outer()
    tasktap.log(input="after")
    assert tasktap.flush(PATIENCE)
    inner, whole, after = desk.tasks
    assert inner["parent_task_id"] == whole["task_id"] == parent
    assert (inner["session_id"], inner["user_id"], whole["session_id"]) == ("s-1", "ada", "s-1")
    assert "parent_task_id" not in after
    assert "session_id" not in after


async def test_what_is_logged_inside_async_generators_is_a_part_of_each(desk: FakeDesk):
    @tasktap.wrap
    async def words(name: str) -> AsyncIterator[str]:
        tasktap.log(input=f"inside {name}")
        yield name
        await asyncio.sleep(0)
        tasktap.log(input=f"inside {name}")
        yield name

    async def read(name: str) -> None:
        async for _ in words(name):
            tasktap.log(input="outside")
            await asyncio.sleep(0)

    await asyncio.gather(read("a"), read("b"))
    assert tasktap.flush(PATIENCE)
    whole = {task["input"]: task["task_id"] for task in desk.tasks if task.get("name") == "words"}
    for name in "ab":
        parents = {task.get("parent_task_id") for task in desk.tasks if task["input"] == f"inside {name}"}
        assert parents == {whole[name]}
    assert {task.get("parent_task_id") for task in desk.tasks if task["input"] == "outside"} == {None}


def test_a_generator_still_takes_what_is_sent_and_thrown_and_returns(logged: Last):
    @tasktap.wrap
    def talk() -> Any:
        said = []
        while True:
            try:
                said.append((yield len(said)))
            except KeyError:
                return said

    got = talk()
    assert [next(got), got.send("a"), got.send("b")] == [0, 1, 2]
    with pytest.raises(StopIteration) as end:
        got.throw(KeyError())
    assert end.value.value == ["a", "b"]
    assert (logged()["ending"], logged()["raw_output"]) == ("completed", [0, 1, 2])


async def test_an_async_generator_still_takes_what_is_sent_and_thrown(logged: Last):
    @tasktap.wrap
    async def talk() -> Any:
        said: list[Any] = []
        while True:
            try:
                said.append((yield len(said)))
            except KeyError:
                yield said

    got = talk()
    assert [await anext(got), await got.asend("a"), await got.athrow(KeyError())] == [0, 1, ["a"]]
    await got.aclose()
    assert logged()["ending"] == "caller_left"


def test_a_wrapped_function_that_returns_a_file_gives_the_file(tmp_path, logged: Last):
    (tmp_path / "x").write_text("text")

    @tasktap.wrap
    def get() -> Any:
        return (tmp_path / "x").open()

    with get() as file:
        assert file.read() == "text"
    assert "TextIOWrapper" in logged()["output"]
