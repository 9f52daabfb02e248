"""What tasktap says on standard error: lines that can be read by programs, and nothing of what calls said."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.server import logs
from tests.proc import Tasktap, serving, soon
from tests.relay.caller import Caller, chat, once, request
from tests.upstream import Upstream, ok

CANARIES = [f"canary-{place}".encode() for place in ("header", "query", "body", "answer", "desk-key", "malformed", "task")]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.check()
    upstream.close()


def lines(house: Tasktap) -> list[dict[str, Any]]:
    return [json.loads(line) for line in house.err.read_text().splitlines()]


def config(upstream: Upstream, more: str = "") -> str:
    return f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n[log]\nformat = "json"\nlevel = "debug"\n{more}'


def test_each_line_is_json_and_no_canary_is_in_any(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path / "house", config(upstream, '[desk]\nkey = "the-key-of-the-desk-1"\n')) as house:
        upstream.play(ok(b'{"choices":"canary-answer"}', b"Set-Cookie: a=canary-header-0001"))
        body = b'{"messages":[{"role":"user","content":"canary-body"}]}'
        said = request(b"POST", b"/v1/chat/completions?api_key=canary-query", b"Authorization: Bearer canary-header-0002",
                       b"Content-Type: application/json", b"X-Task-Id: canary-task", body=body)  # fmt: skip
        once(house.calls, said)
        once(house.calls, b"GET /canary-malformed HTTP/1.1\r\nHost: h\r\nbad canary-malformed\r\n\r\n")
        with Caller(house.address("desk")) as caller:
            caller.send(
                b"GET /api/tasks?x=canary-query HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer canary-desk-key\r\n\r\n"
            )
            assert caller.answer().status == 401
        with Caller(house.address("desk")) as caller:
            caller.send(b"GET /canary-malformed\0 HTTP/1.1\r\nAuthorization Bearer canary-desk-key\r\n\r\n")
            caller.wire.need()
        os.kill(house.pid("relay"), signal.SIGKILL)
        soon(lambda: any(line["event"] == "a process was started" for line in lines(house)))
        found = lines(house)
    for line in found:
        assert {"time", "level", "process", "pid", "event"} <= set(line)
    events = [line["event"] for line in lines(house)]
    assert {"carrying calls", "a process ended by itself", "a process was started", "a wrong key came", "stopping"} <= set(events)
    died = next(line for line in found if line["event"] == "a process ended by itself")
    assert (died["role"], died["status"], died["level"], died["process"]) == ("relay", -9, "warning", "supervisor")
    for text in (house.err.read_bytes(), house.out.read_bytes()):
        assert [canary for canary in CANARIES if canary in text] == []


def test_impaired_recording_is_told_and_so_is_its_end(tmp_path: Path, upstream: Upstream) -> None:
    (tmp_path / "s").write_text("a file where a directory should be")
    store = f'[store]\nurl = "sqlite:{tmp_path / "s" / "tasks.db"}"\n'
    with serving(tmp_path / "house", config(upstream, store)) as house:

        def told(text: str) -> bool:
            return any(line["event"] == text for line in lines(house))

        soon(lambda: told("recording is impaired"))
        assert house.fetch("/readyz")[0] == 503
        assert house.fetch("/healthz")[0] == 200
        upstream.play(ok())
        assert once(house.calls, chat()).status == 200
        (tmp_path / "s").unlink()
        soon(lambda: told("recording is well again"))
        assert house.fetch("/readyz")[0] == 200


def test_a_text_line_is_one_line_and_warning_leaves_out_info(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path / "house", config(upstream).replace('"json"', '"text"').replace('"debug"', '"warning"')) as house:
        os.kill(house.pid("desk"), signal.SIGKILL)
        soon(lambda: "a process ended by itself" in house.err.read_text())
    (line,) = [line for line in house.err.read_text().splitlines() if "ended by itself" in line]
    assert " warning supervisor: a process ended by itself role=desk process_pid=" in line
    assert "carrying calls" not in house.err.read_text()


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """Standard error, and logging put back as it was."""
    root, before = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    try:
        yield io.StringIO()
    finally:
        sys.excepthook, threading.excepthook = before
        root.handlers[:], root.level = handlers, level
        logging.raiseExceptions = True


def test_of_an_exception_only_kind_and_place_are_told(said: io.StringIO) -> None:
    logs.begin("relay 0", {"format": "json", "level": "info"}, said)
    try:
        raise ValueError("canary-in-an-exception")
    except ValueError as error:
        logs.fault("uncaught", error)
        logs.of_loop(None, {"message": "Exception in callback f(b'canary-in-a-message')", "exception": error})  # type: ignore[arg-type]
        logging.getLogger("asyncio").exception("canary-in-a-log %s", "canary-in-an-argument")
        sys.excepthook(ValueError, error, None)
        threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))
    text = said.getvalue()
    assert "canary" not in text
    found = [json.loads(line) for line in text.splitlines()]
    assert len(found) == 5
    assert {line["error"] for line in found} == {"ValueError"}
    assert all("test_log.py:" in line["at"] for line in found)


def test_a_value_with_a_line_break_makes_no_second_line(said: io.StringIO) -> None:
    logs.begin("desk", {"format": "text", "level": "info"}, said)
    logs.info("something", why="one\ntwo", path="/a b", count=3)
    assert said.getvalue().endswith(' info desk: something why="one\\ntwo" path="/a b" count=3\n')
    assert said.getvalue().count("\n") == 1


def test_a_standard_error_that_takes_nothing_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    aside = logs._Aside(writing)
    record = logging.LogRecord("tasktap", logging.WARNING, "", 0, "a line", None, None)
    begun = time.monotonic()
    for _ in range(logs._MOST_WAITING + 100):
        aside.emit(record)
    assert time.monotonic() - begun < 5
    said = b""
    while said.count(b"a line\n") < logs._MOST_WAITING:
        said += os.read(reading, 65536).lstrip(b"x")
    soon(lambda: aside._ended == aside._begun == logs._MOST_WAITING)
    os.close(reading)
    os.close(writing)
