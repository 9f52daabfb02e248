"""What every page has at hand: the store, the state of the house, the time, and how to answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from proxy.query.attempts import Attempts
from proxy.query.dashboard import paper
from proxy.query.dashboard.kept import Kept
from proxy.query.guard import Desk, Role, role
from proxy.query.premises import House
from proxy.store import Store
from proxy.task import JSON, Status

FORM_BYTES = 65_536
THEMES = ("light", "dark")
Act = Callable[[str, bytes, Mapping[str, str]], Awaitable[tuple[int, Any]]]
"""Does what a route of `ACTS` is for: given the path's id, the plain bytes of the body and the header fields, it gives the status
and the document of the answer."""


class Watch(Protocol):
    """Tells what running calls do."""

    def follow(self) -> AsyncGenerator[list[JSON], None]:
        """First what runs now, then what changes, until it is closed."""
        ...

    async def now(self) -> list[JSON]:
        """What runs now."""
        ...


@dataclass(frozen=True, slots=True)
class Room:
    """See above."""

    store: Store
    state: Callable[[], Awaitable[Status]]
    desk: Desk
    decode: Callable[[bytes, str], bytes]
    acts: Mapping[str, Act]
    watch: Watch | None = None
    calls: str | None = None  # where apps call, for what people copy
    attempts: Attempts = field(default_factory=Attempts)  # wrong keys, by address
    house: House | None = None
    kept: Kept = field(default_factory=Kept)  # of insights

    @staticmethod
    def now() -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1000

    async def show(
        self, request: web.Request, template: str, *, status: int = 200, here: str = "", **values: Any
    ) -> web.Response:
        """A page. `here` is the part of the house that it is in."""
        theme = request.cookies.get("theme")
        reads = role(request.headers, self.desk) is Role.READER
        common = {
            "here": here,
            "status": status,
            "theme": theme if theme in THEMES else None,
            "version": self.desk.version,
            "locked": self.desk.key is not None,
            "live": self.watch is not None,
            "now": self.now(),
            "acts": frozenset() if reads else frozenset(self.acts),
            "reads": reads,
            "calls_at": self.calls or "http://127.0.0.1:8900",
        }
        html = await asyncio.to_thread(paper.drawn, template, **common, **values)
        return paper.answer(html, "gzip" in request.headers.get("Accept-Encoding", ""), status)


async def form(request: web.Request) -> dict[str, str]:
    """What a form of ours sent. Raises HTTPRequestEntityTooLarge past `FORM_BYTES`."""
    parts, size = list[bytes](), 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > FORM_BYTES:
            raise web.HTTPRequestEntityTooLarge(FORM_BYTES, size)
        parts.append(part)
    return dict(parse_qsl(b"".join(parts).decode("utf-8", "replace"), keep_blank_values=True))
