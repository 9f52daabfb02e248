"""phospho's API without its package: the rules of the contract (`reference/phospho.md`, 3a) that need none, on every machine."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.intake.talk import send
from tests.proc import Tasktap, serving, soon


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasktap]:
    with serving(tmp_path_factory.mktemp("house"), '[desk]\nkey = "k"\n') as running:
        yield running


def post(house: Tasktap, path: str, body: Any, **fields: str) -> tuple[int, Any]:
    return send(house.run["desk"] + path, body, Authorization="Bearer k", **fields)


def task_of(house: Tasktap, id: str) -> Any:
    def look() -> Any:
        status, found = send(f"{house.run['desk']}/api/tasks/{id}", b"", "GET", Authorization="Bearer k")
        return found if status == 200 else None

    return soon(look, f"task {id}")


@pytest.mark.parametrize("path", ["/v2", "//v2", "/v2/v2", "/v0", "/phospho/v2", "/a/b//v2"])
def test_the_log_path_is_found_behind_any_base_url_and_never_redirected(house: Tasktap, path: str) -> None:
    id = "m1" + path.replace("/", "-")
    status, answer = post(house, f"{path}/log/anything", {"batched_log_events": [{"task_id": id, "input": "q"}]})
    assert (status, [each["task_id"] for each in answer["logged_events"]]) == (200, [id])
    assert task_of(house, id)["project_id"] == "anything"


def test_each_event_of_a_batch_is_answered_in_its_place(house: Tasktap) -> None:
    events = [
        {"task_id": "m3-0", "input": "q", "session_id": "s"},
        None,
        7,
        {"input": {"not": "text"}},
        {"task_id": "m3-4", "input": None},
    ]
    status, answer = post(house, "/v2/log/p", {"batched_log_events": events})
    assert (status, len(answer["logged_events"])) == (200, 5)
    assert (answer["logged_events"][0]["task_id"], answer["logged_events"][0]["session_id"]) == ("m3-0", "s")
    assert task_of(house, answer["logged_events"][3]["task_id"])["input"] == '{"not":"text"}'
    assert task_of(house, "m3-4")["input"] == ""


@pytest.mark.parametrize(
    "body",
    [{}, {"batched_log_events": None}, {"batched_log_events": {"input": "one"}}, [], [{"input": "bare"}], {"other": 1}, b""],
)
def test_a_body_of_another_shape_is_no_error(house: Tasktap, body: Any) -> None:
    assert post(house, "/v2/log/p", body)[0] == 200


def test_a_disk_that_takes_nothing_is_a_503_that_the_client_waits_for(tmp_path: Any) -> None:
    with serving(tmp_path, _TASKTAP_FAULT="journal.write:*:eio") as house:
        for path in ("/v2/log/p", "/v2/tasks/t/human-eval"):
            body = {"batched_log_events": [{"input": "x"}], "human_eval": "success"}
            assert send(house.run["desk"] + path, body)[0] == 503


def test_only_a_wrong_key_is_refused_and_the_health_needs_none(house: Tasktap) -> None:
    assert send(f"{house.run['desk']}/v2/log/p", {"batched_log_events": []}, Authorization="Bearer wrong")[0] == 401
    for path in ("/v2/health", "/health"):
        assert send(house.run["desk"] + path, b"", "GET") == (200, {"status": "ok"})


def field(number: int, value: bytes | int) -> bytes:
    """One field of protobuf: bytes, or eight of them for a time."""
    if isinstance(value, int):
        return bytes([number << 3 | 1]) + struct.pack("<Q", value)
    length, size = b"", len(value)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def pair(name: str, value: str) -> bytes:
    return field(9, field(1, name.encode()) + field(2, field(1, value.encode())))


@pytest.mark.parametrize("packed", [False, True])
def test_a_span_before_its_task_is_a_part_of_it_and_in_its_session(house: Tasktap, packed: bool) -> None:
    id = f"s18-{packed}"
    span = field(1, bytes(15) + bytes([packed])) + field(2, b"\1" * 8) + field(5, b"look up") + field(7, 1_700_000_000 * 10**9)
    span += field(8, 1_700_000_001 * 10**9) + pair("phospho.task_id", id) + pair("gen_ai.input", "q") + pair("gen_ai.output", "a")
    body = field(1, field(2, field(2, span)))
    fields = {"Content_Type": "application/x-protobuf", **({"Content_Encoding": "gzip"} if packed else {})}
    assert post(house, "/v3/otl/p", gzip.compress(body) if packed else body, **fields)[0] == 200
    step = task_of(house, f"{'00' * 15}{int(packed):02x}-{'01' * 8}")
    assert (step["name"], step["kind"], step["input"], step["output"], step["parent_task_id"]) == (
        "look up",
        "step",
        "q",
        "a",
        id,
    )
    assert (step["seconds_total"], step["session_id"]) == (1.0, None)
    event = {"task_id": id, "input": "whole", "session_id": f"of-{packed}", "user_id": "ada"}
    assert post(house, "/v2/log/p", {"batched_log_events": [event]})[0] == 200
    step = soon(lambda: found if (found := task_of(house, step["id"]))["session_id"] else None)
    assert (step["session_id"], step["user_id"]) == (f"of-{packed}", "ada")


def test_what_is_no_protobuf_is_told(house: Tasktap) -> None:
    assert post(house, "/v3/otl/p", b"\xff" * 40, Content_Type="application/x-protobuf")[0] == 400
