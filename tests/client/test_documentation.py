"""Each example of phospho's two documentation pages (tasks, sessions and users; logging with Python), sync and async."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import openai
import pytest
import requests

from proxy import client as tasktap
from tests.client.places import ANSWER, FakeDesk, Provider
from tests.sockets import PATIENCE

Last = Callable[[], dict[str, Any]]

SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
QUESTION = "Explain quantum computers in less than 20 words."
MESSAGES = [SYSTEM, {"role": "user", "content": QUESTION}]
QUERY = {"messages": MESSAGES, "model": "gpt-4o-mini"}


@pytest.fixture
def ai(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk-test", base_url=f"{provider.url}/v1", max_retries=0) as made:
        yield made


@pytest.fixture
async def async_ai(provider: Provider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="sk-test", base_url=f"{provider.url}/v1", max_retries=0) as made:
        yield made


# --- init ---


def test_a_key_and_a_project_are_arguments_as_on_the_page(desk: FakeDesk, logged: Last):
    tasktap.init(base_url=desk.url, api_key="phospho-key", project_id="phospho-project-id")
    tasktap.log(input="q", output="a")
    assert logged()["project_id"] == "phospho-project-id"
    assert desk.requests[-1][1]["authorization"] == "Bearer phospho-key"


# --- tasks, sessions and users ---


def test_a_task_is_an_input_an_output_raw_data_and_metadata(logged: Last):
    log = tasktap.log(
        input="What is the meaning of life?",
        output="42",
        raw_input={"chat_history": ["a", "b"]},
        metadata={"model_version": "1.0.0", "generation_time": 0.1},
    )
    task = logged()
    assert (task["input"], task["output"]) == ("What is the meaning of life?", "42")
    assert task["raw_input"] == {"chat_history": ["a", "b"]}
    assert task["metadata"] == {"model_version": "1.0.0", "generation_time": 0.1}
    assert task["task_id"] == log["task_id"] == tasktap.latest_task_id


def test_the_output_is_optional(logged: Last):
    tasktap.log(input="a look-up")
    assert logged()["output"] is None


def test_an_id_of_ones_own_takes_feedback(desk: FakeDesk, logged: Last):
    task_id = tasktap.new_task()
    tasktap.log(input="question", output="answer", task_id=task_id)
    tasktap.user_feedback(task_id=task_id, flag="success", notes="nice", source="bob@mail.com")
    assert logged()["task_id"] == task_id
    assert desk.feedback == [(task_id, {"flag": "success", "comment": "nice", "source": "bob@mail.com"})]


def test_a_new_session_groups_tasks(desk: FakeDesk):
    session_id = tasktap.new_session()
    for number in range(2):
        tasktap.log(input=f"question {number}", output="42", session_id=session_id)
    assert tasktap.flush(PATIENCE)
    assert [task["session_id"] for task in desk.tasks] == [session_id, session_id]
    assert tasktap.latest_session_id == session_id


def test_a_task_belongs_to_a_user(logged: Last):
    tasktap.log(input="What is the meaning of life?", output="42", user_id="user_1")
    assert logged()["user_id"] == "user_1"


# --- log ---


def test_any_text_is_logged(logged: Last):
    log = tasktap.log(input="Hello! This is what the user asked.", output="This is the response.")
    assert (log["input"], log["output"]) == ("Hello! This is what the user asked.", "This is the response.")
    assert (logged()["input"], logged()["output"]) == (log["input"], log["output"])


def check_openai(task: dict[str, Any]) -> None:
    assert (task["input"], task["output"], task["system_prompt"]) == (QUESTION, ANSWER, SYSTEM["content"])
    assert task["raw_input"] == QUERY
    assert task["raw_output"]["choices"][0]["message"]["content"] == ANSWER
    assert task["model"] == "gpt-4o-mini-2024"
    assert task["usage"] == {"input_tokens": 21, "output_tokens": 9, "total_tokens": 30, "cached_input_tokens": 4}


def test_an_openai_query_and_its_completion_are_read(logged: Last, ai: openai.OpenAI):
    response = ai.chat.completions.create(**QUERY)  # type: ignore[call-overload]
    log = tasktap.log(input=QUERY, output=response)
    assert (log["input"], log["output"]) == (QUESTION, ANSWER)
    check_openai(logged())


async def test_an_awaited_completion_is_read(logged: Last, async_ai: openai.AsyncOpenAI):
    tasktap.log(input=QUERY, output=await async_ai.chat.completions.create(**QUERY))  # type: ignore[call-overload]
    check_openai(logged())


def test_a_completion_as_a_dict_is_read(logged: Last, ai: openai.OpenAI):
    tasktap.log(input=QUERY, output=ai.chat.completions.create(**QUERY).model_dump())  # type: ignore[call-overload]
    check_openai(logged())


def test_a_list_of_messages_is_input_and_output(logged: Last):
    messages = [*MESSAGES, {"role": "assistant", "content": "Qubits."}]
    log = tasktap.log(input=messages, output=messages)
    assert (log["input"], log["output"], log["system_prompt"]) == (QUESTION, "Qubits.", SYSTEM["content"])
    assert logged()["raw_input"] == messages


def test_messages_of_one_role_in_a_row_are_joined(logged: Last):
    tasktap.log(input=[*MESSAGES, {"role": "user", "content": "What is the speed of light?"}])
    assert logged()["input"] == f"{QUESTION}\nWhat is the speed of light?"


@pytest.mark.parametrize("spelling", ["output_to_str_function", "output_to_str_fucntion"])
def test_custom_extractors_read_any_object(logged: Last, spelling: str):
    """The second spelling is that of the page."""
    tasktap.log(
        input={"custom_input": "this is a complex object"},
        output={"custom_output": "which is not a string nor a standard object"},
        input_to_str_function=lambda x: x["custom_input"],
        **{spelling: lambda x: x["custom_output"]},
    )
    task = logged()
    assert task["input"] == "this is a complex object"
    assert task["output"] == "which is not a string nor a standard object"
    assert task["raw_input"] == {"custom_input": "this is a complex object"}
    assert task["raw_output"] == {"custom_output": "which is not a string nor a standard object"}


def test_metadata_and_every_extra_keyword_are_kept(logged: Last):
    tasktap.log(
        input="log this", output="and that", metadata={"always": "moooore"}, log_anything_and_everything="even this is ok"
    )
    assert logged()["metadata"] == {"always": "moooore", "log_anything_and_everything": "even this is ok"}


# --- streams ---


def check_stream(task: dict[str, Any]) -> None:
    assert (task["input"], task["output"].strip(), task["ending"]) == (QUESTION, ANSWER, "completed")
    assert task["raw_output"]["object"] == "chat.completion"
    assert task["raw_output"]["choices"][0]["finish_reason"] == "stop"
    assert task["model"] == "gpt-4o-mini-2024"
    assert "problems" not in task


def test_an_openai_stream_is_recorded_while_it_is_read(logged: Last, ai: openai.OpenAI):
    query = {**QUERY, "stream": True}
    response = ai.chat.completions.create(**query)  # type: ignore[call-overload]
    tasktap.log(input=query, output=response, stream=True)
    said = [chunk.choices[0].delta.content or "" for chunk in response]
    assert "".join(said).strip() == ANSWER
    check_stream(logged())


async def test_an_async_openai_stream_is_recorded_by_async_for(logged: Last, async_ai: openai.AsyncOpenAI):
    query = {**QUERY, "stream": True}
    response = await async_ai.chat.completions.create(**query)  # type: ignore[call-overload]
    tasktap.log(input=query, output=response, stream=True)
    said = [chunk.choices[0].delta.content or "" async for chunk in response]
    assert "".join(said).strip() == ANSWER
    check_stream(logged())


def test_an_ollama_endpoint_is_recorded_line_by_line(logged: Last, provider: Provider):
    prompt = QUESTION
    with requests.post(
        f"{provider.url}/api/generate", json={"model": "mistral-7b", "prompt": prompt, "context": []}, stream=True, timeout=5
    ) as r:
        r.raise_for_status()
        response_iterator = tasktap.MutableGenerator(
            generator=r.iter_lines(), stop=lambda line: json.loads(line).get("done", False)
        )
        tasktap.log(input=prompt, output=response_iterator, stream=True)
        lines = list(response_iterator)
    assert json.loads(lines[-1])["eval_count"] == 9, "the last line has the counts, and is given too"
    task = logged()
    assert (task["input"], task["output"].strip(), task["ending"]) == (prompt, ANSWER, "completed")
    assert (task["model"], task["usage"]) == ("mistral-7b", {"input_tokens": 11, "output_tokens": 9})


async def test_an_async_generator_of_lines_is_recorded(logged: Last, provider: Provider):
    from tests.client.places import ollama_lines

    async def lines() -> AsyncIterator[bytes]:
        for line in ollama_lines("mistral-7b"):
            yield line

    stream = tasktap.MutableAsyncGenerator(generator=lines(), stop=lambda line: json.loads(line).get("done", False))
    tasktap.log(input=QUESTION, output=stream, stream=True)
    assert len([line async for line in stream]) == len(ollama_lines("m"))
    assert logged()["output"].strip() == ANSWER


# --- wrap ---


def test_a_decorated_function_is_logged(logged: Last, ai: openai.OpenAI):
    @tasktap.wrap
    def answer(messages: list[dict[str, str]]) -> str | None:
        response = ai.chat.completions.create(model="gpt-4o-mini", messages=messages)  # type: ignore[arg-type]
        return response.choices[0].message.content

    assert answer(MESSAGES) == ANSWER
    task = logged()
    assert (task["input"], task["output"], task["name"]) == (QUESTION, ANSWER, "answer")
    assert (task["raw_input"], task["system_prompt"]) == ({"messages": MESSAGES}, SYSTEM["content"])


async def test_a_decorated_async_function_is_logged(logged: Last, async_ai: openai.AsyncOpenAI):
    @tasktap.wrap
    async def answer(messages: list[dict[str, str]]) -> str | None:
        response = await async_ai.chat.completions.create(model="gpt-4o-mini", messages=messages)  # type: ignore[arg-type]
        return response.choices[0].message.content

    assert await answer(MESSAGES) == ANSWER
    assert (logged()["input"], logged()["output"]) == (QUESTION, ANSWER)


def test_a_decorator_with_arguments_adds_metadata(logged: Last):
    @tasktap.wrap(metadata={"more": "details"}, version="2")
    def answer(messages: list[dict[str, str]]) -> str | None:
        return ANSWER

    answer(MESSAGES)
    assert logged()["metadata"] == {"more": "details", "version": "2"}


def test_an_imported_function_is_wrapped_where_it_is_called(logged: Last, ai: openai.OpenAI):
    response = tasktap.wrap(ai.chat.completions.create, metadata={"more": "details"})(messages=MESSAGES, model="gpt-4o-mini")
    assert response.choices[0].message.content == ANSWER
    check_openai(logged())
    assert logged()["metadata"] == {"more": "details"}


async def test_an_async_client_is_wrapped_where_it_is_called(logged: Last, async_ai: openai.AsyncOpenAI):
    response = await tasktap.wrap(async_ai.chat.completions.create)(messages=MESSAGES, model="gpt-4o-mini")
    assert response.choices[0].message.content == ANSWER
    check_openai(logged())


def test_a_method_is_overridden_by_its_wrapped_self(logged: Last, ai: openai.OpenAI):
    ai.chat.completions.create = tasktap.wrap(ai.chat.completions.create)  # type: ignore[method-assign]
    assert ai.chat.completions.create(**QUERY).choices[0].message.content == ANSWER  # type: ignore[call-overload]
    check_openai(logged())


def test_an_overridden_method_streams(logged: Last, ai: openai.OpenAI):
    ai.chat.completions.create = tasktap.wrap(ai.chat.completions.create)  # type: ignore[method-assign]
    stream = ai.chat.completions.create(**QUERY, stream=True)  # type: ignore[call-overload]
    assert isinstance(stream, openai.Stream)
    assert len(list(stream)) == 11
    check_stream(logged())


async def test_an_overridden_async_method_streams(logged: Last, async_ai: openai.AsyncOpenAI):
    async_ai.chat.completions.create = tasktap.wrap(async_ai.chat.completions.create)  # type: ignore[method-assign]
    stream = await async_ai.chat.completions.create(**QUERY, stream=True)  # type: ignore[call-overload]
    assert len([chunk async for chunk in stream]) == 11
    check_stream(logged())


def test_a_streaming_function_is_logged_at_its_stop(logged: Last, ai: openai.OpenAI):
    @tasktap.wrap(stream=True, stop=lambda token: token is None)
    def answer(messages: list[dict[str, str]]) -> Generator[str | None, Any, None]:
        stream = ai.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)  # type: ignore[call-overload]
        for response in stream:
            yield response.choices[0].delta.content

    tokens = list(answer(MESSAGES))
    assert tokens[-1] is None
    task = logged()
    assert (task["input"], task["output"].strip(), task["ending"]) == (QUESTION, ANSWER, "completed")


async def test_an_async_streaming_function_is_logged_at_its_stop(logged: Last, async_ai: openai.AsyncOpenAI):
    @tasktap.wrap(stream=True, stop=lambda token: token is None)
    async def answer(messages: list[dict[str, str]]) -> AsyncIterator[str | None]:
        stream = await async_ai.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)  # type: ignore[call-overload]
        async for response in stream:
            yield response.choices[0].delta.content

    assert [token async for token in answer(MESSAGES)][-1] is None
    assert (logged()["input"], logged()["output"].strip()) == (QUESTION, ANSWER)
