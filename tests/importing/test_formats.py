"""Rows of each tool, in the shapes that their documentation gives, as tasks; and that each is known by its columns."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from proxy.query import document
from proxy.record.imports import FORMATS, BadRow, detect, item_of
from proxy.record.imports.fields import answer, content
from proxy.record.items import read_item
from proxy.store.merging import settled
from tests.query.examples import FULL

ROWS: dict[str, dict[str, Any]] = {
    "plain": {
        "input": "hi",
        "output": "yo",
        "task_id": "t-1",
        "session_id": "s",
        "created_at": "2021-09-01 12:00:00",
        "team": "x",
    },
    "tasktap": json.loads(json.dumps(document.of_task(FULL), default=str)),
    "phospho": {
        "task_id": "t-1",
        "task_input": "hi",
        "task_output": "yo",
        "task_eval": "success",
        "task_created_at": 1700000000,
        "session_id": "s",
        "task_metadata.user_id": "ada",
        "task_metadata.model": "gpt-4o",
        "task_metadata.total_tokens": 7,
        "task_metadata.version_id": "v1",
    },
    "langfuse": {
        "id": "obs-1",
        "trace_id": "tr-1",
        "project_id": "p",
        "environment": "prod",
        "type": "GENERATION",
        "parent_observation_id": "obs-0",
        "start_time": "2024-05-29 13:46:19.963000",
        "end_time": "2024-05-29 13:46:21.000000",
        "name": "answer",
        "metadata": {"k": "v"},
        "level": "DEFAULT",
        "status_message": "",
        "input": '[{"role": "user", "content": "hi"}]',
        "output": '{"role": "assistant", "content": "yo"}',
        "provided_model_name": "gpt-4o",
        "model_parameters": '{"temperature": 0.7}',
        "usage_details": {"input": 5, "output": 2, "total": 7},
        "total_cost": 0.001,
        "time_to_first_token": 0.4,
        "user_id": "ada",
        "session_id": "s",
        "trace_name": "chat",
        "tags": ["a"],
    },
    "helicone": {
        "request_id": "req-1",
        "response_id": "res-1",
        "request_created_at": "2024-01-02T03:04:05+00:00",
        "response_created_at": "2024-01-02T03:04:06+00:00",
        "response_status": 200,
        "request_user_id": "ada",
        "request_body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]},
        "response_body": {
            "id": "chatcmpl-1",
            "model": "gpt-4o-2024",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "yo"}}],
        },
        "request_properties": {"Helicone-Session-Id": "s", "Helicone-Session-Name": "chat", "plan": "pro"},
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "delay_ms": 1000,
        "costUSD": 0.001,
        "feedback_rating": True,
        "time_to_first_token": 400,
    },
    "litellm": {
        "request_id": "req-1",
        "call_type": "acompletion",
        "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "spend": 0.001,
        "total_tokens": 7,
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "startTime": "2024-01-02T03:04:05+00:00",
        "endTime": "2024-01-02T03:04:06+00:00",
        "completionStartTime": "2024-01-02T03:04:05.400+00:00",
        "model": "gpt-4o",
        "end_user": "ada",
        "user": "admin",
        "metadata": {"user_api_key": "88dc", "user_api_key_alias": None, "team": "x"},
        "session_id": "s",
        "status": "success",
        "messages": [{"role": "user", "content": "hi"}],
        "request_tags": '["a"]',
        "response": {"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "yo"}}]},
    },
}


def task(name: str, row: dict[str, Any], number: int = 1) -> dict[str, Any]:
    """What is kept of a row's task: the fields that have a value."""
    item = read_item(item_of(FORMATS[name], row, number), 1, lambda: "new")
    if item.error is not None:
        raise BadRow(item.error)
    [change], _ = settled(item.entries, lambda _: None, lambda _: None)
    found = change.new
    known = {field.name: getattr(found, field.name) for field in fields(found)}
    usage = {} if found.usage is None else {"usage": {each.name: getattr(found.usage, each.name) for each in fields(found.usage)}}
    said = {name: value for name, value in known.items() if value not in (None, (), {}) and name not in {"own_id", "origin"}}
    return {
        **said,
        **usage,
        "task_id": found.id,
        "problems": list(found.problems),
        "metadata": found.metadata,
        "flag": found.flag,
    }


def flat(row: dict[str, Any]) -> dict[str, str]:
    """A row as a CSV has it: all cells are text."""
    return {name: "" if value is None else value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}


@pytest.mark.parametrize("name", ROWS)
def test_each_tool_is_known_by_its_columns(name: str):
    found = detect(ROWS[name].keys())
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("as_csv", [False, True])
@pytest.mark.parametrize("name", ["phospho", "langfuse", "helicone", "litellm"])
def test_what_was_asked_and_answered_by_whom_when_and_for_how_much_is_read(name: str, as_csv: bool):
    row = flat(ROWS[name]) if as_csv else ROWS[name]
    found = task(name, row)
    assert (found["input"], found["output"], found["session_id"]) == ("hi", "yo", "s")
    assert found["user_id"] == "ada"
    assert found["usage"]["total_tokens"] == 7
    assert found["model"].startswith("gpt-4o")
    assert found["created_at"] > 1_700_000_000_000_000 - 1
    if name != "phospho":
        assert (found["cost"], found["seconds_to_first_token"]) == (0.001, pytest.approx(0.4))
        assert found["kind"] == "chat"
        assert found["ended_at"] > found["created_at"]


def test_ids_are_those_of_the_export():
    ids = {name: task(name, ROWS[name])["task_id"] for name in ROWS}
    assert ids == {
        "plain": "t-1",
        "tasktap": FULL.id,
        "phospho": "t-1",
        "langfuse": "obs-1",
        "helicone": "req-1",
        "litellm": "req-1",
    }


def test_a_row_without_an_id_has_the_same_one_each_time_and_another_than_its_twin():
    row = {"input": "hi"}
    assert task("plain", row, 1)["task_id"] == task("plain", dict(row), 1)["task_id"]
    assert task("plain", row, 1)["task_id"] != task("plain", row, 2)["task_id"]


def test_an_id_that_cannot_be_a_task_id_becomes_another_always_the_same():
    found = task("plain", {"input": "hi", "id": "with spaces ü", "parent_task_id": "with spaces ü"})
    assert found["task_id"].startswith("id-")
    assert found["parent_task_id"] == found["task_id"]


def test_other_columns_are_metadata_and_empty_cells_are_nothing():
    row = {
        "input": "hi",
        "output": "",
        "session_id": "null",
        "team": "x",
        "tags": '["a"]',
        "n": float("nan"),
        "metadata": '{"team": "y"}',
    }
    found = task("plain", row)
    assert found["metadata"] == {"team": "y", "tags": ["a"]}
    assert "session_id" not in found


def test_what_tasktap_exported_comes_back_as_it_was():
    found = task("tasktap", ROWS["tasktap"])
    for name in (
        "input",
        "output",
        "session_id",
        "user_id",
        "project_id",
        "model",
        "kind",
        "metadata",
        "raw_input",
        "raw_output",
    ):
        said = getattr(FULL, name)
        if name == "metadata":
            said = {"system_prompt": FULL.system_prompt, **said}  # where it is of every task
        assert found.get(name) == json.loads(json.dumps(said, default=str)), name
    assert (found["created_at"], found["ended_at"]) == (FULL.created_at, FULL.ended_at)
    assert found["usage"]["input_tokens"] == FULL.usage.input_tokens  # type: ignore[union-attr]
    assert found["flag"] == FULL.flag
    assert [event["name"] for event in found["events"]] == ["greeting"]


def test_a_cell_that_was_kept_from_being_run_as_a_formula_is_itself_again():
    row = {**flat(ROWS["tasktap"]), "input": "'=1+1", "output": "'quoted'"}
    assert (task("tasktap", row)["input"], task("tasktap", row)["output"]) == ("=1+1", "'quoted'")


def test_phosphos_tasks_of_its_api_are_read():
    row = {
        "id": "t-1",
        "created_at": 1700000000,
        "project_id": "p",
        "org_id": "o",
        "session_id": "s",
        "input": "hi",
        "output": "yo",
        "additional_input": {"raw_input": "hi"},
        "additional_output": {"choices": [{"index": 0, "message": {"role": "assistant", "content": "yo"}}]},
        "metadata": {"user_id": "ada", "model": "m", "prompt_tokens": 3, "client_created_at": 1, "mood": "good"},
        "flag": "failure",
        "environment": "default environment",
        "notes": "n",
    }
    assert detect(row) is FORMATS["phospho"]
    found = task("phospho", row)
    assert (found["user_id"], found["usage"]["input_tokens"], found["flag"], found["project_id"]) == ("ada", 3, "failure", "p")
    assert found["metadata"] == {"mood": "good", "notes": "n"}
    assert found["raw_output"]["choices"][0]["message"]["content"] == "yo"
    assert "raw_input" not in found


def test_langfuses_traces_and_its_pages_way_of_writing_are_read():
    trace = {
        "id": "tr-1",
        "timestamp": "2024-05-29T13:46:19.963Z",
        "name": "chat",
        "userId": "ada",
        "sessionId": "s",
        "input": "hi",
        "output": "yo",
        "tags": [],
        "bookmarked": False,
        "metadata": {"k": 1},
    }
    assert detect(trace) is FORMATS["langfuse"]
    found = task("langfuse", trace)
    assert (found["input"], found["output"], found["user_id"], found["session_id"]) == ("hi", "yo", "ada", "s")
    assert found["metadata"] == {"k": 1}


SCORE: dict[str, Any] = {
    "id": "score-1", "timestamp": "2024-05-29 13:50:00.000000", "project_id": "p", "environment": "prod", "trace_id": "tr-1",
    "observation_id": "obs-1", "name": "helpful", "value": 1, "string_value": None, "data_type": "BOOLEAN",
    "source": "ANNOTATION", "comment": "to the point", "author_user_id": "eve",
}  # fmt: skip


@pytest.mark.parametrize("as_csv", [False, True])
@pytest.mark.parametrize(
    ("changes", "task_id", "flag", "score", "comment"),
    [
        ({}, "obs-1", "success", 1.0, "helpful: to the point"),
        ({"value": False, "comment": None}, "obs-1", "failure", 0.0, "helpful"),
        ({"data_type": "NUMERIC", "value": 0.25, "observation_id": None}, "tr-1", None, 0.25, "helpful: to the point"),
        ({"data_type": "CATEGORICAL", "value": 2, "string_value": "good"}, "obs-1", None, None, "helpful: good: to the point"),
        ({"data_type": "CATEGORICAL", "value": "good"}, "obs-1", None, None, "helpful: good: to the point"),
    ],
)
def test_a_score_of_langfuse_is_feedback_on_its_observation_or_trace(changes, task_id, flag, score, comment, as_csv):
    row = flat({**SCORE, **changes}) if as_csv else {**SCORE, **changes}
    assert detect(row) is FORMATS["langfuse"]
    item = read_item(item_of(FORMATS["langfuse"], row, 1), 1, lambda: "new")
    [said] = item.entries
    one = said.feedback
    assert (item.id, item.is_task, said.task_id) == (task_id, False, task_id)
    assert (one.id, one.flag, one.score, one.comment, one.source, one.user_id) == (
        "score-1", flag, score, comment, "annotation", "eve",
    )  # fmt: skip
    assert one.created_at == 1_716_990_600_000_000


def test_a_score_of_a_session_is_told_why_it_is_not_taken():
    with pytest.raises(BadRow, match="of a session"):
        item_of(FORMATS["langfuse"], {**SCORE, "trace_id": None, "observation_id": ""}, 1)


def test_the_scores_that_a_trace_of_langfuses_api_brings_along_are_its_feedback():
    scores = [
        {"id": "a", "name": "liked", "value": 1, "dataType": "BOOLEAN", "traceId": "tr", "source": "API"},
        {"id": "b", "name": "of a part", "value": 1, "dataType": "NUMERIC", "traceId": "tr", "observationId": "o"},
    ]
    row = {"id": "tr", "timestamp": "2024-05-29T13:46:19Z", "input": "hi", "output": "yo", "public": False, "scores": scores}
    found = task("langfuse", row)
    assert [(one.id, one.flag, one.source) for one in found["feedback"]] == [("a", "success", "api")]
    assert found["flag"] == "success"


def test_what_people_thought_comes_back_with_an_export_of_ours():
    assert task("tasktap", ROWS["tasktap"])["feedback"] == FULL.feedback


def test_a_legacy_observation_of_langfuse_is_a_part_of_its_trace_and_its_error_is_kept():
    row = {
        "id": "o",
        "trace_id": "tr",
        "type": "SPAN",
        "start_time": "2024-05-29 13:46:19.963000",
        "input": "",
        "output": "",
        "parent_observation_id": "",
        "level": "ERROR",
        "status_message": "boom",
    }
    found = task("langfuse", row)
    assert (found["parent_task_id"], found["ending"], found["problems"], found["input"]) == ("tr", "upstream_error", ["boom"], "")


def test_the_query_of_a_langfuse_generation_has_its_model_and_parameters():
    raw = task("langfuse", ROWS["langfuse"])["raw_input"]
    assert raw == {"model": "gpt-4o", "temperature": 0.7, "messages": [{"role": "user", "content": "hi"}]}
    assert task("langfuse", ROWS["langfuse"])["parent_task_id"] == "obs-0"


def test_a_helicone_export_without_bodies_says_so():
    row = {name: value for name, value in ROWS["helicone"].items() if not name.endswith("_body")} | {"response_status": "500"}
    found = task("helicone", row)
    assert (found["input"], found["problems"], found["ending"]) == ("", ["the export holds no request body"], "upstream_error")


def test_helicones_session_is_a_label_and_its_properties_are_metadata():
    found = task("helicone", ROWS["helicone"])
    assert (found["session_id"], found["name"], found["metadata"], found["flag"]) == ("s", "chat", {"plan": "pro"}, "success")


def test_a_standard_logging_payload_of_litellm_is_read():
    row = {
        "id": "p-1",
        "trace_id": "tr-1",
        "call_type": "completion",
        "response_cost": 0.5,
        "status": "failure",
        "startTime": 1700000000.5,
        "endTime": 1700000001.5,
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hi"}],
        "response": None,
        "error_str": "rate limit",
        "end_user": "ada",
        "metadata": {},
        "model_parameters": {"temperature": 1},
        "prompt_tokens": 0,
    }
    assert detect(row) is FORMATS["litellm"]
    found = task("litellm", row)
    assert (found["session_id"], found["ending"], found["problems"]) == ("tr-1", "upstream_error", ["rate limit"])
    assert found["raw_input"] == {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "temperature": 1}
    assert found["created_at"] == 1_700_000_000_500_000


def test_a_spend_log_without_prompts_says_so_and_keeps_no_hash_of_a_key():
    row = {**ROWS["litellm"], "messages": "{}", "response": "{}"}
    found = task("litellm", row)
    assert found["input"] == ""
    assert "store_prompts_in_spend_logs" in found["problems"][0]
    assert "88dc" not in json.dumps(found, default=str)


@pytest.mark.parametrize(
    ("row", "why"),
    [({"output": "x", "input": None}, "no input"), ({"input": "x", "cost": "dear"}, "'dear' is no number")],
)
def test_a_row_that_is_no_task_says_why(row: dict[str, Any], why: str):
    with pytest.raises(BadRow, match=why):
        task("plain", row)


def test_messages_and_answers_in_cells_are_read_as_such():
    assert content('[{"role": "user", "content": "x"}]') == {"raw_input": {"messages": [{"role": "user", "content": "x"}]}}
    assert content("{not json") == {"input": "{not json"}
    assert answer('{"role": "assistant", "content": "x"}')["raw_output"]["choices"][0]["message"]["content"] == "x"
    assert answer(None) == {"output": None}
