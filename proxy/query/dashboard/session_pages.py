"""Sessions: the list, and one of them as a readable conversation with its gaps, forks and costs."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web
from markupsafe import Markup

from proxy.query import document
from proxy.query.answers import NotFound
from proxy.query.dashboard import figures, plot, sheet, view
from proxy.query.dashboard.room import Room
from proxy.query.dashboard.task_list import FLAT, excerpt
from proxy.query.nesting import nested
from proxy.query.parameters import PAGING, PROJECT, USER
from proxy.task import Filter, Summary

GAP_SECONDS = 300.0
"""A silence that is worth a line of its own."""

DEEPEST = 4
"""Parts inside parts are set in so far."""

TURN_CHARACTERS = 6_000
TURNS = 40  # a page, where no limit is asked for


@dataclass(frozen=True, slots=True)
class Step:
    """One task of a session, and what is to be said before it."""

    task: Summary
    gap: float | None  # seconds of silence before it, where they are many
    fork: str | None  # why it does not follow the one before
    depth: int = 0  # how many tasks it is a part of, one inside the other
    whole: str | None = None  # what the task that it is a part of is called


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
        document.of_session,
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


def following(tasks: tuple[Summary, ...]) -> tuple[Step, ...]:
    """The tasks, the parts of each below it, with the silences between them and the forks."""
    steps: list[Step] = []
    names = {task.id: task.name for task in tasks}
    turns: list[Summary] = []  # what is no part
    ended = None
    for depth, task in nested(tasks):
        silence = 0.0 if ended is None else (task.created_at - ended) / 1e6
        ended = task.ended_at if ended is None else max(ended, task.ended_at)
        if depth:
            steps.append(Step(task, None, None, min(depth, DEEPEST), names.get(task.parent_task_id or "")))
        else:
            steps.append(Step(task, silence if silence >= GAP_SECONDS else None, _fork(task, turns[-1] if turns else None)))
            turns.append(task)
    return tuple(steps)


def _fork(task: Summary, before: Summary | None) -> str | None:
    if task.retry_of is not None:
        return "sent again"
    evidence = task.session_evidence
    continued = (
        evidence.get("task") or evidence.get("task_id") or evidence.get("continues") if isinstance(evidence, dict) else None
    )
    if isinstance(continued, str) and before is not None and continued != before.id:
        return "goes on from an earlier turn"
    return None


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
