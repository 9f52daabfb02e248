"""The tables of the insights as files: every row behind what the page shows, as CSV or JSON of the same filter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from aiohttp import web

from proxy.query import endings, insights
from proxy.query.dashboard import sheet, view
from proxy.query.dashboard.insight_pages import compared, standing_span
from proxy.query.dashboard.room import Room
from proxy.query.measured import SECONDS
from proxy.query.parameters import BY, FILTERS, SORT
from proxy.task import JSON

EVERY = 1_000_000
"""More rows than any table has: a file is not cut."""

MEASURES = {"seconds": ("mean", *SECONDS), "first_token_seconds": SECONDS}
_BOUNDS = ("value", "low", "high")
_SIGNS = (
    *("success", "failure", "refusals", "moderated", "limited"),
    *("repeated", "rephrased", "frustrated", "loops"),
)


async def tasks(room: Room, request: web.Request) -> web.StreamResponse:
    """Every value that tasks are grouped by, with its measures."""
    now = room.now()
    asked = view.read("/insights", request.query.items(), (*FILTERS, BY, SORT), now, ("period", "show"))
    over = standing_span(asked, now)
    by = asked.asked.by or "model"
    found = await insights.breakdown(room.store, replace(over.asked(asked), by=by, limit=EVERY))
    rows = ({by: item["value"], **{name: value for name, value in item.items() if name != "value"}} for item in found["items"])
    return await _sent(request, "insights", rows, MEASURES)


async def series(room: Room, request: web.Request) -> web.StreamResponse:
    """What is drawn over time: the measures of each step and group."""
    now = room.now()
    asked = view.read("/insights", request.query.items(), (*FILTERS, BY, SORT), now, ("period", "show"))
    over = standing_span(asked, now)
    question = replace(over.asked(asked), by=asked.asked.by or "model", step=over.summed_by, limit=20)
    found = await insights.series(room.store, question)
    return await _sent(request, "series", found["items"], MEASURES)


async def sessions(room: Room, request: web.Request) -> web.StreamResponse:
    """What last messages of sessions are like, all of it: what is sure and what could be chance."""
    now = room.now()
    asked = view.read("/insights/sessions", request.query.items(), FILTERS, now, ("period",))
    question, silent = standing_span(asked, now).asked(asked), room.desk.silent_since(now)
    found = await insights.sessions(room.store, question, silent_since=silent)
    return await _sent(request, "last-messages", endings.rows(found), {})


async def users(room: Room, request: web.Request) -> web.StreamResponse:
    """Each user of each segment, with what shows it."""
    now = room.now()
    asked = view.read("/insights/users", request.query.items(), FILTERS, now, ("period",))
    every = replace(standing_span(asked, now).asked(asked), limit=EVERY)
    found = await insights.users(room.store, every, room.desk.thresholds)
    rows = ({"segment": one["name"], **user} for one in found["segments"] for user in one["users"])
    return await _sent(request, "segments", rows, {"signs": _SIGNS})


async def compare(room: Room, request: web.Request) -> web.StreamResponse:
    """Each measure of both, and the difference with its bounds."""
    found = await compared(room, request)
    return await _sent(request, "comparison", found.answer["differences"], dict.fromkeys(("base", "now", "difference"), _BOUNDS))


async def _sent(request: web.Request, name: str, rows: Iterable[JSON], flat: dict[str, tuple[str, ...]]) -> web.StreamResponse:
    async def one_by_one() -> AsyncIterator[JSON]:
        for row in rows:
            yield row

    return await sheet.send(request, f"{name}.{request.path.rpartition('.')[2]}", one_by_one(), flat)
