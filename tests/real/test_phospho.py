"""The unmodified `phospho` 0.3.45 package, through every item of its contract's acceptance list (`reference/phospho.md`, 3a)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.intake.talk import send
from tests.proc import Tasktap, clean_environment, serving, soon
from tests.real.conftest import piece
from tests.sockets import PATIENCE

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

APP = Path(__file__).parent / "phospho_app.py"
SECONDS = 150
REQUEST = {"input_tokens": 21, "output_tokens": 3, "total_tokens": 24}

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def python() -> Path:
    return piece("phospho") / "bin/python"


@pytest.fixture(scope="module", params=["", "v1"], ids=["as it is", "with pydantic.v1"])
def mode(request: pytest.FixtureRequest) -> str:
    """Whether the app imports what the package forgets."""
    return str(request.param)


@pytest.fixture(scope="module")
def run(mode: str, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs one scenario of the app, in a project of that name, against a base URL; gives what it printed.

    Each is a process of its own, forked off one that has imported the package: that takes two seconds of CPU.
    """
    place = tmp_path_factory.mktemp("app")
    words = [str(python), str(APP), "-", "-", *([mode] if mode else [])]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, env=clean_environment(), text=True, cwd=APP.parent, start_new_session=True, **pipes) as app:

        def go(scenario: str, base: str) -> Any:
            assert app.stdin is not None
            assert app.stdout is not None
            out, err = place / "out", place / "err"
            out.write_text("")
            err.write_text("")
            app.stdin.write(json.dumps([scenario, base, str(out), str(err)]) + "\n")
            app.stdin.flush()
            code, said = app.stdout.readline(), err.read_text()
            assert code == "0\n", said[-3000:]
            assert "Traceback" not in said, said[-3000:]
            return json.loads(out.read_text().partition("GIVEN ")[2].splitlines()[0])

        yield go
        os.killpg(app.pid, signal.SIGKILL)  # with what may hang of it


@pytest.fixture(scope="module")
def house(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasktap]:
    """One for each mode: the ids of the scenarios are their own."""
    with serving(tmp_path_factory.mktemp("house")) as running:
        yield running


def of(house: Tasktap, session: str, count: int = 1) -> list[dict[str, Any]]:
    """The tasks of a session, whole, oldest first, once there are so many."""

    def look() -> list[str] | None:
        ids = [item["id"] for item in house.get(f"/api/tasks?session_id={session}")["items"]]
        return ids[::-1] if len(ids) == count else None

    return [house.task(id) for id in soon(look, f"{count} tasks of {session}")]


def figures(task: dict[str, Any]) -> dict[str, int]:
    return {name: task["usage"][name] for name in REQUEST}


def test_texts(run: Run, house: Tasktap) -> None:
    both, only = run("log_texts", house.run["desk"])
    task = house.task(both)
    assert (task["input"], task["output"], task["kind"], task["project_id"]) == ("hi", "yo", "custom", "log_texts")
    assert (task["session_source"], task["metadata"], task["problems"]) == ("inferred", {"version_id": "v-test"}, [])
    assert (house.task(only)["input"], house.task(only)["output"]) == ("just this", None)


def test_an_openai_query_and_its_answer_as_object_and_as_dict(run: Run, house: Tasktap) -> None:
    run("log_openai", house.run["desk"])
    for id in ("task-1", "task-2"):
        task = house.task(id)
        assert (task["input"], task["output"]) == ("Explain quantum computers.", "Hello there!")
        assert (task["system_prompt"], task["session_id"], task["session_source"]) == (
            "You are a helpful assistant.",
            "s1",
            "client",
        )
        assert (task["model"], task["model_requested"], figures(task)) == ("gpt-4o-mini-2024-07-18", "gpt-4o-mini", REQUEST)
        assert task["raw_input"]["messages"][1]["content"] == "Explain quantum computers."
        assert task["raw_output"]["choices"][0]["message"]["content"] == "Hello there!"
        assert task["finish_reasons"] == ["stop"]
        assert set(task["metadata"]) == {"version_id", "system_prompt"}
    assert house.task("task-1")["user_id"] == "roger@gmail.com"
    assert house.get("/api/sessions/s1")["task_count"] == 2


def test_a_list_of_messages(run: Run, house: Tasktap) -> None:
    run("log_messages", house.run["desk"])
    task = house.task("m-1")
    assert (task["input"], task["output"], task["system_prompt"]) == ("one\ntwo", "three", "S")


def test_custom_extractors_are_believed(run: Run, house: Tasktap) -> None:
    run("log_custom", house.run["desk"])
    task = house.task("c-1")
    assert (task["input"], task["output"], task["raw_output"]) == ("Q: what?", "A: [1, 2]", {"a": [1, 2]})


def test_metadata_keywords_and_a_flag(run: Run, house: Tasktap) -> None:
    run("log_metadata", house.run["desk"])
    task = soon(lambda: found if (found := house.task("md-1"))["flag"] else None)
    extra = {"always": "moooore", "log_anything": "even this", "number": 3, "version_id": "v-test", "system_prompt": "SP"}
    assert (task["metadata"], task["user_id"], task["flag"]) == (extra, "nested", "success")
    assert (task["raw_input"], task["system_prompt"], task["feedback"][0]["source"]) == ({"chat_history": [1]}, "SP", "log")


def test_an_openai_stream_with_usage_and_without(run: Run, house: Tasktap) -> None:
    run("log_stream", house.run["desk"])
    [plain], [counted] = of(house, "stream-False"), of(house, "stream-True")
    for task in (plain, counted):
        assert (task["input"], task["output"], task["user_id"]) == ("Explain quantum computers.", "Hello there!", "u2")
        assert task["model"] == "gpt-4o-mini-2024-07-18"
        assert task["raw_output"][1]["choices"][0]["delta"]["content"] == "Hello"
    assert figures(counted) == REQUEST, "the client puts the usage chunk's repr behind the text"
    assert counted["metadata"]["client_output"].startswith("Hello there!{'id'")


def test_mutable_generators(run: Run, house: Tasktap) -> None:
    run("log_generators", house.run["desk"])
    for session in ("gen", "agen"):
        [task] = of(house, session)
        assert (task["input"], task["output"]) == ("Explain quantum computers.", "Hello there!")


def test_ollamas_lines(run: Run, house: Tasktap, mode: str) -> None:
    defect = run("ollama", house.run["desk"])
    if not mode:
        assert "no attribute 'v1'" in defect, "the client's own defect: it dies on the first line, in the app"
        return
    [task] = of(house, "ollama")
    assert (task["input"], task["output"], task["model"]) == ("Explain", "Hello there", "mistral")


def test_wrapped_functions(run: Run, house: Tasktap) -> None:
    run("wraps", house.run["desk"])
    tasks = soon(lambda: items if len(items := house.get("/api/tasks?project_id=wraps")["items"]) == 5 else None)
    outputs = sorted(task["output"] for task in tasks)
    assert outputs == ["Hello there!", "Hello there!", 'look({"q":1})', "the answer", "the answer"]
    assert {task["input"] for task in tasks} == {"Explain quantum computers."}
    assert {task["system_prompt"] for task in tasks} == {"You are a helpful assistant."}
    whole = next(task for task in tasks if task["metadata"].get("more") == "details")
    assert (figures(whole), whole["metadata"]["temperature"]) == (REQUEST, 0.2)
    assert not any({"messages", "stream", "raw_input"} & set(task["metadata"]) for task in tasks)


def test_feedback_before_and_after_its_task(run: Run, house: Tasktap) -> None:
    run("feedback", house.run["desk"])
    task = soon(lambda: found if len((found := house.task("f-1"))["feedback"]) == 2 else None)
    said = [(one["flag"], one["comment"], one["source"]) for one in task["feedback"]]
    assert (said, task["flag"]) == ([("success", "early", "user"), ("failure", "late", "user")], "failure")


def test_a_batch_of_five_is_in_order(run: Run, house: Tasktap) -> None:
    ids = run("batch", house.run["desk"])
    kept = [house.task(id) for id in ids]
    assert [task["output"] for task in kept] == [f"a{n}" for n in range(5)]
    in_order = [task["id"] for task in house.get("/api/sessions/batch?limit=500")["tasks"] if task["id"] in ids]
    assert in_order == ids, "its times are whole seconds: what came first is first"


def test_the_same_task_twice_with_and_without_a_flush(run: Run, house: Tasktap) -> None:
    run("twice", house.run["desk"])
    later = soon(lambda: found if (found := house.task("same-2"))["output"] == "b2" else None)
    assert house.task("same-1")["output"] == "a1a2", "the client itself joins what has not left yet"
    assert {name: later["metadata"][name] for name in ("a", "b")} == {"a": 1, "b": 2}
    assert len(house.get("/api/tasks?project_id=twice")["items"]) == 2


def test_a_batch_of_megabytes(run: Run, house: Tasktap) -> None:
    run("large", house.run["desk"])
    task = house.task("large-1")
    assert (len(task["input"]), len(task["output"])) == (1_500_000, 700_000)


def test_odd_values(run: Run, house: Tasktap) -> None:
    run("odd", house.run["desk"])
    first = house.task("odd-1")
    assert (first["session_id"], first["user_id"], first["metadata"]) == ("5", "7", {"version_id": "3"})
    assert house.task("odd-2")["input"] == "half \ufffd"
    assert house.task("odd-3")["metadata"]["flag"] == "perhaps"
    assert house.task("odd-4")["input"] == "3"
    backfilled = house.task("odd-5")
    assert backfilled["created_at"] == "2023-11-14T22:13:20.000000Z"
    assert (backfilled["metadata"]["environment"], backfilled["metadata"]["test_id"]) == ("staging", "t")


def test_what_is_logged_last_is_sent_at_exit(run: Run, house: Tasktap) -> None:
    run("at_exit", house.run["desk"])
    assert house.task("exit-1")["output"] == "bye"


def test_steps_are_tasks_nested_under_their_task(run: Run, house: Tasktap) -> None:
    run("steps", house.run["desk"])
    tasks = {task["id"]: task for task in of(house, "stepped", 2)}
    [step] = [task for id, task in tasks.items() if id != "st-1"]
    assert (step["kind"], step["name"], step["input"], step["output"], step["parent_task_id"]) == (
        "step",
        "call",
        "i",
        "o",
        "st-1",
    )
    assert step["metadata"]["attributes"]["gen_ai.n"] == 3


def test_spans_of_a_tracer_belong_to_its_task(run: Run, house: Tasktap) -> None:
    run("traced", house.run["desk"])

    def look() -> dict[str, Any] | None:
        found = [task for task in house.get("/api/tasks")["items"] if task["kind"] == "step" and task["name"] == "look"]
        return found[0] if found else None

    step = soon(look)
    assert (step["parent_task_id"], step["session_id"], step["model_requested"]) == ("tr-1", "traced", "gpt-x")
    assert step["usage"]["input_tokens"] == 5


def test_tables_come_and_go(run: Run, house: Tasktap) -> None:
    given = run("tables", house.run["desk"])
    assert (given["count"], given["flag"]) == (3, "failure")
    assert {"task_id", "task_input", "task_output", "task_metadata", "task_metadata.n", "session_length"} <= set(given["columns"])
    for n in range(3):
        task = house.task(f"df-{n}")
        assert (task["flag"], task["metadata"]["n"], task["metadata"]["more"]) == ("failure", n, "yes")
        assert (task["input"], len(task["feedback"])) == (f"q{n}", 1), "what did not change is not said again"


def test_tasks_sessions_and_the_project_are_read(run: Run, house: Tasktap) -> None:
    given = run("reads", house.run["desk"])
    task = given["task"]
    assert (task["input"], task["flag"], task["notes"], task["data"]) == ("q", "failure", "n", {"d": 2})
    assert {name: task["metadata"][name] for name in ("x", "version_id", "user_id")} == {
        "x": 1,
        "version_id": "v7",
        "user_id": "ru",
    }
    made = given["made"]
    assert (made["input"], made["additional_input"], made["session_id"], made["project_id"]) == ("i", {"k": 1}, "rs", "reads")
    assert given["all"] == given["fetched"] == sorted([made["id"], "r-1", "r-2"])
    assert given["sessions"] == ["rs"]
    assert (given["session"]["session_length"], given["new session"]["session_length"]) == (3, 0)
    assert given["of session"] == ["r-1", "r-2", made["id"]]
    assert given["project"] == "reads"


def test_a_backtest_runs_over_what_was_logged(run: Run, house: Tasktap) -> None:
    run("backtest", house.run["desk"])
    assert house.task("bt-new")["input"] == "seen before"


def test_the_langchain_handler(run: Run, house: Tasktap) -> None:
    run("langchain", house.run["desk"])
    [task] = of(house, "chain")
    assert "words" in task["input"]
    assert "chained words" in task["output"]


@pytest.mark.parametrize("behind", ["/", "/phospho", "/phospho/", "/v2"])
def test_any_base_url_leads_here(run: Run, house: Tasktap, behind: str) -> None:
    ids = run("batch", house.run["desk"] + behind)
    assert [house.task(id)["output"] for id in ids] == [f"a{n}" for n in range(5)]


def test_what_is_refused_three_times_with_503_is_sent_again_and_kept_once(run: Run, house: Tasktap) -> None:
    """A door before ours that says 503 to the first three posts, as ours does when its disk is full."""
    refusals, passed = [0], [0]
    door = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                caller, _ = door.accept()
            except OSError:
                return
            with caller:
                _one(caller)

    def _one(caller: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := caller.recv(65536)):
                return  # whoever came only to end this: to read on would be to read nothing for ever
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        while len(body) < length and (more := caller.recv(65536)):
            body += more
        if refusals[0] < 3:
            refusals[0] += 1
            caller.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            return
        passed[0] += 1
        path = head.split()[1].decode()
        status, answer = send(house.run["desk"] + path, body)
        text = json.dumps(answer).encode()
        caller.sendall(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(text), text))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        ids = run("patient", f"http://127.0.0.1:{door.getsockname()[1]}")
    finally:
        stop.set()
        with socket.create_connection(door.getsockname()) as last:
            last.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n") if passed[0] == 0 else last.close()
        door.close()
        thread.join(PATIENCE)
    assert not thread.is_alive(), "it would take a core from every test that comes after"
    assert (refusals[0], passed[0] >= 1) == (3, True)
    assert [task["id"] for task in of(house, "patient", 3)] == ids


def test_a_key_that_the_desk_wants_is_the_clients_key(python: Path, tmp_path: Path) -> None:
    with serving(tmp_path, '[desk]\nkey = "k"\n') as house:
        command = [str(python), str(APP), "log_openai", house.run["desk"]]
        subprocess.run(command, env=clean_environment(), check=True, timeout=SECONDS, capture_output=True)
        status, _ = send(f"{house.run['desk']}/v2/tasks/task-1", {}, Authorization="Bearer k")
        assert status == 200
        assert send(f"{house.run['desk']}/v2/log/app", {"batched_log_events": []}, Authorization="Bearer wrong")[0] == 401


@pytest.mark.parametrize("behind", ["/v0", "/v2", "//v2"])
def test_the_package_for_node(behind: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("node")
    shutil.copy(APP.with_suffix(".mjs"), place)
    (place / "node_modules").symlink_to(piece("phosphojs") / "node_modules")
    with serving(tmp_path) as house:
        jobs = [json.dumps([["hi", "yo"], ["only this", None]]), json.dumps([["long " * 10_000, {"not": "text"}]])]
        answers = []
        for each in jobs:
            command = ["node", "phospho_app.mjs", house.run["desk"] + behind, "node", each]
            ran = subprocess.run(command, cwd=place, env=clean_environment(), capture_output=True, text=True, timeout=SECONDS)
            assert ran.returncode == 0, ran.stderr[-2000:]
            answers += json.loads(ran.stdout)
        tasks = [house.task(answer["logged_events"][0]["task_id"]) for answer in answers]
    assert [(task["input"][:5], task["output"], task["project_id"]) for task in tasks] == [
        ("hi", "yo", "node"), ("only ", None, "node"), ("long ", '{"not":"text"}', "node"),
    ]  # fmt: skip
