"""The dashboard over HTTP: every page is there, harmless whatever was recorded, and open to nobody without the key."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from proxy.query import cookie
from proxy.query.api import build
from proxy.query.dashboard.pages import PAGES
from proxy.query.dashboard.timeline import timeline
from proxy.query.document import moment
from proxy.query.premises import Consultation, Premises
from proxy.store.insight import Group, Grouping, TooMuch
from proxy.store.memory import MemoryStore
from proxy.task import Ending, Filter, Flag, Status, Task
from tests.query.conftest import Ask
from tests.query.examples import BARE, FULL, LOCKED, MORNING, OPEN, DeskServer, desk, others

HTML = {"Accept": "text/html"}
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>![p](http://evil.example/pixel.png) [l](javascript:alert(3))"


class Seen(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def addresses(self) -> list[str]:
        return [value for tag, attrs in self.tags for name, value in attrs.items() if name in ("src", "href", "action") and value]


async def page(client: TestClient, path: str, status: int = 200) -> str:
    async with client.get(URL(path, encoded=True), headers=HTML, allow_redirects=False) as answer:
        text = await answer.text()
        assert answer.status == status, text
        assert answer.content_type == "text/html"
        assert "'unsafe" not in answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
        return text


CHOSEN = "/tasks?q=good&period=30d&cols=cost&cols=kind"
ADDRESSES = [
    "/", "/tasks", "/tasks/t-full", "/tasks/t-bare", "/sessions", "/sessions/s%2F1%20%C3%BC", "/sessions/long", "/users",
    "/users/ada", "/users?sort=tasks", "/status", "/live", "/insights", "/insights/sessions",
    "/insights/users", "/insights/compare", "/?period=30d", "/sign-in", "/tasks/t-full/as/curl?page", CHOSEN,
]  # fmt: skip


@pytest.mark.parametrize("path", ADDRESSES)
async def test_each_page_is_there_and_does_nothing_inline(ask: Ask, path: str):
    seen = Seen(await page(await ask(), path))
    assert [tag for tag, _ in seen.tags].count("h1") == 1
    assert {tag for tag, _ in seen.tags} >= {"main", "title"}
    assert ("nav" in {tag for tag, _ in seen.tags}) == (path != "/sign-in")  # who is not in yet is led nowhere
    assert not [attrs for _, attrs in seen.tags if "style" in attrs or any(name.startswith("on") for name in attrs)]
    assert all("src" in attrs for tag, attrs in seen.tags if tag == "script")
    assert "style" not in {tag for tag, _ in seen.tags}
    assert not [address for address in seen.addresses() if not address.startswith(("/", "#"))]


@pytest.mark.parametrize("path", ADDRESSES)
async def test_each_link_of_ours_leads_somewhere(ask: Ask, path: str):
    client = await ask()
    for address in {
        one for one in Seen(await page(client, path)).addresses() if one.startswith("/") and not one.startswith("/sign-out")
    }:
        async with client.get(URL(address, encoded=True), headers=HTML) as answer:
            dangling = ("/tasks/t-parent", "/tasks/t-first")
            assert answer.status == (404 if address in dangling and answer.status == 404 else 200), address


async def test_whatever_was_said_is_shown_and_does_nothing(ask: Ask, store: MemoryStore):
    picture = {"type": "image_url", "image_url": {"url": "http://evil.example/x.png"}}
    call = {"function": {"name": EVIL, "arguments": EVIL}}
    hostile = replace(
        FULL,
        id="t-evil",
        origin="e.evil",
        input=EVIL,
        output=EVIL,
        session_id=EVIL,
        user_id=EVIL,
        name=EVIL,
        model=EVIL,
        system_prompt=EVIL,
        metadata={EVIL: EVIL},
        problems=(EVIL,),
        path=EVIL,
        request_headers=((EVIL, EVIL),),
        raw_input={"messages": [{"role": EVIL, "content": EVIL}, {"role": "user", "content": [picture]}]},
        raw_output={"choices": [{"message": {"role": "assistant", "content": EVIL, "tool_calls": [call]}}]},
    )
    await store.save([hostile])
    client = await ask()
    for path in (
        "/tasks/t-evil",
        "/tasks",
        "/sessions",
        "/users",
        f"/sessions/{quote(EVIL, safe='')}",
        f"/users/{quote(EVIL, safe='')}",
        "/",
    ):
        text = await page(client, path)
        seen = Seen(text)
        assert "<script>" not in text
        assert not [tag for tag, _ in seen.tags if tag in ("img", "iframe", "object", "embed", "base")]
        assert not [attrs for _, attrs in seen.tags if any(name.startswith("on") for name in attrs)]
        assert not [
            one
            for one in seen.addresses()
            if one.startswith(("javascript", "data")) or "evil.example" in one.split("?")[0].split("%")[0]
        ]
        assert "alert(1)" in text, path


async def test_control_characters_are_spelled_out(ask: Ask, store: MemoryStore):
    await store.save([replace(BARE, id="t-rtl", origin="e.rtl", input="a\u202eb\x00c\u200bd", output="\u2066x\x1b[31m")])
    text = await page(await ask(), "/tasks/t-rtl")
    assert "a\\u202eb\\x00c\\u200bd" in text
    assert "\\u2066x\\x1b[31m" in text
    assert not {"\u202e", "\x00", "\u200b", "\u2066", "\x1b"} & set(text)


async def test_a_picture_of_the_request_is_given_by_a_route_of_ours_and_nothing_else_is(ask: Ask, store: MemoryStore):
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:{kind};base64,aGVsbG8="}}
        for kind in ("image/png", "image/svg+xml", "text/html")
    ]
    await store.save([replace(BARE, id="t-pic", origin="e.pic", raw_input={"messages": [{"role": "user", "content": parts}]})])
    client = await ask()
    assert "/tasks/t-pic/pictures/0" in Seen(await page(client, "/tasks/t-pic")).addresses()
    async with client.get("/tasks/t-pic/pictures/0") as answer:
        assert (await answer.read(), answer.content_type) == (b"hello", "image/png")
    for number in (1, 2, 3):
        async with client.get(f"/tasks/t-pic/pictures/{number}") as answer:
            assert answer.status == 404


async def test_five_megabytes_of_output_make_a_small_page(ask: Ask, store: MemoryStore):
    long = "# heading\n\n" + "word **strong** `code` " * 230_000
    await store.save(
        [
            replace(
                BARE,
                id="t-long",
                origin="e.long",
                input="x",
                output=long,
                session_id="sl",
                raw_output={"choices": [{"message": {"content": long}}]},
            )
        ]
    )
    client = await ask()
    for path in ("/tasks/t-long", "/tasks", "/sessions/sl"):
        assert len((await page(client, path)).encode()) < 300_000, path


async def test_a_list_is_given_as_csv_and_json_of_the_same_filter(ask: Ask, store: MemoryStore):
    await store.save([replace(BARE, id="t-sum", origin="e.sum", kind="chat", input="=1+1")])
    client = await ask()
    async with client.get("/tasks.csv?kind=chat") as answer:
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    async with client.get("/tasks.json?kind=chat") as answer:
        documents = json.loads(await answer.text())
    async with client.get("/api/tasks?kind=chat") as answer:
        listed = (await answer.json())["items"]
    assert [row["id"] for row in rows] == [one["id"] for one in documents] == [one["id"] for one in listed]
    assert rows[-1]["input"] == "'=1+1"
    assert rows[5]["usage.input_tokens"] == "7"
    for path in (
        "/sessions.csv",
        "/sessions.json",
        "/users.csv",
        "/users.json",
        "/sessions/long/tasks.csv",
        "/sessions/long/tasks.json",
    ):
        async with client.get(path) as answer:
            assert answer.status == 200
            assert "attachment" in answer.headers["Content-Disposition"]
            assert len(await answer.text()) > 20


async def test_an_empty_list_as_a_file_is_empty(ask: Ask):
    client = await ask(over=MemoryStore())
    async with client.get("/tasks.json") as answer:
        assert await answer.json() == []
    async with client.get("/tasks.csv") as answer:
        assert await answer.text() == ""
    for path in ("/", "/tasks", "/sessions", "/users", "/tasks?kind=chat"):
        assert "empty" in await page(client, path)


async def test_parts_are_below_their_whole_and_listed_on_its_page(ask: Ask, store: MemoryStore):
    whole, between, part = others(9)[6:]
    await store.save([replace(whole, name="plan"), between, replace(part, parent_task_id=whole.id, name="look-up")])
    client = await ask()
    said = await page(client, "/sessions/long")
    assert said.index(f"/tasks/{whole.id}") < said.index('class="step part deep1"') < said.index(f'href="/tasks/{between.id}"')
    assert f'part of <a href="/tasks/{whole.id}">plan</a> · look-up' in said
    assert f'href="/tasks/{part.id}">look-up</a>' in await page(client, f"/tasks/{whole.id}")
    listed = await page(client, f"/tasks?parent_task_id={whole.id}")
    assert f"/tasks/{part.id}" in listed
    assert f"/tasks/{between.id}" not in listed


async def test_pages_follow_one_another(ask: Ask):
    client = await ask()
    first = await page(client, "/tasks?limit=3&kind=chat")
    following = next(attrs["href"] for tag, attrs in Seen(first).tags if attrs.get("rel") == "next")
    second = await page(client, str(following))
    assert "/tasks/t-004" in first
    assert "/tasks/t-004" not in second
    assert "/tasks/t-001" in second


async def test_found_words_are_marked(ask: Ask, store: MemoryStore):
    await store.save([replace(BARE, id="t-far", origin="e.far", input="word " * 100 + "the needle & <hay>")])
    text = await page(await ask(), "/tasks?q=needle")
    assert "<mark>needle</mark> &amp; &lt;hay&gt;" in text


async def test_columns_are_chosen_and_remembered(ask: Ask):
    client = await ask()
    assert 'class="upstream"' not in await page(client, "/tasks")
    assert '<th class="upstream">' in await page(client, "/tasks?cols=upstream&cols=kind")
    assert '<th class="upstream">' in await page(client, "/tasks")
    assert '<th class="cost">' not in await page(client, "/tasks")


async def test_the_turn_before_is_compared(ask: Ask, store: MemoryStore):
    def turn(number: int, *messages: tuple[str, str], **more: object) -> Task:
        body = {"model": "m", "messages": [{"role": role, "content": text} for role, text in messages], **more}
        return replace(
            BARE, id=f"t-turn{number}", origin=f"e.turn{number}", created_at=MORNING + number, session_id="diff", raw_input=body
        )

    opening = (("user", "one"), ("assistant", "two"))
    await store.save(
        [
            turn(1, ("system", "Be brief."), ("user", "one")),
            turn(2, ("system", "Be very brief."), *opening, ("user", "three"), temperature=1),
        ]
    )
    text = await page(await ask(), "/tasks/t-turn2")
    assert "1 kept" in text
    assert "+2 new" in text
    assert "<ins>very</ins>" in text
    assert "temperature" in text
    assert "Against the turn before" not in await page(await ask(), "/tasks/t-turn1")


async def test_an_error_is_a_page_to_a_browser_and_json_to_others(ask: Ask):
    client = await ask()
    assert "There is no task" in await page(client, "/tasks/nobody", 404)
    assert "none of 1h" in await page(client, "/tasks?period=1y", 400)
    assert "is no column" in await page(client, "/tasks?cols=nope", 400)
    async with client.get("/tasks/nobody") as answer:
        assert (await answer.json())["error"]["code"] == "not_found"
    async with client.get("/api/tasks/nobody", headers=HTML) as answer:
        assert answer.content_type == "application/json"


async def test_what_is_wrong_is_said_in_words(ask: Ask):
    bad = await ask(status=Status(relays=1, lost=3, lapses=2, reasons=("the disk is full",)))
    for path in ("/status", "/"):
        text = await page(bad, path)
        assert "the disk is full" in text
        assert "3 calls were carried but could not be kept" in text
    assert "All is well" in await page(await ask(status=Status(relays=1)), "/status")


async def test_without_the_key_every_page_leads_to_signing_in(ask: Ask):
    client = await ask(who=LOCKED)
    host = {"Host": "desk.example", **HTML}
    for one in PAGES:
        if one.method == "GET" and not one.open:
            path = one.path.replace("{id}", "x").replace("{number}", "0").replace("{way}", "curl")
            async with client.get(path, headers=host, allow_redirects=False) as answer:
                assert answer.status == 303, path
                assert answer.headers["Location"].startswith("/sign-in?next=")
    async with client.get("/tasks", headers={"Host": "desk.example"}) as answer:
        assert answer.status == 401


async def test_the_key_opens_the_desk_by_a_cookie_that_no_script_reads(ask: Ask):
    client = await ask(who=LOCKED)
    host = {"Host": "desk.example", **HTML}
    async with client.post("/sign-in", data={"key": "wrong", "next": "/tasks"}, headers=host) as answer:
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers
    async with client.post(
        "/sign-in", data={"key": LOCKED.key, "next": "/tasks?q=a"}, headers=host, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/tasks?q=a")
        given = answer.headers["Set-Cookie"]
    assert "HttpOnly" in given
    assert "SameSite=Lax" in given
    value = given.split(";")[0]
    assert str(LOCKED.key) not in given
    client.session.cookie_jar.clear()  # what is sent below is what is said there
    for path in ("/tasks", "/api/tasks"):
        async with client.get(path, headers={**host, "Cookie": value}) as answer:
            assert answer.status == 200
        async with client.get(
            path, headers={**host, "Cookie": value[:-1] + ("0" if value[-1] != "0" else "1")}, allow_redirects=False
        ) as answer:
            assert answer.status in (303, 401)
    async with client.post("/sign-out", headers={**host, "Cookie": value}, allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/sign-in"
        assert 'tasktap_desk=""' in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "following", ["//evil.example", "https://evil.example", "/\\evil.example", "/sign-out", "/a\r\nX: y", "javascript:1"]
)
async def test_signing_in_leads_nowhere_else(ask: Ask, following: str):
    client = await ask(who=LOCKED)
    async with client.post(
        "/sign-in", data={"key": LOCKED.key, "next": following}, headers={"Host": "desk.example"}, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_a_page_of_another_site_signs_nobody_in(ask: Ask):
    client = await ask(who=LOCKED)
    for fields in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        async with client.post("/sign-in", data={"key": LOCKED.key}, headers={"Host": "desk.example", **fields}) as answer:
            assert answer.status == 403
            assert "Set-Cookie" not in answer.headers


async def test_a_form_that_is_too_long_is_not_read(ask: Ask):
    client = await ask(who=LOCKED)
    async with client.post("/sign-in", data={"key": "x" * 70_000}, headers={"Host": "desk.example"}) as answer:
        assert answer.status == 413


def test_a_cookie_is_good_for_its_key_and_its_time():
    value = cookie.issue("key", 1_000)
    assert cookie.opens(value, "key", 1_000)
    assert cookie.opens(value, "key", 1_000 + cookie.SECONDS - 1)
    assert not cookie.opens(value, "key", 1_000 + cookie.SECONDS)
    assert not cookie.opens(value, "other", 1_000)
    until, _, proof = value.partition(".")
    assert not cookie.opens(f"{int(until) + 1}.{proof}", "key", 1_000)
    for odd in ("", ".", "x.y", "²." + proof, f"{until}.", f"{until}.ü"):
        assert not cookie.opens(odd, "key", 1_000)


async def test_what_never_changes_is_kept_and_packed(ask: Ask):
    client = await ask()
    address = next(attrs["href"] for tag, attrs in Seen(await page(client, "/")).tags if attrs.get("rel") == "stylesheet")
    async with client.get(URL(str(address), encoded=True), headers={"Accept-Encoding": "gzip"}) as answer:
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
        mark = answer.headers["ETag"]
    async with client.get("/static/app.css", headers={"If-None-Match": mark}) as answer:
        assert answer.status == 304
    async with client.get("/static/nothing.css") as answer:
        assert answer.status == 404


async def test_a_session_tells_its_silences_and_what_was_sent_again(ask: Ask, store: MemoryStore):
    first, second, third = others(3)
    hour = 3_600_000_000

    def later(task: Task, id: str, **changes: object) -> Task:
        times = {"created_at": task.created_at + hour, "ended_at": task.ended_at + hour}
        return replace(task, id=id, origin=f"e.{id}", session_id="gaps", **times | changes)

    await store.save([
        replace(first, id="g1", origin="e.g1", session_id="gaps"),
        later(second, "g2", ending=Ending.TIMED_OUT, output=None),
        later(third, "g3", retry_of="g2"),
    ])  # fmt: skip
    text = await page(await ask(), "/sessions/gaps")
    assert text.count(" later</div>") == 1
    assert "1 h later" in text
    assert "sent again" in text
    assert "timed out" in text


class Acts:
    """Stands where the acts of the desk do: notes what is asked of them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, object]]] = []

    def named(self, *names: str) -> dict[str, object]:
        def act(name: str) -> object:
            async def do(id: str, body: bytes, _fields: object) -> tuple[int, dict[str, object]]:
                self.asked.append((name, id, json.loads(body)))
                return (404, {"error": {"message": "There is no such task."}}) if id == "nobody" else (200, {})

            return do

        return {name: act(name) for name in names}


async def acting(store: MemoryStore, acts: Acts) -> TestClient:
    async def state() -> Status:
        return Status(relays=1)

    doing = acts.named("give_feedback", "amend_task", "split_session", "merge_session", "forget")
    client = TestClient(DeskServer(build(store, state, OPEN, lambda data, _: data, doing)))  # type: ignore[arg-type]
    await client.start_server()
    return client


async def test_forms_do_what_the_api_does(store: MemoryStore):
    acts = Acts()
    client = await acting(store, acts)
    sent = [
        ("/tasks/t-full/feedback", {"flag": "failure", "comment": " too slow "}, "/tasks/t-full?said=1#feedback"),
        ("/tasks/t-full/events", {"events": " refund, greeting ,refund,"}, "/tasks/t-full?said=1#events"),
        ("/tasks/t-full/events", {"events": " "}, "/tasks/t-full?said=1#events"),
        ("/sessions/long/split", {"from_task": "t-002"}, "/tasks/t-002"),
        ("/sessions/long/merge", {"into": "s/1 ü"}, "/sessions/s%2F1%20%C3%BC"),
        ("/forget", {"what": "user", "id": "bob", "project_id": "default", "sure": "yes"}, "/users?forgotten=1"),
    ]
    for path, form, onward in sent:
        async with client.post(path, data=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers.get("Location")) == (303, onward)
    assert acts.asked == [
        ("give_feedback", "t-full", {"source": "dashboard", "flag": "failure", "comment": "too slow"}),
        ("amend_task", "t-full", {"events": ["refund", {"name": "greeting"}]}),
        ("amend_task", "t-full", {"events": None}),
        ("split_session", "long", {"from_task": "t-002"}),
        ("merge_session", "long", {"into": "s/1 ü"}),
        ("forget", "", {"user_id": "bob", "project_id": "default"}),
    ]
    for path in ("/tasks/t-full", "/sessions/long", "/users/bob"):
        assert "I am sure" in await page(client, path)
    assert "Forgotten, for good." in await page(client, "/users?forgotten=1")
    await client.close()


async def test_nothing_is_done_by_halves(store: MemoryStore):
    acts = Acts()
    client = await acting(store, acts)
    for path, form in (
        ("/tasks/t-full/feedback", {"flag": "perhaps"}),
        ("/forget", {"what": "user", "id": "bob"}),
        ("/forget", {"what": "everything", "id": "bob", "sure": "yes"}),
        ("/forget", {"what": "user", "sure": "yes"}),
    ):
        async with client.post(path, data=form, allow_redirects=False) as answer:
            assert answer.status == 400
            assert answer.content_type == "text/html"
    assert acts.asked == []
    async with client.post("/tasks/nobody/feedback", data={"flag": "success"}, allow_redirects=False) as answer:
        assert answer.status == 404
        assert "There is no such task." in await answer.text()
    async with client.post("/forget", data={"what": "user", "id": "bob", "sure": "yes"}, headers={"Origin": "null"}) as answer:
        assert answer.status == 403
    await client.close()


async def test_a_desk_that_only_reads_shows_no_form_that_writes(ask: Ask):
    client = await ask()
    for path in ("/tasks/t-full", "/sessions/long", "/users/bob"):
        assert 'method="post"' not in await page(client, path)
    async with client.post("/tasks/t-full/feedback", data={"flag": "success"}) as answer:
        assert answer.status == 503


class Lodging:
    """A house whose disk has so much room, and whose doctor says one thing."""

    def __init__(self, free: int) -> None:
        self._free = free
        self.said: Consultation | None = None

    def look(self) -> Premises:
        return Premises(
            data_dir="/data/of/ours",
            disk_free=self._free,
            disk_size=10**12,
            disk_wanted=3 * 10**9,
            files=(("Store", 12_300_000),),
            upstreams=(("openai", "https://api.openai.example"), ("idle", "http://idle.example")),
            versions=(("tasktap", "9.8.7"),),
        )

    async def consult(self) -> None:
        finding = {"about": "disk", "verdict": "care", "seen": "<b>little</b> room", "advice": "Make some."}
        self.said = Consultation(MORNING, 0.25, (finding,))


async def lodging(store: MemoryStore, free: int) -> TestClient:
    client = TestClient(DeskServer(desk(store, house=Lodging(free))))
    await client.start_server()
    return client


@pytest.mark.parametrize(
    ("free", "said"),
    [(10**8, "The disk is nearly full"), (10**9, "could fill it while the store is away"), (10**11, None)],
)
async def test_a_disk_that_is_filling_up_is_a_concern(store: MemoryStore, free: int, said: str | None):
    client = await lodging(store, free)
    for path in ("/status", "/"):
        text = await page(client, path)
        assert said is None or said in text
        assert ("free on the disk of" in text) == (said is not None)
    await client.close()


async def test_health_tells_of_disk_upstreams_and_versions(store: MemoryStore):
    failed = [
        replace(one, id=f"u{one.id}", origin=f"u{one.origin}", upstream="away", ending=Ending.UNREACHABLE) for one in others(2)
    ]
    await store.save(failed)
    client = await lodging(store, 10**11)
    text = await page(client, "/status")
    for told in ("100 GB", "12.3 MB", "/data/of/ours", "https://api.openai.example", "http://idle.example", "9.8.7"):
        assert told in text
    table = text[text.index('id="h-upstreams"') :]
    away = table[table.index(">away<") :]
    assert "no longer configured" in away
    assert '<span class="neg">2</span>' in away
    await client.close()


async def test_the_doctor_is_asked_on_the_health_page(store: MemoryStore):
    client = await lodging(store, 10**11)
    before = await page(client, "/status")
    assert "Look everything over" in before
    async with client.post("/status/doctor", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/status#doctor")
    after = await page(client, "/status")
    assert "&lt;b&gt;little&lt;/b&gt; room" in after
    assert "Make some." in after
    async with client.post("/status/doctor", headers={"Origin": "http://elsewhere.example"}) as answer:
        assert answer.status == 403
    await client.close()


async def test_users_are_put_in_order_by_a_column_and_so_is_the_file(ask: Ask, store: MemoryStore):
    few = [replace(one, id=f"c{one.id}", origin=f"c{one.origin}", user_id="cleo") for one in others(2)]
    await store.save([replace(one, created_at=one.created_at + 10**9, ended_at=one.ended_at + 10**9) for one in few])
    client = await ask()

    async def names(path: str) -> list[str]:
        async with client.get(path) as answer:
            return [one["id"] for one in json.loads(await answer.text())]

    assert (await names("/users.json"))[0] == "cleo"
    assert (await names("/users.json?sort=tasks"))[0] == "bob"
    text = await page(client, "/users?sort=tasks")
    assert text.index(">bob<") < text.index(">cleo<")
    assert text.count('aria-sort="descending"') == 1
    assert "/users.csv?sort=tasks" in text
    await page(client, "/users?sort=nothing", 400)


async def test_a_user_who_struggles_is_told_with_what_shows_it(ask: Ask, store: MemoryStore):
    bad = [
        replace(one, id=f"s{one.id}", origin=f"s{one.origin}", user_id="sam", flag=Flag.FAILURE, ending=Ending.TIMED_OUT)
        for one in others(4)
    ]
    await store.save(bad)
    text = await page(await ask(), "/users")
    row = text[text.index(">sam<") :].partition("</tr>")[0]
    assert "struggling" in row
    assert "failure 4" in row
    assert "errors 4" in row


async def test_what_was_kept_is_said_where_something_was_said_and_nowhere_else(store: MemoryStore):
    client = await acting(store, Acts())
    assert "Kept. It is shown" not in await page(client, "/tasks/t-full")
    assert "Kept. It is shown" in await page(client, "/tasks/t-full?said=1")
    await client.close()


def test_a_timeline_tells_the_way_to_the_first_byte_and_what_came_after():
    way = {"seconds_to_connect": 0.05, "seconds_to_sent": 0.2}
    pieces = ((0.5, 10), (0.6, 10), (0.7, 10), (3.7, 10), (4.0, 10))
    task = replace(FULL, carried=way, pieces=pieces, seconds_to_first_byte=0.5, seconds_to_first_token=0.6, seconds_total=4.0)
    drawn = timeline(task)
    assert drawn is not None
    assert [(phase.name, phase.took) for phase in drawn.phases] == [
        ("connecting", "50 ms"),
        ("sending the request", "150 ms"),
        ("waiting for the first byte", "300 ms"),
        ("to the first token", "100 ms"),
        ("answer", "3.4 s"),
    ]
    assert [stall.took for stall in drawn.stalls] == ["3.0 s"]
    assert len(drawn.marks) == 5
    silent = timeline(replace(task, pieces=(), seconds_to_first_byte=None, seconds_to_first_token=None))
    assert silent is not None
    assert [phase.name for phase in silent.phases] == ["connecting", "sending the request", "no answer"]
    logged = timeline(replace(BARE, kind="search", seconds_total=2.0, output="found", upstream=None))
    assert logged is not None
    assert [(phase.name, phase.took) for phase in logged.phases] == [("at work", "2.0 s")]


FILES = {
    "/insights": ("model", "tasks", "seconds.p50"),
    "/insights/series": ("at", "value", "first_token_seconds.p95"),
    "/insights/sessions": ("name", "lasts", "p"),
    "/insights/users": ("segment", "id", "evidence"),
    "/insights/compare": ("measure", "base.value", "difference.high"),
    "/status/upstreams": ("name", "calls", "first_byte"),
}


@pytest.mark.parametrize("path", FILES)
async def test_each_table_of_insights_is_a_file_of_the_same_filter(ask: Ask, store: MemoryStore, path: str):
    flags = {"user_id": "sam", "flag": Flag.FAILURE, "ending": Ending.TIMED_OUT, "model": "m", "upstream": "openai"}
    await store.save([replace(one, id=f"f{one.id}", origin=f"f{one.origin}", **flags) for one in others(4)])
    client, spanned = await ask(), "from=2020-01-01&to=2100-01-01"
    if path == "/insights/series":
        spanned = f"from={moment(MORNING)}&to={moment(MORNING + 10**11)}"
    spanned = "" if path.startswith("/status") else spanned
    async with client.get(f"{path}.json?{spanned}") as answer:
        rows = json.loads(await answer.text())
        assert answer.status == 200
        assert "attachment" in answer.headers["Content-Disposition"]
    async with client.get(f"{path}.csv?{spanned}") as answer:
        table = list(csv.DictReader(io.StringIO(await answer.text())))
    assert len(table) == len(rows) > 0
    assert set(FILES[path]) <= table[0].keys()
    if path != "/status/upstreams":
        page_path = "/insights" if path == "/insights/series" else path
        assert f"{path}.csv?{spanned.partition('=')[0]}=" in await page(client, f"{page_path}?{spanned}")


async def test_a_file_of_groups_has_those_that_the_page_adds_up(ask: Ask, store: MemoryStore):
    await store.save([replace(one, id=f"m{one.id}", origin=f"m{one.origin}", model=f"model {one.id}") for one in others(30)])
    async with (await ask()).get("/insights.json?from=2020-01-01&to=2100-01-01") as answer:
        names = {row["model"] for row in json.loads(await answer.text())}
    assert {f"model t-{number:03}" for number in range(30)} <= names


def found(**evidence: object) -> dict[str, object]:
    return {"by": "reply", "messages_matched": 3, "messages": 4, "reply_matched": True, "confidence": 0.98, **evidence}


async def test_a_session_tells_how_its_turns_were_found_and_where_it_forks(ask: Ask, store: MemoryStore):
    turns = [replace(one, id=f"i{one.id}", origin=f"i{one.origin}", session_id="inferred") for one in others(4)]
    first, second, third, fourth = turns
    await store.save([
        first,
        replace(second, session_evidence=found(task=first.id)),
        replace(third, session_evidence=found(task=first.id)),
        replace(fourth, session_evidence=found(by="sibling", task=third.id, messages_matched=None)),
    ])  # fmt: skip
    text = await page(await ask(), "/sessions/inferred")
    assert (
        "found by the history it brought along, 3 of 4 messages are the same, the recorded answer is among them, confidence 98 %"
        in text
    )
    assert text.count(f'<a href="#turn-{first.id}">goes on from an earlier turn</a>') == 1
    assert f'<a href="#turn-{third.id}">another answer to what was asked before</a>' in text
    assert f'id="turn-{first.id}"' in text


async def test_tool_calls_and_results_are_folded_in_a_session(ask: Ask, store: MemoryStore):
    one, two, three = others(3)
    called = {"session_id": "tools", "finish_reasons": ("tool_calls",), "output": 'Let me look.\nfind_order({"id": "<b>7</b>"})'}
    await store.save([
        replace(one, id="w1", origin="e.w1", **called),
        replace(two, id="w2", origin="e.w2", session_id="tools", input="[tool] in transit", output='said so: f({"a": 1})'),
        replace(three, id="w3", origin="e.w3", session_id="tools", output='f({"a": 1})', finish_reasons=("stop",)),
    ])  # fmt: skip
    text = await page(await ask(), "/sessions/tools")
    assert '<b class="mono">find_order</b>' in text
    assert "Let me look." in text
    assert text.count("fold call") == 1  # what only looks like a call stays text
    assert "<b>7</b>" not in text
    assert "<b>Result</b>" in text


async def test_the_last_hour_is_offered_where_it_is_known_by_the_minute(ask: Ask):
    client = await ask()
    for path in ("/", "/insights", "/insights/compare"):
        assert 'aria-current="true" title="Last hour">1h</a>' in await page(client, f"{path}?period=1h"), path
    for path in ("/insights/sessions", "/insights/users"):
        assert "Last hour" not in await page(client, path), path
    shown = await page(client, "/insights?period=1h")
    assert '<a href="/insights/compare?period=1h">' in shown
    assert '<a href="/insights/sessions">' in shown  # what is kept by the day is not asked of an hour
    assert '<a href="/insights/sessions?period=24h">' in await page(client, "/insights?period=24h")


@pytest.mark.parametrize("path", ["/", "/?period=1h", "/insights", "/insights?period=1h", "/insights/compare?model=m"])
async def test_too_many_tasks_to_add_up_are_said_to_be_too_many(ask: Ask, store: MemoryStore, monkeypatch, path: str):
    async def groups(filter: Filter, grouping: Grouping) -> list[Group]:
        raise TooMuch(TooMuch.__doc__)

    monkeypatch.setattr(store.insights, "groups", groups)
    said = await page(await ask(), path, 400)
    assert "That cannot be shown" in said
    assert "Ask for a shorter time" in said
