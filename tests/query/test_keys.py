"""Two keys: one for everything, one that reads; and what guessing them gets."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from aiohttp.test_utils import TestClient

from proxy.query import cookie
from proxy.query.api import ACTS, ROUTES
from proxy.query.attempts import AT_ONCE
from proxy.query.dashboard.pages import PAGES
from proxy.query.pace import Pace
from tests.query.conftest import Ask
from tests.query.examples import LOCKED, OPEN

BOTH = replace(LOCKED, key="admin-key-0001", read_key="reader-key-0001")
ADMIN, READER, WRONG = ({"Authorization": f"Bearer {key}"} for key in ("admin-key-0001", "reader-key-0001", "wrong-key-0001"))


async def told(client: TestClient, path: str, method: str = "GET", **more) -> tuple[int, dict[str, str], str]:
    async with client.request(method, path, allow_redirects=False, **more) as answer:
        return answer.status, dict(answer.headers), await answer.text(errors="replace")


def placed(path: str) -> str:
    return path.replace("{id}", "t-full").replace("{number}", "0").replace("{way}", "curl").replace("{name}", "desk.css")


@pytest.mark.parametrize("path", [placed(route.path) for route in ROUTES])
async def test_the_reading_key_answers_every_question_of_the_api(ask: Ask, path: str):
    client = await ask(BOTH)
    assert (await told(client, path, headers=READER))[0] in {200, 404}
    assert (await told(client, path, "HEAD", headers=READER))[0] in {200, 404}


ACTING = [(route.method, placed(route.path)) for route in ACTS] + [
    (page.method, placed(page.path)) for page in PAGES if page.method != "GET" and not page.open
]


@pytest.mark.parametrize(("method", "path"), ACTING)
async def test_the_reading_key_does_nothing(ask: Ask, method: str, path: str):
    client = await ask(BOTH)
    status, _, text = await told(client, path, method, headers=READER, data=b"{}")
    assert (status, "read_only" in text) == (403, True)
    assert (await told(client, path, method, headers=ADMIN, data=b"{}"))[0] != 403


async def test_the_feedback_key_still_gives_feedback_beside_a_reading_key(ask: Ask):
    client = await ask(replace(BOTH, feedback_key="feedback-key-0001"))
    path, field = "/api/tasks/t-full/feedback", {"Authorization": "Bearer feedback-key-0001"}
    assert (await told(client, path, "POST", headers=field, data=b"{}"))[0] not in {401, 403}
    assert (await told(client, "/api/tasks", headers=field))[0] == 401


async def test_pages_of_a_reader_have_nothing_to_press(ask: Ask):
    client = await ask(BOTH)
    status, fields, _ = await told(client, "/sign-in", "POST", data={"key": "reader-key-0001", "next": "/status"})
    assert (status, fields["Location"]) == (303, "/status")
    signed_in = {"Cookie": fields["Set-Cookie"].partition(";")[0]}
    for path in ("/tasks/t-full", "/status"):
        status, _, text = await told(client, path, headers=signed_in)
        assert status == 200
        assert text.count('method="post"') == text.count('action="/sign-out"'), path
    assert (await told(client, "/forget", "POST", headers=signed_in, data={"what": "task", "id": "t-full", "sure": "yes"}))[
        0
    ] == 403


async def test_wrong_keys_are_slowed_down_and_nothing_of_their_address_is_looked_at_meanwhile(ask: Ask):
    client = await ask(BOTH)
    for _ in range(AT_ONCE):
        assert (await told(client, "/api/tasks", headers=WRONG))[0] == 401
    status, fields, text = await told(client, "/api/tasks", headers=WRONG)
    assert (status, 0 < int(fields["Retry-After"]) <= 60, "too_many_wrong_keys" in text) == (429, True, True)
    assert (await told(client, "/api/tasks", headers=ADMIN))[0] == 429
    assert (await told(client, "/sign-in", "POST", data={"key": "admin-key-0001"}))[0] == 429
    assert (await told(client, "/healthz", headers=ADMIN))[0] == 200


async def test_who_sends_no_key_or_has_signed_in_is_not_slowed_down(ask: Ask):
    client = await ask(BOTH)
    for _ in range(3 * AT_ONCE):
        assert (await told(client, "/api/tasks"))[0] == 401
    for _ in range(AT_ONCE):
        await told(client, "/sign-in", "POST", data={"key": "wrong"})
    assert (await told(client, "/sign-in", "POST", data={"key": "wrong"}))[0] == 429
    signed_in = {"Cookie": f"{cookie.NAME}={cookie.issue('admin-key-0001', int(time.time()))}"}
    assert (await told(client, "/api/tasks", headers=signed_in))[0] == 200
    forged = {"Cookie": f"{cookie.NAME}={cookie.issue('another-key', int(time.time()))}", **WRONG}
    assert (await told(client, "/api/tasks", headers=forged))[0] == 429


async def test_another_address_is_not_slowed_down(ask: Ask):
    client = await ask(BOTH)
    for _ in range(AT_ONCE + 1):
        last = await told(
            client, "/tasktap/v1/chat/completions", headers=WRONG
        )  # as the calls door carries them: they count apart
    assert last[0] == 429
    assert (await told(client, "/api/tasks", headers=ADMIN))[0] == 200


def test_a_bucket_of_one_address_is_not_that_of_another():
    pace = Pace(2, 6)
    assert [pace.wait("a", 0.0), pace.wait("a", 0.0), pace.ahead("a", 0.0), pace.ahead("b", 0.0)] == [0.0, 0.0, 10.0, 0.0]
    assert pace.ahead("a", 10.0) == 0.0


async def test_without_a_key_no_bearer_is_wrong(ask: Ask):
    client = await ask(OPEN)
    for _ in range(2 * AT_ONCE):
        assert (await told(client, "/api/tasks", headers=WRONG))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fguard.py",
        "/static/../guard.py",
        "/static/....//x.css",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/api/tasks/..%2f..%2ftasktap.db",
        "/api/tasks/%00",
        "/tasks/../../../../etc/passwd",
        "//etc/passwd",
    ],
)
async def test_no_path_leads_out_of_the_desk(ask: Ask, path: str):
    client = await ask(OPEN)
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    text = await reader.read()
    writer.close()
    assert text.split(b" ")[1] in {b"400", b"404"}
    assert b"root:" not in text
    assert b"SQLite format" not in text


SQL = ["' OR 1=1 --", "x'; DROP TABLE task; --", '" OR ""="', "%' UNION SELECT 1,2 --", "a) OR (1=1", "NEAR(", '"*', "NOT AND"]


@pytest.mark.parametrize("text", SQL)
async def test_what_is_asked_for_is_never_sql(ask: Ask, text: str):
    client = await ask(OPEN)
    before = (await told(client, "/api/tasks"))[2]
    for name in ("session_id", "user_id", "model", "project_id", "q", "version_id"):
        async with client.get("/api/tasks", params={name: text}) as answer:
            assert answer.status == 200
            assert (await answer.json())["items"] == [], name
    for name in ("kind", "ending", "flag", "metadata", "cursor", "from", "limit"):
        async with client.get("/api/tasks", params={name: text}) as answer:
            assert answer.status in {200, 400}, name
            assert answer.status == 400 or (await answer.json())["items"] == [], name
    for path in ("sessions", "users"):
        async with client.get(f"/api/{path}", params={"project_id": text}) as answer:
            assert (await answer.json())["items"] == []
    assert (await told(client, "/api/tasks"))[2] == before
