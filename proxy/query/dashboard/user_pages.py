"""Users: the list with what each has done, and one of them with their sessions."""

from __future__ import annotations

from aiohttp import web

from proxy.query import document
from proxy.query.answers import NotFound
from proxy.query.dashboard import sheet, view
from proxy.query.dashboard.room import Room
from proxy.query.dashboard.task_list import excerpt
from proxy.query.parameters import PAGING, PROJECT
from proxy.task import Filter

RECENT = 8  # tasks shown of a user


async def users(room: Room, request: web.Request) -> web.StreamResponse:
    """The list, the one seen last first."""
    asked = view.read("/users", request.query.items(), (PROJECT, *PAGING), room.now())
    found = await room.store.users(project_id=asked.asked.filter.project_id, limit=asked.asked.limit, cursor=asked.asked.cursor)
    return await room.show(
        request, "users.html", here="users", view=asked, users=found.items, next=found.next, segment=view.segment
    )


async def users_file(room: Room, request: web.Request) -> web.StreamResponse:
    """The list as a file."""
    asked = view.read("/users", request.query.items(), (PROJECT, *PAGING), room.now())
    project = asked.asked.filter.project_id
    found = sheet.rows(lambda cursor: room.store.users(project_id=project, limit=sheet.PAGE, cursor=cursor), document.of_user)
    return await sheet.send(request, request.path.rpartition("/")[2], found, {})


async def user(room: Room, request: web.Request) -> web.StreamResponse:
    """One user. Raises NotFound."""
    id = request.match_info["id"]
    asked = view.read(f"/users/{view.segment(id)}", request.query.items(), (PROJECT, *PAGING), room.now())
    found = await room.store.user(id, asked.asked.filter.project_id)
    if found is None:
        raise NotFound(f'There is no user "{id}".')
    sessions = await room.store.sessions(
        project_id=found.project_id, user_id=id, limit=asked.asked.limit, cursor=asked.asked.cursor
    )
    recent = await room.store.find(Filter(user_id=id, project_id=found.project_id), limit=RECENT)
    return await room.show(
        request,
        "user.html",
        here="users",
        view=asked,
        user=found,
        sessions=sessions.items,
        next=sessions.next,
        recent=recent.items,
        excerpt=excerpt,
        segment=view.segment,
    )
