"""Whatever an app passes: it is read, copied, and sent as JSON, and it never raises."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Callable
from typing import Any

import pydantic
import pytest

from proxy import client as tasktap
from proxy.client.assemble import assemble
from proxy.client.extract import input_text, output_text
from tests.client.places import FakeDesk
from tests.sockets import PATIENCE

Last = Callable[[], dict[str, Any]]


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    label: str


class Model(pydantic.BaseModel):
    n: int = 1
    when: datetime.datetime = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


class Hostile:
    """Nothing can be asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Text(str):
    """A string of a class of its own."""


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"text", "text"),
        (b"\xff\xfe", {"base64": "//4="}),
        (bytearray(b"x"), "x"),
        ({"when": datetime.datetime(2026, 1, 2, 3, 4, 5)}, {"when": "2026-01-02T03:04:05"}),
        ([datetime.date(2026, 1, 2), decimal.Decimal("1.5"), uuid.UUID(int=1)], ["2026-01-02", "1.5", str(uuid.UUID(int=1))]),
        ({"a": Colour.RED, "b": Point(1, "p")}, {"a": "red", "b": {"x": 1, "label": "p"}}),
        (Model(), {"n": 1, "when": "2026-01-02T00:00:00Z"}),
        ((1, 2), [1, 2]),
        ({1: "a", None: "b", (1, 2): "c"}, {"1": "a", "null": "b", "(1, 2)": "c"}),
        ([float("nan"), float("inf"), 2**80], [None, None, 2**80]),
        ({"error": ValueError("no")}, {"error": {"type": "ValueError", "message": "no"}}),
        (["half \ud800", "\ud83d\ude00"], ["half \ufffd", "\U0001f600"]),
        ([Text("x")], ["x"]),
        ([Hostile()], ["<Hostile>"]),
    ],
)
def test_any_object_is_kept_as_the_nearest_json(logged: Last, value: Any, kept: Any):
    tasktap.log(input="q", raw_output=value, output="x")
    assert logged()["raw_output"] == kept
    tasktap.log(input=value, output=value)
    assert logged()["output"] is not None


def test_a_set_is_a_list(logged: Last):
    tasktap.log(input="q", raw_output={3, 1})
    assert sorted(logged()["raw_output"]) == [1, 3]


def test_functions_and_coroutines_are_named_without_an_address(logged: Last):
    async def later() -> None: ...

    waiting = later()
    tasktap.log(input=[test_a_set_is_a_list], output=waiting)
    waiting.close()
    assert "test_a_set_is_a_list" in logged()["input"]
    assert logged()["output"] == "<coroutine>"


def test_what_holds_itself_or_is_deeper_than_json_is_kept_as_far_as_can_be(logged: Last):
    loop: list[Any] = [1]
    loop += [loop, loop]
    deep: Any = "end"
    for _ in range(3000):
        deep = [deep]
    tasktap.log(input=loop, output=deep, metadata={"loop": loop})
    assert logged()["raw_input"] == [1, "...", "..."]
    assert logged()["raw_output"][0][0][0]


def test_later_changes_are_not_in_the_record(logged: Last):
    message = {"role": "user", "content": "before"}
    metadata = {"tags": ["before"]}
    point = Point(1, "before")
    tasktap.log(input=[message], output=point, metadata=metadata)
    message["content"] = metadata["tags"][0] = point.label = "after"
    task = logged()
    assert (task["input"], task["metadata"], task["raw_output"]["label"]) == ("before", {"tags": ["before"]}, "before")


def test_extractors_get_the_object_itself_else_its_plain_form(logged: Last):
    tasktap.log(
        input=Point(1, "attribute"),
        output=Point(2, "item"),
        input_to_str_function=lambda x: x.label,
        output_to_str_function=lambda x: x["label"],
    )
    assert (logged()["input"], logged()["output"]) == ("attribute", "item")


def test_an_extractor_that_raises_is_done_without(desk: FakeDesk):
    tasktap.log(input={"messages": [{"role": "user", "content": "hi"}]}, input_to_str_function=lambda x: 1 / 0)
    assert tasktap.flush(PATIENCE)
    assert desk.last()["input"] == "hi"
    desk.faults = 1


@pytest.mark.parametrize("value", [None, 3, 2.5, True, [], {}, object()])
def test_input_is_always_text(logged: Last, value: Any):
    tasktap.log(input=value)
    assert isinstance(logged()["input"], str)


def test_ids_and_labels_that_are_no_text_become_text(logged: Last):
    tasktap.log(input="q", session_id=7, user_id=uuid.UUID(int=1), task_id=9)  # type: ignore[arg-type]
    task = logged()
    assert (task["session_id"], task["user_id"], task["task_id"]) == ("7", str(uuid.UUID(int=1)), "9")


@pytest.mark.parametrize("label", ["two\nlines", "x" * 513, ""])
def test_a_label_that_the_desk_would_refuse_costs_only_itself(logged: Last, label: str):
    tasktap.log(input="q", session_id=label, user_id="ada", kind="Not A Kind", flag="meh")
    task = logged()
    assert "session_id" not in task
    assert "kind" not in task
    assert (task["user_id"], task["metadata"], len(task["problems"])) == ("ada", {"flag": "meh"}, 2)


def test_a_task_id_that_the_desk_would_refuse_is_always_the_same_other_one(desk: FakeDesk):
    for _ in range(2):
        tasktap.log(input="q", task_id="with spaces / and ü")
    tasktap.log(input="part", parent_task_id="with spaces / and ü")
    tasktap.user_feedback("with spaces / and ü", flag="success")
    assert tasktap.flush(PATIENCE)
    first, second, part = desk.tasks
    assert first["task_id"] == second["task_id"] == part["parent_task_id"] == desk.feedback[0][0]
    assert first["task_id"].startswith("id-")


def test_a_time_is_a_datetime_or_what_the_desk_reads(logged: Last):
    tasktap.log(input="q", created_at=datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC), ended_at=1767323046)
    assert (logged()["created_at"], logged()["ended_at"]) == ("2026-01-02T03:04:05.000006Z", 1767323046)


# --- reading, pure ---

USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"messages": [USER, {"role": "assistant", "content": "x"}, {"role": "tool", "content": "42"}, USER]}, "[tool] 42\nhi"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "what?"}, {"type": "image_url"}]}]},
            "what?\n[image]",
        ),
        ({"model": "m", "input": "a response"}, "a response"),
        ({"model": "m", "prompt": "an old one"}, "an old one"),
        ({"anything": 1}, '{"anything": 1}'),
        ([{"role": "developer", "content": "d"}, USER], "hi"),
        ([{"role": "user", "content": None}], ""),
    ],
)
def test_the_question_is_found_in_queries_of_many_shapes(value: Any, text: str):
    assert input_text(value) == text


CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"choices": [{"message": {"content": None, "tool_calls": [CALL]}}]}, 'look({"a": 1})'),
        ({"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]}, "a\n\n---\n\nb"),
        ({"choices": [{"message": {"content": None, "refusal": "I can not"}}]}, "I can not"),
        ({"choices": []}, None),
        ({"object": "text_completion", "choices": [{"text": "old"}]}, "old"),
        ({"output": [{"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "r"}]}]}, "r"),
        (
            {"type": "message", "content": [{"type": "text", "text": "c"}, {"type": "tool_use", "name": "f", "input": {}}]},
            "c\nf({})",
        ),
        ({"message": {"role": "assistant", "content": "ollama"}, "done": True}, "ollama"),
        ({"response": "generate", "done": True}, "generate"),
        ([USER], None),
        (7, "7"),
    ],
)
def test_the_answer_is_found_in_answers_of_many_shapes(value: Any, text: str | None):
    assert output_text(value) == text


def delta(**what: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": what, "finish_reason": None}]}


def test_tool_calls_in_fragments_are_put_together():
    def part(index: int, **function: str) -> dict[str, Any]:
        return delta(tool_calls=[{"index": index, "function": function}])

    whole = assemble(
        [part(0, name="a", arguments=""), part(1, name="b", arguments="{"), part(0, arguments="1"), part(1, arguments="}")]
    )
    assert whole.text == "a(1)\nb({})"
    assert whole.raw["choices"][0]["message"]["tool_calls"][0] == {"function": {"name": "a", "arguments": "1"}}


def test_anthropics_events_are_put_together():
    whole = assemble(
        [
            {"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [], "usage": {"input_tokens": 3}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ]
    )
    assert (whole.text, whole.finished) == ("Hello", True)
    assert whole.raw["usage"] == {"input_tokens": 3, "output_tokens": 2}


def test_responses_events_give_the_response_of_the_last_one():
    done = {"output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]}
    text = {"type": "response.output_text.delta", "delta": "Hel"}
    assert assemble([text, {"type": "response.completed", "response": done}])[1:] == ("Hello", True)
    assert assemble([{"type": "response.created", "response": {}}, text])[1:] == ("Hel", False)


def test_items_of_no_known_kind_stay_a_list():
    assert assemble(["a", None, "b"]).text == "ab"
    assert assemble([{"x": 1}, {"x": 2}]).raw == [{"x": 1}, {"x": 2}]
    assert assemble([None]).text is None


def test_events_are_sent_as_names_or_objects_and_what_is_neither_is_told(logged: Last):
    tasktap.log(input="q", output="a", events=["refund", {"name": "toxic", "source": "rule"}])
    task = logged()
    assert task["events"] == ["refund", {"name": "toxic", "source": "rule"}]
    assert "metadata" not in task
    tasktap.log(input="q", output="a", events=[3, "x" * 65, "fine"])
    task = logged()
    assert task["events"] == ["fine"]
    assert task["problems"] == ["2 of the events were not used: they are no names, or too many"]
