"""Realtime: a real WebSocket client and server on the two sides of a started tasktap, and a task for each response."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import signal
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from tests import upstream as plays
from tests.intake.talk import send
from tests.proc import Tasktap, alive, files, serving, soon
from tests.relay.caller import Caller, request

SOUND = b64encode(bytes(range(256)) * 3).decode()
KEY = "sk-realtime-canary-77aa31"
URL = "/v1/realtime?model=gpt-realtime"
Model = Callable[[ServerConnection], None]


def tell(connection: ServerConnection, kind: str, **more: Any) -> None:
    connection.send(json.dumps({"type": kind, "event_id": "event_1"} | more))


def reply(connection: ServerConnection, number: int, text: str, sounds: int = 3) -> None:
    """One response, spoken."""
    place = {"response_id": f"resp_{number}", "item_id": f"item_{number}", "output_index": 0, "content_index": 0}
    said = {"id": f"resp_{number}", "object": "realtime.response", "conversation_id": "conv_1"}
    item = {"id": place["item_id"], "type": "message", "role": "assistant", "content": []}
    tell(connection, "response.created", response=said | {"status": "in_progress", "output": []})
    tell(connection, "response.output_item.added", **place, item=item)
    for word in text.split(" "):
        tell(connection, "response.output_audio_transcript.delta", **place, delta=word if text.startswith(word) else f" {word}")
    for _ in range(sounds):
        tell(connection, "response.output_audio.delta", **place, delta=SOUND)
    whole = item | {"content": [{"type": "output_audio", "transcript": text}]}
    usage = {"total_tokens": 3 * number, "input_tokens": 2 * number, "output_tokens": number}
    tell(connection, "response.done", response=said | {"status": "completed", "output": [whole], "usage": usage})
    tell(connection, "rate_limits.updated", rate_limits=[])


def polite(connection: ServerConnection) -> None:
    """A model that answers each `response.create` with what it was told last, in capitals."""
    tell(connection, "session.created", session={"id": "sess_1", "model": "gpt-realtime-9", "instructions": "Shout."})
    said, number = "", 0
    for message in connection:
        event = json.loads(message)
        if event["type"] == "conversation.item.create":
            said = event["item"]["content"][0]["text"]
        elif event["type"] == "response.create":
            number += 1
            reply(connection, number, said.upper())
        elif event["type"] == "input_audio_buffer.commit":
            tell(connection, "input_audio_buffer.committed", item_id=f"heard_{number}")
            done = "conversation.item.input_audio_transcription.completed"
            tell(connection, done, item_id=f"heard_{number}", transcript="spoken words", usage={"type": "duration", "seconds": 1})


class Upstream:
    """A WebSocket server that speaks as `model` does."""

    def __init__(self) -> None:
        self.model: Model = polite
        self.heads: list[Any] = []
        self.server: Server = serve(self._serve, "127.0.0.1", 0, max_size=None)
        self.url = f"http://127.0.0.1:{self.server.socket.getsockname()[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _serve(self, connection: ServerConnection) -> None:
        self.heads.append(connection.request)
        with contextlib.suppress(ConnectionClosed):
            self.model(connection)


@pytest.fixture(scope="module")
def the_upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.server.shutdown()


@pytest.fixture
def upstream(the_upstream: Upstream) -> Upstream:
    the_upstream.model = polite
    return the_upstream


@pytest.fixture(scope="module")
def house(the_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasktap]:
    with serving(tmp_path_factory.mktemp("realtime"), config(the_upstream)) as running:
        yield running
        status = running.quiet()
        assert status["lost"] == 0
        assert status["carried"] == status["stored"] + status["waiting"] + status["lost"]


@pytest.fixture(scope="module")
def small(the_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasktap]:
    """One that keeps little of a body."""
    with serving(tmp_path_factory.mktemp("small"), config(the_upstream, "[capture]\nmax_body = 20000\n")) as running:
        yield running


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tasktap, plays.Upstream]]:
    """One whose upstream says what is played, WebSocket or not."""
    upstream = plays.Upstream()
    with serving(
        tmp_path_factory.mktemp("plain"), f'default_upstream = "raw"\n[upstreams.raw]\nurl = "{upstream.url}"\n'
    ) as running:
        yield running, upstream
    upstream.check()
    upstream.close()


def config(upstream: Upstream, more: str = "") -> str:
    return f'default_upstream = "main"\n{more}\n[upstreams.main]\nurl = "{upstream.url}"\n'


PATIENT = "[journal]\npatience_ms = 5000\n"
"""Nothing is delivered before it is journalled, however busy this machine is."""


def dial(house: Tasktap, url: str = URL, **more: Any) -> ClientConnection:
    fields = {"Authorization": f"Bearer {KEY}"} | more.pop("fields", {})
    host, port = house.calls
    return connect(f"ws://{host}:{port}{url}", additional_headers=fields, proxy=None, **more)


def say(connection: ClientConnection, kind: str, **more: Any) -> None:
    connection.send(json.dumps({"type": kind} | more))


def item(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def until(connection: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """What comes, up to the first event of a kind."""
    events = []
    while True:
        events.append(json.loads(connection.recv(timeout=10)))
        if events[-1]["type"] == kind:
            return events


def tasks(house: Tasktap, session: str, count: int) -> list[dict[str, Any]]:
    """The tasks of a session, whole, oldest first, once there are so many."""

    def look() -> list[dict[str, Any]] | None:
        status, body = house.fetch(f"/api/tasks?session_id={session}")
        items: list[dict[str, Any]] = json.loads(body)["items"] if status == 200 else []
        return items if len(items) >= count else None

    found = soon(look, what=f"{count} tasks of {session}")
    assert len(found) == count
    return [house.task(each["id"]) for each in reversed(found)]


@pytest.mark.parametrize("compression", ["deflate", None])
def test_each_response_is_a_task_while_the_connection_goes_on(
    house: Tasktap, upstream: Upstream, compression: str | None
) -> None:
    session = f"talk-{compression}"
    with dial(house, fields={"X-Session-Id": session, "X-User-Id": "ada"}, compression=compression) as caller:
        extensions = caller.response.headers.get("Sec-WebSocket-Extensions", "") if caller.response else ""
        assert ("permessage-deflate" in extensions) is (compression is not None)
        first_id = caller.response.headers["X-Task-Id"] if caller.response else ""
        for number, words in enumerate(["good day", "and good night"], 1):
            say(caller, "conversation.item.create", item=item(words))
            say(caller, "response.create")
            until(caller, "rate_limits.updated")
            found = tasks(house, session, number)  # the connection is still open
            assert (found[-1]["input"], found[-1]["output"]) == (words, words.upper())
    found = tasks(house, session, 2)
    assert found[0]["id"] == first_id
    for number, task in enumerate(found, 1):
        assert (task["kind"], task["ending"], task["http_status"], task["stream"]) == ("realtime", "completed", 101, True)
        assert (task["session_source"], task["user_id"], task["problems"], task["redactions"]) == ("header", "ada", [], [])
        assert (task["model_requested"], task["model"], task["system_prompt"]) == ("gpt-realtime", "gpt-realtime-9", "Shout.")
        assert (task["response_id"], task["finish_reasons"]) == (f"resp_{number}", ["completed"])
        assert (task["usage"]["input_tokens"], task["usage"]["output_tokens"]) == (2 * number, number)
        assert task["raw_output"]["output"][0]["content"][0]["audio"] == {"bytes": 3 * 768}
        assert 0 <= task["seconds_to_first_token"] <= task["seconds_total"] < 60
    assert found[0]["created_at"] <= found[0]["ended_at"] <= found[1]["created_at"]
    _, body = house.fetch(f"/api/tasks/{first_id}/response")
    assert body.count(b"response.output_audio.delta") == 3  # plain frames, sound and all
    assert len(body) == found[0]["response_size"] or compression


def test_without_a_label_what_was_said_on_one_connection_is_one_session(house: Tasktap, upstream: Upstream) -> None:
    with dial(house) as caller:
        id = caller.response.headers["X-Task-Id"] if caller.response else ""
        for _ in range(3):
            say(caller, "input_audio_buffer.append", audio=SOUND)
            say(caller, "input_audio_buffer.commit")
            say(caller, "response.create")
            until(caller, "rate_limits.updated")
    found = tasks(house, f"auto-{id}", 3)
    assert {(task["session_source"], task["input"]) for task in found} == {("inferred", "spoken words")}


def test_what_was_said_is_read_again_as_it_was(house: Tasktap, upstream: Upstream) -> None:
    with dial(house, fields={"X-Session-Id": "again"}) as caller:
        for words in ("good day", "and good night"):
            say(caller, "conversation.item.create", item=item(words))
            say(caller, "response.create")
            until(caller, "rate_limits.updated")
    tasks(house, "again", 2)
    status, done = send(f"{house.run['desk']}/api/reread", {"session_id": "again"})
    assert (status, done["read"], done["changed"], done["skipped"], done["fields"]) == (200, 2, 0, 0, {})


def test_an_open_microphone_does_not_cut_off_what_comes_behind_a_response(house: Tasktap, upstream: Upstream) -> None:
    said_all = threading.Event()

    def late(connection: ServerConnection) -> None:
        connection.recv()
        tell(connection, "input_audio_buffer.committed", item_id="heard")
        reply(connection, 1, "fine")
        connection.recv()  # the next sound is here already
        done = "conversation.item.input_audio_transcription.completed"
        tell(connection, done, item_id="heard", transcript="spoken words")
        assert said_all.wait(10)

    upstream.model = late
    with dial(house, fields={"X-Session-Id": "microphone"}) as caller:
        say(caller, "input_audio_buffer.append", audio=SOUND)
        until(caller, "response.done")
        say(caller, "input_audio_buffer.append", audio=SOUND)
        until(caller, "conversation.item.input_audio_transcription.completed")
        [task] = tasks(house, "microphone", 1)
        said_all.set()
    assert (task["input"], task["output"]) == ("spoken words", "fine")


def test_a_connection_without_a_response_is_one_task(house: Tasktap, upstream: Upstream) -> None:
    with dial(house) as caller:
        until(caller, "session.created")
        id = caller.response.headers["X-Task-Id"] if caller.response else ""
    task = house.task(id)
    assert (task["ending"], task["output"], task["usage"], task["problems"]) == ("completed", None, None, [])
    assert tasks(house, f"auto-{id}", 1)


def test_a_caller_that_leaves_in_a_response_left_it(house: Tasktap, upstream: Upstream) -> None:
    def endless(connection: ServerConnection) -> None:
        tell(connection, "response.created", response={"id": "resp_1", "status": "in_progress", "output": []})
        place = {"response_id": "resp_1", "item_id": "i", "output_index": 0, "content_index": 0}
        tell(connection, "response.output_text.delta", **place, delta="Once upon")
        list(connection)

    upstream.model = endless
    with dial(house) as caller:
        until(caller, "response.output_text.delta")
        id = caller.response.headers["X-Task-Id"] if caller.response else ""
    task = house.task(id)
    assert (task["ending"], task["output"], task["finish_reasons"]) == ("caller_left", "Once upon", [None])


def test_an_upstream_that_breaks_off_in_a_response_broke_it(house: Tasktap, upstream: Upstream) -> None:
    def fragile(connection: ServerConnection) -> None:
        connection.recv()
        tell(connection, "response.created", response={"id": "resp_1", "status": "in_progress", "output": []})
        connection.close(1011, "overloaded")

    upstream.model = fragile
    with dial(house) as caller:
        id = caller.response.headers["X-Task-Id"] if caller.response else ""
        say(caller, "response.create")
        with pytest.raises(ConnectionClosed):
            until(caller, "response.done")
        assert caller.protocol.close_rcvd is not None
        assert (caller.protocol.close_rcvd.code, caller.protocol.close_rcvd.reason) == (1011, "overloaded")
    assert house.task(id)["ending"] == "upstream_broke"


@pytest.mark.parametrize("compression", ["deflate", None])
def test_no_secret_that_is_said_on_a_connection_is_written(house: Tasktap, upstream: Upstream, compression: str | None) -> None:
    """What a caller sends is masked, and may be compressed: searched as bytes, it would hide them."""
    inner = "sk-inner-canary-5e11f0"
    tool = {"type": "mcp", "server_label": "s", "authorization": inner}

    def echo(connection: ServerConnection) -> None:
        connection.recv()
        tell(connection, "session.updated", session={"tools": [tool], "note": f"you came with {KEY}"})
        reply(connection, 1, "fine")

    upstream.model = echo
    with dial(house, compression=compression) as caller:
        id = caller.response.headers["X-Task-Id"] if caller.response else ""
        say(caller, "session.update", session={"tools": [tool], "instructions": f"use {KEY}"})
        events = until(caller, "response.done")
        assert events[0]["session"]["tools"][0]["authorization"] == inner  # the caller's bytes are as they were
    task = house.task(id)
    assert sorted(task["redactions"]) == ["request.body", "response.body"]
    assert task["output"] == "fine"
    assert not [name for name, data in files(house.data).items() if KEY.encode() in data or inner.encode() in data]
    for which in ("request", "response"):
        kept = house.fetch(f"/api/tasks/{id}/{which}")[1]
        assert b"[redacted]" in kept
        assert KEY.encode() not in kept
        assert inner.encode() not in kept


def test_what_a_caller_wants_kept_private_is_not_kept_of_a_connection_either(house: Tasktap, upstream: Upstream) -> None:
    with dial(house, fields={"X-Session-Id": "private", "X-Task-Privacy": "metadata-only"}) as caller:
        for _ in range(2):
            say(caller, "conversation.item.create", item=item("a private canary"))
            say(caller, "response.create")
            until(caller, "response.done")
    for task in tasks(house, "private", 2):
        assert (task["kind"], task["ending"], task["input"], task["output"]) == ("realtime", "completed", None, None)
        assert sorted(task["redactions"]) == ["request.body", "response.body"]
    assert not [name for name, data in files(house.data).items() if b"private canary" in data.lower()]


def test_sound_leaves_room_for_what_is_said(small: Tasktap, upstream: Upstream) -> None:
    upstream.model = lambda connection: reply(connection, 1, "after much noise", sounds=200)
    with dial(small, compression=None) as caller:
        id = caller.response.headers["X-Task-Id"] if caller.response else ""
        assert len(until(caller, "response.done")) > 200
    task = small.task(id)
    assert task["output"] == "after much noise"
    assert task["problems"] == ["response body: not all that was said was kept"]
    assert len(small.fetch(f"/api/tasks/{id}/response")[1]) < 20_000
    assert task["response_size"] > 200_000


def test_a_response_that_was_delivered_survives_a_kill(upstream: Upstream, tmp_path: Path) -> None:
    with serving(tmp_path, config(upstream, PATIENT), clean_exit=False) as house:
        for number in range(5):
            relay = house.pid("relay")
            with dial(house, fields={"X-Session-Id": f"killed-{number}"}) as caller:
                for words in ("one", "two"):
                    say(caller, "conversation.item.create", item=item(words))
                    say(caller, "response.create")
                    until(caller, "response.done")
                os.kill(relay, signal.SIGKILL)
            house.successor("relay", relay)
            found = tasks(house, f"killed-{number}", 2)
            assert [(task["output"], task["ending"]) for task in found] == [("ONE", "completed"), ("TWO", "completed")]
            assert not alive(relay)


def test_a_response_that_a_kill_cut_off_is_kept_as_far_as_it_came(upstream: Upstream, tmp_path: Path) -> None:
    def half(connection: ServerConnection) -> None:
        polite_one = {"response_id": "resp_1", "item_id": "i", "output_index": 0, "content_index": 0}
        connection.recv()
        tell(connection, "response.created", response={"id": "resp_1", "status": "in_progress", "output": []})
        tell(connection, "response.output_text.delta", **polite_one, delta="Once upon")
        list(connection)

    upstream.model = half
    with serving(tmp_path, config(upstream), clean_exit=False) as house:
        relay = house.pid("relay")
        with dial(house) as caller:
            id = caller.response.headers["X-Task-Id"] if caller.response else ""
            say(caller, "response.create")
            until(caller, "response.output_text.delta")
            soon(lambda: any(b"Once upon" in data for data in files(house.data / "journal").values()))
            os.kill(relay, signal.SIGKILL)
        house.successor("relay", relay)
        task = house.task(id)
    assert (task["ending"], task["output"], task["usage"]) == ("proxy_died", "Once upon", None)


def test_what_is_no_websocket_is_carried_and_the_task_says_that_it_was_not_kept(plain: tuple[Tasktap, plays.Upstream]) -> None:
    house, raw = plain
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    raw.play(switch, plays.echo)
    fields = (
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    with Caller(house.calls) as caller:
        answer = caller.send(request(b"GET", b"/v1/realtime", *fields)).answer(b"GET")
        caller.send(b"\x81\x02hi" + b"GET / HTTP/1.1\r\n\r\n")
        assert caller.wire.exactly(22) == b"\x81\x02hiGET / HTTP/1.1\r\n\r\n"
    task = house.task(answer.id)
    assert task["problems"] == [
        "of what the caller says from here on nothing is kept: what came is no WebSocket frame",
        "of what the upstream says from here on nothing is kept: what came is no WebSocket frame",
        "messages that are not JSON objects: 2",
    ]
    assert (task["request_size"], task["response_size"]) == (22, 22)
    assert house.fetch(f"/api/tasks/{task['id']}/request")[1] == b"\x81\x02hi"
    raw.check()


def test_messages_of_any_size_pass_as_they_are_and_in_order(house: Tasktap, upstream: Upstream) -> None:
    def mirror(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    upstream.model = mirror
    sizes = [0, 1, 125, 126, 65535, 65536, 1 << 20, 3 << 20]
    with dial(house, max_size=None, compression=None) as caller:
        id = caller.response.headers["X-Task-Id"] if caller.response else ""
        for size in sizes:
            for message in ("x" * size, b"\xff" * size):
                caller.send(message)
                assert caller.recv(timeout=20) == message
        caller.send(["in ", "three ", "pieces"])
        assert caller.recv(timeout=10) == "in three pieces"
        assert caller.ping().wait(10)
    task = house.task(id)
    assert task["ending"] == "completed"
    assert task["request_size"] > 2 * sum(sizes)


async def test_the_sdk_talks_through_it_and_each_response_is_what_it_saw(house: Tasktap, upstream: Upstream) -> None:
    sdk = openai.AsyncOpenAI(api_key=KEY, base_url=f"{house.run['calls']}/v1")
    heard: list[tuple[str, Any]] = []
    async with sdk.realtime.connect(model="gpt-realtime", extra_headers={"X-Session-Id": "sdk"}) as connection:
        for words in ("hello", "once more"):
            await connection.conversation.item.create(item=item(words))  # type: ignore[arg-type]
            await connection.response.create()
            async for event in connection:
                if event.type == "response.done":
                    heard.append((words, event.response.model_dump(exclude_unset=True)))
                    break
    found = await asyncio.to_thread(tasks, house, "sdk", 2)
    for (words, response), task in zip(heard, found, strict=True):
        assert task["input"] == words
        assert task["output"] == response["output"][0]["content"][0]["transcript"]
        assert task["usage"]["total_tokens"] == response["usage"]["total_tokens"]
        assert task["response_id"] == response["id"]


def interpreter(connection: ServerConnection) -> None:
    """A model that says all that it hears in capitals."""
    tell(connection, "session.created", session={"id": "sess_2", "type": "translation", "model": "gpt-realtime-translate"})
    for message in connection:
        event = json.loads(message)
        if event["type"] == "session.close":
            tell(connection, "session.closed")
            return
        tell(connection, "session.input_transcript.delta", delta="good day ")
        tell(connection, "session.output_audio.delta", delta=SOUND)
        tell(connection, "session.output_transcript.delta", delta="GOOD DAY ")


async def test_what_the_sdk_has_translated_is_one_task(house: Tasktap, upstream: Upstream) -> None:
    upstream.model = interpreter
    sdk = openai.AsyncOpenAI(api_key=KEY, base_url=f"{house.run['calls']}/v1")
    label = {"X-Session-Id": "interpreted"}
    async with sdk.realtime.translations.connect(model="gpt-realtime-translate", extra_headers=label) as connection:
        for _ in range(2):
            await connection.session.input_audio_buffer.append(audio=SOUND)
        await connection.session.close()
        heard = [event.type async for event in connection]
    [task] = await asyncio.to_thread(tasks, house, "interpreted", 1)

    assert heard.count("session.output_transcript.delta") == 2
    assert (task["input"], task["output"]) == ("good day good day ", "GOOD DAY GOOD DAY ")
    assert (task["kind"], task["ending"], task["model"], task["problems"]) == (
        *("realtime", "completed", "gpt-realtime-translate"),
        [],
    )
    assert task["seconds_to_first_token"] > 0


def test_sound_that_is_to_be_translated_leaves_room_too(small: Tasktap, upstream: Upstream) -> None:
    upstream.model = interpreter
    with dial(small, "/v1/realtime/translations?model=m", compression=None) as caller:
        id = caller.response.headers["X-Task-Id"] if caller.response else ""
        for _ in range(30):
            say(caller, "session.input_audio_buffer.append", audio=SOUND)
        say(caller, "session.close")
        until(caller, "session.closed")
    task = small.task(id)
    _, kept = small.fetch(f"/api/tasks/{id}/request")
    assert b'"session.close"' in kept
    assert len(kept) < 11_000  # sound has half of the room
    assert task["output"] == "GOOD DAY " * 30


def typist(connection: ServerConnection) -> None:
    """The Responses API on a WebSocket."""
    for number, message in enumerate(connection, 1):
        asked = json.loads(message)
        whole = {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": 1,
            "model": "gpt-9",
            "output": [],
            "status": "in_progress",
        }
        tell(connection, "response.created", response=whole, sequence_number=0)
        place = {"item_id": "m", "output_index": 0, "content_index": 0, "logprobs": []}
        tell(connection, "response.output_text.delta", **place, delta=asked["input"].upper(), sequence_number=1)
        text = {"type": "output_text", "text": asked["input"].upper(), "annotations": []}
        output = [{"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [text]}]
        usage = {"input_tokens": 5, "output_tokens": number, "total_tokens": 5 + number}
        done = whole | {"status": "completed", "output": output, "usage": usage}
        tell(connection, "response.completed", response=done, sequence_number=2)


def test_the_responses_api_on_a_websocket_is_read_like_the_one_on_http(house: Tasktap, upstream: Upstream) -> None:
    upstream.model = typist
    with dial(house, "/v1/responses", fields={"X-Session-Id": "typed"}) as caller:
        for words in ("first", "second"):
            say(caller, "response.create", model="gpt-9", input=words, instructions="Shout.")
            until(caller, "response.completed")
    found = tasks(house, "typed", 2)
    assert [(task["kind"], task["input"], task["output"]) for task in found] == [
        ("response", "first", "FIRST"),
        ("response", "second", "SECOND"),
    ]
    for number, task in enumerate(found, 1):
        assert (task["model"], task["model_requested"], task["system_prompt"]) == ("gpt-9", "gpt-9", "Shout.")
        assert (task["usage"]["output_tokens"], task["response_id"], task["ending"]) == (number, f"resp_{number}", "completed")
        assert task["raw_input"] == {"model": "gpt-9", "input": task["input"], "instructions": "Shout."}
        assert task["problems"] == []
        assert task["seconds_to_first_token"] is not None


@pytest.mark.parametrize("coding", [b"", b"gzip"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_key_that_is_handed_out_to_a_browser_is_not_written(
    plain: tuple[Tasktap, plays.Upstream], coding: bytes, pieces: int
) -> None:
    """`{"value": "ek_..."}`: no name says that this is a key."""
    house, raw = plain
    key = b"ek_68af296e8e408191a1120ab6383263c2"
    said = {
        "value": key.decode(),
        "expires_at": 1,
        "session": {"type": "realtime", "model": "gpt-realtime", "instructions": "Hush."},
    }
    body = gzip.compress(json.dumps(said).encode()) if coding else json.dumps(said).encode()
    size = -(-len(body) // pieces)
    lines = (b"Content-Encoding: " + coding,) if coding else ()
    raw.play(plays.chunked([body[at : at + size] for at in range(0, len(body), size)], *lines))
    with Caller(house.calls) as caller:
        asked = b'{"session": {"type": "realtime", "model": "gpt-realtime"}}'
        answer = caller.ask(request(b"POST", b"/v1/realtime/client_secrets", body=asked))
        assert answer.body.data == body
    task = house.task(answer.id)
    assert (task["kind"], task["model"], task["model_requested"]) == ("realtime", "gpt-realtime", "gpt-realtime")
    assert (task["system_prompt"], task["redactions"]) == ("Hush.", ["response.body"])
    assert task["raw_output"]["value"] == "[redacted]"
    assert not [name for name, data in files(house.data).items() if key in data]
    raw.check()
