"""Traffic for the fire: an upstream whose every answer follows from a number, and callers who remember what they were given."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

NUMBER = re.compile(rb"\r\nx-fire: (\d+)( big)?", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
TASK = re.compile(rb"\r\nx-task-id: ([^\r]+)", re.IGNORECASE)
MARK = b"data: [DONE]\n\n"
SESSIONS = 7
BIG_REQUEST, BIG_ANSWER = 300_000, 1_000_000  # bytes, about
HUNG_SECONDS = 30.0  # no call of ours takes a second, and a relay that was killed is back long before


@dataclass(frozen=True, slots=True)
class Answer:
    """What the upstream says to call `number`: pieces of a body, each after a wait in seconds."""

    status: int
    stream: bool
    pieces: tuple[tuple[float, bytes], ...]

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data in self.pieces)

    @property
    def ending(self) -> str:
        return "completed" if self.status < 400 else "upstream_error"


def answer(number: int, big: bool = False) -> Answer:
    """A plain answer, a stream of 2 to 25 events, or now and then an error; always the same for the same number.

    A `big` one says the same at length.
    """
    dice = random.Random(number)
    kind = dice.random()
    words = " ".join(f"w{dice.randrange(10**6)}" for _ in range(dice.choice((3, 30, 300, 3000))))
    if kind < 0.08:
        return Answer(
            429, False, ((dice.random() * 0.01, json.dumps({"error": {"message": words, "code": "rate_limit"}}).encode()),)
        )
    start = {"id": f"chatcmpl-{number}", "model": "fire-1", "created": 1764000000}
    if kind < 0.5:
        words = _at_length(words, BIG_ANSWER) if big else words
        choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
        body = json.dumps(start | {"object": "chat.completion", "choices": [choice]}).encode()
        return Answer(200, False, ((dice.random() * 0.02, body),))
    pieces = []
    count = dice.randrange(2, 25)
    words = _at_length(words, BIG_ANSWER // count) if big else words[:50]
    for at in range(count):
        last = at == count - 1
        choice = {
            "index": 0,
            "delta": {} if last else {"content": f" {words}{at}"},
            "finish_reason": "stop" if last else None,
        }
        event = b"data: " + json.dumps(start | {"object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
        pieces.append((dice.choice((0.0, 0.001, 0.005, 0.02)), event))
    return Answer(200, True, (*pieces, (0.0, MARK)))


def _at_length(words: str, length: int) -> str:
    return words * (length // len(words) + 1)


Said = dict[int, list[float]]
"""By call, when each piece of its stream was said, in seconds of the monotonic clock."""


async def provide(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stamps: Said | None = None, again: list[int] | None = None
) -> None:
    """The upstream's side of one connection; `stamps` remembers when it said what, `again` what it was asked more than once."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            number, length = NUMBER.search(head), LENGTH.search(head)
            assert number is not None, head
            assert length is not None, head
            await reader.readexactly(int(length[1]))
            said = answer(int(number[1]), big=bool(number[2]))
            said_at: list[float] = []
            if stamps is not None:
                if again is not None and int(number[1]) in stamps:
                    again.append(int(number[1]))
                stamps[int(number[1])] = said_at
            if said.stream:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                for wait, piece in said.pieces:
                    await asyncio.sleep(wait)
                    if writer.is_closing():
                        return
                    said_at.append(time.monotonic())
                    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                writer.write(b"0\r\n\r\n")
            else:
                await asyncio.sleep(said.pieces[0][0])
                head = b"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                writer.write(head % (said.status, len(said.body)) + said.body)
            await writer.drain()
    writer.close()


@dataclass(frozen=True, slots=True)
class Cut:
    """An answer that broke: which, how many pieces of it had come, and when its relay was killed (monotonic seconds)."""

    number: int
    pieces: int
    killed_at: float


@dataclass(slots=True)
class World:
    """What the callers did and were given, and when a failure has an excuse."""

    where: Callable[[], tuple[str, int]]
    pause: float = 0.01  # seconds that a caller rests between two calls, on average
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    big_every: int | None = None  # of so many calls one is big
    over: bool = False
    down: bool = False  # a relay was killed and is not known to be back
    kills: int = 0  # of relays, so far
    begun: dict[str, int] = field(default_factory=dict)  # id given by the caller -> number
    nameless: int = 0  # calls begun without an id
    seen: dict[str, tuple[str, str]] = field(default_factory=dict)  # id -> (SHA-256 of the body whose end was read, ending)
    sent: dict[str, str] = field(default_factory=dict)  # of these, SHA-256 of the request where it was a big one
    said: Said = field(default_factory=dict)
    coming: dict[str, tuple[int, int]] = field(default_factory=dict)  # streams of which a piece came: number, pieces in all
    cut: dict[str, Cut] = field(default_factory=dict)  # the answer had begun when the proxy died
    killed_at: float = 0.0  # when a relay was killed last, monotonic
    left: set[str] = field(default_factory=set)  # the caller left after the answer had begun
    wrong: list[str] = field(default_factory=list)  # answers that were not what the upstream said
    unexcused: list[str] = field(default_factory=list)  # calls that failed while no relay was killed
    took: list[tuple[float, float]] = field(default_factory=list)  # loop time at which an answer was whole, seconds added to it
    unanswered: int = 0  # calls that broke before a byte of an answer
    hung: int = 0

    def big(self, number: int) -> bool:
        """Whether this call is long both ways."""
        return self.big_every is not None and number % self.big_every == 0

    def midway(self) -> bool:
        """Whether a stream is coming whose upstream has more to say: a relay that is killed now cuts it."""
        return any(len(self.said.get(number, ())) < count for number, count in self.coming.values())


class Left(Exception):
    """The caller has had enough."""


class Caller:
    """One app: calls over a kept connection, one after the other, until the world is over."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.dice = random.Random(number)
        self.writer: asyncio.StreamWriter | None = None

    async def live(self) -> None:
        while not self.world.over:
            await asyncio.sleep(self.dice.random() * 2 * self.world.pause)
            number = next(self.world.numbers)
            self.id, self.answered, self.pieces = (f"fire-{number}" if number % 4 else ""), False, 0
            try:
                async with asyncio.timeout(HUNG_SECONDS):
                    await self.call(number)
            except Left:
                self.close()
            except TimeoutError:
                self.world.hung += not self.world.down
                self.close()
            except (OSError, EOFError) as error:
                self.failed(number, error)
                await asyncio.sleep(0.1)
            finally:
                self.world.coming.pop(self.id, None)
        self.close()

    def failed(self, number: int, error: Exception) -> None:
        """The connection broke; is there an excuse?"""
        if not self.world.down and self.world.kills == self.kills:
            self.world.unexcused.append(f"{number} ({self.id}): {error!r}")
        if isinstance(error, asyncio.IncompleteReadError) and error.partial:
            self.answered = True
        self.world.unanswered += not self.answered
        if self.id and self.answered and self.id not in self.world.seen:
            self.world.cut[self.id] = Cut(number, self.pieces, self.world.killed_at)
        self.close()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
        self.writer = None

    async def call(self, number: int) -> None:
        if self.writer is None:
            self.kills = -1 if self.world.down else self.world.kills
            self.reader, self.writer = await asyncio.open_connection(*self.world.where())
        big = self.world.big(number)
        said = answer(number, big)
        content = _at_length(f"say {number} ", BIG_REQUEST) if big else f"say {number}"
        body = json.dumps({"model": "fire-1", "stream": said.stream, "messages": [{"role": "user", "content": content}]})
        self.sent = hashlib.sha256(body.encode()).hexdigest() if big else ""
        named = f"X-Task-Id: {self.id}\r\n" if self.id else ""
        fire = f"{number} big" if big else f"{number}"
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: tasktap\r\nX-Fire: {fire}\r\n{named}"
        head += f"X-Session-Id: s-{number % SESSIONS}\r\n"
        if self.id:
            self.world.begun[self.id] = number
        else:
            self.world.nameless += 1
        self.began = asyncio.get_running_loop().time()
        self.writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        answered = await self.reader.readuntil(b"\r\n\r\n")
        self.answered = True
        if b"\r\nX-Tasktap-Error: stopping\r\n" in answered and (self.world.down or self.world.kills != self.kills):
            raise Left  # a relay whose supervisor is dead takes no new calls
        task = TASK.search(answered)
        if task is None or (self.id and task[1].decode() != self.id) or int(answered[9:12]) != said.status:
            self.world.wrong.append(f"{number}: {answered!r}")
            raise Left
        self.id = task[1].decode()
        if self.dice.random() < 0.06:
            self.world.left.add(self.id)
            raise Left
        await self.read(number, said, LENGTH.search(answered))

    async def read(self, number: int, said: Answer, length: re.Match[bytes] | None) -> None:
        """Read the body; from its last byte on, or its end marker, the answer is delivered."""
        if length is not None:
            self.delivered(said, await self.reader.readexactly(int(length[1])))
            return
        got = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            got += (await self.reader.readexactly(size + 2))[:-2]
            self.pieces += 1
            self.world.coming[self.id] = number, len(said.pieces)
            if got.endswith(MARK):
                self.delivered(said, got)
                if self.dice.random() < 0.3:
                    raise Left  # as the OpenAI SDK does
        await self.reader.readuntil(b"\r\n")

    def delivered(self, said: Answer, body: bytes) -> None:
        if body != said.body:
            self.world.wrong.append(f"{self.id}: {len(body)} bytes for {len(said.body)}")
        now = asyncio.get_running_loop().time()
        self.world.took.append((now, now - self.began - sum(wait for wait, _ in said.pieces)))
        self.world.seen[self.id] = (hashlib.sha256(body).hexdigest(), said.ending)
        if self.sent:
            self.world.sent[self.id] = self.sent
