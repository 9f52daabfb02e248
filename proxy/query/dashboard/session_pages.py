"""Sessions: the list, and one of them as a readable conversation with its gaps, forks and costs."""

from __future__ import annotations

from functools import partial

from aiohttp import web
from markupsafe import Markup

from proxy.query import document
from proxy.query.answers import NotFound
from proxy.query.dashboard import figures, plot, sheet, view
from proxy.query.dashboard.room import Room
from proxy.query.dashboard.steps import following, spoken
from proxy.query.dashboard.task_list import FLAT, excerpt
from proxy.query.parameters import PAGING, PROJECT, USER
from proxy.task import Filter, Summary

TURN_CHARACTERS = 6_000
TURNS = 40  # a page, where no limit is asked for


async def sessions(room: Room, request: web.Request) -> web.StreamResponse:
    """The list, the one that ended last first."""
    asked = view.read("/sessions", request.query.items(), (USER, PROJECT, *PAGING), room.now())
    narrow = asked.asked.filter
    found = await room.store.sessions(
        project_id=narrow.project_id, user_id=narrow.user_id, limit=asked.asked.limit, cursor=asked.asked.cursor
    )
    return await room.show(
        request,
        "sessions.html",
        here="sessions",
        view=asked,
        sessions=found.items,
        next=found.next,
        excerpt=excerpt,
        segment=view.segment,
    )


async def sessions_file(room: Room, request: web.Request) -> web.StreamResponse:
    """The list as a file."""
    asked = view.read("/sessions", request.query.items(), (USER, PROJECT, *PAGING), room.now())
    narrow = asked.asked.filter
    found = sheet.rows(
        lambda cursor: room.store.sessions(project_id=narrow.project_id, user_id=narrow.user_id, limit=sheet.PAGE, cursor=cursor),
        partial(document.of_session, silent_since=room.desk.silent_since(room.now())),
    )
    return await sheet.send(request, request.path.rpartition("/")[2], found, {})


async def session(room: Room, request: web.Request) -> web.StreamResponse:
    """One session. Raises NotFound."""
    id = request.match_info["id"]
    path = f"/sessions/{view.segment(id)}"
    asked = view.read(path, request.query.items(), (PROJECT, *PAGING), room.now())
    found = await room.store.session(id, asked.asked.filter.project_id)
    if found is None:
        raise NotFound(f'There is no session "{id}".')
    whose = Filter(session_id=id, project_id=found.project_id)
    limit = asked.asked.limit if asked.get("limit") else TURNS
    page = await room.store.find(whose, limit=limit, cursor=asked.asked.cursor, oldest_first=True)
    steps = following(page.items)
    return await room.show(
        request,
        "session.html",
        here="sessions",
        view=asked,
        session=found,
        title=excerpt(found.first_input),
        steps=steps,
        here_are={step.task.id for step in steps},
        spoken=spoken,
        next=page.next,
        growth=growth(page.items),
        excerpt=excerpt,
        segment=view.segment,
        most=TURN_CHARACTERS,
    )


async def session_file(room: Room, request: web.Request) -> web.StreamResponse:
    """The tasks of one session as a file, oldest first."""
    id = request.match_info["id"]
    project = view.read("", request.query.items(), (PROJECT, *PAGING), room.now()).asked.filter.project_id
    whose = Filter(session_id=id, project_id=project)
    found = sheet.rows(
        lambda cursor: room.store.find(whose, limit=sheet.PAGE, cursor=cursor, oldest_first=True), document.of_summary
    )
    return await sheet.send(request, f"session.{request.path.rpartition('.')[2]}", found, FLAT)


def growth(tasks: tuple[Summary, ...]) -> dict[str, Markup]:
    """How the prompt grows and what each turn costs; nothing where there is but one turn."""
    if len(tasks) < 2:
        return {}
    slots = [plot.Slot(str(number), f"turn {number}") for number in range(1, len(tasks) + 1)]
    made = {}
    usages = [task.usage for task in tasks]
    if any(usage is not None for usage in usages):
        cached = tuple((usage.cached_input_tokens or 0) if usage else None for usage in usages)
        fresh = tuple(max(0, (usage.input_tokens or 0) - (usage.cached_input_tokens or 0)) if usage else None for usage in usages)
        series = [
            plot.Series("new input", fresh, "1"),
            plot.Series("output", tuple(u.output_tokens if u else None for u in usages), "2"),
        ]
        if any(cached):
            series.insert(1, plot.Series("cached input", cached, "8"))
        made["Tokens by turn"] = plot.bars(slots, series, title="Tokens by turn", height=110)
    if any(task.cost for task in tasks):
        made["Cost by turn"] = plot.bars(
            slots,
            [plot.Series("cost", tuple(task.cost for task in tasks), "3")],
            title="Cost by turn",
            unit=figures.dollars,
            height=110,
        )
    return made
