"""What `[redact]` names is nowhere in what is written, streams included; the wire is as it ever was."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.intake.talk import log, send
from tests.proc import Tasktap, files, serving, soon
from tests.relay.caller import Caller, chat, once, request
from tests.relay.test_realtime import Upstream as RealtimeUpstream
from tests.relay.test_realtime import dial, item, reply, say, tasks, until
from tests.relay.test_secrets import found, written
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event, hang, ok

EMAIL, CARD, TICKET = "ada.lovelace@example.com", "4111 1111 1111 1111", "TCK-123456"
SAID = f"Write to {EMAIL}, pay with {CARD}, see {TICKET} for more"
CLEAN = "Write to [redacted:email], pay with [redacted:card], see [redacted:ticket] for more"
HIDDEN = [EMAIL.encode(), CARD.encode(), TICKET.encode(), b"123456", b"lovelace", b"1111 1111"]
BODY = json.dumps({"model": "m-1", "messages": [{"role": "user", "content": SAID}], "secret_plan": {"a": "plan nine"}}).encode()
ANSWER = json.dumps(
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}]}
).encode()


@pytest.fixture(scope="module")
def the_upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def upstream(the_upstream: Upstream) -> Iterator[Upstream]:
    yield the_upstream
    the_upstream.check()


def config(upstream: Upstream) -> str:
    return f"""
        default_upstream = "main"
        [upstreams.main]
        url = "{upstream.url}"
        [redact]
        patterns = ["email", "card"]
        own = ["ticket=TCK-[0-9]{{6}}"]
        paths = ["$.secret_plan"]
        projects = ["open=none", "mail=email"]
    """


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, the_upstream: Upstream) -> Iterator[Tasktap]:
    with serving(tmp_path_factory.mktemp("redacting"), config(the_upstream)) as house:
        yield house


def in_journal(house: Tasktap, text: bytes) -> None:
    """Wait until this is there."""
    soon(lambda: any(text in data for data in files(house.data / "journal").values()), what=repr(text))


def kept(house: Tasktap, upstream: Upstream, answer: bytes, *fields: bytes) -> dict[str, Any]:
    tape = upstream.play(answer)
    got = once(house.calls, chat(*fields, body=BODY))
    assert tape.body.data == BODY
    return house.task(got.id)


def streamed(size: int) -> bytes:
    parts = [SAID[at : at + size] for at in range(0, len(SAID), size)]
    return STREAM_HEAD + b"".join(chunk(event(part)) for part in parts) + chunk(DONE) + b"0\r\n\r\n"


def test_patterns_and_paths_go_out_of_both_bodies_and_the_wire_keeps_them(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(ANSWER))
    got = once(house.calls, chat(body=BODY))
    assert got.body.data == ANSWER
    task = house.task(got.id)
    assert (task["input"], task["output"]) == (CLEAN, CLEAN)
    assert task["raw_input"]["secret_plan"] == "[redacted:path]"
    assert task["redactions"] == ["request.body", "response.body"]
    assert task["problems"] == []
    house.quiet()
    assert found([*HIDDEN, b"plan nine"], written(house)) == []


@pytest.mark.parametrize("size", [1, 3, 7, 200])
def test_a_stream_that_says_it_in_fragments_is_kept_without_it(house: Tasktap, upstream: Upstream, size: int) -> None:
    task = kept(house, upstream, streamed(size))
    assert task["output"] == CLEAN
    assert (task["ending"], task["problems"], task["finish_reasons"]) == ("completed", [], task["finish_reasons"])
    raw = house.fetch(f"/api/tasks/{task['id']}/response")[1]
    assert raw.count(b"data: ") == streamed(size).count(b"data: ")
    assert raw.endswith(b"data: [DONE]\n\n")
    house.quiet()
    assert found(HIDDEN, written(house)) == []


def test_a_compressed_body_is_looked_through_too(house: Tasktap, upstream: Upstream) -> None:
    task = kept(house, upstream, ok(gzip.compress(ANSWER), b"Content-Encoding: gzip"))
    assert task["output"] == CLEAN
    house.quiet()
    assert found(HIDDEN, written(house)) == []


def test_a_body_that_comes_in_pieces_is_looked_through(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(ANSWER))
    pieces = [BODY[at : at + 11] for at in range(0, len(BODY), 11)]
    got = once(house.calls, request(b"POST", b"/v1/chat/completions", b"Content-Type: application/json", pieces=pieces))
    assert house.task(got.id)["input"] == CLEAN
    house.quiet()
    assert found([*HIDDEN, b"plan nine"], written(house)) == []


def test_a_project_may_have_other_rules_or_none(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path / "house", config(upstream)) as house:
        _other_rules(house, upstream)


def _other_rules(house: Tasktap, upstream: Upstream) -> None:
    task = kept(house, upstream, ok(ANSWER), b"X-Project-Id: open")
    assert (task["input"], task["redactions"]) == (SAID, [])
    task = kept(house, upstream, streamed(5), b"X-Project-Id: mail")
    assert task["output"] == SAID.replace(EMAIL, "[redacted:email]")


def test_nothing_of_it_is_in_the_journal_while_a_stream_is_under_way(house: Tasktap, upstream: Upstream) -> None:
    os.kill(house.pid("desk"), signal.SIGSTOP)
    try:
        text = f"marker-1 and {EMAIL} " + "and so on, " * 30 + "and grace@exam"  # an own pattern may reach 256 bytes
        parts = [text[at : at + 4] for at in range(0, len(text), 4)]
        tape = upstream.play(STREAM_HEAD, *(chunk(event(part)) for part in parts), hang)
        with Caller(house.calls) as caller:
            caller.send(chat(body=BODY))
            while event(parts[-1]) not in caller.wire.buffer:
                caller.wire.need()
            in_journal(house, b"mark")
            journal = list(files(house.data / "journal").items())
        tape.wait()
        assert found(HIDDEN, iter(journal)) == []
    finally:
        os.kill(house.pid("desk"), signal.SIGCONT)
    house.quiet()
    assert found(HIDDEN, written(house)) == []


def test_a_sealed_stream_is_not_kept_where_rules_hold(house: Tasktap, upstream: Upstream) -> None:
    """Bedrock's binary events: what is said in them is in base64 under checksums."""
    task = kept(house, upstream, ok(b"\0\0\0\x10binary", b"Content-Type: application/vnd.amazon.eventstream"))
    assert house.fetch(f"/api/tasks/{task['id']}/response") == (200, b"")
    assert "response.body" in task["redactions"]


def test_what_only_a_kill_leaves_of_a_stream_is_clean(tmp_path: Path, upstream: Upstream) -> None:
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n[redact]\npatterns = ["email"]\n'
    with serving(tmp_path / "house", config) as house:
        tape = upstream.play(STREAM_HEAD, chunk(event("it is ")), chunk(event("ada@ex")), chunk(event("ample.com")), hang)
        with Caller(house.calls) as caller:
            caller.send(chat(b"X-Task-Id: cut-1", body=BODY))
            while b"ample.com" not in caller.wire.buffer:
                caller.wire.need()
            in_journal(house, b"it is ")
            os.kill(house.pid("relay"), signal.SIGKILL)
        tape.wait()
        task = house.task("cut-1")
        assert (task["ending"], task["output"]) == ("proxy_died", "it is ")


def test_what_apps_log_and_say_is_kept_without_it(house: Tasktap) -> None:
    item = {
        "task_id": "logged-1",
        "input": SAID,
        "output": {"answer": [SAID, 4111111111111111]},
        "raw_input": {"secret_plan": {"a": "plan nine"}, "messages": [{"role": "user", "content": SAID}]},
        "metadata": {"who": EMAIL},
        "user_id": "u-7",
    }
    assert log(house, item)[0]["status"] != "rejected"
    status, _ = send(f"{house.run['desk']}/api/tasks/logged-1/feedback", {"flag": "success", "comment": f"ask {EMAIL}"})
    assert status < 300
    soon(lambda: house.task("logged-1")["feedback"])
    task = house.task("logged-1")
    assert (task["input"], task["metadata"]["who"], task["user_id"]) == (CLEAN, "[redacted:email]", "u-7")
    assert task["raw_input"]["secret_plan"] == "[redacted:path]"
    assert task["feedback"][0]["comment"] == "ask [redacted:email]"
    house.quiet()
    assert found([*HIDDEN, b"plan nine"], written(house)) == []


def test_what_is_said_on_a_websocket_is_kept_without_it(tmp_path: Path) -> None:
    upstream = RealtimeUpstream()

    def model(connection: Any) -> None:
        for message in connection:
            if json.loads(message)["type"] == "response.create":
                reply(connection, 1, f"it is {EMAIL} or so")

    upstream.model = model
    try:
        with serving(tmp_path / "house", config(upstream)) as house:  # type: ignore[arg-type]  # it has a url
            with dial(house, fields={"X-Session-Id": "spoken"}) as caller:
                say(caller, "conversation.item.create", item=item(SAID))
                say(caller, "response.create")
                heard = until(caller, "rate_limits.updated")
            assert EMAIL in json.dumps(heard)
            (task,) = tasks(house, "spoken", 1)
            assert (task["input"], task["output"]) == (CLEAN, "it is [redacted:email] or so")
            assert set(task["redactions"]) == {"request.body", "response.body"}
            kept = house.fetch(f"/api/tasks/{task['id']}/response")[1]
            assert kept.count(b"audio_transcript.delta") == 5
            house.quiet()
            assert found([each for each in HIDDEN if each != b"123456"], written(house)) == []  # the sound has that in base64
    finally:
        upstream.server.shutdown()
