"""The desk's own HTTP: whole requests out of whatever pieces they come in, whole answers, and an end to everything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from proxy.query.web import Application, HTTPException, Request, Response, StreamResponse
from proxy.server.desk_door import DeskDoor

Talk = Callable[..., Awaitable[bytes]]
GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n"
LAST = b"Connection: close\r\n"
PIECE = b"x" * 65_536


class Desk:
    """An application that says what it was asked, and what became of its handlers."""

    def __init__(self) -> None:
        self.written = self.cancelled = 0
        self.broken: asyncio.Queue[str] = asyncio.Queue()
        self.waiting = asyncio.Event()
        self.app = Application([self._told])
        self.app.add("GET", "/say/{id}", self._say)
        self.app.add("GET", "/deep/{id:.+}/end", self._say)
        self.app.add("POST", "/body", self._body)
        self.app.add("POST", "/unread", self._say)
        self.app.add("GET", "/stream", self._stream)
        self.app.add("GET", "/endless", self._endless)
        self.app.add("GET", "/hang", self._hang)
        self.app.add("GET", "/bug", self._bug)

    async def _told(self, request: Request, handler: Callable[[Request], Awaitable[StreamResponse]]) -> StreamResponse:
        try:
            return await handler(request)
        except HTTPException as wrong:
            self.broken.put_nowait(wrong.reason)
            allowed = getattr(wrong, "allowed_methods", ())
            return Response(status=wrong.status, text=wrong.reason, headers={"Allow": ", ".join(sorted(allowed))})

    async def _say(self, request: Request) -> Response:
        told = {"path": request.path, "pattern": request.pattern, "info": dict(request.match_info), "remote": request.remote}
        told |= {"query": request.query.items(), "cookies": dict(request.cookies), "x": request.headers.getall("x")}
        return Response(text=json.dumps(told))

    async def _body(self, request: Request) -> Response:
        return Response(body=b"".join([part async for part in request.body()]))

    async def _stream(self, request: Request) -> StreamResponse:
        answer = StreamResponse(content_type="text/plain")
        await answer.prepare(request)
        for word in (b"one ", b"two ", b"three"):
            await answer.write(word)
        return answer

    async def _endless(self, request: Request) -> StreamResponse:
        answer = StreamResponse(content_type="text/plain")
        await answer.prepare(request)
        try:
            while True:
                await answer.write(PIECE)
                self.written += 1
                await asyncio.sleep(0)
        except ConnectionError:
            self.broken.put_nowait("gone")
            raise

    async def _hang(self, _request: Request) -> StreamResponse:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1
        raise AssertionError

    async def _bug(self, _request: Request) -> StreamResponse:
        raise RuntimeError("a secret")


@contextlib.asynccontextmanager
async def opened(desk: Desk, **seconds: float) -> AsyncIterator[tuple[DeskDoor, int]]:
    door = DeskDoor(desk.app, **seconds)
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    await door.open(sock)
    try:
        yield door, port
    finally:
        await door.close(0.1)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def talk(desk: Desk) -> AsyncIterator[Talk]:
    """Send pieces, each for itself; give all that comes back until the desk ends the connection."""
    async with opened(desk) as (_, port):

        async def said(*pieces: bytes, ends: bool = False) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    if len(pieces) > 1:
                        await asyncio.sleep(0.001)
                if ends:
                    writer.write_eof()
                return await asyncio.wait_for(reader.read(), 20)
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

        yield said


def parts(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


async def test_a_request_may_come_in_any_two_pieces(talk: Talk):
    asked = b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n" + LAST + b"\r\nhello"
    for at in range(1, len(asked)):
        head, body = parts(await talk(asked[:at], asked[at:]))
        assert (head.splitlines()[0], body) == (b"HTTP/1.1 200 OK", b"hello"), at


async def test_a_chunked_body_may_come_in_any_two_pieces(talk: Talk):
    head = b"POST /body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" + LAST
    asked = head + b"\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    for at in range(1, len(asked)):
        assert parts(await talk(asked[:at], asked[at:]))[1] == b"hello", at


async def test_requests_that_come_at_once_are_answered_in_order_on_one_connection(talk: Talk):
    post = b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
    said = await talk(GET % (b"/say/a", b"") + post + b"\r\n" + GET % (b"/stream", b"") + GET % (b"/say/b", LAST))
    assert said.count(b"HTTP/1.1 200 OK") == 4
    assert said.index(b'"/say/a"') < said.index(b"abc") < said.index(b"three") < said.index(b'"/say/b"')
    assert said.count(b"Connection: close") == 1


async def test_what_was_asked_reaches_the_handler(talk: Talk):
    fields = b'X: 1\r\nx: \xc3\xa9\r\nCookie: a=1; b="2"; a=3\r\n' + LAST
    told = json.loads(parts(await talk(GET % (b"/say/a%2Fb%25%C3%A9?q=1&q=&r=a+b%26", fields)))[1])
    assert told == {
        "path": "/say/a/b%é",
        "pattern": "/say/{id}",
        "info": {"id": "a/b%é"},
        "remote": "127.0.0.1",
        "query": [["q", "1"], ["q", ""], ["r", "a b&"]],
        "cookies": {"a": "1", "b": "2"},
        "x": ["1", "é"],
    }


@pytest.mark.parametrize("path", [b"/deep/a/b/end", b"/deep/a%2Fb/end", b"http://elsewhere/deep/a/b/end"])
async def test_a_part_may_have_slashes_where_its_route_says_so(talk: Talk, path: bytes):
    told = json.loads(parts(await talk(GET % (path, LAST)))[1])
    assert (told["pattern"], told["info"]) == ("/deep/{id}/end", {"id": "a/b"})


@pytest.mark.parametrize(
    ("asked", "status", "allow"),
    [
        (b"GET /say", b"404", b""),
        (b"GET /say/a/b", b"404", b""),
        (b"PUT /body", b"405", b"POST"),
        (b"POST /say/a", b"405", b"GET, HEAD"),
    ],
)
async def test_what_is_not_there_and_what_is_not_done_are_told_apart(talk: Talk, asked: bytes, status: bytes, allow: bytes):
    head, _ = parts(await talk(asked + b" HTTP/1.1\r\nHost: localhost\r\n" + LAST + b"\r\n"))
    assert head.split()[1] == status
    assert b"\r\nAllow: " + allow + b"\r\n" in head


async def test_head_has_the_fields_of_get_and_no_body(talk: Talk):
    got, body = parts(await talk(GET % (b"/say/a", LAST)))
    head, nothing = parts(await talk((GET % (b"/say/a", LAST)).replace(b"GET", b"HEAD")))
    assert nothing == b""
    assert b"\r\nContent-Length: %d" % len(body) in head
    assert [line.split(b":")[0] for line in head.split(b"\r\n")] == [line.split(b":")[0] for line in got.split(b"\r\n")]


async def test_a_stream_comes_in_chunks_and_to_old_callers_until_the_end(talk: Talk):
    head, body = parts(await talk(GET % (b"/stream", LAST)))
    assert b"Transfer-Encoding: chunked" in head
    assert body == b"4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"
    head, body = parts(await talk(b"GET /stream HTTP/1.0\r\n\r\n"))
    assert b"Transfer-Encoding" not in head
    assert body == b"one two three"


async def test_an_old_caller_who_asks_for_it_keeps_the_connection(talk: Talk):
    old = b"GET /say/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    said = await talk(old + GET % (b"/say/b", LAST))
    assert said.count(b"HTTP/1.1 200 OK") == 2


async def test_who_ends_their_side_still_gets_the_answer(talk: Talk):
    assert b'"/say/a"' in await talk(GET % (b"/say/a", b""), ends=True)


async def test_who_waits_with_the_body_is_told_to_go_on(talk: Talk):
    head = b"POST /body HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + LAST + b"\r\n"
    said = await talk(head, b"ok")
    assert said.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


async def test_a_body_that_nobody_reads_ends_the_connection_and_its_answer_arrives(talk: Talk):
    head = b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
    said = await talk(head, *[PIECE] * 20, ends=True)
    assert said.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nConnection: close\r\n" in said


@pytest.mark.parametrize("body", [b"Content-Length: 9\r\n\r\nhal", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\n"])
async def test_a_body_that_breaks_off_is_refused(talk: Talk, desk: Desk, body: bytes):
    said = await talk(b"POST /body HTTP/1.1\r\nHost: localhost\r\n" + body, ends=True)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert await desk.broken.get() == "Bad Request"


async def test_a_body_that_is_framed_wrongly_is_refused(talk: Talk):
    said = await talk(b"POST /body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert said.startswith(b"HTTP/1.1 400 ")


async def test_a_bug_before_the_answer_is_a_500_that_quotes_nothing(talk: Talk):
    head, body = parts(await talk(GET % (b"/bug", b"")))
    assert b" 500 " in head.splitlines()[0]
    assert json.loads(body)["error"]["code"] == "desk_failed"
    assert b"secret" not in body


async def test_whoever_does_not_read_holds_back_who_writes(desk: Desk):
    async with opened(desk) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(GET % (b"/endless", b""))
        await reader.readuntil(b"\r\n\r\n")
        held = -1
        while held != desk.written:
            held = desk.written
            for _ in range(200):
                await asyncio.sleep(0)
        assert held * len(PIECE) < 64 << 20
        writer.transport.abort()
        assert await asyncio.wait_for(desk.broken.get(), 20) == "gone"


async def test_closing_waits_for_answers_a_little_and_then_no_longer(desk: Desk):
    async with opened(desk) as (door, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        idle, other = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET % (b"/hang", b""))
        await asyncio.wait_for(desk.waiting.wait(), 20)
        await asyncio.wait_for(door.close(0.05), 20)
        assert desk.cancelled == 1
        assert await idle.read() == b""
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        for each in (writer, other):
            each.close()


@pytest.mark.parametrize("begun", [b"", b"GET / HT"])
async def test_a_connection_that_says_nothing_or_no_whole_head_is_ended(desk: Desk, begun: bytes):
    seconds = {"idle_seconds": 3600.0, "head_seconds": 0.05} if begun else {"idle_seconds": 0.05, "head_seconds": 3600.0}
    async with opened(desk, **seconds) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
