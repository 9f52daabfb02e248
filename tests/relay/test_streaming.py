"""Bytes are passed on as they come, and not faster than they are taken."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from proxy.record.journal import LATER_SECONDS
from tests.proc import Tasktap, serving, soon
from tests.relay.caller import CHAT_STREAM, Caller, chat, request
from tests.sockets import Body
from tests.upstream import DONE, STREAM_HEAD, Step, Upstream, chunk, event, fin, gate, hear_body, ok, pour

Door = tuple[str, int]
MIB = 1 << 20


def test_each_event_comes_before_the_next_is_said(door: Door, upstream: Upstream) -> None:
    """The upstream says an event only when the caller has had the one before: whatever buffers, stops."""
    turn = threading.Semaphore(0)
    steps: list[Step] = [STREAM_HEAD]
    for number in range(60):
        steps += [gate(turn), chunk(event(f"word {number} "))]
    upstream.play(*steps, gate(turn), chunk(DONE), gate(turn), b"0\r\n\r\n")
    with Caller(door) as caller:
        head = caller.send(chat(body=CHAT_STREAM)).head()
        assert head.chunked
        body = Body()
        for number in range(60):
            turn.release()
            assert caller.wire.chunk(body) == event(f"word {number} ")
        turn.release()
        assert caller.wire.chunk(body) == DONE
        turn.release()
        assert caller.wire.chunk(body) == b""


def test_parts_of_an_event_are_not_held_back_until_it_is_whole(house: Tasktap, upstream: Upstream) -> None:
    turn = threading.Semaphore(0)
    whole = event("a long one")
    upstream.play(
        STREAM_HEAD, *(step for at in range(0, len(whole), 40) for step in (gate(turn), chunk(whole[at : at + 40]))), b"0\r\n\r\n"
    )
    with Caller(house.calls) as caller:
        caller.send(chat(body=CHAT_STREAM)).head()
        seen = b""
        for at in range(0, len(whole), 40):
            turn.release()
            want = chunk(whole[at : at + 40])
            seen = caller.wire.exactly(len(want))
            assert seen == want


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"X-No: length"])
def test_an_answer_that_is_no_stream_is_passed_as_it_comes_too(house: Tasktap, upstream: Upstream, framing: bytes) -> None:
    turn = threading.Semaphore(0)
    steps = [step for part in (b"abc", b"def", b"ghi") for step in (gate(turn), part)]
    upstream.play(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n" + framing + b"\r\n\r\n", *steps, fin)
    with Caller(house.calls) as caller:
        caller.send(request(b"GET", b"/v1/x"))
        head = caller.head()
        for part in (b"abc", b"def", b"ghi"):
            turn.release()
            want = chunk(part) if head.chunked else part
            assert caller.wire.exactly(len(want)) == want


def test_150_streams_at_once_all_move(house: Tasktap, upstream: Upstream) -> None:
    turns = threading.Event()
    for _ in range(150):
        upstream.play(STREAM_HEAD + chunk(event("one")), gate(turns), chunk(event("two")) + chunk(DONE) + b"0\r\n\r\n")
    callers = [Caller(house.calls).send(chat(body=CHAT_STREAM)) for _ in range(150)]
    for caller in callers:
        while b"one" not in caller.wire.buffer:
            caller.wire.need()
    assert house.status()["running"] >= 150
    turns.set()
    for caller in callers:
        assert caller.answer().body.data == event("one") + event("two") + DONE
        caller.leave()


def resident(pid: int) -> int:
    """Bytes of memory that a process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def stalled(count: object, seconds: float = 0.4) -> int:
    """Wait until a count that grows has not grown for so long; its value."""
    assert callable(count)
    before, value = -1, int(count())
    while before != value:
        before = value
        threading.Event().wait(seconds)
        value = int(count())
    return value


def test_a_caller_that_does_not_read_holds_its_upstream_back(house: Tasktap) -> None:
    upstream = Upstream(small_buffers=True)
    total = 64 * MIB
    place = house.place.parent / f"{house.place.name}-slow-reader"
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n'
    with serving(place, config) as slow:
        tape = upstream.play(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: %d\r\n\r\n" % total, pour(total))
        before = resident(slow.pid("relay"))
        with Caller(slow.calls, small_buffers=True) as caller:
            caller.send(request(b"GET", b"/v1/files/1/content"))
            soon(lambda: tape.poured, what="the first bytes")
            pushed = stalled(lambda: tape.poured)
            assert pushed < 40 * MIB, "the kernel's buffers may hold some, but not all"
            assert resident(slow.pid("relay")) - before < 12 * MIB
            answer = caller.answer(b"GET")
        assert len(answer.body.data) == total
        assert answer.body.data == b"." * total
    upstream.check()
    upstream.close()


def test_an_upstream_that_does_not_read_holds_its_caller_back(house: Tasktap, upstream: Upstream) -> None:
    total = 64 * MIB
    may = threading.Event()
    tape = upstream.play(gate(may), hear_body, ok(b"got it"), read="head")
    sent = 0
    before = resident(house.pid("relay"))

    with Caller(house.calls, small_buffers=True) as caller:
        caller.send(b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % total)
        assert tape.head

        def push() -> None:
            nonlocal sent
            while sent < total:
                caller.send(b"-" * 65536)
                sent += 65536

        thread = threading.Thread(target=push, daemon=True)
        thread.start()
        assert stalled(lambda: sent) < 40 * MIB
        assert resident(house.pid("relay")) - before < 12 * MIB
        may.set()
        thread.join(20)
        assert caller.answer().body.data == b"got it"
    assert hashlib.sha256(tape.body.data).digest() == hashlib.sha256(b"-" * total).digest()


def test_a_30_mb_request_is_at_the_upstream_while_it_is_being_sent(door: Door, upstream: Upstream) -> None:
    part = bytes(range(256)) * 4096
    tape = upstream.play(ok(b"whole"))
    with Caller(door) as caller:
        caller.send(b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (30 * len(part)))
        for number in range(30):
            caller.send(part)
            soon(lambda: tape.received >= (number + 1) * len(part), what="what was sent")  # noqa: B023
        assert caller.answer().body.data == b"whole"
    assert tape.body.data == part * 30


def test_a_chunked_request_is_at_the_upstream_while_it_is_being_sent(door: Door, upstream: Upstream) -> None:
    tape = upstream.play(ok(b"whole"))
    with Caller(door) as caller:
        caller.send(b"POST /v1/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert tape.head.chunked
        for number in range(1, 20):
            caller.send(chunk(b"%03d" % number))
            soon(lambda: b"%03d" % number in tape.last, what="the chunk")  # noqa: B023
        caller.send(b"0\r\n\r\n")
        assert caller.answer().body.data == b"whole"
    assert tape.body.data == b"".join(b"%03d" % number for number in range(1, 20))


def test_pieces_and_their_times_are_in_the_record(house: Tasktap, upstream: Upstream) -> None:
    turn = threading.Semaphore(0)
    steps: list[Step] = [STREAM_HEAD]
    for number in range(3):
        steps += [gate(turn), chunk(event(f"{number}"))]
    upstream.play(*steps, gate(turn), chunk(DONE) + b"0\r\n\r\n")
    with Caller(house.calls) as caller:
        head = caller.send(chat(body=CHAT_STREAM)).head()
        for number in range(3):
            turn.release()
            caller.wire.exactly(len(chunk(event(f"{number}"))))
        turn.release()
        caller.wire.exactly(len(chunk(DONE) + b"0\r\n\r\n"))
    task = house.task(head.values(b"x-task-id")[0])
    assert task["output"] == "012"
    assert task["stream"] is True
    assert len(task["pieces"]) == 4
    times = [at for at, _ in task["pieces"]]
    assert times == sorted(times)
    assert 0 <= task["seconds_to_first_byte"] <= task["seconds_total"]


def test_an_event_that_comes_alone_is_recorded_at_the_moment_it_came(house: Tasktap, upstream: Upstream) -> None:
    """Not at the moment when it is written, which is when no others have come for a while."""
    turn = threading.Semaphore(0)
    words = ("", "a", "b", "c")
    steps = [step for word in words for step in (gate(turn), chunk(event(word)))]
    upstream.play(STREAM_HEAD, *steps, gate(turn), chunk(DONE) + b"0\r\n\r\n")
    had: list[float] = []
    with Caller(house.calls) as caller:
        began = time.monotonic()
        caller.send(chat(body=CHAT_STREAM))
        turn.release()
        head = caller.head()
        for word in words:
            assert caller.wire.chunk(Body()) == event(word)
            had.append(time.monotonic() - began)
            time.sleep(2 * LATER_SECONDS)
            turn.release()
        caller.wire.body(head)
    task = house.task(head.value(b"x-task-id") or b"")
    came = [at for at, _ in task["pieces"]]
    assert len(came) == len(words) + 1
    assert all(at <= seen for at, seen in zip(came, had, strict=False)), (came, had)
    assert task["seconds_to_first_token"] == pytest.approx(came[1])
