"""SIGHUP: new settings and new code while calls run, and nobody is refused."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proc import Tasktap, alive, serving, soon
from tests.relay.caller import CHAT_STREAM, Caller, chat, once
from tests.sockets import Head
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event, gate, ok

CONFIG = 'default_upstream = "main"\n[upstreams.main]\nurl = "{}"\n'


@pytest.fixture
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    """The one before and the one after."""
    both = Upstream(), Upstream()
    yield both
    for each in both:
        each.check()
        each.close()


@pytest.fixture(scope="module")
def staying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tasktap, Upstream]]:
    """One that is asked for changes which cannot be made."""
    upstream = Upstream()
    with serving(tmp_path_factory.mktemp("staying"), CONFIG.format(upstream.url)) as house:
        yield house, upstream
    upstream.close()


def unchanged(house: Tasktap, config: str, reason: str = "") -> None:
    """Ask for a change, and wait until it is said that nothing was changed, and why."""
    before = len(house.written())
    ask_to_change(house, config)
    soon(lambda: "nothing was changed" in house.written()[before:])
    soon(lambda: reason in house.written()[before:])


def ask_to_change(house: Tasktap, config: str) -> None:
    house.config.write_text(config)
    assert house.process is not None
    os.kill(house.process.pid, signal.SIGHUP)


def answers(house: Tasktap) -> bool:
    """Does the desk, after its own change?"""
    try:
        return house.fetch("/healthz")[0] == 200
    except OSError:
        return False


def test_a_stream_goes_on_while_new_calls_go_the_new_way(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    before, after = upstreams
    changed = threading.Event()
    with serving(tmp_path / "house", CONFIG.format(before.url)) as house:
        old, desk = house.pid("relay"), house.pid("desk")
        before.play(STREAM_HEAD + chunk(event("a")), gate(changed), chunk(event("b")) + chunk(DONE) + b"0\r\n\r\n")
        with Caller(house.calls) as caller:
            caller.send(chat(body=CHAT_STREAM))
            while b'"a"' not in caller.wire.buffer:
                caller.wire.need()
            ask_to_change(house, CONFIG.format(after.url))
            new = house.successor("relay", old)
            soon(lambda: "changed over" in house.written())
            assert alive(old), "it still carries a call"
            after.play(ok(b"the new way"))
            fresh = once(house.calls, chat())
            assert fresh.body.data == b"the new way"
            changed.set()
            stream = caller.answer()
            assert stream.body.data == event("a") + event("b") + DONE
        soon(lambda: not alive(old), "the old relay has gone")
        assert house.successor("desk", desk)
        soon(lambda: answers(house))
        assert house.pid("relay") == new
        assert house.task(stream.id)["output"] == "ab"
        assert house.task(fresh.id)["ending"] == "completed"
        status = house.quiet()
        assert status["carried"] == status["stored"] == 2


def test_nobody_is_refused_while_it_changes(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    before, _ = upstreams
    over = threading.Event()
    ids: list[str] = []
    failures: list[BaseException] = []

    def call_on() -> None:
        try:
            while not over.is_set():
                before.play(ok(b"on"))
                answer = once(house.calls, chat())
                assert answer.body.data == b"on"
                ids.append(answer.id.decode() if isinstance(answer.id, bytes) else answer.id)
        except BaseException as error:
            failures.append(error)

    with serving(tmp_path / "house", CONFIG.format(before.url)) as house:
        old = house.pid("relay")
        calling = threading.Thread(target=call_on)
        calling.start()
        try:
            soon(lambda: len(ids) > 20)
            ask_to_change(house, CONFIG.format(before.url))
            soon(lambda: "changed over" in house.written() and not alive(old))
            seen = len(ids)
            soon(lambda: len(ids) > seen + 20)
        finally:
            over.set()
            calling.join(10)
        assert not failures, failures
        soon(lambda: answers(house))
        status = house.quiet()
        assert status["carried"] == status["stored"] == len(ids)
        assert status["lost"] == 0


@pytest.mark.parametrize(
    ("config", "reason"),
    [("on_caller_left = 'perhaps'\n", "on_caller_left"), ("[listen]\nworkers = 2\n", "listen.workers"), ("[", "tasktap.toml")],
)
def test_what_cannot_be_changed_over_to_changes_nothing(staying: tuple[Tasktap, Upstream], config: str, reason: str) -> None:
    house, upstream = staying
    relay, desk = house.pid("relay"), house.pid("desk")
    unchanged(house, config, reason)
    upstream.play(ok(b"as before"))
    assert once(house.calls, chat()).body.data == b"as before"
    upstream.check()
    assert (house.pid("relay"), house.pid("desk")) == (relay, desk)


def test_new_relays_that_do_not_start_change_nothing(staying: tuple[Tasktap, Upstream], tmp_path: Path) -> None:
    house, upstream = staying
    relay = house.pid("relay")
    authorities = tmp_path / "ca.pem"
    unchanged(house, CONFIG.format("https://127.0.0.1:1") + f'ca_file = "{authorities}"\n')
    upstream.play(ok(b"as before"))
    assert once(house.calls, chat()).body.data == b"as before"
    upstream.check()
    assert house.pid("relay") == relay


def test_what_new_relays_carry_ends_well_where_the_change_fails(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    """They work, and the supervisor is late to say so: calls come to them before it fails and stays with the old ones."""
    before, after = upstreams
    ending = threading.Event()
    faults = "change.done:1:hang,change.done:1:raise"
    with serving(tmp_path / "house", CONFIG.format(before.url), _TASKTAP_FAULT=faults) as house:
        old = house.pid("relay")
        after.play(STREAM_HEAD + chunk(event("a")), gate(ending), chunk(event("b")) + chunk(DONE) + b"0\r\n\r\n")
        ask_to_change(house, CONFIG.format(after.url))

        def one_more() -> tuple[Caller, Head] | None:
            if not before.tapes.qsize():
                before.play(ok(b"the old way"))
            caller = Caller(house.calls).send(chat(body=CHAT_STREAM))
            head = caller.head()
            if head.chunked:
                return caller, head
            assert caller.wire.body(head).data == b"the old way"
            caller.leave()
            return None

        caller, head = soon(one_more, "a call that a new relay carries")
        with caller:
            soon(lambda: "nothing was changed: Fault" in house.written())
            assert once(house.calls, chat()).body.data == b"the old way"
            ending.set()
            assert caller.wire.body(head).data == event("a") + event("b") + DONE
        assert house.pid("relay") == old
        soon(lambda: len(house.pids()) == 3, "supervisor, relay and desk are left")
        status = house.quiet()
        assert status["carried"] == status["stored"] + status["lost"]
        assert status["lost"] == 0


def test_a_connection_that_was_open_gets_one_more_answer_and_is_told_of_its_end(
    tmp_path: Path, upstreams: tuple[Upstream, Upstream]
) -> None:
    before, after = upstreams
    with serving(tmp_path / "house", CONFIG.format(before.url)) as house:
        old = house.pid("relay")
        with Caller(house.calls) as caller, Caller(house.calls) as silent:
            before.play(ok(b"one"))
            assert caller.ask(chat()).body.data == b"one"
            ask_to_change(house, CONFIG.format(after.url))
            soon(lambda: "changed over" in house.written())

            def last() -> bool:
                before.play(ok(b"more"))
                answer = caller.ask(chat())
                assert answer.body.data == b"more"
                return answer.head.values(b"connection") == [b"close"]

            soon(last, "an answer that says it is the last")
            assert caller.ended() == "fin"
            before.play(ok(b"the first"))
            assert silent.ask(chat()).body.data == b"the first"
        soon(lambda: not alive(old))
