"""One task: the conversation, where its time went, what it cost, who it belongs to, and the bytes."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace

from aiohttp import web

from proxy.query.answers import NotFound
from proxy.query.dashboard import again, view
from proxy.query.dashboard.changes import changes
from proxy.query.dashboard.prose import highlighted
from proxy.query.dashboard.room import Room
from proxy.query.dashboard.steps import told
from proxy.query.dashboard.task_list import excerpt, per_second
from proxy.query.dashboard.timeline import timeline
from proxy.query.dashboard.turns import Part, Shape, Turn, answered, asked, tools
from proxy.task import Filter, Task

PART_CHARACTERS = 12_000
"""Shown of one text; all of it is a link away."""

PAGE_CHARACTERS = 60_000
"""Shown of all texts of the history together, the newest first."""

PARTS = 20
"""Parts of a task that are listed on its page."""

OPEN_TURNS = 6
"""Turns of the history that are open; earlier ones are folded away."""

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Talk:
    """The conversation as the page shows it."""

    system: tuple[Turn, ...]
    earlier: tuple[Turn, ...]
    recent: tuple[Turn, ...]
    left_out: int  # turns before those, that the page has no room for
    answer: tuple[Turn, ...]


def talk(task: Task) -> Talk:
    """Fit the conversation to the page."""
    said = [_fitted(turn) for turn in _with_pictures(asked(task))]
    system = tuple(turn for turn in said if turn.role == "system")
    history = [turn for turn in said if turn.role != "system"]
    room, kept = PAGE_CHARACTERS, list[Turn]()
    for turn in reversed(history):
        room -= _length(turn)
        if room < 0 and kept:
            break
        kept.append(turn)
    kept.reverse()
    split = max(0, len(kept) - OPEN_TURNS)
    return Talk(
        system=system,
        earlier=tuple(kept[:split]),
        recent=tuple(kept[split:]),
        left_out=len(history) - len(kept),
        answer=tuple(_fitted(turn) for turn in answered(task)),
    )


def _with_pictures(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Number the pictures whose bytes we have: `id` is what their route is called."""
    number = 0
    found = []
    for turn in turns:
        parts = []
        for part in turn.parts:
            if part.shape is Shape.PICTURE and _DATA_URL.match(part.text):
                parts.append(replace(part, id=str(number)))
                number += 1
            else:
                parts.append(part)
        found.append(replace(turn, parts=tuple(parts)))
    return tuple(found)


def _length(turn: Turn) -> int:
    return sum(400 if part.shape is Shape.PICTURE else len(part.text) + 200 for part in turn.parts)


def _fitted(turn: Turn) -> Turn:
    return replace(turn, parts=tuple(_fitted_part(part) for part in turn.parts))


def _fitted_part(part: Part) -> Part:
    if part.shape is Shape.PICTURE or len(part.text) <= PART_CHARACTERS:
        return part
    return replace(part, text=part.text[:PART_CHARACTERS], value=len(part.text) - PART_CHARACTERS)


async def page(room: Room, request: web.Request) -> web.StreamResponse:
    """The page of a task. Raises NotFound."""
    task = await _task(room, request)
    before = await _before(room, task)
    parts = await room.store.find(Filter(parent_task_id=task.id, project_id=task.project_id), limit=PARTS + 1, oldest_first=True)
    return await room.show(
        request,
        "task.html",
        here="tasks",
        task=task,
        talk=talk(task),
        parts=parts.items[:PARTS],
        more_parts=len(parts.items) > PARTS,
        title=excerpt(task.input),
        timeline=timeline(task),
        changes=changes(before, task) if before else None,
        tools=tools(task.raw_input),
        speed=per_second(task),
        evidence=task.session_evidence,
        told=told,
        segment=view.segment,
        excerpt=excerpt,
        said="said" in request.query,
        Shape=Shape,
    )


async def picture(room: Room, request: web.Request) -> web.StreamResponse:
    """A picture that was in the request. Raises NotFound."""
    task = await _task(room, request)
    wanted = request.match_info["number"]
    for turn in _with_pictures(asked(task)):
        for part in turn.parts:
            if part.shape is Shape.PICTURE and part.id == wanted and (found := _DATA_URL.match(part.text)):
                kind = found[1].lower()
                if kind not in PICTURES:  # an SVG is a document, with scripts
                    raise NotFound(f"A picture of type {kind} is not shown.")
                try:
                    data = base64.b64decode(part.text[found.end() :], validate=False)
                except binascii.Error:
                    raise NotFound("This picture's base64 is damaged.") from None
                return web.Response(body=data, content_type=kind)
    raise NotFound("There is no such picture.")


async def as_text(room: Room, request: web.Request) -> web.StreamResponse:
    """The call as something to run again. Raises NotFound."""
    task = await _task(room, request)
    base = room.calls or "http://127.0.0.1:8900"
    made = again.curl(task, base) if request.match_info["way"] == "curl" else again.python(task, base)
    if request.query_string == "page":
        language = "bash" if request.match_info["way"] == "curl" else "python"
        return await room.show(
            request, "again.html", here="tasks", task=task, code=highlighted(made, language), segment=view.segment
        )
    return web.Response(text=made, content_type="text/plain")


async def _task(room: Room, request: web.Request) -> Task:
    id = request.match_info["id"]
    found = await room.store.get(id)
    if found is None:
        raise NotFound(f'There is no task "{id}".')
    return found


async def _before(room: Room, task: Task) -> Task | None:
    """The task before this one in its session."""
    if task.session_id is None:
        return None
    earlier = Filter(session_id=task.session_id, project_id=task.project_id, until=task.created_at)
    found = await room.store.find(earlier, limit=1)
    return await room.store.get(found.items[0].id) if found.items else None
