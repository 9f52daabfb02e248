"""`capture.inject_usage` on the wire: the upstream is asked, the task knows, and the caller sees nothing of it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.proc import Tasktap, serving
from tests.relay.caller import CHAT, CHAT_STREAM, Caller, chat, once, request
from tests.sockets import Body, Cut
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, chunked, event, fin, gate, ok

USAGE = b'data: {"id":"c-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}\n\n'
WITH = event("Hel") + event("lo", '"stop"') + USAGE + DONE
WITHOUT = event("Hel") + event("lo", '"stop"') + DONE
ASKED = CHAT_STREAM[:-1] + b',"stream_options":{"include_usage":true}}'
REFUSAL = ok(b'{"error":{"message":"unknown field stream_options"}}', status=b"400 Bad Request")


@contextmanager
def started(place: Path) -> Iterator[tuple[Tasktap, Upstream]]:
    """A tasktap that asks, and its upstream."""
    upstream = Upstream()
    config = f"""
        default_upstream = "main"
        [upstreams.main]
        url = "{upstream.url}"
        [upstreams.other]
        url = "{upstream.url}"
        [capture]
        inject_usage = true
    """
    with serving(place, config) as house:
        yield house, upstream
    upstream.close()


def well(house: Tasktap, upstream: Upstream) -> None:
    """All that was played was asked for, and nothing was lost."""
    status = house.quiet()
    assert (status["lost"], status["carried"]) == (0, status["stored"])
    upstream.check()


@pytest.fixture(scope="module")
def all_the_while(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tasktap, Upstream]]:
    with started(tmp_path_factory.mktemp("asking")) as both:
        yield both


@pytest.fixture
def asking(all_the_while: tuple[Tasktap, Upstream]) -> Iterator[tuple[Tasktap, Upstream]]:
    """One that was never refused what it asked for."""
    yield all_the_while
    well(*all_the_while)


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[tuple[Tasktap, Upstream]]:
    """One for a test alone: it remembers who refused."""
    with started(tmp_path) as both:
        yield both
        well(*both)


def test_the_task_knows_the_usage_and_the_caller_sees_nothing_of_it(asking: tuple[Tasktap, Upstream]) -> None:
    house, upstream = asking
    tape = upstream.play(chunked([WITH[:30], WITH[30:]], b"X-Up: 1", kind=b"text/event-stream"))
    answer = once(house.calls, chat(b"Accept-Encoding: gzip, br", b"X-Mine: 1", body=CHAT_STREAM))
    assert (answer.status, answer.body.data) == (200, WITHOUT)
    assert answer.head.chunked
    assert (tape.body.data, tape.head.value(b"accept-encoding"), tape.head.value(b"x-mine")) == (ASKED, b"identity", b"1")
    task = house.task(answer.id)
    assert (task["output"], task["ending"]) == ("Hello", "completed")
    assert (task["usage"]["input_tokens"], task["usage"]["output_tokens"], task["usage"]["source"]) == (3, 5, "provider")
    assert house.fetch(f"/api/tasks/{task['id']}/request")[1] == CHAT_STREAM
    assert house.fetch(f"/api/tasks/{task['id']}/response")[1] == WITH
    assert [problem for problem in task["problems"] if "capture.inject_usage" in problem] == task["problems"] != []


def test_the_chunk_is_taken_out_at_every_cut(asking: tuple[Tasktap, Upstream]) -> None:
    """Cut into two chunks, and the wire cut inside a chunk's own line; one connection for all calls."""
    house, upstream = asking
    places = [*range(1, len(WITH), 9), *range(len(WITH) - len(DONE) - 3, len(WITH))]
    with Caller(house.calls) as caller:
        for at in places:
            upstream.play(STREAM_HEAD, chunk(WITH[:at]), chunk(WITH[at:])[:2], chunk(WITH[at:])[2:] + b"0\r\n", b"\r\n")
            answer = caller.ask(chat(body=CHAT_STREAM))
            assert answer.body.data == WITHOUT, at
        upstream.play(STREAM_HEAD, *(chunk(WITH[at : at + 1]) for at in range(len(WITH))), b"0\r\n\r\n")
        assert caller.ask(chat(body=CHAT_STREAM)).body.data == WITHOUT


def test_each_event_still_comes_before_the_next_is_said(asking: tuple[Tasktap, Upstream]) -> None:
    house, upstream = asking
    turn = threading.Semaphore(0)
    words = [event(f"word {number}") for number in range(20)]
    upstream.play(
        STREAM_HEAD,
        *(step for word in words for step in (gate(turn), chunk(word))),
        gate(turn),
        chunk(USAGE + DONE) + b"0\r\n\r\n",
    )
    with Caller(house.calls) as caller:
        caller.send(chat(body=CHAT_STREAM)).head()
        for word in words:
            turn.release()
            assert caller.wire.exactly(len(chunk(word))) == chunk(word)
        turn.release()
        assert caller.wire.exactly(len(chunk(DONE)) + 5) == chunk(DONE) + b"0\r\n\r\n"


def test_a_request_that_comes_byte_by_byte_is_asked_too(asking: tuple[Tasktap, Upstream]) -> None:
    house, upstream = asking
    tape = upstream.play(chunked([WITH], kind=b"text/event-stream"))
    sent = chat(body=CHAT_STREAM)
    with Caller(house.calls) as caller:
        for at in range(len(sent)):
            caller.send(sent[at : at + 1])
        assert caller.answer().body.data == WITHOUT
    assert tape.body.data == ASKED


def test_a_stream_that_ends_with_its_connection_is_sifted_too(asking: tuple[Tasktap, Upstream]) -> None:
    house, upstream = asking
    upstream.play(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", WITH[:200], WITH[200:], fin)
    assert once(house.calls, chat(body=CHAT_STREAM)).body.data == WITHOUT


@pytest.mark.parametrize("status", [b"400 Bad Request", b"422 Unprocessable Entity"])
def test_an_upstream_that_refuses_is_called_once_more_and_never_asked_again(
    refused: tuple[Tasktap, Upstream], status: bytes
) -> None:
    house, upstream = refused
    first = upstream.play(ok(b"no such field", status=status))
    again = upstream.play(chunked([WITHOUT], kind=b"text/event-stream"))
    answer = once(house.calls, chat(b"Accept-Encoding: gzip", body=CHAT_STREAM))
    assert (answer.status, answer.body.data) == (200, WITHOUT)
    assert (first.body.data, again.body.data) == (ASKED, CHAT_STREAM)
    assert again.head.value(b"accept-encoding") == b"gzip"
    task = house.task(answer.id)
    assert (task["http_status"], task["ending"], task["usage"]) == (200, "completed", None)
    assert "called again without" in task["problems"][0]
    later = upstream.play(chunked([WITHOUT], kind=b"text/event-stream"))
    assert once(house.calls, chat(body=CHAT_STREAM)).body.data == WITHOUT
    assert later.body.data == CHAT_STREAM
    other = upstream.play(chunked([WITH], kind=b"text/event-stream"))
    once(house.calls, request(b"POST", b"/other/v1/chat/completions", b"Content-Type: application/json", body=CHAT_STREAM))
    assert other.body.data == ASKED


def test_a_request_that_is_bad_by_itself_does_not_count_against_its_upstream(refused: tuple[Tasktap, Upstream]) -> None:
    house, upstream = refused
    upstream.play(REFUSAL)
    upstream.play(ok(b'{"error":"bad model"}', status=b"400 Bad Request"))
    answer = once(house.calls, chat(body=CHAT_STREAM))
    assert (answer.status, answer.body.data) == (400, b'{"error":"bad model"}')
    tape = upstream.play(chunked([WITH], kind=b"text/event-stream"))
    assert once(house.calls, chat(body=CHAT_STREAM)).body.data == WITHOUT
    assert tape.body.data == ASKED


def test_what_cannot_be_looked_into_goes_on_as_it_came(asking: tuple[Tasktap, Upstream]) -> None:
    house, upstream = asking
    coded = gzip.compress(WITH)
    upstream.play(chunked([coded[:40], coded[40:]], b"Content-Encoding: gzip", kind=b"text/event-stream"))
    answer = once(house.calls, chat(body=CHAT_STREAM))
    assert answer.body.data == coded
    task = house.task(answer.id)
    assert (task["output"], task["usage"]["output_tokens"]) == ("Hello", 5)
    assert "could not be taken out" in task["problems"][0]


@pytest.mark.parametrize(
    "body", [CHAT, ASKED, CHAT_STREAM + b"x", CHAT_STREAM[:-1] + b',"stream_options":{"include_usage":false}}'], ids=str
)
def test_other_calls_are_carried_as_they_are(asking: tuple[Tasktap, Upstream], body: bytes) -> None:
    house, upstream = asking
    tape = upstream.play(chunked([WITH[:50], WITH[50:]], kind=b"text/event-stream"))
    answer = once(house.calls, chat(b"Accept-Encoding: br", body=body))
    assert answer.body.data == WITH
    assert (tape.body.data, tape.head.value(b"accept-encoding")) == (body, b"br")


def test_a_stream_that_breaks_off_breaks_off_for_its_caller_where_it_did(asking: tuple[Tasktap, Upstream]) -> None:
    house, upstream = asking
    upstream.play(STREAM_HEAD, chunk(event("Hel") + event("lo")[:20]), fin)
    with Caller(house.calls) as caller:
        head = caller.send(chat(body=CHAT_STREAM)).head()
        body = Body()
        assert (caller.wire.chunk(body), caller.wire.chunk(body)) == (event("Hel"), event("lo")[:20])
        with pytest.raises(Cut):
            caller.wire.chunk(body)
    task = house.task(head.value(b"x-task-id") or b"")
    assert (task["ending"], task["output"]) == ("upstream_broke", "Hel")


def test_an_upstream_that_is_not_there_is_told_of_as_ever(tmp_path: Path) -> None:
    config = 'default_upstream = "main"\n[upstreams.main]\nurl = "http://127.0.0.1:9"\n[capture]\ninject_usage = true\n'
    with serving(tmp_path, config) as house:
        answer = once(house.calls, chat(body=CHAT_STREAM))
        assert (answer.status, answer.error) == (502, b"upstream_unreachable")


def test_without_the_switch_nothing_is_asked(house: Tasktap, upstream: Upstream) -> None:
    tape = upstream.play(chunked([WITH], kind=b"text/event-stream"))
    assert once(house.calls, chat(body=CHAT_STREAM)).body.data == WITH
    assert tape.body.data == CHAT_STREAM
