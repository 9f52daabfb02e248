"""The other door, in a real tasktap: what an app logs is kept, whatever is killed, and belongs with what was carried."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.intake.talk import log, send
from tests.proc import Tasktap, files, serving, soon
from tests.test_cli import tasktap
from tests.upstream import Upstream

ANSWER = b'{"id":"chatcmpl-7","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"yo"},"finish_reason":"stop"}]}'  # noqa: E501


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


@pytest.fixture(scope="module")
def house(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasktap]:
    with serving(tmp_path_factory.mktemp("house"), f'[upstreams.openai]\nurl = "{upstream.url}"\n') as running:
        yield running


def call(house: Tasktap, upstream: Upstream, **labels: str) -> None:
    """A chat call through the calls door."""
    upstream.play(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    status, _ = send(f"{house.run['calls']}/v1/chat/completions", body, **labels)
    assert status == 200


def session_of(house: Tasktap, id: str) -> list[dict[str, Any]]:
    """Its tasks; none where there is no such session yet."""
    status, body = house.fetch(f"/api/sessions/{id}")
    return json.loads(body)["tasks"] if status == 200 else []


def answers(house: Tasktap) -> bool:
    """Whether there is a desk again."""
    try:
        return house.fetch("/readyz")[0] == 200
    except OSError:
        return False


def test_a_logged_task_is_readable_with_its_session_and_user(house):
    [item] = log(house, {"input": "q", "output": "a", "session_id": "s1", "user_id": "ada", "metadata": {"n": 1}, "top_k": 5})
    assert item["status"] == "stored"
    task = house.task(item["id"])
    assert (task["kind"], task["input"], task["output"], task["metadata"]) == ("custom", "q", "a", {"n": 1, "top_k": 5})
    assert (task["session_source"], task["user_source"], task["ending"]) == ("client", "client", "completed")
    assert house.get("/api/sessions/s1")["task_count"] == 1
    assert house.get("/api/users/ada")["task_count"] == 1


@pytest.mark.parametrize("wrap", [lambda tasks: tasks, lambda tasks: {"tasks": tasks}], ids=["list", "object"])
def test_a_bad_item_leaves_the_others_alone(house, wrap):
    good, bad = (
        {"input": "fine"},
        [{"output": "no input"}, 7, {"input": "x", "created_at": "tomorrow"}, {"input": "x", "task_id": "a b"}],
    )
    items = log(house, wrap([good, *bad, good]))
    assert [item["status"] for item in items] == ["stored", *["rejected"] * 4, "stored"]
    assert [item["error"].partition(":")[0] for item in items[1:5] if item["error"]] == [
        "input", "This is not a JSON object.", "created_at", "task_id",
    ]  # fmt: skip
    assert house.task(items[-1]["id"])["input"] == "fine"


def test_the_same_id_again_is_merged(house):
    for words, status in (({"input": "q", "name": "n"}, "stored"), ({"output": "a"}, "merged"), ({"output": "a"}, "merged")):
        assert log(house, {"task_id": "again-1", **words}) == [{"id": "again-1", "status": status}]
    task = soon(lambda: found if (found := house.task("again-1"))["output"] else None)
    assert (task["input"], task["name"], task["output"]) == ("q", "n", "a")


def test_a_providers_own_request_and_response_are_read(house):
    request = {"model": "gpt-5", "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}]}
    chunks = [
        {"object": "chat.completion.chunk", "model": "gpt-5-x", "choices": [{"index": 0, "delta": {"content": "yo"}}]},
        {"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
    ]
    [item] = log(house, {"input": request, "raw_output": chunks})
    task = house.task(item["id"])
    assert (task["input"], task["output"], task["system_prompt"], task["model"]) == ("hi", "yo", "S", "gpt-5-x")
    assert (task["usage"]["input_tokens"], task["raw_input"], task["raw_output"]) == (3, request, chunks)


def test_a_task_may_bring_feedback_along_and_feedback_may_come_in_a_batch(house):
    said = {"flag": "failure", "comment": "no", "created_at": 1_700_000_000}
    items = log(
        house, [{"task_id": "judged", "input": "q", "feedback": [said, {"score": 1}]}, {"task_id": "judged", "feedback": said}]
    )
    assert [item["status"] for item in items] == ["stored", "merged"]
    task = house.task("judged")
    assert [(one["flag"], one["score"]) for one in task["feedback"]] == [("failure", None), (None, 1.0)], (
        "the same again is the same"
    )
    assert log(house, {"task_id": "nobody-yet", "feedback": {"score": 1}})[0]["status"] == "waiting"
    assert log(house, {"feedback": [{"score": 1}]})[0]["status"] == "rejected"
    [item] = log(house, {"input": "q", "feedback": "lovely"})
    assert house.task(item["id"])["metadata"] == {"feedback": "lovely"}


def test_a_body_that_is_no_json_or_no_task_is_refused(house):
    for body in (b"{", b"3", b'"x"'):
        status, answer = send(f"{house.run['desk']}/api/tasks", body)
        assert (status, answer["error"]["code"]) == (400, "bad_body")


def test_a_gzipped_body_is_read(house):
    body = gzip.compress(json.dumps({"input": "packed", "task_id": "gz-1"}).encode())
    status, answer = send(f"{house.run['desk']}/api/tasks", body, Content_Encoding="gzip")
    assert (status, answer["items"][0]["status"]) == (200, "stored")
    assert house.task("gz-1")["input"] == "packed"
    assert send(f"{house.run['desk']}/api/tasks", body[:20], Content_Encoding="gzip")[0] == 415


def test_a_body_of_some_megabytes_is_taken(house):
    [item] = log(house, {"input": "x" * 3_000_000})
    assert len(house.task(item["id"])["input"]) == 3_000_000


def test_odd_text_is_kept_as_near_as_can_be(house):
    [item] = log(house, b'{"input": "half \\ud83d", "metadata": {"nul": "\\u0000", "nan": NaN, "big": 99999999999999999999999}}')
    task = house.task(item["id"])
    assert (task["input"], task["metadata"]["nul"], task["metadata"]["nan"]) == ("half \ufffd", "\0", None)


def test_secrets_do_not_reach_the_disk(house):
    [item] = log(house, {"input": "x", "metadata": {"api_key": "canary-91f3", "n": 1}, "raw_input": {"password": "canary-91f3"}})
    task = house.task(item["id"])
    assert task["metadata"] == {"api_key": "[redacted]", "n": 1}
    assert not [name for name, data in files(house.data).items() if b"canary-91f3" in data]


@pytest.mark.parametrize("first", ["log", "call"])
def test_a_call_and_what_is_logged_under_its_id_are_one_task(house, upstream, first):
    id = f"story-{first}"
    words = {
        "task_id": id,
        "input": "what she asked",
        "output": "what she saw",
        "session_id": f"st-{first}",
        "metadata": {"step": 2},
    }
    if first == "log":
        log(house, words)
        house.task(id)
        call(house, upstream, X_Task_Id=id)
    else:
        call(house, upstream, X_Task_Id=id)
        house.task(id)
        assert log(house, words)[0]["status"] == "merged"
    task = soon(lambda: found if (found := house.task(id))["logged"] else None)
    assert (task["input"], task["output"], task["session_id"]) == ("what she asked", "what she saw", f"st-{first}")
    assert (task["http_status"], task["upstream"], task["model"], task["kind"]) == (200, "openai", "m", "chat")
    assert task["raw_output"]["id"] == "chatcmpl-7"
    assert house.get(f"/api/sessions/st-{first}")["task_count"] == 1
    house.quiet()


def test_a_nested_call_is_in_its_parents_session_in_order(house, upstream):
    call(house, upstream, X_Parent_Task_Id="chain-1", X_Session_Id="chained", X_Task_Id="child-1")
    log(
        house,
        {"task_id": "chain-1", "input": "do it", "session_id": "chained", "parent_task_id": "top", "created_at": 1_700_000_000},
    )
    house.task("child-1")
    house.task("chain-1")
    tasks = house.get("/api/sessions/chained")["tasks"]
    assert [(task["id"], task["parent_task_id"]) for task in tasks] == [("chain-1", "top"), ("child-1", "chain-1")]


@pytest.mark.parametrize("first", ["part", "whole"])
def test_a_call_that_names_only_its_parent_is_in_its_session(house, upstream, first):
    labels = {"session_id": f"in-{first}", "user_id": "ada"}
    whole = {"task_id": f"whole-{first}", "input": "do it", "created_at": 1_700_000_000, **labels}
    if first == "whole":
        log(house, whole)
        house.task(whole["task_id"])
    call(house, upstream, X_Parent_Task_Id=whole["task_id"], X_Task_Id=f"part-{first}")
    house.task(f"part-{first}")
    log(house, {"task_id": f"inner-{first}", "input": "x", "parent_task_id": f"part-{first}"})
    house.task(f"inner-{first}")
    if first == "part":
        log(house, whole)
    tasks = soon(lambda: found if len(found := session_of(house, f"in-{first}")) == 3 else None)
    assert [(task["id"], task["depth"], task["user_id"]) for task in tasks] == [
        (f"whole-{first}", 0, "ada"), (f"part-{first}", 1, "ada"), (f"inner-{first}", 2, "ada"),
    ]  # fmt: skip


def test_a_patch_wins_and_null_takes_away(house):
    log(house, {"task_id": "p-1", "input": "q", "output": "a", "user_id": "u", "metadata": {"a": 1, "b": 2}})
    status, answer = send(
        f"{house.run['desk']}/api/tasks/p-1",
        {"output": "better", "user_id": None, "metadata": {"a": None}, "flag": "failure"},
        "PATCH",
    )
    assert (status, answer) == (200, {"id": "p-1", "status": "merged"})
    task = soon(lambda: found if (found := house.task("p-1"))["flag"] else None)
    assert (task["output"], task["user_id"], task["metadata"], task["flag"]) == ("better", None, {"b": 2}, "failure")
    for bad in ({"ending": "completed"}, {}, [], {"name": 5.5}):
        assert send(f"{house.run['desk']}/api/tasks/p-1", bad, "PATCH")[0] == 400


def test_events_are_an_apps_a_persons_or_a_rules_and_say_so(house):
    said = ["refund", {"name": "toxic", "source": "rule"}]
    log(house, {"task_id": "ev-1", "input": "q", "output": "a", "session_id": "ev", "session_final": True, "events": said})
    assert house.task("ev-1")["events"] == [{"name": "refund", "source": "app"}, {"name": "toxic", "source": "rule"}]
    assert send(f"{house.run['desk']}/api/tasks/ev-1", {"events": ["churn"]}, "PATCH")[0] == 200
    soon(lambda: house.task("ev-1")["events"] == [{"name": "churn", "source": "person"}])
    ends = {(each["name"], each["value"]): each["lasts"] for each in house.get("/api/insights/sessions")["ends"]}
    assert ends["event", "churn"] == 1
    assert ("event", "refund") not in ends
    assert send(f"{house.run['desk']}/api/tasks/ev-1", {"events": "churn"}, "PATCH")[0] == 400


def test_a_session_has_ended_after_the_silence_that_the_configuration_says(tmp_path):
    with serving(tmp_path, "[sessions]\nidle_minutes = 60\n") as house:
        began = [(name, time.time() - minutes * 60) for name, minutes in (("recent", 50), ("past", 70))]
        log(house, [{"input": "q", "output": "a", "session_id": name, "created_at": at, "ended_at": at} for name, at in began])
        told = soon(lambda: found if (found := house.get("/api/insights/sessions"))["count"] == 2 else None)
        assert told["running"] == 1
        assert [each["lasts"] for each in told["ends"] if each["name"] == "ending"] == [1]
    words = ("insights", "sessions", "--config", str(house.config), "--data-dir", str(house.data))
    assert json.loads(tasktap(*words, "--json"))["running"] == 1
    assert "not ended yet" in tasktap(*words)


@pytest.mark.parametrize("name", ["task", "response"])
@pytest.mark.parametrize("early", [True, False])
def test_feedback_finds_its_task_before_and_after_it_is_there(house, name, early):
    id = f"fb-{name}-{early}"
    target = id if name == "task" else f"chatcmpl-{name}-{early}"

    def say(flag: str, status: int) -> None:
        got = send(
            f"{house.run['desk']}/api/tasks/{target}/feedback", {"flag": flag, "score": 0.5, "comment": "c", "user_id": "u"}
        )
        assert got[0] == status, got

    words = {"task_id": id, "input": "q", "response_id": f"chatcmpl-{name}-{early}"}
    if early:
        say("failure", 202)
        say("success", 202)
        log(house, words)
    else:
        log(house, words)
        house.task(id)
        say("failure", 200)
        say("success", 200)
    task = soon(lambda: found if len((found := house.task(id))["feedback"]) == 2 and found["flag"] == "success" else None)
    assert [one["flag"] for one in task["feedback"]] == ["failure", "success"]
    assert (task["flag"], task["feedback"][0]["score"], task["feedback"][0]["comment"]) == ("success", 0.5, "c")
    assert id in [item["id"] for item in house.get("/api/tasks?flag=success&limit=500")["items"]]


def test_feedback_that_says_nothing_is_refused(house):
    for bad in ({}, {"flag": "good"}, {"score": "high"}, {"source": "web"}, []):
        assert send(f"{house.run['desk']}/api/tasks/x/feedback", bad)[0] == 400


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_desk_that_is_killed_right_after_its_answer_loses_nothing(tmp_path, durability):
    with serving(tmp_path, f'[journal]\ndurability = "{durability}"\n') as house:
        kept: list[str] = []
        for turn in range(3):
            desk = house.pid("desk")
            for number in range(4):
                kept += [item["id"] for item in log(house, [{"input": f"{turn}.{number}.{n}", "output": "a"} for n in range(3)])]
            os.kill(desk, signal.SIGKILL)
            house.successor("desk", desk)
            soon(lambda: answers(house))
        for id in kept:
            assert house.task(id)["output"] == "a"
        assert len(kept) == len(set(kept)) == 36
        assert len(house.get("/api/tasks?limit=500")["items"]) == 36
        soon(lambda: len(list((house.data / "intake").iterdir())) <= 1, "a journal that was forgotten")


def test_a_store_that_is_down_loses_nothing(tmp_path):
    with serving(tmp_path) as house:
        log(house, {"input": "first", "task_id": "one"})
        house.task("one")
        blocker = sqlite3.connect(house.data / "tasktap.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        log(house, [{"input": "meanwhile", "task_id": f"two-{n}"} for n in range(20)])
        assert house.fetch("/api/tasks/two-3")[0] == 404
        blocker.execute("ROLLBACK")
        blocker.close()
        for n in range(20):
            assert house.task(f"two-{n}")["input"] == "meanwhile"


def test_a_journal_that_takes_nothing_is_said(tmp_path):
    with serving(tmp_path, _TASKTAP_FAULT="journal.write:*:eio") as house:
        assert house.get("/api/status")["intake"] == {"waiting": 0, "set_aside": 0, "stalled": False, "error": None}
        assert send(f"{house.run['desk']}/api/tasks", {"input": "x", "output": "y"})[0] == 503
        status = house.get("/api/status")
        assert status["intake"]["stalled"]
        assert any("intake" in reason for reason in status["reasons"])
        assert house.fetch("/readyz")[0] == 503


def test_what_is_still_in_the_journal_at_a_stop_is_stored_before_the_end(tmp_path):
    with serving(tmp_path) as house:
        soon(lambda: house.fetch("/api/tasks")[0] == 200, what="an open store: else it is stored at the next start")
        log(house, [{"input": "x"} for _ in range(2000)])
    db = sqlite3.connect(tmp_path / "data" / "tasktap.db")
    assert db.execute("SELECT count(*) FROM task").fetchone() == (2000,)
    db.close()
    assert list((tmp_path / "data" / "intake").iterdir()) == []
