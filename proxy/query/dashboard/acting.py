"""What people can do on pages: say what they think of a task, put sessions right, forget. Each is an act of the API."""

from __future__ import annotations

from aiohttp import web

from proxy.query.dashboard import view
from proxy.query.dashboard.room import Room, form
from proxy.query.encoding import encode
from proxy.task import JSON

COMMENT_LENGTH = 4_000


async def feedback(room: Room, request: web.Request) -> web.StreamResponse:
    """A flag, a comment, or both, of a task."""
    sent, id = await form(request), request.match_info["id"]
    said: JSON = {"source": "dashboard"}
    if sent.get("flag") in ("success", "failure"):
        said["flag"] = sent["flag"]
    if comment := sent.get("comment", "").strip()[:COMMENT_LENGTH]:
        said["comment"] = comment
    if len(said) == 1:
        return await _wrong(room, request, 400, "Say whether it was a success or a failure, or leave a comment.")
    return await _do(room, request, "give_feedback", id, said, f"/tasks/{view.segment(id)}?said=1#feedback")


async def events(room: Room, request: web.Request) -> web.StreamResponse:
    """The labels of a task, as a person wants them: those that stay are still of whoever gave them."""
    sent, id = await form(request), request.match_info["id"]
    task = await room.store.get(id)
    if task is None or "events" not in sent:
        return await _wrong(room, request, 404, "There is no such task.")
    kept = {event.get("name"): event for event in task.events}
    names = dict.fromkeys(name.strip() for name in sent["events"].split(",") if name.strip())
    said: JSON = {"events": [kept.get(name, name) for name in names] or None}
    return await _do(room, request, "amend_task", id, said, f"/tasks/{view.segment(id)}?said=1#events")


async def split(room: Room, request: web.Request) -> web.StreamResponse:
    """A turn and what came after it, out of a session."""
    sent, id = await form(request), request.match_info["id"]
    task = sent.get("from_task", "")
    return await _do(room, request, "split_session", id, {"from_task": task}, f"/tasks/{view.segment(task)}")


async def merge(room: Room, request: web.Request) -> web.StreamResponse:
    """A session into another one."""
    sent, id = await form(request), request.match_info["id"]
    into = sent.get("into", "").strip()
    return await _do(room, request, "merge_session", id, {"into": into}, f"/sessions/{view.segment(into)}")


async def forget(room: Room, request: web.Request) -> web.StreamResponse:
    """A task, a session or a user, for good; only where it was said twice."""
    sent = await form(request)
    what, id, project = sent.get("what", ""), sent.get("id", ""), sent.get("project_id", "")
    if what not in ("task", "session", "user") or not id:
        return await _wrong(room, request, 400, "Say what is to be forgotten.")
    if sent.get("sure") != "yes":
        return await _wrong(room, request, 400, "Nothing was forgotten: tick the box that says you are sure.")
    asked = {f"{what}_id": id, **({"project_id": project} if project else {})}
    return await _do(room, request, "forget", "", asked, f"/{what}s?forgotten=1")


async def _do(room: Room, request: web.Request, act: str, id: str, body: JSON, onward: str) -> web.StreamResponse:
    if act not in room.acts:
        return await _wrong(room, request, 503, "This desk only reads.")
    status, document = await room.acts[act](id, encode(body), {"Content-Type": "application/json"})
    if status >= 400:
        error = document.get("error") if isinstance(document, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        return await _wrong(room, request, status, str(message or "It could not be done."))
    return web.Response(status=303, headers={"Location": onward})


async def _wrong(room: Room, request: web.Request, status: int, message: str) -> web.StreamResponse:
    return await room.show(request, "wrong.html", status=status, title="That was not done", message=message)
