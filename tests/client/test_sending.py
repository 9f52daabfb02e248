"""Getting tasks to the desk: whatever it answers, while it is away, through forks, at the app's end, in bounded memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy import client as tasktap
from proxy.client.entry import Entry, frozen
from proxy.client.feedback import said
from proxy.client.outbox import Outbox
from proxy.client.sender import Sender, Settings
from proxy.client.spool import TASK, Spool
from tests.client.conftest import Run
from tests.client.places import FakeDesk
from tests.proc import soon
from tests.sockets import PATIENCE

Last = Callable[[], dict[str, Any]]
Make = Callable[..., Sender]


@pytest.fixture
def away() -> Iterator[FakeDesk]:
    """A desk that is not there until it is opened."""
    place = FakeDesk(away=True)
    yield place
    place.close()


def item(text: str, task_id: str = "t") -> Any:
    return frozen(Entry(task_id, 1, input=text))


@pytest.fixture
def sender() -> Iterator[Make]:
    """Senders of one's own, beside that of this process."""
    made: list[Sender] = []

    def make(url: str, **settings: Any) -> Sender:
        made.append(Sender(Settings(url=url, tick=0.01, timeout=PATIENCE, **settings)))
        return made[-1]

    yield make
    for each in made:
        each.close()


# --- what the desk answers ---


def test_tasks_and_feedback_arrive_in_order_in_few_requests(desk: FakeDesk):
    for number in range(450):
        tasktap.log(input=str(number))
    tasktap.user_feedback(tasktap.latest_task_id, raw_flag="👍", score=0.5)
    tasktap.user_feedback("of another", raw_flag="meh", raw_flag_to_flag=lambda flag: "success" if flag == "meh" else "failure")
    tasktap.user_feedback("of a third", raw_flag="👎")
    assert tasktap.flush(PATIENCE)
    assert [task["input"] for task in desk.tasks] == [str(number) for number in range(450)]
    assert [body["flag"] for _, body in desk.feedback] == ["success", "success", "failure"]
    assert desk.feedback[0] == (desk.last()["task_id"], {"flag": "success", "score": 0.5, "source": "user"})
    assert len(desk.requests) < 100


def test_a_flag_that_does_not_exist_is_not_sent_and_not_raised(desk: FakeDesk):
    tasktap.user_feedback("t", flag="meh")
    assert tasktap.flush(PATIENCE)
    assert desk.feedback == []
    desk.faults = 1


def test_the_key_is_sent_and_never_shown(desk: FakeDesk):
    tasktap.init(base_url=desk.url, api_key="secret-key")
    tasktap.log(input="a")
    assert tasktap.flush(PATIENCE)
    assert desk.requests[-1][1]["authorization"] == "Bearer secret-key"
    assert "secret-key" not in repr(Settings(key="secret-key"))


def test_an_item_that_the_desk_rejects_is_counted_and_its_batch_mates_are_kept(desk: FakeDesk):
    desk.verdict = lambda task: "no" if task["input"] == "bad" else None
    before = tasktap.stats()
    for text in ("a", "bad", "b"):
        tasktap.log(input=text)
    assert tasktap.flush(PATIENCE)
    after = tasktap.stats()
    assert [task["input"] for task in desk.tasks] == ["a", "b"]
    assert (after["sent"] - before["sent"], after["rejected"] - before["rejected"]) == (2, 1)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_body_that_the_desk_refuses_is_halved_until_the_bad_task_is_alone(desk: FakeDesk, status: int):
    desk.status = lambda body: status if any(task["input"] == "bad" for task in body["tasks"]) else 200
    before = tasktap.stats()
    for text in ("a", "b", "bad", "c", "d"):
        tasktap.log(input=text)
    assert tasktap.flush(PATIENCE)
    assert [task["input"] for task in desk.tasks] == ["a", "b", "c", "d"]
    assert tasktap.stats()["rejected"] - before["rejected"] == 1


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_what_the_desk_cannot_take_now_is_sent_again(desk: FakeDesk, status: int):
    answers = [status, status]
    desk.status = lambda body: answers.pop() if answers else 200
    tasktap.log(input="a", task_id=f"again-{status}")
    assert tasktap.flush(PATIENCE)
    assert [task["task_id"] for task in desk.tasks] == [f"again-{status}"]
    assert len(desk.requests) == 3


def test_a_redirect_is_not_followed(desk: FakeDesk):
    answers = [302]
    desk.status = lambda body: answers.pop() if answers else 200
    tasktap.log(input="a")
    assert tasktap.flush(PATIENCE)
    assert [task["input"] for task in desk.tasks] == ["a"]


def test_a_server_that_is_no_desk_loses_nothing(sender: Make, provider: Any):
    one = sender(provider.url)
    provider.answer = lambda path, body: (200, "text/html", [b"<html>"])
    one.put(item("a"))
    soon(lambda: "not tasktap's desk" in str(one.counts.last_error))
    assert not one.flush(0.3)
    assert (one.counts.sent, len(one.outbox) + len(one._batch)) == (0, 1)


# --- while it is away ---


def test_what_is_logged_while_the_desk_is_away_arrives_when_it_is_back(away: FakeDesk, sender: Make):
    one = sender(away.url)
    one.put(item("a"))
    assert not one.flush(0.3)
    away.open()
    one.put(item("b"))
    assert one.flush(PATIENCE)
    assert [task["input"] for task in away.tasks] == ["a", "b"]


def test_a_desk_that_hangs_holds_up_neither_the_app_nor_its_flush(sender: Make, desk: FakeDesk):
    going = threading.Event()
    desk.status = lambda body: 200 if going.wait(PATIENCE) else 500
    one = sender(desk.url)
    one.put(item("a"))
    assert not one.flush(0.3)
    for _ in range(100):
        one.put(item("b"))
    going.set()
    assert one.flush(PATIENCE)
    assert len(desk.tasks) == 101


def test_waiting_tasks_are_bounded_by_count_and_the_oldest_are_dropped_and_counted():
    box = Outbox(10, 1_000_000)
    for number in range(25):
        box.put(item(str(number)))
    assert (len(box), box.accepted, box.dropped) == (10, 25, 15)
    assert [each.entry().input for each in box.take(100, 1_000_000)] == [str(number) for number in range(15, 25)]
    assert box.bytes == 0


def test_waiting_tasks_are_bounded_by_bytes():
    box = Outbox(1000, 10_000)
    for _ in range(100):
        box.put(item("x" * 1000))
    assert box.bytes <= 10_000
    assert len(box) + box.dropped == 100
    box.put(item("y" * 20_000))
    assert len(box) + box.dropped == 101, "one that is larger than all the room does not push the others out"
    assert len(box) > 5


def test_many_threads_may_log_at_once():
    box = Outbox(100_000, 100_000_000)

    def work() -> None:
        for _ in range(2000):
            box.put(said("t", flag="success"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads) or len(box):
        taken += len(box.take(100, 10**9))
    assert (taken, box.accepted, box.dropped, box.bytes) == (16_000, 16_000, 0, 0)


def test_a_finalizer_may_log_in_the_middle_of_a_put():
    """As the garbage collector may run one wherever something is allocated."""
    box = Outbox(100, 10_000)

    class Odd:
        """An item whose size is asked for in the middle of `put`."""

        task_id = "t"

        @property
        def size(self) -> int:
            if self.first:
                self.first = False
                box.put(said("from within", flag="success"))
            return 10

        first = True

    box.put(Odd())  # type: ignore[arg-type]
    assert len(box.take(10, 10_000)) == 2


# --- on disk ---


def test_a_spool_keeps_what_waits_and_gives_it_when_the_desk_is_back(away: FakeDesk, sender: Make, tmp_path: Path):
    one = sender(away.url, spool=tmp_path / "spool")
    for number in range(300):
        one.put(item(str(number), f"t-{number}"))
    one.put(said("t-1", flag="success"))
    assert one.flush(PATIENCE), "what is on disk waits no more in memory"
    assert (len(one.outbox), one.counts.spooled) == (0, 301)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "spool").iterdir()} == {0o600}
    away.open()
    one.put(item("new", "t-new"))
    soon(lambda: len(away.tasks) == 301 and len(away.feedback) == 1)
    assert {task["task_id"] for task in away.tasks} == {"t-new", *(f"t-{number}" for number in range(300))}
    soon(lambda: list((tmp_path / "spool").iterdir()) == [])


def test_a_spool_is_bounded_and_what_had_to_make_room_is_counted(tmp_path: Path):
    spool = Spool(tmp_path, most_bytes=1_000_000)
    for _ in range(8):
        spool.write([(TASK, "t", b'{"x": "%s"}' % (b"x" * 10_000))] * 25)  # a file each
    kept = sum(path.read_bytes().count(b"\n") for path in tmp_path.iterdir())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1_000_000
    assert kept + spool.dropped == 200
    assert kept >= 50


def test_a_spooled_line_that_was_torn_is_left_out(tmp_path: Path):
    spool = Spool(tmp_path, 10_000)
    spool.write([(TASK, "t", b'{"input": "a"}')])
    with spool.files()[0].open("ab") as file:
        file.write(b'{"kind": "task", "id": "u", "bo')
    spool.close()
    with spool.oldest() as found:
        assert found is not None
        assert found[1] == [(TASK, "t", b'{"input": "a"}')]


def test_what_a_process_spooled_before_it_died_is_sent_by_the_next(away: FakeDesk, app: Run, tmp_path: Path):
    app(f"""
import os
tasktap.init(base_url={away.url!r}, spool={str(tmp_path / "spool")!r})
tasktap.log(input="before", task_id="dead")
assert tasktap.flush(40)
os.kill(os.getpid(), 9)
""", code=-9)  # fmt: skip
    away.open()
    app(f"""
tasktap.init(base_url={away.url!r}, spool={str(tmp_path / "spool")!r})
from tests.proc import soon
soon(lambda: tasktap.stats()["sent"] == 1)
""")
    assert [task["task_id"] for task in away.tasks] == ["dead"]


# --- the app's end, and forks ---


def test_the_end_of_an_app_sends_what_waits(desk: FakeDesk, app: Run):
    app("""
tasktap.init(tick=60)
tasktap.log(input="last words")
""", TASKTAP_URL=desk.url, TASKTAP_PROJECT="shop")  # fmt: skip
    assert [(task["input"], task["project_id"]) for task in desk.tasks] == [("last words", "shop")]


def test_an_app_that_raises_sends_what_waits(desk: FakeDesk, app: Run):
    app("""
tasktap.log(input="last words")
raise SystemExit(3)
""", TASKTAP_URL=desk.url, code=3)  # fmt: skip
    assert [task["input"] for task in desk.tasks] == ["last words"]


def test_a_stream_that_is_open_at_the_end_of_an_app_is_recorded(desk: FakeDesk, app: Run):
    app("""
stream = tasktap.MutableGenerator(iter("abc"))
tasktap.log(input="q", output=stream, stream=True)
next(stream)
""", TASKTAP_URL=desk.url)  # fmt: skip
    assert (desk.last()["output"], desk.last()["ending"]) == ("a", "caller_left")
    assert desk.last()["problems"] == ["the app ended before the stream did"]


def test_the_end_of_an_app_is_not_held_up_by_a_desk_that_is_away(away: FakeDesk, app: Run):
    ran = app("""
import time, atexit
began = time.monotonic()
atexit.register(lambda: print("seconds", time.monotonic() - began))
from proxy.client.life import close
atexit.unregister(close); atexit.register(close)
tasktap.init(exit_seconds=30)
tasktap.log(input="a")
""", TASKTAP_URL=away.url)  # fmt: skip
    assert float(ran.stdout.split()[1]) < 10
    assert "1 tasks are lost" in ran.stderr


def test_the_end_of_an_app_is_held_up_by_a_desk_that_hangs_no_longer_than_asked(desk: FakeDesk, app: Run):
    going = threading.Event()
    desk.status = lambda body: 200 if going.wait(60) else 500
    ran = app("""
import time, atexit
from proxy.client.life import close
began = time.monotonic()
atexit.unregister(close); atexit.register(lambda: print("seconds", time.monotonic() - began)); atexit.register(close)
tasktap.init(exit_seconds=0.5)
tasktap.log(input="a")
""", TASKTAP_URL=desk.url)  # fmt: skip
    going.set()
    assert 0.4 < float(ran.stdout.split()[1]) < 10


def test_a_forked_child_sends_its_own_tasks_and_not_its_parents(desk: FakeDesk, app: Run):
    app("""
import os
tasktap.init(tick=60)
tasktap.log(input="parent before")
child = os.fork()
tasktap.log(input="child" if child == 0 else "parent after")
if child == 0:
    assert tasktap.flush(40)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""", TASKTAP_URL=desk.url)  # fmt: skip
    assert sorted(task["input"] for task in desk.tasks) == ["child", "parent after", "parent before"]
    assert len({task["task_id"] for task in desk.tasks}) == 3


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_a_worker_of_multiprocessing_sends_what_it_logged_last(desk: FakeDesk, app: Run, way: str):
    app(f"""
import multiprocessing
def work(name):
    tasktap.log(input=name)
if __name__ == "__main__":
    tasktap.log(input="parent")
    tasktap.flush(40)
    context = multiprocessing.get_context({way!r})
    workers = [context.Process(target=work, args=(name,)) for name in ("a", "b")]
    for worker in workers: worker.start()
    for worker in workers: worker.join(); assert worker.exitcode == 0
""", TASKTAP_URL=desk.url)  # fmt: skip
    assert sorted(task["input"] for task in desk.tasks) == ["a", "b", "parent"]


def test_importing_the_client_loads_nothing_but_the_standard_library_and_starts_nothing(app: Run):
    ran = app("""
import sys, threading
ours = {name for name in sys.modules if name.startswith("proxy")}
others = {name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"proxy", "__main__"}
import json; print(json.dumps([sorted(ours), sorted(others), threading.active_count()]))
""")
    ours, others, threads = json.loads(ran.stdout)
    assert all(name == "proxy" or name.startswith("proxy.client") for name in ours)
    assert [name for name in others if not name.startswith(("_", "sitecustomize"))] == []
    assert threads == 1


def test_wrong_arguments_of_init_are_told_and_not_raised(desk: FakeDesk, caplog: pytest.LogCaptureFixture):
    tasktap.init(base_url="127.0.0.1:8901", nonsense=True, auto_log=True)
    assert "has no http://" in caplog.text
    assert "there is no nonsense" in caplog.text
    tasktap.init(base_url=desk.url)


def test_a_port_of_nobody_is_told_of_once_not_each_time(away: FakeDesk, sender: Make, caplog: pytest.LogCaptureFixture):
    one = sender(away.url)
    one.put(item("a"))
    soon(lambda: one._failures > 1)
    assert caplog.text.count("cannot be reached") == 1
