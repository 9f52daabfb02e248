"""The dashboard in a real Chromium: no complaints, nothing from elsewhere, by keyboard, without JavaScript, on a phone."""

from __future__ import annotations

import http.client
import json
import re
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.browser.conftest import Open, opening
from tests.browser.hostile import MARK
from tests.proc import Tasktap, serving, slack, soon
from tests.sockets import PATIENCE
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event, gate

FIRST_PAINT_MS = 500
PAGE_BYTES = 100_000
ASSET_BYTES = 500_000

PAGES = {
    "overview": "/",
    "tasks": "/tasks",
    "task": "/tasks/{task}",
    "tool task": "/tasks/{tool}",
    "failed task": "/tasks/{failed}",
    "again": "/tasks/{task}/as/curl?page",
    "sessions": "/sessions",
    "session": "/sessions/{session}",
    "users": "/users",
    "user": "/users/{user}",
    "insights": "/insights",
    "insights of sessions": "/insights/sessions",
    "insights of users": "/insights/users",
    "comparison": "/insights/compare?version_id=2.4&against_version_id=2.3",
    "live": "/live",
    "health": "/status",
    "sign-in": "/sign-in",
    "search": "/tasks?q=order&period=30d",
    "nothing found": "/tasks?q=zzzzzz",
}


@pytest.fixture(scope="session")
def paths(house: Tasktap) -> dict[str, str]:
    """Each page's address, about something that is there."""
    items = house.get("/api/tasks?limit=500")["items"]
    ordinary = [item for item in items if not item["id"].startswith("hostile")]
    sessions = house.get("/api/sessions?limit=200")["items"]
    found = {
        "task": next(item["id"] for item in ordinary if item["stream"] and item["ending"] == "completed" and item["session_id"]),
        "tool": next(item["id"] for item in ordinary if (item["input"] or "").startswith("[tool]")),
        "failed": next(item["id"] for item in ordinary if item["ending"] != "completed"),
        "session": max((one for one in sessions if not one["id"].startswith("<")), key=lambda one: one["task_count"])["id"],
        "user": next(item["user_id"] for item in ordinary if item["user_id"]),
    }
    return {name: path.format_map({key: quote(value, safe="") for key, value in found.items()}) for name, path in PAGES.items()}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_without_a_complaint_and_fits_a_phone(tab: Open, paths: dict[str, str], name: str):
    visit = tab()
    page = visit.go(paths[name])
    page.wait_for_function("document.readyState === 'complete'")
    assert page.locator("h1").count() == 1
    assert page.title().endswith("tasktap")
    assert page.locator("main").inner_text().strip()
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    visit.was_quiet()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_barrier(tab: Open, paths: dict[str, str], axe: str, name: str):
    page = tab(color_scheme="light", reduced_motion="reduce").go(paths[name])
    page.evaluate(axe)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        told = [f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}" for one in found["violations"]]
        assert told == [], scheme


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_without_javascript(tab: Open, paths: dict[str, str], name: str):
    with_it, without = tab(), tab(java_script_enabled=False)
    if name == "live":
        assert "Live" in without.go(paths[name]).locator("main").inner_text()
        return
    texts = [re.sub(r"[\s\d]+", " ", visit.go(paths[name]).locator("main").inner_text()) for visit in (without, with_it)]
    assert len(texts[0]) > 0.9 * len(texts[1])
    assert without.page.locator("figure svg").count() == with_it.page.locator("figure svg").count()


PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Whatever a page asks for, or runs, when it is shown, it has begun by then."""


@pytest.mark.parametrize("name", ["scripts", "markdown", "directions", "long-word", "long"])
def test_what_means_harm_does_none(tab: Open, house: Tasktap, name: str):
    visit = tab()
    task = house.get(f"/api/tasks/hostile-{name}")
    session = f"/sessions/{quote(task['session_id'], safe='')}"
    for path in (
        f"/tasks/hostile-{name}",
        session,
        f"/users/{quote(task['user_id'], safe='')}",
        "/tasks",
        "/sessions",
        "/users",
        "/",
        "/insights?by=model",
    ):
        page = visit.go(path)
        page.keyboard.press("e")  # unfolds everything
        page.evaluate(PAINTED)
        assert page.evaluate("document.scrollingElement.scrollWidth <= document.documentElement.clientWidth + 1"), path
        assert page.locator("main iframe, main script, main img, main object").count() == 0
        if "script" in name:
            assert MARK in page.locator("main").inner_text()
    visit.page.wait_for_load_state("networkidle")
    visit.was_quiet()


def test_the_keyboard_leads_everywhere(tab: Open):
    visit = tab()
    page = visit.go("/tasks")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    second = page.locator(".list tbody tr").nth(1)
    assert "at" in str(second.get_attribute("class"))
    address = second.locator("a.main").get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{address}")
    for key, place in (("o", "/"), ("s", "/sessions"), ("u", "/users"), ("i", "/insights"), ("h", "/status"), ("t", "/tasks")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"{visit.origin}{place}")
    page.keyboard.press("n")
    page.wait_for_url("**cursor=**")
    page.keyboard.press("p")
    page.wait_for_url(f"{visit.origin}/tasks")
    page.keyboard.press("?")
    assert page.locator("dialog[open]").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    visit.was_quiet()


def test_light_and_dark_are_a_key_apart_and_remembered(tab: Open):
    page = tab(color_scheme="light").go("/status")

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    light = ground()
    page.keyboard.press("t")
    dark = ground()
    assert light != dark
    page.reload()
    assert ground() == dark


def test_filters_columns_and_pages_are_links(tab: Open):
    visit = tab()
    page = visit.go("/tasks")
    page.locator("summary", has_text="Filter").click()
    page.locator("input[name=kind]").fill("chat")
    page.locator("button", has_text="Apply").click()
    page.wait_for_url("**kind=chat**")
    assert page.locator(".chip.on", has_text="chat").count() == 1
    page.locator("summary[title='Choose columns']").click()
    page.locator("label", has_text="Upstream").locator("input").check()
    page.locator("button", has_text="Show").click()
    page.wait_for_url("**cols=**")
    assert page.locator("th.upstream").count() == 1
    page.locator(".chip.on", has_text="chat").click()
    page.wait_for_url(lambda url: "kind=chat" not in url)
    visit.was_quiet()


def test_a_plot_tells_its_values_under_the_pointer_and_by_keyboard(tab: Open):
    page = tab().go("/?period=30d")
    page.wait_for_selector(".legend button")
    slots = page.locator("figure[data-plot]").first.locator(".hit")
    slots.nth(slots.count() - 2).hover()
    page.wait_for_selector(".tip:not([hidden])")
    assert "completed" in page.locator(".tip").inner_text()
    figure = page.locator("figure[data-plot]").nth(1)
    figure.focus()
    page.keyboard.press("ArrowRight")
    first = page.locator(".tip").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator(".tip").inner_text() != first
    page.locator(".legend button").first.click()
    assert page.locator(".legend button.off").count() == 1


def test_a_span_is_looked_at_closer_by_dragging(tab: Open):
    page = tab().go("/?period=30d")
    page.wait_for_selector(".legend button")
    slots = page.locator("figure[data-plot]").first.locator(".hit")
    first, last = (slots.nth(slots.count() - number).bounding_box() for number in (6, 3))
    assert first is not None
    assert last is not None
    page.mouse.move(first["x"] + 2, first["y"] + 40)
    page.mouse.down()
    page.mouse.move(last["x"] + 2, last["y"] + 40, steps=4)
    page.mouse.up()
    page.wait_for_url("**from=**to=**")
    assert page.locator("figure svg").count() >= 4


KEYS = {"gpt-5-mini": "Authorization: Bearer $OPENAI_API_KEY", "claude-sonnet-4-5": "x-api-key: $ANTHROPIC_API_KEY"}
"""How a call says who pays for it, by the model it asks."""


@pytest.mark.parametrize("model", KEYS)
def test_a_call_is_copied_as_curl(tab: Open, house: Tasktap, model: str):
    items = house.get(f"/api/tasks?model={model}&limit=50")["items"]
    task = next(item["id"] for item in items if not item["id"].startswith("hostile"))
    page = tab(permissions=["clipboard-read", "clipboard-write"]).go(f"/tasks/{quote(task, safe='')}")
    page.locator("[data-copy-from]", has_text="curl").click()
    page.wait_for_selector("text=Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl ")
    assert KEYS[model] in copied


def test_the_key_signs_in_and_out(tmp_path: Path, chromium):  # type: ignore[no-untyped-def]
    with serving(tmp_path, '[desk]\nkey = "open-sesame"\n') as house, opening(chromium, house.run["desk"]) as tabs:
        visit = tabs()
        page = visit.page
        page.goto(f"{visit.origin}/tasks?period=24h")
        page.locator("input[type=password]").fill("wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=alert]")
        page.locator("input[type=password]").fill("open-sesame")
        page.keyboard.press("Enter")
        page.wait_for_url("**/tasks?period=24h")
        assert page.evaluate("document.cookie") == ""
        page.locator("button[title='Sign out']").click()
        page.wait_for_url("**/sign-in")
        page.goto(f"{visit.origin}/users")
        assert "/sign-in" in page.url


def test_the_doctor_looks_everything_over_when_asked(tab: Open, house: Tasktap):
    page = tab().go("/status")
    assert page.locator(".findings").count() == 0
    page.locator("#doctor button").click()
    page.wait_for_url("**/status#doctor", timeout=60_000)
    told = page.locator(".findings").inner_text()
    assert "only its owner can read it" in told
    assert "sound (looked through" in told
    assert str(house.data) in page.locator("main").inner_text()


def test_users_are_ordered_by_the_column_that_is_clicked(tab: Open):
    visit = tab(width=1600)
    page = visit.go("/users")
    page.locator("th a", has_text="Tasks").click()
    page.wait_for_url("**sort=tasks")
    counts = [int(text.replace(",", "")) for text in page.locator("td[data-label=Tasks]").all_inner_texts()]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) > 3
    visit.was_quiet()


def test_a_running_call_is_seen_while_it_speaks(tmp_path: Path, chromium):  # type: ignore[no-untyped-def]
    upstream, seen = Upstream(), threading.Event()
    said = chunk(event("It reads the wall clock")), gate(seen), chunk(event(" in all five tests.")) + chunk(DONE) + b"0\r\n\r\n"
    upstream.play(STREAM_HEAD, *said)
    config = f'[upstreams.openai]\nurl = "{upstream.url}"\n'
    question = "The test test_retry_backoff fails about once in twenty runs. Find out why."
    with serving(tmp_path, config) as house, opening(chromium, house.run["desk"]) as tabs:
        visit = tabs()
        page = visit.go("/live")
        page.wait_for_selector("[data-state]:has-text('listening')")

        def call() -> None:
            door = http.client.HTTPConnection(urlsplit(house.run["calls"]).netloc, timeout=PATIENCE)
            body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": question}]}
            door.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            door.getresponse().read()
            door.close()

        caller = threading.Thread(target=call)
        caller.start()
        page.wait_for_selector(".call.answering:has-text('reads the wall clock')")
        seen.set()
        page.wait_for_selector(".call.ended:has-text('all five tests')")
        caller.join(PATIENCE)
        visit.was_quiet()
        page.locator(".call h2 a").click()
        page.wait_for_url("**/tasks/**")
        soon(lambda: page.reload() and page.locator("text=reads the wall clock").count())
    upstream.check()
    upstream.close()


def first_paint(page: Any) -> float:
    """Milliseconds; 0 while nothing is painted."""
    return float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"))


@pytest.mark.timed
def test_pages_are_light_and_quick(tab: Open, house: Tasktap, paths: dict[str, str], capsys: pytest.CaptureFixture[str]):
    told, paints, assets = [], [], 0
    for name, path in paths.items():
        took, size = [], 0
        for _ in range(7):
            door = http.client.HTTPConnection(*house.address("desk"), timeout=PATIENCE)
            begun = time.perf_counter()
            door.request("GET", path, headers={"Accept-Encoding": "gzip", "Accept": "text/html"})
            answer = door.getresponse()
            size = len(answer.read()) if not path.endswith("events") else 0
            took.append(time.perf_counter() - begun)
            door.close()
        page = tab().go(path)
        paint = soon(partial(first_paint, page))
        fetched = page.evaluate("performance.getEntriesByType('resource').reduce((sum, one) => sum + one.encodedBodySize, 0)")
        assets = max(assets, fetched)
        paints.append(paint)
        told.append(f"{name:22} {size / 1000:6.1f} KB  {statistics.median(took) * 1000:6.1f} ms  first paint {paint:5.0f} ms")
        assert size < PAGE_BYTES, name
    with capsys.disabled():
        print("\n" + "\n".join(told) + f"\nassets of a first visit: {assets / 1000:.1f} KB")
    assert assets < ASSET_BYTES
    assert statistics.median(paints) < FIRST_PAINT_MS * slack()


@contextmanager
def another_site() -> Iterator[str]:
    """An empty page of another site: for a browser, localhost and 127.0.0.1 are two."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>shop</title>")

        def log_message(self, *_: object) -> None:
            """Nothing: the test says what went wrong."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


ASK = """async ([method, url, key, body]) => {
  const headers = {"Content-Type": "application/json"};
  if (key) headers.Authorization = `Bearer ${key}`;
  try {
    const answer = await fetch(url, {method, headers, body: body && JSON.stringify(body)});
    return [answer.status, await answer.json()];
  } catch (error) { return [0, String(error)]; }
}"""


def test_a_page_of_another_site_gives_feedback_and_does_nothing_else(tmp_path: Path, chromium):  # type: ignore[no-untyped-def]
    desk = '[desk]\nkey = "the-desk-key"\nfeedback_key = "for-pages"\n'
    with serving(tmp_path, desk) as house, another_site() as shop, opening(chromium, shop) as tabs:
        page = tabs().page
        page.goto(shop)
        base = house.run["desk"]

        def ask(method: str, path: str, key: str | None, body: object = None) -> list[Any]:
            return page.evaluate(ASK, [method, base + path, key, body])

        said = {"flag": "success", "comment": "from a page"}
        assert ask("POST", "/api/tasks", "the-desk-key", {"input": "q"})[0] == 0, "the desk's key is not for other sites' pages"
        first = ask("POST", "/api/tasks/t-1/feedback", "for-pages", said)
        assert (first[0], first[1]["status"]) == (202, "waiting")
        assert ask("POST", "/v2/tasks/t-1/flag", "for-pages", {"flag": "failure", "project_id": "p"})[0] == 200
        assert ask("POST", "/api/tasks/t-1/feedback", "wrong", said)[0] == 403
        assert ask("POST", "/api/tasks/t-1/feedback", None, said)[0] == 403
        for method, path in (
            ("GET", "/api/tasks"),
            ("GET", "/api/tasks/t-1"),
            ("PATCH", "/api/tasks/t-1"),
            ("POST", "/api/forget"),
        ):
            assert ask(method, path, "for-pages", None if method == "GET" else {})[0] == 0, path
        answers = [ask("POST", "/api/tasks/t-1/feedback", "for-pages", said) for _ in range(40)]
        refused = [each[1]["error"]["code"] for each in answers if each[0] == 429]
        assert len(refused) >= 5
        assert set(refused) == {"too_often"}
