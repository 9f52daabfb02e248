"""phospho's JavaScript client 1.3.13, as its source writes what it sends: the registry has it no more, so it is played here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.intake.talk import send
from tests.proc import Tasktap, serving, soon

QUERY = {"model": "gpt-4o", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]}


def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-1", "choices": [choice], **more}


CHUNKS = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hello"}),
    chunk({"content": " thére"}),
    chunk({}, finish_reason="stop", usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}),
]


def dumps(value: Any) -> str:
    """As JSON.stringify writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def text_of(output: Any) -> Any:
    """What the client's extractor makes of an output: JSON, where it finds no text."""
    if output is None or isinstance(output, str):
        return output
    first = (output.get("choices") or [{}])[0]
    return (first.get("message") or {}).get("content") or (first.get("delta") or {}).get("content") or dumps(output)


class Client:
    """Keeps what it was told until `post`, and posts all that it has ever kept, as the client does."""

    def __init__(self, base: str, project: str) -> None:
        self.base, self.project = base, project
        self.queue: dict[str, dict[str, Any]] = {}

    def log(self, task_id: str, input: Any, output: Any, **more: Any) -> None:
        asked = input if isinstance(input, str) else None
        if asked is None:
            messages = input.get("messages") if isinstance(input, dict) else None
            asked = messages[-1]["content"] if messages else dumps(input)
        event = {
            "client_created_at": 1_700_000_000, "project_id": self.project, "session_id": more.pop("session_id", None),
            "task_id": task_id, "input": asked, "raw_input": input, "raw_input_type_name": "object", "output": text_of(output),
            "raw_output": output, "raw_output_type_name": "object", **more,
        }  # fmt: skip
        if (before := self.queue.get(task_id)) is not None:
            raw = before["raw_output"]
            event["raw_output"] = [*(raw if isinstance(raw, list) else [raw]), output]
            event["output"] = before["output"] + (event["output"] or "")
        self.queue[task_id] = event

    def post(self) -> None:
        body = {"batched_log_events": list(self.queue.values())}
        status, answer = send(f"{self.base}/log/{self.project}", body, Authorization="Bearer any")
        assert (status, len(answer["logged_events"])) == (200, len(self.queue))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasktap]:
    with serving(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture
def client(house: Tasktap) -> Client:
    return Client(f"{house.run['desk']}/v2", "js")


def test_texts_and_what_is_told_beside_them(client: Client, house: Tasktap) -> None:
    client.log("js-1", "hi", "yo", session_id="js-s", metadata={"n": 1}, flag="success", user_id="ada")
    client.log("js-2", "only this", None)
    client.post()
    task = soon(lambda: found if (found := house.task("js-1"))["flag"] else None)
    assert (task["input"], task["output"], task["session_id"], task["user_id"], task["flag"]) == (
        "hi",
        "yo",
        "js-s",
        "ada",
        "success",
    )
    assert (task["project_id"], task["metadata"]) == ("js", {"n": 1})
    other = house.task("js-2")
    assert (other["output"], other["session_id"]) == (None, None)


def test_a_user_as_the_documentation_for_javascript_spells_it(client: Client, house: Tasktap) -> None:
    client.log("js-u", "What is the meaning of life?", "42", session_id="js-us", userId="user_1")
    client.post()
    task = house.task("js-u")
    assert (task["user_id"], task["session_id"], task["metadata"]) == ("user_1", "js-us", {})


def test_a_stream_that_is_posted_again_and_again_while_it_grows_is_one_task(client: Client, house: Tasktap) -> None:
    for each in CHUNKS:
        client.log("js-stream", QUERY, each)
        client.post()
    client.log("js-stream", QUERY, None)
    client.post()
    task = soon(lambda: found if len((found := house.task("js-stream"))["raw_output"] or ()) > len(CHUNKS) else None)
    assert (task["input"], task["output"], task["system_prompt"]) == ("hi", "Hello thére", "Be brief.")
    assert (task["model"], task["finish_reasons"], task["usage"]["total_tokens"]) == ("gpt-4o-1", ["stop"], 11)
    assert task["raw_output"] == [*CHUNKS, None]


@pytest.mark.parametrize("posted_before_its_end", [1, 2, 3])
def test_what_came_of_a_stream_that_broke_is_kept(client: Client, house: Tasktap, posted_before_its_end: int) -> None:
    id = f"js-broken-{posted_before_its_end}"
    for each in CHUNKS[:posted_before_its_end]:
        client.log(id, QUERY, each)
    client.post()
    assert (house.task(id)["output"] or "") == ("", "Hello", "Hello thére")[posted_before_its_end - 1]


def test_a_wrapped_call_with_tools_is_read(client: Client, house: Tasktap) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    client.log("js-wrap", [QUERY], {"id": "chatcmpl-2", "object": "chat.completion", "model": "m", "choices": [choice]})
    client.post()
    task = house.task("js-wrap")
    assert (task["input"], task["output"], task["model_requested"]) == ("hi", 'look({"q":1})', "gpt-4o")


@pytest.mark.parametrize("levels", [300, 50_000])
def test_what_is_nested_too_deeply_costs_no_batch(client: Client, house: Tasktap, levels: int) -> None:
    body = b'{"batched_log_events":[{"task_id":"deep-%d","input":"q","raw_input":%b},{"task_id":"beside-%d","input":"q"}]}' % (
        levels, b"[" * levels + b"]" * levels, levels,
    )  # fmt: skip
    status, answer = send(f"{client.base}/log/js", body)
    assert (status, len(answer["logged_events"])) == (200, 2)
    assert house.task(f"beside-{levels}")["input"] == "q"
    assert house.task(f"deep-{levels}")["input"] == "q"
    items = b'[{"task_id":"deeper-%d","input":"q","metadata":{"a":%b}},{"input":"q"}]' % (levels, b"[" * levels + b"]" * levels)
    status, answer = send(f"{house.run['desk']}/api/tasks", items)
    assert [item["status"] for item in answer["items"]] == ["stored", "stored"]
    assert house.task(f"deeper-{levels}")["input"] == "q"


def test_an_extractor_of_the_apps_own_is_believed(client: Client, house: Tasktap) -> None:
    client.log("js-own", QUERY, CHUNKS[1])
    client.queue["js-own"] |= {"input": "what she said", "output": "what it said"}
    client.post()
    task = house.task("js-own")
    assert (task["input"], task["output"]) == ("what she said", "what it said")


def test_a_page_may_flag_a_task_without_a_key_where_that_is_allowed(tmp_path: Path) -> None:
    """`sendUserFeedback`: no credential, from any site, before or after the task is there."""
    said = {"flag": "failure", "notes": "no", "source": "eve", "project_id": "js"}
    for allowed in (True, False):
        with serving(tmp_path / str(allowed), f'[desk]\nkey = "k"\nopen_feedback = {str(allowed).lower()}\n') as house:
            status, _ = send(f"{house.run['desk']}/v2/tasks/js-f/flag", said, Origin="https://shop.example")
            assert status == (200 if allowed else 403)
            client = Client(f"{house.run['desk']}/v2", "js")
            assert send(f"{client.base}/log/js", {"batched_log_events": []}, Origin="https://shop.example")[0] in (401, 403)
            if not allowed:
                continue
            body = {"batched_log_events": [{"task_id": "js-f", "input": "q", "output": "a"}]}
            assert send(f"{client.base}/log/js", body, Authorization="Bearer k")[0] == 200

            def look(desk: str = house.run["desk"]) -> Any:
                status, found = send(f"{desk}/api/tasks/js-f", b"", "GET", Authorization="Bearer k")
                return found if status == 200 else None

            task = soon(look)
            assert [(one["flag"], one["comment"], one["source"]) for one in task["feedback"]] == [("failure", "no", "eve")]
