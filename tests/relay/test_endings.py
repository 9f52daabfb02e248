"""Every ending of the design, in the task; and the figures that add up."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from pathlib import Path

import pytest

from tests.proc import Tasktap, files, serving, soon
from tests.relay.caller import CHAT_STREAM, Caller, chat, once
from tests.sockets import PATIENCE, Cut
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event, gate, hang, ok, rst


def test_completed(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(STREAM_HEAD + chunk(event("one")) + chunk(event("", '"stop"')) + chunk(DONE) + b"0\r\n\r\n")
    task = house.task(once(house.calls, chat(body=CHAT_STREAM)).id)
    assert (task["ending"], task["output"], task["finish_reasons"], task["http_status"]) == ("completed", "one", ["stop"], 200)
    assert task["error_code"] is None


def test_a_stream_that_ends_cleanly_without_its_marker_is_completed_and_noted(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(STREAM_HEAD + chunk(event("one")) + b"0\r\n\r\n")
    task = house.task(once(house.calls, chat(body=CHAT_STREAM)).id)
    assert (task["ending"], task["output"], task["finish_reasons"]) == ("completed", "one", [None])
    assert task["problems"]


@pytest.mark.parametrize(
    "status", [b"400 Bad Request", b"401 Unauthorized", b"429 Too Many Requests", b"500 Oops", b"529 Overloaded"]
)
def test_upstream_error_by_its_status(house: Tasktap, upstream: Upstream, status: bytes) -> None:
    upstream.play(ok(b'{"error":{"message":"no","type":"t","code":null,"param":null}}', b"Retry-After: 3", status=status))
    answer = once(house.calls, chat())
    assert answer.error is None
    assert answer.head.value(b"retry-after") == b"3"
    task = house.task(answer.id)
    assert (task["ending"], task["http_status"], task["output"]) == ("upstream_error", int(status[:3]), None)


ERROR_EVENT = b'data: {"error":{"message":"overloaded","type":"server_error","code":null,"param":null}}\n\n'


def test_upstream_error_by_an_event_in_a_stream(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(STREAM_HEAD + chunk(event("one")) + chunk(ERROR_EVENT) + chunk(DONE) + b"0\r\n\r\n")
    task = house.task(once(house.calls, chat(body=CHAT_STREAM)).id)
    assert (task["ending"], task["http_status"], task["output"]) == ("upstream_error", 200, "one")


def test_an_error_event_and_then_a_break_is_an_upstream_error(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(STREAM_HEAD + chunk(event("one")) + chunk(ERROR_EVENT), rst)
    with Caller(house.calls) as caller:
        answer = caller.ask(chat(body=CHAT_STREAM))
    assert answer.cut is not None
    assert house.task(answer.id)["ending"] == "upstream_error"


def test_rejected_when_too_many_calls_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    upstream = Upstream()
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n[listen]\nmax_calls = 1\n'
    with serving(tmp_path_factory.mktemp("crowded"), config) as house:
        may = threading.Event()
        tape = upstream.play(gate(may), ok(b"first"))
        with Caller(house.calls) as one:
            one.send(chat())
            assert tape.head
            with Caller(house.calls) as two:
                answer = two.ask(chat(b"X-Session-Id: crowd"))
                assert (answer.status, answer.error) == (503, b"too_many_calls")
                assert answer.json["error"]["type"] == "proxy_error"
                assert answer.head.values(b"retry-after")
                may.set()
                assert one.answer().body.data == b"first"
                task = house.task(answer.id)
                assert (task["ending"], task["http_status"], task["error_code"]) == ("rejected", 503, "too_many_calls")
                assert task["session_id"] == "crowd"
                upstream.play(ok(b"second"))
                assert one.ask(chat()).body.data == b"second"
    upstream.check()
    upstream.close()


def test_no_more_callers_than_there_are_files_for_are_let_in_and_who_is_there_is_served(tmp_path: Path) -> None:
    """200 files: 36 callers with a call each. One more is told so, and neither calls nor the journal lack a file."""
    upstream = Upstream()
    with contextlib.ExitStack() as stack:
        house = Tasktap(tmp_path, f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n')
        plain = house.command()
        shell = ["sh", "-c", 'ulimit -Sn 128 && ulimit -Hn 200 && exec "$@"', "sh"]
        house.command = lambda: [*shell, *plain]  # type: ignore[method-assign]  # it is ours alone
        stack.callback(house.kill_all)
        house.start()
        may = threading.Event()
        tapes = [upstream.play(STREAM_HEAD + chunk(event("a")), gate(may), chunk(DONE) + b"0\r\n\r\n") for _ in range(36)]
        callers = [stack.enter_context(Caller(house.calls)) for _ in tapes]
        for caller in callers:
            caller.send(chat(body=CHAT_STREAM))
        for caller in callers:
            while b'"a"' not in caller.wire.buffer:
                caller.wire.need()
        for _ in range(70):  # ... and whoever comes when there are too many even of these is only shown the door
            stack.enter_context(Caller(house.calls))
        with Caller(house.calls) as late, contextlib.suppress(Cut, ConnectionError):
            late.wire.rest()
        soon(lambda: house.get("/api/status")["open_connections"] == 36)
        told = stack.enter_context(Caller(house.calls))
        answer = told.answer()
        assert (answer.status, answer.error) == (503, b"too_many_connections")
        assert answer.head.values(b"retry-after")
        told.ended()
        assert house.fetch("/readyz")[0] == 200
        may.set()
        assert all(caller.answer().body.data.endswith(DONE) for caller in callers)
        upstream.play(ok(b"one more"))
        assert callers[0].ask(chat()).body.data == b"one more"
        status = house.quiet()
        assert (status["stored"], status["lost"]) == (37, 0)
        assert house.get("/api/status")["limits"]["listen.max_connections"] >= 70
    upstream.check()
    upstream.close()


def test_no_process_of_ours_writes_a_core_file_and_all_may_open_what_the_system_allows(house: Tasktap) -> None:
    for pid in house.pids():
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), limits
        assert re.search(r"Max open files +(\d+) +\1 ", limits), limits


def test_stopped_by_sigterm_in_the_middle_of_a_stream(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Short calls end, the long one is broken off at the deadline and recorded, and a new start finds both."""
    upstream = Upstream()
    config = f'default_upstream = "main"\nstop_deadline = 2.5\n[upstreams.main]\nurl = "{upstream.url}"\n'
    place = tmp_path_factory.mktemp("stopping")
    may = threading.Event()
    with serving(place, config) as house:
        long = upstream.play(STREAM_HEAD + chunk(event("for ever")), hang)
        with Caller(house.calls) as hanging, Caller(house.calls) as short, Caller(house.calls) as idle:
            head = hanging.send(chat(body=CHAT_STREAM)).head()
            hanging_id = head.values(b"x-task-id")[0]
            while b"ever" not in hanging.wire.buffer:
                hanging.wire.need()
            tape = upstream.play(gate(may), ok(b"short"))
            short.send(chat())
            assert tape.head
            upstream.play(ok(b"idle"))
            idle.ask(chat())
            assert house.process is not None
            house.process.send_signal(signal.SIGTERM)
            assert idle.ended() in ("fin", "rst")
            with pytest.raises(ConnectionRefusedError):
                while True:
                    Caller(house.calls).leave()
            may.set()
            short_answer = short.answer()
            assert short_answer.body.data == b"short"
            with pytest.raises(Cut):
                while True:
                    hanging.wire.need()
            assert not bytes(hanging.wire.buffer).endswith(b"0\r\n\r\n")
        long.wait()
        assert house.process.wait(PATIENCE) == 0
    with serving(place, config) as again:
        task = again.task(hanging_id)
        assert (task["ending"], task["output"]) == ("stopped", "for ever")
        assert again.task(short_answer.id)["ending"] == "completed"
    upstream.check()
    upstream.close()


def test_a_call_that_is_not_answered_when_we_stop_is_told_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    upstream = Upstream()
    config = f'default_upstream = "main"\nstop_deadline = 0.1\n[upstreams.main]\nurl = "{upstream.url}"\n'
    place = tmp_path_factory.mktemp("stopping-now")
    with serving(place, config) as house:
        tape = upstream.play(hang)
        with Caller(house.calls) as caller:
            caller.send(chat(b"X-Task-Id: stopped-1"))
            assert tape.head
            assert house.process is not None
            house.process.send_signal(signal.SIGTERM)
            answer = caller.answer()
            assert answer.status == 503
            assert answer.error is not None
            assert answer.json["error"]["type"] == "proxy_error"
            assert house.process.wait(PATIENCE) == 0
    with serving(place, config) as again:
        task = again.task("stopped-1")
        assert (task["ending"], task["http_status"]) == ("stopped", 503)
    upstream.check()
    upstream.close()


def in_journal(house: Tasktap, text: bytes) -> bool:
    return any(text in data for data in files(house.data / "journal").values())


def test_proxy_died_in_the_middle_of_a_stream(tmp_path_factory: pytest.TempPathFactory) -> None:
    upstream = Upstream()
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n'
    with serving(tmp_path_factory.mktemp("dying"), config) as house:
        upstream.play(STREAM_HEAD + chunk(event("one")) + chunk(event("two")), hang)
        upstream.play(hang)
        with Caller(house.calls) as streaming, Caller(house.calls) as waiting:
            head = streaming.send(chat(b"X-Session-Id: s-died", body=CHAT_STREAM)).head()
            while b"two" not in streaming.wire.buffer:
                streaming.wire.need()
            waiting.send(chat(b"X-Task-Id: died-waiting"))
            soon(lambda: upstream.all[1].started.is_set(), what="the second call at the upstream")
            soon(lambda: in_journal(house, b"two") and in_journal(house, b"died-waiting"))
            relay = house.pid("relay")
            os.kill(relay, signal.SIGKILL)
            with pytest.raises(Cut):
                while True:
                    streaming.wire.need()
        house.successor("relay", relay)
        task = house.task(head.values(b"x-task-id")[0])
        assert (task["ending"], task["output"], task["http_status"]) == ("proxy_died", "onetwo", 200)
        assert (task["session_id"], task["input"]) == ("s-died", "hello")
        assert house.task("died-waiting")["ending"] == "proxy_died"
        upstream.play(ok(b"back"))
        assert soon(lambda: answered(house)).body.data == b"back"
        status = house.quiet()
        assert status["carried"] == status["stored"] + status["waiting"] + status["lost"]
    upstream.check()
    upstream.close()


def answered(house: Tasktap):  # type: ignore[no-untyped-def]
    try:
        return once(house.calls, chat())
    except (OSError, AssertionError):
        return None


def test_a_delivered_answer_survives_the_death_of_all(tmp_path_factory: pytest.TempPathFactory) -> None:
    """P1: killed the moment that the caller had the last byte."""
    upstream = Upstream()
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n'
    config += "[journal]\npatience_ms = 5000\n"  # however busy this machine is, nothing is delivered before it is journalled
    place = tmp_path_factory.mktemp("all-die")
    with serving(place, config, clean_exit=False) as house:
        upstream.play(ok(b'{"a":1}'))
        upstream.play(STREAM_HEAD + chunk(event("one")) + chunk(DONE), hang)
        plain = once(house.calls, chat())
        with Caller(house.calls) as caller:
            head = caller.send(chat(body=CHAT_STREAM)).head()
            while DONE not in caller.wire.buffer:
                caller.wire.need()
            for pid in sorted(house.pids(), key=lambda pid: pid != house.pid("supervisor")):
                os.kill(pid, signal.SIGKILL)
    with serving(place, config) as again:
        assert again.task(plain.id)["ending"] == "completed"
        task = again.task(head.values(b"x-task-id")[0])
        assert (task["ending"], task["output"]) == ("completed", "one")
        assert len(again.get("/api/tasks")["items"]) == 2
        assert again.status()["recovered"] <= 2
    upstream.check()
    upstream.close()


def test_the_figures_of_the_status_add_up_while_calls_run(house: Tasktap, upstream: Upstream) -> None:
    before = house.quiet()
    may = threading.Event()
    tape = upstream.play(gate(may), ok())
    for _ in range(20):
        upstream.play(ok())
    with Caller(house.calls) as slow, Caller(house.calls) as caller:
        slow.send(chat())
        assert tape.head
        for _ in range(20):
            caller.ask(chat())
            now = house.status()
            assert now["carried"] == now["stored"] + now["waiting"] + now["lost"]
        assert soon(lambda: house.status()["running"] == 1)
        may.set()
        slow.answer()
    after = house.quiet()
    assert after["carried"] - before["carried"] == after["stored"] - before["stored"] == 21
    assert after["lost"] == before["lost"]
