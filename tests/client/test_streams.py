"""Streams that end, break, or are left: each is recorded once, as it was."""

from __future__ import annotations

import gc
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pytest

from proxy import client as tasktap
from tests.client.places import ANSWER, FakeDesk, Provider
from tests.sockets import PATIENCE

Last = Callable[[], dict[str, Any]]


class Words:
    """An iterator of a class of its own, as SDKs have them."""

    def __init__(self, *words: str) -> None:
        self.words = iter(words)
        self.closed = False

    def __iter__(self) -> Iterator[str]:
        yield from self.words

    def __next__(self) -> str:
        return next(self.words)

    def close(self) -> None:
        self.closed = True


class Selfish(Words):
    """One whose `__iter__` goes through its own `__next__`."""

    def __iter__(self) -> Iterator[str]:
        while True:
            try:
                yield self.__next__()
            except StopIteration:
                return


def test_a_stream_keeps_the_callers_task_id_and_keywords(logged: Last):
    words = Words("a", "b")
    log = tasktap.log(input="q", output=words, stream=True, task_id="my-own-task", session_id="s", extra_kw=3, metadata={"m": 1})
    assert list(words) == ["a", "b"]
    task = logged()
    assert (task["task_id"], task["session_id"], task["metadata"]) == ("my-own-task", "s", {"extra_kw": 3, "m": 1})
    assert (log["task_id"], log["input"], task["output"]) == ("my-own-task", "q", "ab")
    assert task["stream"] is True
    assert 0 <= task["seconds_to_first_token"] < 5


@pytest.mark.parametrize("kind", [Words, Selfish])
def test_each_item_of_an_iterator_counts_once_however_it_is_read(desk: FakeDesk, kind: type[Words]):
    words = kind("a", "b", "c")
    tasktap.log(input="q", output=words, stream=True)
    assert isinstance(words, kind)
    assert [next(words), *words] == ["a", "b", "c"]
    assert tasktap.flush(PATIENCE)
    assert [task["output"] for task in desk.tasks] == ["abc"]


def test_only_the_stream_that_was_logged_is_watched(desk: FakeDesk):
    logged, other = Words("a"), Words("b")
    tasktap.log(input="q", output=logged, stream=True)
    assert (list(logged), list(other)) == (["a"], ["b"])
    assert type(other) is Words
    assert tasktap.flush(PATIENCE)
    assert [task["output"] for task in desk.tasks] == ["a"]


def test_a_plain_generator_is_read_through_what_log_gives(logged: Last):
    log = tasktap.log(input="q", output=(word for word in ("a", "b")), stream=True)
    assert list(log.stream) == ["a", "b"]
    assert logged()["output"] == "ab"


def test_a_plain_generator_that_is_read_past_us_says_so(logged: Last):
    words = (word for word in ("a", "b"))
    tasktap.log(input="q", output=words, stream=True)
    assert list(words) == ["a", "b"]
    gc.collect()
    task = logged()
    assert (task["output"], task["ending"]) == (None, "caller_left")
    assert "MutableGenerator" in task["problems"][0]


def test_a_stream_that_is_left_is_recorded_as_left(logged: Last):
    words = Words("a", "b", "c")
    tasktap.log(input="q", output=words, stream=True)
    for word in words:
        if word == "b":
            break
    del words
    gc.collect()
    task = logged()
    assert (task["output"], task["ending"], task["problems"]) == ("ab", "caller_left", ["the stream was left after 2 items"])


def test_a_stream_that_is_closed_early_is_recorded_as_left(logged: Last):
    words = Words("a", "b")
    tasktap.log(input="q", output=words, stream=True)
    assert next(words) == "a"
    words.close()
    assert words.closed
    assert (logged()["output"], logged()["ending"]) == ("a", "caller_left")


def test_a_wrapped_generator_that_is_left_is_recorded_as_left(logged: Last):
    @tasktap.wrap
    def words() -> Iterator[str]:
        yield "a"
        yield "b"

    for _ in words():
        break
    gc.collect()
    assert (logged()["output"], logged()["ending"]) == ("a", "caller_left")


async def test_a_wrapped_async_generator_that_is_closed_is_recorded_as_left(logged: Last):
    @tasktap.wrap
    async def words() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    reading = words()
    assert await anext(reading) == "a"
    await reading.aclose()  # type: ignore[attr-defined]
    assert (logged()["output"], logged()["ending"]) == ("a", "caller_left")


def test_a_stream_that_breaks_is_recorded_as_broken_and_raises(logged: Last):
    def words() -> Iterator[str]:
        yield "a"
        raise ConnectionError("gone")

    stream = tasktap.MutableGenerator(words())
    tasktap.log(input="q", output=stream, stream=True)
    with pytest.raises(ConnectionError):
        list(stream)
    task = logged()
    assert (task["output"], task["ending"]) == ("a", "upstream_broke")
    assert task["problems"] == ["the stream broke after 1 items: ConnectionError: gone"]
    assert task["metadata"] == {"error": {"type": "ConnectionError", "message": "gone"}}


async def test_an_async_openai_stream_that_breaks_is_recorded_as_broken(logged: Last, provider: Provider):
    async with openai.AsyncOpenAI(api_key="sk", base_url=f"{provider.url}/v1", max_retries=0) as ai:
        stream = await tasktap.wrap(ai.chat.completions.create)(
            model="m", messages=[{"role": "user", "content": "break"}], stream=True
        )
        with pytest.raises(openai.APIError):
            async for _ in stream:
                pass
    task = logged()
    assert (task["ending"], task["output"]) == ("upstream_broke", "Qubits harness quantum ")


def test_usage_after_the_finish_reason_is_kept_and_no_part_of_the_text(logged: Last, provider: Provider):
    with openai.OpenAI(api_key="sk", base_url=f"{provider.url}/v1", max_retries=0) as ai:
        stream = tasktap.wrap(ai.chat.completions.create)(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True, stream_options={"include_usage": True}
        )
        list(stream)
    task = logged()
    assert task["output"].strip() == ANSWER
    assert task["usage"]["total_tokens"] == 30


def test_an_openai_stream_left_after_its_finish_reason_is_complete(logged: Last, provider: Provider):
    with openai.OpenAI(api_key="sk", base_url=f"{provider.url}/v1", max_retries=0) as ai:
        create = tasktap.wrap(ai.chat.completions.create)
        with create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True) as stream:
            for chunk in stream:
                if chunk.choices[0].finish_reason:
                    break
    assert logged()["ending"] == "completed"
    assert "problems" not in logged()


def test_a_stop_of_wrap_records_at_once_and_what_comes_after_is_added(desk: FakeDesk):
    @tasktap.wrap(stream=True, stop=lambda item: item == "stop")
    def words() -> Iterator[str]:
        yield from ("a", "stop", "after")

    reading = words()
    assert [next(reading), next(reading)] == ["a", "stop"]
    assert tasktap.flush(PATIENCE)
    assert [task["output"] for task in desk.tasks] == ["astop"]
    assert list(reading) == ["after"]
    assert tasktap.flush(PATIENCE)
    assert [(task["output"], task["ending"]) for task in desk.tasks] == [("astop", "completed"), ("astopafter", "completed")]
    assert len({task["task_id"] for task in desk.tasks}) == 1


def test_a_stop_that_cannot_read_an_item_does_not_stop_or_raise(logged: Last):
    lines = tasktap.MutableGenerator(
        [b"", b'{"response": "x", "done": true}', b"never"], stop=lambda line: json.loads(line)["done"]
    )
    tasktap.log(input="q", output=lines, stream=True)
    assert len(list(lines)) == 2


def test_an_extractor_reads_each_item_of_a_stream(logged: Last):
    words = Words("a", "b")
    tasktap.log(input="q", output=words, stream=True, output_to_str_function=str.upper)
    list(words)
    assert logged()["output"] == "AB"


def test_the_query_of_a_stream_is_as_it_was_when_it_was_logged(logged: Last):
    messages = [{"role": "user", "content": "hi"}]
    words = Words("hello")
    tasktap.log(input=messages, output=words, stream=True)
    messages.append({"role": "assistant", "content": "".join(words)})
    assert logged()["raw_input"] == [{"role": "user", "content": "hi"}]


def test_an_item_that_is_used_again_by_its_generator_is_recorded_as_it_was_each_time(logged: Last):
    def counting() -> Iterator[dict[str, int]]:
        item = {"n": 0}
        for number in range(3):
            item["n"] = number
            yield item

    list(tasktap.log(input="q", output=counting(), stream=True).stream)
    assert logged()["raw_output"] == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_streams_end_in_any_order_and_each_has_its_own_items(desk: FakeDesk):
    dice = random.Random(7)
    streams = {name: Words(*(f"{name}{n} " for n in range(20))) for name in "abcdef"}
    for name, words in streams.items():
        tasktap.log(input=name, output=words, stream=True)
    left = list(streams.values()) * 20
    dice.shuffle(left)
    for words in left:
        next(words)
    for words in streams.values():
        assert list(words) == []
    assert tasktap.flush(PATIENCE)
    assert {task["input"]: task["output"] for task in desk.tasks} == {
        name: "".join(f"{name}{n} " for n in range(20)) for name in streams
    }
