"""The client and the real desk: what an app logs is a task, with its session, its parts and its feedback, whatever happens."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Run
from tests.client.places import ANSWER, Provider
from tests.proc import Tasktap, serving, soon


@pytest.fixture
def house(tmp_path: Path, provider: Provider) -> Iterator[Tasktap]:
    with serving(tmp_path / "house", f'[upstreams.openai]\nurl = "{provider.url}"\n') as running:
        yield running


def run(app: Run, house: Tasktap, source: str) -> dict[str, Any]:
    """Run an app that logs there, and give what it printed as JSON."""
    calls = {"OPENAI_BASE_URL": f"{house.run['calls']}/v1", "OPENAI_API_KEY": "sk-test"}
    ran = app(source + "\nassert tasktap.flush(40), tasktap.stats()\n", TASKTAP_URL=house.run["desk"], **calls)
    found: dict[str, Any] = json.loads(ran.stdout or "{}")
    return found


def count(house: Tasktap, path: str) -> int:
    """How many tasks there are of a session or a user."""
    status, body = house.fetch(path)
    return int(json.loads(body)["task_count"]) if status == 200 else 0


def test_what_an_app_logs_is_a_task(house: Tasktap, app: Run):
    said = run(app, house, """
import json
from openai.types.chat import ChatCompletion
answer = ChatCompletion.model_validate({"id": "chatcmpl-7", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "42"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}})
query = {"model": "gpt-4o", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]}
labels = {"session_id": "s-1", "user_id": "ada", "name": "ask", "flag": "success"}
log = tasktap.log(input=query, output=answer, metadata={"n": [1, float("nan")]}, **labels)
print(json.dumps({"id": log.task_id}))
""")  # fmt: skip
    task = house.task(said["id"])
    assert (task["input"], task["output"], task["system_prompt"], task["name"]) == ("Why?", "42", "Be brief.", "ask")
    assert (task["session_id"], task["user_id"], task["session_source"], task["kind"]) == ("s-1", "ada", "client", "custom")
    assert (task["model"], task["usage"]["total_tokens"], task["metadata"]["n"]) == ("gpt-4o-2024", 4, [1, None])
    assert (task["flag"], task["ending"], task["problems"]) == ("success", "completed", [])
    assert task["raw_output"]["id"] == "chatcmpl-7"


def test_a_function_its_parts_and_the_call_that_it_makes_through_the_relay_are_one_story(house: Tasktap, app: Run):
    said = run(app, house, """
import json, openai
ai = tasktap.labelled(openai.OpenAI())

@tasktap.wrap(session_id="story", user_id="ada")
def answer(question):
    tasktap.log(input="look-up", output="found")
    reply = ai.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": question}])
    return reply.choices[0].message.content

answer("why")
print(json.dumps({"id": tasktap.latest_task_id}))
""")  # fmt: skip
    soon(lambda: count(house, "/api/sessions/story") == 3)
    tasks = house.get("/api/sessions/story")["tasks"]
    whole = next(task for task in tasks if task["name"] == "answer")
    carried = next(task for task in tasks if task["kind"] == "chat")
    assert {task["parent_task_id"] for task in tasks} == {None, whole["id"]}
    assert (carried["parent_task_id"], carried["user_id"], carried["output"]) == (whole["id"], "ada", ANSWER)
    assert (whole["input"], whole["output"]) == ("why", ANSWER)
    assert said["id"] in {task["id"] for task in tasks}


def test_functions_inside_functions_and_a_carried_call_are_one_session_though_nobody_named_any(house: Tasktap, app: Run):
    run(app, house, """
import openai
ai = tasktap.labelled(openai.OpenAI())

@tasktap.wrap
def look_up(question):
    return ai.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": question}])

@tasktap.wrap
def answer(question):
    return look_up(question).choices[0].message.content

answer("why")
""")  # fmt: skip

    def alone() -> dict[str, Any] | None:
        sessions = house.get("/api/sessions")["items"]
        return sessions[0] if [one["task_count"] for one in sessions] == [3] else None

    session = soon(alone)
    tasks = house.get(f"/api/sessions/{session['id']}")["tasks"]
    assert [(task["name"] or task["kind"], task["depth"]) for task in tasks] == [("answer", 0), ("look_up", 1), ("chat", 2)]
    assert (session["id"], session["implicit"]) == (f"auto-{tasks[0]['id']}", False)


def test_streams_that_end_break_and_are_left_are_kept_as_they_were(house: Tasktap, app: Run):
    run(app, house, """
def words(fail=False):
    yield "a"
    if fail:
        raise ConnectionError("gone")
    yield "b"

list(tasktap.log("q", words(), task_id="ended", stream=True).stream)
left = tasktap.log("q", words(), task_id="left", stream=True).stream
next(left)
del left
try:
    list(tasktap.log("q", words(True), task_id="broke", stream=True).stream)
except ConnectionError:
    pass
""")  # fmt: skip
    endings = {id: (house.task(id)["ending"], house.task(id)["output"]) for id in ("ended", "left", "broke")}
    assert endings == {"ended": ("completed", "ab"), "left": ("caller_left", "a"), "broke": ("upstream_broke", "a")}
    assert house.task("broke")["metadata"]["error"]["type"] == "ConnectionError"
    assert house.task("left")["stream"] is True


def test_feedback_may_come_before_its_task(house: Tasktap, app: Run):
    run(app, house, """
tasktap.user_feedback("later", flag="failure", notes="no", score=0.1)
assert tasktap.flush(40)
tasktap.log("q", "a", task_id="later")
tasktap.user_feedback("later", flag="success")
""")  # fmt: skip
    task = soon(lambda: (found := house.task("later")) and len(found["feedback"]) == 2 and found)
    assert (task["flag"], task["feedback"][0]["comment"], task["feedback"][0]["score"]) == ("success", "no", 0.1)


def test_labels_and_ids_that_the_desk_refuses_cost_no_task(house: Tasktap, app: Run):
    said = run(app, house, """
import json
for label in ("two\\nlines", "x" * 600, "", "half \\ud800"):
    tasktap.log("q", session_id=label, user_id="odd", task_id=f"an id, {label[:9]!r}")
assert tasktap.flush(40)
print(json.dumps(tasktap.stats()))
""")  # fmt: skip
    assert (said["sent"], said["rejected"]) == (4, 0)
    soon(lambda: count(house, "/api/users/odd") == 4)


def test_a_desk_that_is_killed_in_the_middle_loses_and_doubles_nothing(house: Tasktap, app: Run):
    desk = house.pid("desk")
    said = run(app, house, f"""
import json, os
for number in range(3000):
    tasktap.log(f"question {{number}}", "answer", user_id="many")
    if number == 1500:
        os.kill({desk}, {int(signal.SIGKILL)})
assert tasktap.flush(60), tasktap.stats()
print(json.dumps(tasktap.stats()))
""")  # fmt: skip
    assert house.successor("desk", desk) != desk
    assert (said["sent"], said["dropped"], said["rejected"]) == (3000, 0, 0)
    soon(lambda: count(house, "/api/users/many") == 3000)
    assert os.getpid() not in house.pids()
