"""One process tree: who runs, who comes back, who ends when the supervisor dies, and what the files let others see."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proc import READABLE_SECONDS, RETURN_SECONDS, Tasktap, alive, serving, slack, soon
from tests.relay.caller import CHAT_STREAM, Caller, chat, once
from tests.sockets import PATIENCE
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event, gate, ok

Place = tuple[Path, str, Upstream]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place to start in, its configuration, and its upstream."""
    upstream = Upstream()
    yield tmp_path / "house", f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n', upstream
    upstream.check()
    upstream.close()


@pytest.fixture(scope="module")
def long_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tasktap, Upstream]]:
    """One that goes on, whatever happens to its relay and its desk; at the end it must stop as any other."""
    upstream = Upstream()
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n'
    with serving(tmp_path_factory.mktemp("long") / "house", config) as house:
        yield house, upstream
    upstream.check()
    upstream.close()


@pytest.fixture
def lasting(long_running: tuple[Tasktap, Upstream]) -> Iterator[tuple[Tasktap, Upstream]]:
    """The same, as it must be after each test: everything that was played was asked for, and its figures add up."""
    yield long_running
    house, upstream = long_running
    upstream.check()
    status = house.quiet()
    assert status["carried"] == status["stored"] + status["waiting"] + status["lost"]


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().strip()


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def carried(house: Tasktap, upstream: Upstream) -> bool:
    """Is a new call carried now?"""
    tape = upstream.play(ok(b"carried"))
    try:
        answer = once(house.calls, chat())
    except (OSError, AssertionError):
        answer = None
    if not tape.started.is_set():
        upstream.tapes.get_nowait()
        upstream.all.remove(tape)
        return False
    return answer is not None and answer.body.data == b"carried"


def started_again(house: Tasktap) -> subprocess.CompletedProcess[bytes]:
    """A second start on the same data, to its end."""
    return subprocess.run(
        house.command(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=house.environment,
        cwd=Path(__file__).parents[2],
        timeout=PATIENCE,
        check=False,
    )


def test_titles_roles_modes_and_a_clean_stop(place: Place) -> None:
    where, config, upstream = place
    with serving(where, config) as house:
        upstream.play(ok())
        house.task(once(house.calls, chat()).id)
        roles = {str(entry["role"]): int(entry["pid"]) for entry in house.run["processes"]}
        assert title(roles["supervisor"]) == "tasktap: supervisor"
        assert title(roles["desk"]) == "tasktap: desk"
        assert title(house.pid("relay")).startswith("tasktap: relay ")
        assert roles["supervisor"] == house.run["pid"] == house.process.pid  # type: ignore[union-attr]
        assert stat.S_IMODE(house.data.stat().st_mode) == 0o700
        entries = list(house.data.rglob("*"))
        assert (house.data / "run.json") in entries
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # a segment that was just stored, a run.json that is just written
                mode = entry.lstat().st_mode
                assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), entry
        pids = house.pids()
        assert house.fetch("/healthz")[0] == 200
        assert house.fetch("/readyz")[0] == 200
    assert not [pid for pid in pids if alive(pid)]
    assert not (house.data / "run.json").exists()


def test_ctrl_c_stops_it_as_well(place: Place) -> None:
    where, config, _ = place
    house = Tasktap(where, config).start()
    pids = house.pids()
    for pid in pids:  # a terminal sends it to the whole group
        os.kill(pid, signal.SIGINT)
    assert house.process is not None
    try:
        assert house.process.wait(PATIENCE) == 0, house.written()
    finally:
        house.kill_all()
    assert "Traceback" not in house.written()
    assert not [pid for pid in pids if alive(pid)]


def test_it_says_what_to_set_and_where_to_look(lasting: tuple[Tasktap, Upstream]) -> None:
    house, _ = lasting
    port = house.calls[1]
    soon(lambda: f"OPENAI_BASE_URL=http://127.0.0.1:{port}/v1" in house.written())  # it comes right after run.json
    assert str(house.run["desk"]) in house.written()


def test_a_killed_relay_is_back_at_the_same_address(lasting: tuple[Tasktap, Upstream]) -> None:
    house, upstream = lasting
    relay, desk = house.pid("relay"), house.pid("desk")
    os.kill(relay, signal.SIGKILL)
    assert soon(lambda: carried(house, upstream), "a carried call")
    house.successor("relay", relay)
    assert house.pid("desk") == desk
    status = house.quiet()
    assert status["carried"] == status["stored"] + status["waiting"] + status["lost"]


def test_a_killed_desk_is_back_and_calls_went_on_without_it(lasting: tuple[Tasktap, Upstream]) -> None:
    house, upstream = lasting
    killed = threading.Event()
    upstream.play(STREAM_HEAD + chunk(event("a")), gate(killed), chunk(event("b")) + chunk(DONE) + b"0\r\n\r\n")
    with Caller(house.calls) as caller:
        caller.send(chat(body=CHAT_STREAM))
        while b'"a"' not in caller.wire.buffer:
            caller.wire.need()
        desk, relay = house.pid("desk"), house.pid("relay")
        os.kill(desk, signal.SIGKILL)
        upstream.play(ok(b"meanwhile"))
        meanwhile = once(house.calls, chat())
        assert meanwhile.body.data == b"meanwhile"
        killed.set()
        answer = caller.answer()
        assert answer.body.data == event("a") + event("b") + DONE
    assert house.task(answer.id)["output"] == "ab"
    assert house.task(meanwhile.id)["ending"] == "completed"
    house.successor("desk", desk)
    assert house.pid("relay") == relay
    status = house.quiet()
    assert status["carried"] == status["stored"] + status["waiting"] + status["lost"]


def test_a_desk_that_hangs_does_not_hold_up_calls(lasting: tuple[Tasktap, Upstream]) -> None:
    house, upstream = lasting
    os.kill(house.pid("desk"), signal.SIGSTOP)
    try:
        ids = []
        for _ in range(20):
            upstream.play(ok(b"on"))
            ids.append(once(house.calls, chat()).id)
    finally:
        os.kill(house.pid("desk"), signal.SIGCONT)
    for id in ids:
        assert house.task(id)["ending"] == "completed"


def test_without_their_supervisor_the_others_end_and_a_new_start_works_at_once(place: Place) -> None:
    where, config, upstream = place
    with serving(where, config, clean_exit=False) as house:
        upstream.play(ok())
        answer = once(house.calls, chat())
        pids = house.pids()
        os.kill(house.pid("supervisor"), signal.SIGKILL)
        house.process.wait(PATIENCE)  # type: ignore[union-attr]
        with serving(where, config) as again:
            soon(lambda: not [pid for pid in pids if alive(pid)], "the old ones gone")
            assert again.task(answer.id)["ending"] == "completed"
            upstream.play(ok(b"new"))
            assert once(again.calls, chat()).body.data == b"new"


def test_orphans_end_by_themselves(place: Place) -> None:
    where, config, _ = place
    with serving(where, config, clean_exit=False) as house:
        pids = house.pids()
        os.kill(house.pid("supervisor"), signal.SIGKILL)
        soon(lambda: not [pid for pid in pids[1:] if alive(pid)], "relay and desk gone")


@contextlib.contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds * slack(), f"{what} took {took:.2f} s"


@pytest.mark.timed
def test_what_is_promised_of_time_is_kept(place: Place) -> None:
    where, config, upstream = place
    with serving(where, config, clean_exit=False) as house:
        upstream.play(ok())
        answer = once(house.calls, chat())
        with within(READABLE_SECONDS, "storing a call"):
            house.task(answer.id)
        with within(RETURN_SECONDS, "refusing a second start"):
            assert started_again(house).returncode == 3
        relay, desk = house.pid("relay"), house.pid("desk")
        os.kill(desk, signal.SIGSTOP)
        try:
            for _ in range(20):
                upstream.play(ok(b"on"))
                with within(1, "a call beside a desk that hangs"):
                    answer = once(house.calls, chat())
        finally:
            os.kill(desk, signal.SIGKILL)
        with within(RETURN_SECONDS + 1, "a desk's return"):
            house.task(answer.id)
        os.kill(relay, signal.SIGKILL)
        with within(RETURN_SECONDS, "a relay's return"):
            soon(lambda: carried(house, upstream), "a carried call")
        house.successor("relay", relay)
        pids = house.pids()
        os.kill(house.pid("supervisor"), signal.SIGKILL)
        with within(RETURN_SECONDS, "the end of orphans"):
            soon(lambda: not [pid for pid in pids[1:] if alive(pid)], "relay and desk gone")


def test_a_second_start_on_the_same_data_is_refused_and_harms_nothing(lasting: tuple[Tasktap, Upstream]) -> None:
    house, upstream = lasting
    run = house.read_run()
    second = started_again(house)
    assert second.returncode == 3, second.stderr
    said = (second.stdout + second.stderr).decode()
    assert str(house.data) in said
    assert "Traceback" not in said
    assert house.read_run() == run
    upstream.play(ok(b"still"))
    assert once(house.calls, chat()).body.data == b"still"


def test_two_relays_share_one_address_and_their_figures_are_one(place: Place) -> None:
    where, config, upstream = place
    with serving(where, config + "[listen]\nworkers = 2\n") as house:
        relays = [entry for entry in house.run["processes"] if str(entry["role"]).startswith("relay")]
        assert len(relays) == 2
        ids = set()
        for _ in range(40):
            upstream.play(ok())
            ids.add(once(house.calls, chat()).id)
        assert len(ids) == 40
        for id in ids:
            house.task(id)
        status = house.quiet()
        assert status["carried"] == status["stored"] == 40


def test_what_was_stopped_is_still_there_after_a_start(place: Place) -> None:
    where, config, upstream = place
    with serving(where, config) as house:
        upstream.play(ok(b'{"n":1}'))
        answer = once(house.calls, chat(b"X-Task-Id: kept-1"))
    with serving(where, config) as again:
        task = again.task("kept-1")
        assert task["ending"] == "completed"
        assert again.fetch("/api/tasks/kept-1/response") == (200, b'{"n":1}')
        assert again.status()["carried"] == 0
    assert answer.status == 200


def test_a_supervisor_that_can_start_nobody_lives_on_and_tries_again(place: Place) -> None:
    """No file is left for it, as there may be no room for another process."""
    where, config, upstream = place
    with serving(where, config) as house:
        supervisor, relay, desk = house.pid("supervisor"), house.pid("relay"), house.pid("desk")
        before = resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        os.kill(relay, signal.SIGKILL)
        soon(lambda: house.written().count("a process could not be started") >= 2, "two tries")
        assert alive(supervisor)
        assert alive(desk)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)
        house.successor("relay", relay)
        soon(lambda: carried(house, upstream), "a call")
        status = house.quiet()
        assert status["lost"] == 0
        assert len(os.listdir(f"/proc/{supervisor}/fd")) < 30
