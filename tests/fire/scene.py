"""A few calls of every kind against one tasktap, and what became of each; and the store, asked about all of them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import socket
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from proxy.store import open_store
from proxy.task import Which
from tests.fire.traffic import MARK, Answer, answer, provide
from tests.fire.verdict import CUT_ENDINGS, every_task, some
from tests.proc import Tasktap
from tests.sockets import PATIENCE, Body, Cut, Wire

CALLERS = 3
PIECE = 9000  # bytes of an upload's piece: a round of uploads fills a journal segment of 64 KiB
SLOWEST = 20.0  # seconds that a call may take while a relay is killed and started again
BROKEN_ENDINGS = {"upload_incomplete", "unreachable", "upstream_broke"}
STUMBLED = "the record is not whole"


@contextlib.contextmanager
def providing() -> Iterator[int]:
    """The upstream of `traffic`, in a thread of its own; gives its port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(provide, "127.0.0.1", 0, limit=2**20))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


@functools.cache
def _numbers() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Calls that are answered at once, and those whose streams are long; enough for the longest run."""
    said = [(number, answer(number)) for number in range(900)]
    plain = tuple(number for number, each in said if not each.stream)
    return plain, tuple(number for number, each in said if len(each.pieces) > 8)


@dataclass(slots=True)
class Outcome:
    """What one caller was given."""

    number: int
    kind: str
    touched: bool = False  # it got a byte of an answer
    delivered: bool = False  # it got the last byte, or the end marker
    left: bool = False  # it went away in the middle
    refused: bool = False  # by tasktap, in the upstream's place
    broke: str | None = None
    wrong: str | None = None

    @property
    def id(self) -> str:
        return f"fault-{self.number}"


@dataclass
class Scene:
    """The callers of one run."""

    where: Callable[[], tuple[str, int]]
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._plain, self._streams = map(iter, _numbers())
        self._lock = threading.Lock()

    def rounds(self, count: int = 1) -> None:
        """Every caller makes its calls, side by side with the others."""
        with ThreadPoolExecutor(CALLERS) as pool:
            for done in [pool.submit(self._round) for _ in range(count * CALLERS)]:
                done.result()

    def _round(self) -> None:
        for kind in ("plain", "stream", "leaves", "pieces", "content"):
            self.one(kind)

    def one(self, kind: str) -> Outcome:
        """A call of this kind, to its end."""
        with self._lock:
            number = next(self._plain if kind in ("plain", "pieces") else self._streams)
            outcome = Outcome(number, kind)
            self.outcomes.append(outcome)
        try:
            sock = socket.create_connection(self.where(), SLOWEST)
        except OSError as error:
            outcome.broke = repr(error)
            return outcome
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(sock)
        sock.settimeout(SLOWEST)
        try:
            self._ask(wire, outcome)
            self._hear(wire, outcome, answer(number))
        except TimeoutError:
            outcome.broke = f"hung after {bytes(wire.buffer[-80:])!r}"
            outcome.wrong = outcome.broke
        except (Cut, OSError) as error:
            outcome.broke = repr(error)
            outcome.touched = outcome.touched or bool(wire.received)
        except (AssertionError, ValueError) as error:
            outcome.wrong = repr(error)
        finally:
            wire.leave(rst=outcome.left)
        return outcome

    def _ask(self, wire: Wire, outcome: Outcome) -> None:
        said = answer(outcome.number)
        content = f"say {outcome.number}" + "." * (4 * PIECE if outcome.kind == "pieces" else 0)
        sent = {"model": "fire-1", "stream": said.stream, "messages": [{"role": "user", "content": content}]}
        body = json.dumps(sent).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: tasktap\r\nX-Fire: {outcome.number}\r\nX-Task-Id: {outcome.id}\r\n"
        start = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        if outcome.kind != "pieces":
            wire.send(start + body)
            return
        wire.send(start)
        for at in range(0, len(body), PIECE):
            if at:
                self.one("plain")  # once it is answered, the relay has read the piece before
            wire.send(body[at : at + PIECE])

    def _hear(self, wire: Wire, outcome: Outcome, said: Answer) -> None:
        head = wire.head()
        if head is None:
            outcome.broke = "closed before an answer"
            return
        outcome.touched = True
        if head.value(b"x-tasktap-error") is not None:
            wire.body(head)
            outcome.refused, outcome.broke = True, repr(head.raw)
            return
        if not head.line.startswith(b"HTTP/1.1 %d " % said.status) or head.value(b"x-task-id") != outcome.id.encode():
            outcome.wrong = repr(head.raw)
            return
        body = Body()
        if head.chunked:
            while wire.chunk(body):
                if outcome.kind == "leaves":
                    outcome.left = True
                    return
                if body.data.endswith(MARK):
                    outcome.delivered = True
                    if outcome.kind == "content":
                        outcome.left = True
                        break
        else:
            body = wire.body(head)
            outcome.delivered = True
        if body.data != said.body:
            outcome.wrong = f"{len(body.data)} bytes for {len(said.body)}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the faults that were asked for excuse."""

    cuts: bool = False  # calls may break: their relay was killed
    stumbles: bool = False  # records may be less than whole, when they say so
    unkept: bool = False  # calls may be missing from the store, when they are counted


def complaints(data: Path, scene: Scene, lost: int, allowed: Allowed) -> list[str]:
    """What is wrong in the store of a tasktap that has stopped; `lost` is how many calls it counted as lost."""
    with contextlib.closing(sqlite3.connect(f"file:{data / 'tasktap.db'}?mode=ro", uri=True)) as plain:
        integrity = plain.execute("PRAGMA integrity_check").fetchall()
    found = [] if integrity == [("ok",)] else [f"integrity_check: {integrity[:3]}"]
    left = sorted(path.name for folder in ("journal", "aside") for path in (data / folder).iterdir())
    found += some("files are left behind", left)
    return found + asyncio.run(_compare(data, scene, lost, allowed))


async def _compare(data: Path, scene: Scene, lost: int, allowed: Allowed) -> list[str]:
    store = await open_store("sqlite:", data, write=False)
    try:
        tasks = {summary.id: await store.get(summary.id) for summary in await every_task(store)}
        bodies = {id: await store.body(id, Which.RESPONSE) for id in tasks}
        uploads = {id: await store.body(id, Which.REQUEST) for id in tasks}
    finally:
        await store.close()
    found: list[str] = []
    missing = [each for each in scene.outcomes if each.id not in tasks]
    answered = [each.id for each in missing if each.touched]
    if not allowed.unkept:
        found += some("calls whose answer had begun are missing", answered)
    if allowed.cuts:
        if lost > len(missing):
            found.append(f"{lost} calls are counted as lost, {len(missing)} are missing")
    elif lost != len(missing):
        found.append(f"{lost} calls are counted as lost, {len(missing)} are missing: {[each.id for each in missing[:5]]}")
    for each in scene.outcomes:
        task = tasks.get(each.id)
        if each.wrong is not None:
            found.append(f"{each.id} ({each.kind}) was given a wrong answer: {each.wrong}")
        if each.broke is not None and not allowed.cuts:
            found.append(f"{each.id} ({each.kind}) broke: {each.broke}")
        if task is None:
            continue
        said = answer(each.number)
        stumbled = any(STUMBLED in problem for problem in task.problems)
        if stumbled and not allowed.stumbles:
            found.append(f"{each.id} has problems: {task.problems}")
        body, sent = bodies[each.id], uploads[each.id]
        kept = b"" if body is None else body.data
        if not stumbled and not each.refused and not said.body.startswith(kept):
            found.append(f"{each.id} ({each.kind}): the stored answer is not the upstream's: {kept[-200:]!r}")
        if each.delivered:
            if task.ending != said.ending and not stumbled:
                found.append(f"{each.id} ({each.kind}) was delivered, and ended as {task.ending}")
            if kept != said.body and not stumbled:
                found.append(f"{each.id} ({each.kind}) was delivered; {len(kept)} of {len(said.body)} bytes are kept")
            if not stumbled and (sent is None or not re.search(rb'"say %d\.*"' % each.number, sent.data)):
                found.append(f"{each.id} ({each.kind}): the request that is kept is not the one that was sent")
        elif each.broke is not None and task.ending not in CUT_ENDINGS | BROKEN_ENDINGS:
            found.append(f"{each.id} ({each.kind}) was cut, and ended as {task.ending}")
    origins = Counter(task.origin for task in tasks.values() if task is not None)
    found += some("tasks are doubled", [origin for origin, count in origins.items() if count > 1])
    names = {each.id for each in scene.outcomes}
    found += some("tasks were never called", sorted(tasks.keys() - names))
    return found


def does_not_add_up(status: dict[str, int]) -> list[str]:
    """The one equation of the contract."""
    if status["carried"] == status["stored"] + status["waiting"] + status["lost"]:
        return []
    return [f"it does not add up: {status}"]


def restarted(house: Tasktap) -> Tasktap:
    """Another start on the same data directory, without faults."""
    house.environment = {name: value for name, value in house.environment.items() if not name.startswith("_TASKTAP_FAULT")}
    return house.start()
