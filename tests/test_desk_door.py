"""A desk has its door opened by whoever comes first; until then it records, and has loaded nothing of what answers people."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from tests.intake.talk import log
from tests.proc import Tasktap, alive, serving, slack, soon
from tests.relay.caller import chat, once, request
from tests.sockets import PATIENCE
from tests.upstream import Upstream, ok

CONFIG = 'default_upstream = "main"\n[upstreams.main]\nurl = "{}"\n'
FIRST_SECONDS = 0.7  # for the first answer of a desk that nobody has asked anything yet
ANSWER = (
    b'{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}'
)


def is_open(pid: int) -> bool:
    """Whether this desk has loaded what answers people."""
    return "_http_parser" in Path(f"/proc/{pid}/maps").read_text()


def stored(house: Tasktap) -> int:
    """How many tasks there are, without asking the desk."""
    place = house.data / "tasktap.db"
    if not place.exists():
        return 0
    db = sqlite3.connect(f"file:{place}?mode=ro", uri=True)
    try:
        return int(db.execute("SELECT count(*) FROM task").fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0
    finally:
        db.close()


def test_calls_are_recorded_by_a_desk_that_nobody_visits(tmp_path: Path):
    upstream = Upstream()
    with serving(tmp_path, CONFIG.format(upstream.url)) as house:
        upstream.play(ok(ANSWER))
        got = once(house.calls, chat())
        soon(lambda: stored(house) == 1, "the call is stored")
        assert not is_open(house.pid("desk"))
        assert house.task(got.id)["output"] == "hi"
        assert is_open(house.pid("desk"))
    upstream.check()
    upstream.close()


def test_everybody_who_comes_at_once_is_answered(tmp_path: Path):
    with serving(tmp_path) as house:
        answers: list[int] = []
        visitors = [threading.Thread(target=lambda: answers.append(house.fetch("/healthz")[0])) for _ in range(60)]
        for each in visitors:
            each.start()
        for each in visitors:
            each.join(PATIENCE)
        assert answers == [200] * 60


@pytest.mark.timed
def test_the_first_answer_comes_soon(tmp_path: Path):
    with serving(tmp_path) as house:
        soon(lambda: stored(house) == 0 and (house.data / "tasktap.db").exists(), "the store is there")
        begun = time.monotonic()
        house.get("/api/status")
        assert time.monotonic() - begun < FIRST_SECONDS * slack()


def test_what_apps_logged_and_a_crash_left_is_stored_though_nobody_visits(tmp_path: Path):
    house = Tasktap(tmp_path).start()
    try:
        log(house, {"input": "first", "task_id": "one"})
        house.task("one")
        blocker = sqlite3.connect(house.data / "tasktap.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        log(house, [{"input": "meanwhile", "task_id": f"two-{n}"} for n in range(20)])
        house.kill_all()
        blocker.execute("ROLLBACK")
        blocker.close()
        assert stored(house) == 1
        house.start()
        soon(lambda: stored(house) == 21, "what was logged is stored")
        assert not is_open(house.pid("desk"))
        assert house.stop() == 0
    finally:
        house.kill_all()


def test_a_change_and_a_stop_find_a_desk_that_nobody_has_visited(tmp_path: Path):
    with serving(tmp_path) as house:
        desk = house.pid("desk")
        os.kill(house.pid("supervisor"), signal.SIGHUP)
        fresh = house.successor("desk", desk)
        soon(lambda: not alive(desk), "the old one has gone")
        soon(lambda: "changed over" in house.written())
        assert not is_open(fresh)
        assert house.fetch("/healthz")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_desk_that_is_told_to_go_while_its_door_is_opened_goes_in_order(tmp_path: Path, number: signal.Signals):
    with serving(tmp_path) as house:
        desk = house.pid("desk")
        outcome: list[object] = []

        def visit() -> None:
            try:
                outcome.append(house.fetch("/healthz")[0])
            except OSError as cut:
                outcome.append(cut)

        visitor = threading.Thread(target=visit)
        visitor.start()
        os.kill(desk, number)
        house.successor("desk", desk)
        visitor.join(PATIENCE)
        assert len(outcome) == 1
        assert house.fetch("/healthz")[0] == 200


def test_a_door_that_cannot_be_opened_is_told_of_and_calls_go_on_and_the_next_visitor_is_let_in(tmp_path: Path):
    upstream = Upstream()
    with serving(tmp_path, CONFIG.format(upstream.url), _TASKTAP_FAULT="desk.door:1:memory") as house:
        desk = house.pid("desk")
        status, body = house.fetch("/healthz")
        assert status == 503
        assert b"desk_failed" in body
        soon(lambda: "the door could not be opened error=MemoryError" in house.written(), "why is in the log")
        upstream.play(ok(ANSWER))
        once(house.calls, chat())
        soon(lambda: stored(house) == 1, "the call is stored")
        assert house.fetch("/healthz")[0] == 200
        assert house.pid("desk") == desk
    upstream.check()
    upstream.close()


def test_who_asks_by_the_calls_door_may_be_the_first_to_knock(tmp_path: Path):
    with serving(tmp_path) as house:
        assert not is_open(house.pid("desk"))
        answer = once(house.calls, request(b"GET", b"/tasktap/v1/chat/completions", host=b"127.0.0.1"))
        assert (answer.head.line, answer.body.data[:2]) == (b"HTTP/1.1 200 OK", b'{"')
        assert is_open(house.pid("desk"))


def test_without_the_parser_in_c_it_does_not_start_and_says_why(tmp_path: Path):
    house = Tasktap(tmp_path, environment={"AIOHTTP_NO_EXTENSIONS": "1"})
    process = house.launch()
    try:
        assert process.wait(PATIENCE) == 1
    finally:
        house.kill_all()
    assert "aiohttp's C parser is not there" in house.written()
