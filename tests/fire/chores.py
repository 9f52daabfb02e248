"""Strikes amid the chores of the desk and what people ask for: opening the store, retention, forgetting, a change of settings.

Somebody calls all the while, and is answered; afterwards what was to go is in no file, and the rest is there once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.fire.scene import does_not_add_up, providing
from tests.fire.traffic import answer
from tests.fire.verdict import some
from tests.proc import Tasktap, soon
from tests.relay.caller import once, request
from tests.store.test_scrub import places

CONFIG = """
default_upstream = "fire"
[upstreams.fire]
url = "http://127.0.0.1:{port}"
[journal]
patience_ms = 5000
[retention]
projects = ["scratch=0.00001"]
"""
POINTS = (
    *("desk.store", "desk.door", "retention.step", "retention.stepped", "forget.blanked", "forget.step", "forget.scrub"),
    *("change.begin", "change.done"),
)
EACH = 6  # calls of whoever is to be forgotten
GONE_SECONDS = 0.5  # what is killed closes its files, by which its relays know, before it is seen to be gone


@dataclass
class Callers:
    """Who calls, and what became of it."""

    house: Tasktap
    numbers: Iterator[int] = field(default_factory=lambda: (number for number in count() if not answer(number).stream))
    kept: list[str] = field(default_factory=list)  # ids of answered calls that nobody forgets
    unanswered: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def call(self, who: str, project: str) -> str:
        """One call of somebody's; its id. Raises OSError, AssertionError where it is not answered."""
        number = next(self.numbers)
        id = f"{who}.{number}"
        labels = (
            b"X-Fire: %d" % number,
            f"X-Task-Id: {id}".encode(),
            f"X-User-Id: {who}".encode(),
            f"X-Project-Id: {project}".encode(),
        )
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"{who} asks {number} " * 20}]}).encode()
        got = once(
            self.house.calls, request(b"POST", b"/v1/chat/completions", *labels, b"Content-Type: application/json", body=body)
        )
        assert got.error is None, got.head.raw
        assert got.cut is None
        return id

    @property
    def up(self) -> bool:
        """Whether the supervisor lives, and says that calls are carried."""
        process = self.house.process
        return process is not None and process.poll() is None and self.house.run.get("pid") == process.pid

    def go_on(self) -> None:
        """Alice calls until it is over. What is not answered while the supervisor lives has no excuse."""
        while not self.over.is_set():
            up, process = self.up, self.house.process
            try:
                self.kept.append(self.call("alice", "default"))
            except (OSError, AssertionError) as error:
                self.over.wait(GONE_SECONDS)
                if up and self.up and self.house.process is process:
                    self.unanswered.append(repr(error))
            self.over.wait(0.02)


def _forgotten(house: Tasktap) -> bool:
    """Ask for it; whether it was done, and wholly."""
    asked = urllib.request.Request(
        f"{house.run['desk']}/api/forget", b'{"user_id":"mallory"}', {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30) as told:
            return bool(json.loads(told.read())["clean"])
    except (OSError, urllib.error.HTTPError, ValueError):  # it failed, or its desk died: whoever asked asks again
        return False


def _alive(house: Tasktap) -> None:
    """Start it again where the supervisor was killed."""
    if house.process is not None and house.process.poll() is not None:
        house.start()


def _changed(house: Tasktap) -> bool:
    """Ask for a change; whether it was made."""
    _alive(house)
    before = house.written().count("tasktap has changed over"), house.written().count("nothing was changed")
    os.kill(house.pid("supervisor"), signal.SIGHUP)

    def said() -> bool:
        now = house.written().count("tasktap has changed over"), house.written().count("nothing was changed")
        return now != before or (house.process is not None and house.process.poll() is not None)

    soon(said, "a word on the change")
    return house.written().count("tasktap has changed over") > before[0]


def _nothing_of(house: Tasktap, project: str) -> bool:
    with contextlib.suppress(OSError, AssertionError):
        return not house.get(f"/api/tasks?project_id={project}")["items"]
    return False


def struck(seen: Path) -> set[str]:
    return set(seen.read_text().split()) if seen.exists() else set()


def strike(folder: Path, faults: tuple[str, ...]) -> list[str]:
    """All chores once, under these faults; what is wrong afterwards."""
    seen = folder / "seen"
    with providing() as port:
        house = Tasktap(folder, CONFIG.format(port=port), {"_TASKTAP_FAULT": ",".join(faults), "_TASKTAP_FAULT_SEEN": str(seen)})
        callers = Callers(house)
        calling = threading.Thread(target=callers.go_on)
        try:
            house.start()
            soon(lambda: _nothing_of(house, "nobody"), "the store is open")
            gone = [
                callers.call(who, project)
                for who, project in (("mallory", "default"), ("nobody", "scratch"))
                for _ in range(EACH)
            ]
            house.quiet()
            calling.start()
            found = [] if places(house.data, b"mallory") else ["the search does not see what is there"]
            os.kill(house.pid("desk"), signal.SIGKILL)  # the next one begins with a round of retention
            soon(lambda: _nothing_of(house, "scratch"), "what is too old is gone")
            soon(lambda: _forgotten(house), "mallory is forgotten")
            soon(lambda: _changed(house), "the settings are taken in")
            soon(lambda: struck(seen).issuperset(faults), "every fault has struck")
            callers.over.set()
            calling.join(30)
            status = house.quiet()
            soon(lambda: _nothing_of(house, "nobody"), "the store is open")
            stored = Counter(_every_id(house))
            code = house.stop()
        finally:
            callers.over.set()
            house.kill_all()
    found += does_not_add_up(status)
    found += some("calls were not answered", callers.unanswered)
    found += some("calls that nobody forgets are not there once", [id for id in callers.kept if stored[id] != 1])
    found += some("tasks that were to go are there", [id for id in gone if id in stored])
    found += some("files know what was forgotten", sorted(str(each) for each in places(house.data, b"mallory")))
    if len(callers.kept) < 10:
        found.append(f"only {len(callers.kept)} calls were made meanwhile: nothing was tried")
    if status["lost"] or code:
        found.append(f"exit {code}, {status}")
    if "Traceback" in (said := house.written()):
        found.append(f"a traceback was printed: {said[said.index('Traceback') :][:1500]}")
    return found


def _every_id(house: Tasktap) -> Iterator[str]:
    cursor = ""
    while cursor is not None:
        page = house.get(f"/api/tasks?limit=500{cursor and f'&cursor={cursor}'}")
        yield from (item["id"] for item in page["items"])
        cursor = page["next"]
