"""The overview: how the house is, and what was said last."""

from __future__ import annotations

from aiohttp import web

from proxy.query.dashboard import view
from proxy.query.dashboard.health_page import concerns
from proxy.query.dashboard.room import Room
from proxy.query.dashboard.task_list import excerpt
from proxy.query.parameters import PROJECT
from proxy.task import Filter

RECENT = 8


async def page(room: Room, request: web.Request) -> web.StreamResponse:
    """The first page."""
    asked = view.read("/", request.query.items(), (PROJECT,), room.now(), ("period",))
    state = await room.state()
    recent = await room.store.find(Filter(project_id=asked.asked.filter.project_id), limit=RECENT)
    sessions = await room.store.sessions(project_id=asked.asked.filter.project_id, limit=RECENT)
    return await room.show(
        request,
        "overview.html",
        here="overview",
        view=asked,
        state=state,
        concerns=concerns(state),
        recent=recent.items,
        sessions=sessions.items,
        excerpt=excerpt,
        segment=view.segment,
    )
