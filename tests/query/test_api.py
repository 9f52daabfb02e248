"""The JSON API over HTTP: each route, each error, always in one shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from proxy.query import document
from proxy.query.api import ACTS, ROUTES
from proxy.query.encoding import encode
from proxy.store import Store, StoreUnavailable, open_store
from proxy.store.memory import MemoryStore
from proxy.task import Status, Task
from tests.query.conftest import Ask
from tests.query.examples import BARE, FULL, MORNING, others


def raw(path: str) -> URL:
    """`path`, sent as it is written here."""
    return URL(path, encoded=True)


async def fetch(client: TestClient, path: str, status: int = 200) -> Any:
    async with client.get(raw(path)) as answer:
        text = await answer.text()
        assert answer.status == status, text
        assert answer.content_type == "application/json"
        found = json.loads(text)
        if status >= 400:
            assert set(found["error"]) == {"message", "type", "code", "param"}
            assert found["error"]["message"]
            assert found["error"]["type"] == ("invalid_request_error" if status < 500 else "server_error")
        return found


def same(found: Any, expected: Any) -> bool:
    return bool(found == json.loads(encode(expected)))


async def test_tasks_are_listed_newest_first_as_summaries(ask: Ask):
    found = await fetch(await ask(), "/api/tasks")
    assert [item["id"] for item in found["items"]] == ["t-004", "t-003", "t-002", "t-001", "t-000", "t-full", "t-bare"]
    assert found["next"] is None
    assert same(found["items"][5], document.of_summary(FULL))


async def test_pages_follow_one_another_to_the_end(ask: Ask):
    client = await ask()
    ids, path = [], "/api/tasks?limit=3"
    for _ in range(3):
        page = await fetch(client, path)
        ids += [item["id"] for item in page["items"]]
        path = f"/api/tasks?limit=3&cursor={quote(str(page['next']), safe='')}"
    assert page["next"] is None
    assert ids == ["t-004", "t-003", "t-002", "t-001", "t-000", "t-full", "t-bare"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("session_id=s%2F1+%C3%BC", ["t-full"]),
        ("user_id=ada", ["t-full"]),
        ("project_id=shop", ["t-full"]),
        ("model=gpt-5", ["t-full"]),
        ("model=gpt-5-2026", ["t-full"]),
        ("kind=opaque", ["t-bare"]),
        ("kind=a.word-of_its.own", []),
        ("parent_task_id=t-parent", ["t-full"]),
        ("ending=proxy_died", ["t-bare"]),
        ("flag=success", ["t-full"]),
        ("q=good", ["t-full"]),
        ("q=%22good+morning%22", ["t-full"]),
        ("q=%22morning+good%22", []),
        ("from=2026-11-22T15:04:05.123456Z&to=2026-11-22T15:04:06.123456Z", ["t-full"]),
        (f"to={MORNING / 1e6:.6f}", ["t-bare"]),
        ("user_id=ada&kind=opaque", []),
    ],
)
async def test_a_filter_finds_what_it_names(ask: Ask, query: str, ids: list[str]):
    found = await fetch(await ask(), f"/api/tasks?{query}")
    assert [item["id"] for item in found["items"]] == ids


async def test_a_task_is_given_whole(ask: Ask):
    assert same(await fetch(await ask(), "/api/tasks/t-full"), document.of_task(FULL))


async def test_a_task_whose_json_nothing_can_encode_plainly_is_given(ask: Ask, store: MemoryStore):
    odd = Task(
        id="t-odd", origin="e.odd", created_at=MORNING, ended_at=MORNING, kind="chat", ending=BARE.ending,
        raw_input={"n": 2**80, "f": float("inf")},
    )  # fmt: skip
    await store.save([odd])
    found = await fetch(await ask(), "/api/tasks/t-odd")
    assert found["raw_input"] == {"n": 2**80, "f": None}


async def test_a_body_is_given_in_its_coding_as_a_download(ask: Ask):
    client = await ask()
    async with client.get("/api/tasks/t-full/response") as answer:
        assert await answer.read() == FULL.response_body
        assert answer.content_type == "application/octet-stream"
        assert "Content-Encoding" not in answer.headers
        assert answer.headers["X-Content-Coding"] == "gzip"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="response.bin"'
    async with client.get("/api/tasks/t-full/request") as answer:
        assert await answer.read() == FULL.request_body
        assert "X-Content-Coding" not in answer.headers
        assert answer.headers["Content-Disposition"] == 'attachment; filename="request.bin"'


async def test_a_body_is_decoded_when_asked(ask: Ask):
    client = await ask()
    async with client.get("/api/tasks/t-full/response?decoded=1") as answer:
        assert await answer.read() == b"plain text"
        assert "X-Content-Coding" not in answer.headers
    async with client.get("/api/tasks/t-full/response?decoded=0") as answer:
        assert await answer.read() == FULL.response_body
    async with client.get("/api/tasks/t-full/request?decoded=1") as answer:
        assert await answer.read() == FULL.request_body


async def test_a_body_that_cannot_be_decoded_is_said_to_be(ask: Ask, store: MemoryStore):
    await store.save([Task(id="t-br", origin="e.br", created_at=1, ended_at=2, kind="chat", ending=BARE.ending,
                           response_body=b"?", response_coding="br")])  # fmt: skip
    found = await fetch(await ask(), "/api/tasks/t-br/response?decoded=1", 422)
    assert found["error"]["code"] == "not_decodable"


async def test_a_body_of_no_bytes_is_given_and_a_body_of_no_task_is_not(ask: Ask):
    client = await ask()
    async with client.get("/api/tasks/t-bare/response") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    await fetch(client, "/api/tasks/nobody/response", 404)


async def test_sessions_are_listed_with_their_sums(ask: Ask):
    found = await fetch(await ask(), "/api/sessions")
    assert [(one["id"], one["task_count"], one["error_count"]) for one in found["items"]] == [("long", 5, 0), ("s/1 ü", 1, 0)]
    assert found["next"] is None
    assert [one["id"] for one in (await fetch(await ask(), "/api/sessions?user_id=ada"))["items"]] == ["s/1 ü"]
    assert [one["id"] for one in (await fetch(await ask(), "/api/sessions?project_id=shop"))["items"]] == ["s/1 ü"]


async def test_a_session_has_its_tasks_oldest_first_and_paged(ask: Ask):
    client = await ask()
    first = await fetch(client, "/api/sessions/long?limit=3")
    assert first["id"] == "long"
    assert first["task_count"] == 5
    assert [task["id"] for task in first["tasks"]] == ["t-000", "t-001", "t-002"]
    rest = await fetch(client, f"/api/sessions/long?limit=3&cursor={quote(first['next'], safe='')}")
    assert [task["id"] for task in rest["tasks"]] == ["t-003", "t-004"]
    assert rest["next"] is None


async def test_a_session_tells_how_deep_each_part_is(ask: Ask, store: MemoryStore):
    await store.save([replace(others(6)[5], parent_task_id="t-004")])
    found = await fetch(await ask(), "/api/sessions/long")
    assert [(task["id"], task["depth"]) for task in found["tasks"]][-2:] == [("t-004", 0), ("t-005", 1)]


async def test_users_are_listed_and_have_their_sessions(ask: Ask):
    client = await ask()
    found = await fetch(client, "/api/users")
    assert [(one["id"], one["task_count"], one["session_count"]) for one in found["items"]] == [("bob", 5, 1), ("ada", 1, 1)]
    bob = await fetch(client, "/api/users/bob")
    assert bob["session_count"] == 1
    assert [one["id"] for one in bob["sessions"]] == ["long"]
    assert bob["next"] is None


@pytest.mark.parametrize(
    "id", ["a/b", "/", "%2F", "a%b", "ünï 量", "..", ".", "{x}", "a?b#c", "a+b c", "'; DROP TABLE task; --", "a//b/"]
)
async def test_any_text_can_be_a_session_and_a_user(ask: Ask, store: MemoryStore, id: str):
    await store.save([Task(id="t-any", origin="e.any", created_at=1, ended_at=2, kind="chat", ending=BARE.ending,
                           session_id=id, user_id=id)])  # fmt: skip
    client = await ask()
    path = quote(id, safe="").replace(".", "%2E")
    assert (await fetch(client, f"/api/sessions/{path}"))["id"] == id
    assert (await fetch(client, f"/api/users/{path}"))["id"] == id


async def test_the_status_adds_up(ask: Ask):
    found = await fetch(await ask(), "/api/status")
    assert found["calls"]["carried"] == found["calls"]["stored"] + found["calls"]["waiting"] + found["calls"]["lost"] == 3


async def test_health_and_readiness_tell_themselves_apart(ask: Ask):
    well, away, unready = await ask(), await ask(status=Status()), await ask(status=Status(relays=1, reasons=("disk full",)))
    assert await fetch(well, "/healthz") == {"ok": True}
    assert await fetch(well, "/readyz") == {"ok": True, "reasons": []}
    await fetch(away, "/healthz", 503)
    assert (await fetch(away, "/readyz", 503))["reasons"] == ["no relay is alive: calls cannot be carried"]
    assert await fetch(unready, "/healthz") == {"ok": True}
    assert (await fetch(unready, "/readyz", 503))["reasons"] == ["disk full"]


@pytest.mark.parametrize(
    "path", ["/nothing", "/api", "/api/", "/api/tasks/", "/api/tasks/a/b", "/api/sessions/a/b", "/api/../etc"]
)
async def test_a_path_that_is_none_is_not_found_in_our_words(ask: Ask, path: str):
    await fetch(await ask(), path, 404)


@pytest.mark.parametrize(
    "path", ["/api/tasks/nobody", "/api/sessions/nobody", "/api/users/nobody", "/api/tasks/%00", "/api/tasks/%FF"]
)
async def test_what_is_not_stored_is_not_found(ask: Ask, path: str):
    found = await fetch(await ask(), path, 404)
    assert found["error"]["code"] == "not_found"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_another_method_is_told_which_are_answered(ask: Ask, method: str):
    client = await ask()
    acts = {(act.path, act.method) for act in ACTS}
    for route in ROUTES:
        if (route.path, method) in acts:
            continue
        others = {act for path, act in acts if path == route.path}
        async with client.request(method, route.path.replace("{id}", "x")) as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == ", ".join(sorted({"GET", "HEAD", *others}))
            assert (await answer.json())["error"]["code"] == "method_not_allowed"


async def test_head_answers_as_get_without_a_body(ask: Ask):
    async with (await ask()).head("/api/tasks/t-full") as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) > 100
        assert await answer.read() == b""


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"), ("limit=501", "limit"), ("limit=x", "limit"), ("from=nope", "from"), ("to=", "to"),
        ("kind=x+y", "kind"), ("ending=x", "ending"), ("flag=x", "flag"), ("cursor=nonsense", "cursor"),
        ("cursor=%00%FF", "cursor"),
        ("nope=1", "nope"), ("limit=1&limit=2", "limit"), ("q=%22%22", "q"), ("%FF=1", "\ufffd"),
    ],
)  # fmt: skip
async def test_a_bad_filter_is_refused_by_name(ask: Ask, query: str, param: str):
    found = await fetch(await ask(), f"/api/tasks?{query}", 400)
    assert found["error"]["param"] == param


async def test_a_cursor_of_another_list_is_refused(ask: Ask):
    client = await ask()
    cursor = (await fetch(client, "/api/tasks?limit=1"))["next"]
    for path in ("/api/sessions", "/api/users", "/api/sessions/long", "/api/users/bob"):
        found = await fetch(client, f"{path}?cursor={quote(cursor, safe='')}", 400)
        assert found["error"]["code"] == "bad_cursor"


METACHARACTERS = [
    "%", "_", "'", '"', "';--", "*", "a*", "ans*", "^question", "NEAR(question answer)", "question OR zebra", "input:question",
    "{input}:question", "(", ")", "-question", "+", "\\", "\x00", "question\x00", "%%%", "a%", "quest_on", "\ud83d",
]  # fmt: skip


@pytest.fixture(params=["memory:", "sqlite:"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    kept = await open_store(request.param, tmp_path, write=True)
    await kept.save([FULL, BARE, *others(5)])
    yield kept
    await kept.close()


@pytest.mark.parametrize("name", ["session_id", "user_id", "project_id", "model"])
async def test_no_metacharacter_means_anything_to_a_filter(ask: Ask, engine: Store, name: str):
    """D24: of SQL, LIKE and FTS; none of them is an error either."""
    client = await ask(over=engine)
    for text in METACHARACTERS:
        found = await fetch(client, f"/api/tasks?{name}={quote(text, safe='', errors='surrogatepass')}")
        assert found["items"] == [], text


async def test_no_metacharacter_means_anything_to_a_search(ask: Ask, engine: Store):
    """D24: the words beside it are looked for as they are; where there are none, nothing is found."""
    client = await ask(over=engine)
    found = {}
    for text in METACHARACTERS:
        async with client.get(raw(f"/api/tasks?q={quote(text, safe='', errors='surrogatepass')}")) as answer:
            found[text] = len((await answer.json())["items"]) if answer.status == 200 else answer.status
    whole_word = {"^question", "-question", "question\x00"}  # what stands beside the word is no part of it
    assert {text for text, count in found.items() if count not in {0, 400}} <= whole_word
    assert {text for text, count in found.items() if count == 400} == {'"'}
    assert len((await fetch(client, "/api/tasks?q=question"))["items"]) == 5
    assert len((await fetch(client, "/api/tasks?q=100%25+sure_thing"))["items"]) == 5


class Away(MemoryStore):
    """A store that cannot be reached."""

    async def find(self, *_: Any, **__: Any) -> Any:
        raise StoreUnavailable("the disk is gone")

    get = body = sessions = session = users = user = find

    @property
    def insights(self) -> Any:
        raise StoreUnavailable("the disk is gone")


class Broken(MemoryStore):
    """A store with a bug, that quotes what it holds."""

    async def find(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("secret words of a task")

    get = body = sessions = session = users = user = find

    @property
    def insights(self) -> Any:
        raise RuntimeError("secret words of a task")


STORED = [route.path.replace("{id}", "x") for route in ROUTES if 503 in route.also and not route.open]


@pytest.mark.parametrize("path", STORED)
async def test_a_store_that_is_away_is_said_to_be(ask: Ask, path: str):
    found = await fetch(await ask(over=Away()), path, 503)
    assert found["error"]["code"] == "store_unavailable"
    assert found["error"]["message"] == "the disk is gone"


@pytest.mark.parametrize("path", STORED)
async def test_a_bug_is_a_500_in_our_shape_that_quotes_nothing(ask: Ask, path: str, caplog: pytest.LogCaptureFixture):
    found = await fetch(await ask(over=Broken()), path, 500)
    assert "secret" not in json.dumps(found) + caplog.text
    assert "RuntimeError" in caplog.text


async def exchange(client: TestClient, data: bytes) -> tuple[bytes, bytes]:
    """Send raw bytes; give the head and the body of what comes back."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    "data",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization Bearer sk-canary\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_malformed_http_is_refused_in_our_shape_and_quoted_nowhere(ask: Ask, data: bytes, caplog: pytest.LogCaptureFixture):
    head, body = await exchange(await ask(), data)
    assert b" 400 " in head.splitlines()[0]
    assert b"aiohttp" not in head
    assert b"\r\nX-Content-Type-Options: nosniff" in head
    assert json.loads(body)["error"]["code"] == "bad_request"
    assert "canary" not in caplog.text
    assert b"canary" not in body


async def test_a_strange_expectation_is_refused_in_our_shape(ask: Ask):
    head, body = await exchange(
        await ask(), b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nExpect: a-miracle\r\nConnection: close\r\n\r\n"
    )
    assert b" 417 " in head.splitlines()[0]
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
