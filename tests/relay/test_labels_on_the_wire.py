"""Task ids and label fields on the wire: given, ours, invalid, taken; taken off, passed on."""

from __future__ import annotations

import json
import re

import pytest

from tests.proc import Tasktap, serving
from tests.relay.caller import Caller, chat, once, request
from tests.upstream import Upstream, ok

UUID7 = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_an_answer_carries_an_id_of_ours_that_opens_the_task(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok())
    answer = once(house.calls, chat())
    assert UUID7.fullmatch(answer.id)
    assert house.task(answer.id)["id"] == answer.id.decode()


def test_two_calls_have_two_ids(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok())
    upstream.play(ok())
    with Caller(house.calls) as caller:
        assert caller.ask(chat()).id != caller.ask(chat()).id


@pytest.mark.parametrize("given", [b"my-task_1.2:3", b"x" * 128, b"0"])
def test_a_given_id_is_used_and_given_back(house: Tasktap, upstream: Upstream, given: bytes) -> None:
    tape = upstream.play(ok())
    answer = once(house.calls, chat(b"X-Task-Id: " + given))
    assert answer.id == given
    assert not tape.head.values(b"x-task-id")
    assert house.task(given)["ending"] == "completed"


@pytest.mark.parametrize("given", [b"x" * 129, b"with space", b"sl/ash", b"caf\xe9", b"", b"a,b", b"<b>", b"a\tb"])
def test_an_invalid_id_is_replaced_and_noted(house: Tasktap, upstream: Upstream, given: bytes) -> None:
    tape = upstream.play(ok())
    answer = once(house.calls, chat(b"X-Task-Id: " + given))
    assert UUID7.fullmatch(answer.id)
    assert not tape.head.values(b"x-task-id")
    problems = house.task(answer.id)["problems"]
    assert problems if given else True


def test_an_id_given_a_second_time_names_a_task_of_its_own_that_retries_the_first(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b'{"n":1}'))
    upstream.play(ok(b'{"n":2}'))
    once(house.calls, chat(b"X-Task-Id: twice-1", b"X-Session-Id: s-twice-1"))
    house.task("twice-1")
    answer = once(house.calls, chat(b"X-Task-Id: twice-1", b"X-Session-Id: s-twice-1"))
    assert answer.json == {"n": 2}
    retry = house.newest(session_id="s-twice-1", retry_of="twice-1")
    assert retry["id"] != "twice-1"
    assert house.fetch("/api/tasks/twice-1/response") == (200, b'{"n":1}')
    assert house.fetch(f"/api/tasks/{retry['id']}/response") == (200, b'{"n":2}')


def test_two_calls_with_one_id_at_once_are_two_tasks(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok())
    upstream.play(ok())
    same = chat(b"X-Task-Id: twice-2", b"X-Session-Id: s-twice-2")
    with Caller(house.calls) as one, Caller(house.calls) as two:
        one.send(same)
        two.send(same)
        one.answer()
        two.answer()
    house.newest(session_id="s-twice-2", retry_of="twice-2")
    assert len(house.get("/api/tasks?session_id=s-twice-2")["items"]) == 2


def test_an_upstreams_own_task_id_gives_way_to_ours(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b"{}", b"X-Task-Id: theirs", b"x-task-id: theirs-too"))
    answer = once(house.calls, chat(b"X-Task-Id: ours-1"))
    assert answer.id == b"ours-1"


OURS = [
    b"X-Session-Id: s-1",
    b"X-User-Id: u-1",
    b"X-Task-Id: labels-1",
    b"X-Project-Id: p-1",
    b"X-Task-Name: greet",
    b"X-Parent-Task-Id: parent-1",
    b"X-Session-Final: true",
    b'X-Task-Metadata: {"a": 1}',
    b"X-Metadata-Two-Words: b",
    b"x-mEtAdAtA-Three: c",
    b"X-Task-Privacy: none",
]


def test_label_fields_of_ours_are_taken_off_whatever_their_case(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok())
    shouted = [line.upper() if n % 2 else line for n, line in enumerate(OURS)]
    once(house.calls, chat(*shouted, b"X-Request-Id: stays"))
    assert [name.lower() for name, _ in tape.fields] == [b"host", b"content-type", b"x-request-id", b"content-length"]


def test_label_fields_of_ours_are_in_the_task(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok())
    lines = [line for line in OURS if not line.startswith((b"X-Task-Privacy", b"X-Task-Id"))]
    task = house.task(once(house.calls, chat(b"X-Task-Id: labels-2", *lines)).id)
    assert (task["session_id"], task["session_source"]) == ("s-1", "header")
    assert (task["user_id"], task["user_source"]) == ("u-1", "header")
    assert (task["project_id"], task["name"], task["parent_task_id"]) == ("p-1", "greet", "parent-1")
    assert task["metadata"] == {"a": 1, "two_words": "b", "three": "c"}


ALIASES = [
    b"Helicone-Session-Id: h-1",
    b"Helicone-User-Id: hu-1",
    b"x-litellm-session-id: l-1",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"baggage: session.id=b-1",
    b"X-Session-Affinity: a-1",
    b"X-OpenWebUI-User-Id: o-1",
    b"x-stainless-lang: python",
    b"OpenAI-Organization: org",
    b"Idempotency-Key: ik-1",
]


def test_aliases_of_others_are_passed_on(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(ok())
    once(house.calls, chat(*ALIASES))
    passed = [name + b": " + value for name, value in tape.fields]
    assert [line for line in ALIASES if line not in passed] == []


def test_aliases_can_be_stripped(tmp_path_factory: pytest.TempPathFactory) -> None:
    upstream = Upstream()
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n[labels]\nstrip_aliases = true\n'
    with serving(tmp_path_factory.mktemp("strip"), config) as house:
        tape = upstream.play(ok())
        answer = once(
            house.calls,
            chat(b"Helicone-Session-Id: h-1", b"Helicone-User-Id: hu-1", b"x-litellm-session-id: l-1", b"X-Other: stays"),
        )
        names = {name.lower() for name, _ in tape.fields}
        assert not names & {b"helicone-session-id", b"helicone-user-id", b"x-litellm-session-id"}
        assert b"x-other" in names
        task = house.task(answer.id)
        assert (task["session_source"], task["user_id"]) == ("alias", "hu-1")
    upstream.check()
    upstream.close()


@pytest.mark.parametrize(
    "line",
    [
        b"X-Session-Id: " + b"s" * 600,
        b"X-Task-Metadata: {not json",
        b"X-User-Id: caf\xe9 \xff",
        b"X-Task-Metadata: [1]",
        b"X-Session-Id:",
    ],
)
def test_a_bad_label_never_fails_a_call(house: Tasktap, upstream: Upstream, line: bytes) -> None:
    upstream.play(ok())
    answer = once(house.calls, chat(line))
    assert answer.status == 200
    task = house.task(answer.id)
    if b"\xe9" not in line and not line.endswith(b":"):
        assert task["problems"]


def test_a_control_character_in_a_label_never_reaches_the_upstream(house: Tasktap, upstream: Upstream) -> None:
    """Refused as malformed, or carried without the label and noted: both are safe."""
    tape = upstream.play(ok())
    answer = once(house.calls, chat(b"X-User-Id: a\x01b"))
    if answer.status == 400:
        upstream.tapes.get_nowait()
        upstream.all.remove(tape)
        return
    assert answer.status == 200
    assert not tape.head.values(b"x-user-id")
    assert house.task(answer.id)["problems"]


def test_odd_bytes_in_fields_do_not_harm_the_record(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b"{}", b"X-Odd: \xff\xfe"))
    answer = once(
        house.calls,
        request(b"POST", b"/v1/chat/completions", b"X-Odd: \x85admin\xa0", b"X-User-Id: \x85admin\xa0", body=b"\xff{"),
    )
    task = house.task(answer.id)
    assert task["ending"] == "completed"
    assert task["user_id"] != "admin"
    json.dumps(task)
