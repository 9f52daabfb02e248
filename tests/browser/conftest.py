"""A real Chromium, and a tasktap full of made-up calls to look at; skipped, with the way to get it, where there is none."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from proxy.store import open_store
from tests.browser.hostile import hostile
from tests.proc import Tasktap, clean_environment, serving, soon
from tests.sockets import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# The one without a window of its own first: it lays out, runs and paints the same in a quarter of the time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--renderer-process-limit=1",
)
ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.real)


def filled(place: Path, sessions: int = 140, *, harm: bool = True) -> None:
    """Fill the data directory of a tasktap at `place` with made-up calls, and with some that mean `harm`."""
    command = [
        sys.executable,
        "-m",
        "proxy",
        "demo",
        "--data-dir",
        str(place / "data"),
        "--only-fill",
        "--sessions",
        str(sessions),
    ]
    subprocess.run(command, cwd=ROOT, env=clean_environment(), check=True, timeout=110, capture_output=True)

    if not harm:
        return

    async def add() -> None:
        store = await open_store("sqlite:", place / "data", write=True)
        await store.save(hostile())
        await store.close()

    with ThreadPoolExecutor(1) as thread:  # Playwright has a loop of its own running in this one
        thread.submit(asyncio.run, add()).result()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasktap]:
    place = tmp_path_factory.mktemp("dashboard")
    filled(place)
    with serving(place) as running:
        soon(lambda: running.fetch("/api/tasks?limit=1")[0] == 200, "an open store")
        yield running


@pytest.fixture(scope="module")  # no longer: while it is there, asyncio's tests of other modules find a running loop
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright (it uses the system's browser)")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """A tab, and what went on in it that should not."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def watch(self) -> Visit:
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda asked: None if asked.url.startswith(self.origin) else self.elsewhere.append(asked.url))
        self.page.on("dialog", self._dialog)
        return self

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def go(self, path: str) -> Page:
        answer = self.page.goto(self.origin + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        return self.page

    def was_quiet(self) -> None:
        """Nothing was complained of, nothing asked of another host, and nothing popped up."""
        assert self.complaints == []
        assert [url for url in self.elsewhere if not url.startswith(("data:", "blob:"))] == []
        assert self.dialogs == []


class Open:
    """Opens tabs, each with a history of its own."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self._browser, self._origin = browser, origin
        self._contexts: list[Any] = []

    def __call__(self, width: int = 1280, height: int = 800, origin: str | None = None, **options: Any) -> Visit:
        context = self._browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE * 1000)
        self._contexts.append(context)
        return Visit(context.new_page(), origin or self._origin).watch()

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@contextmanager
def opening(browser: Browser, origin: str) -> Iterator[Open]:
    tabs = Open(browser, origin)
    yield tabs
    tabs.close()


@pytest.fixture
def tab(chromium: Browser, house: Tasktap) -> Iterator[Open]:
    with opening(chromium, house.run["desk"]) as tabs:
        yield tabs


@pytest.fixture(scope="session")
def axe() -> str:
    """What looks for barriers in a page: axe-core's source."""
    root = os.environ.get("TAP_REAL")
    source = Path(root or "/nowhere") / "axe/node_modules/axe-core/axe.min.js"
    if not source.exists():
        pytest.skip("axe-core is not there: TAP_REAL=FOLDER python tests/real/prepare.py, then again with it set")
    return source.read_text()
