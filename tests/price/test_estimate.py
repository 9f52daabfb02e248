"""Tokens counted from texts: how far off, of what, and where not at all."""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import pytest
from hypothesis import given

from proxy.price import count
from proxy.price.count import by_rule, tokens
from proxy.price.estimate import estimated
from proxy.price.texts import Said, answered, asked
from proxy.record.reading import read
from proxy.task import Usage
from tests.store.tasks import a_task, json_values
from tests.tapes.tape import tapes

SAMPLES = {  # what OpenAI's o200k_base makes of each
    "The cost of a call is reckoned from the tokens that were counted, and what the provider itself says beats any list.": 25,
    "Die Kosten eines Aufrufs werden aus den gezählten Token berechnet, und was der Anbieter selbst sagt, gilt mehr.": 25,
    "El niño comió una manzana en el jardín mientras su abuela leía el periódico de la mañana.": 22,
    "Прошлым летом мы ездили к морю и каждый вечер гуляли по набережной.": 20,
    "去年夏天我们去了海边，每天晚上都在海滨大道散步，看着太阳慢慢落下。": 25,
    "def read(call: Call) -> Task:\n    problems = list(call.problems)\n"
    "    return Task(id=call.id, problems=tuple(problems))\n": 31,
    '{"model": "gpt-4o", "usage": {"prompt_tokens": 1234, "completion_tokens": 567}, "choices": [{"index": 0}]}': 38,
}


@pytest.fixture(autouse=True)
def by_the_rule(monkeypatch):
    """Without a tokenizer, whatever is installed where the tests run."""
    monkeypatch.setitem(sys.modules, "toktok", None)
    count._tokenizer.cache_clear()
    yield
    count._tokenizer.cache_clear()


@pytest.mark.parametrize("text", SAMPLES, ids=lambda text: text[:20])
def test_the_rule_of_thumb_is_not_far_off(text):
    assert by_rule(text) == pytest.approx(SAMPLES[text], rel=0.2)


def test_a_long_text_is_taken_to_go_on_as_it_began():
    text = "the same words again and again " * 10_000
    assert tokens([text], None) == pytest.approx(by_rule(text), rel=0.01)


def test_a_tokenizer_that_is_installed_counts(monkeypatch):
    asked_for = []
    fake = types.ModuleType("toktok")
    fake.batch_count = lambda texts, encoding: (asked_for.append(encoding), [len(text) for text in texts])[1]
    monkeypatch.setitem(sys.modules, "toktok", fake)
    count._tokenizer.cache_clear()
    assert tokens(["abc", "", "de"], "gpt-4o") == 5
    assert [tokens(["abcd"], model) for model in ("gpt-4-0613", "gpt-3.5-turbo", "gpt-4.1", None)] == [4] * 4
    assert asked_for == ["o200k_base", "cl100k_base", "cl100k_base", "o200k_base", "o200k_base"]


CHAT = {
    "system_prompt": "ignored",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}]},
        {"role": "assistant", "content": None,
         "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
    ],
    "tools": [{"type": "function", "function": {"name": "look"}}],
    "metadata": {"not": "read"},
}  # fmt: skip


def test_what_a_model_reads_is_found():
    said = asked(CHAT)
    assert said.texts == (
        "Be brief.", "What is this?", "look", "{}", "a cat", '[{"type":"function","function":{"name":"look"}}]',
    )  # fmt: skip
    assert (said.messages, said.media) == (4, False)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA"}},
        {"type": "document", "source": {"type": "base64", "data": "AAAA"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
    ],
)
def test_what_is_no_text_is_noticed_and_not_counted(part):
    for request in (
        {"messages": [{"role": "user", "content": ["hi", part]}]},
        {"contents": [{"parts": [{"text": "hi"}, part]}]},
    ):
        said = asked(request)
        assert said.media
        assert "AAAA" not in "".join(said.texts)
    answer = {"choices": [{"message": {"content": "A cat."}}]}
    task = a_task(1, usage=None, raw_input={"messages": [{"content": [part]}]}, raw_output=answer)
    assert estimated(task).usage == Usage(output_tokens=3, source="estimated")


def test_usage_is_estimated_where_there_is_none_and_marked():
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "A cat, I think."}, "finish_reason": "stop"}]}
    task = a_task(1, usage=None, raw_input=CHAT, raw_output=answer, seconds_to_first_token=1.0, pieces=((0.5, 1), (3.0, 5)))
    found = estimated(task)
    assert found.usage == Usage(input_tokens=found.usage.input_tokens, output_tokens=6, source="estimated")
    assert 25 <= found.usage.input_tokens <= 50
    assert found.tokens_per_second == 3.0


@pytest.mark.parametrize(
    "changes",
    [
        {"usage": Usage(output_tokens=1)},
        {"kind": "embedding"},
        {"kind": "image"},
        {"output": None},
        {"raw_input": None, "raw_output": None},
        {"raw_input": [], "raw_output": "text"},
    ],
    ids=str,
)
def test_what_was_counted_or_cannot_be_is_left_alone(changes):
    task = a_task(1, **{"usage": None, "raw_input": CHAT, "raw_output": None} | changes)
    assert estimated(task) is task


@pytest.mark.parametrize("kind", ["chat", "message", "response", "gemini", "ollama_chat", "ollama_generate", "completion"])
def test_the_tapes_of_every_dialect_can_be_estimated(kind):
    """What tapes say of their tokens is made up, so only that there is an estimate of what was said can be looked at."""
    found = [estimated(replace(read(tape.call()), usage=None)) for tape in tapes(kind)]
    counted = [task for task in found if task.usage is not None]
    assert len(counted) >= 3
    assert all(task.usage.source == "estimated" for task in counted)
    assert all((task.usage.output_tokens or 1) > 0 for task in counted)


@given(json_values)
def test_nothing_makes_it_raise(value):
    assert isinstance(asked(value), Said)
    assert isinstance(answered(value), Said)
    asked({"messages": value, "tools": value, "system": value})
    answered({"choices": value, "content": value, "candidates": value})
    by_rule(str(value))


@pytest.mark.parametrize(
    "name",
    [
        *("message/count_tokens", "gemini/count_tokens", "response/input_tokens", "response/cancelled"),
        *("response/retrieved", "response/retrieved_stream", "response/deleted", "response/input_items"),
    ],
)
def test_what_only_counts_or_was_made_before_used_nothing(name):
    (tape,) = (tape for tape in tapes(name.partition("/")[0]) if tape.name == name.partition("/")[2])
    task = replace(read(tape.call()), output="Hello")

    assert task.usage is None
    assert estimated(task) is task


def test_what_an_app_has_logged_is_estimated_though_it_has_no_path():
    (tape,) = (tape for tape in tapes("response") if tape.name == "retrieved")
    task = replace(read(tape.call()), method=None, path=None)

    assert estimated(task).usage.output_tokens > 0
