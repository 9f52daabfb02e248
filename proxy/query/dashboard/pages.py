"""The table of pages, and how they are put on the desk: each guarded as the API is, each error a page where a browser asks."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from proxy.query.dashboard import (
    acting,
    assets,
    health_page,
    insight_files,
    insight_pages,
    live_page,
    overview_page,
    session_pages,
    sign_in,
    task_list,
    task_page,
    user_pages,
)
from proxy.query.dashboard.room import Room

Handler = Callable[[Room, web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Page:
    """A place of the dashboard."""

    path: str
    handler: Handler
    summary: str
    method: str = "GET"
    open: bool = False  # without the key


async def _asset(_room: Room, request: web.Request) -> web.StreamResponse:
    return await assets.serve(request)


PAGES = (
    Page("/", overview_page.page, "calls, errors, latency, tokens and cost of a period, and what needs attention"),
    Page("/tasks", task_list.page, "the list: filters, search, columns"),
    Page("/tasks.csv", task_list.file, "the same list as CSV"),
    Page("/tasks.json", task_list.file, "the same list as JSON"),
    Page("/tasks/{id}", task_page.page, "one task: conversation, timeline, usage, cost, raw JSON"),
    Page("/tasks/{id}/pictures/{number}", task_page.picture, "a picture that was in its request"),
    Page("/tasks/{id}/as/{way}", task_page.as_text, "the call as `curl` or `python`"),
    Page("/sessions", session_pages.sessions, "the list of sessions"),
    Page("/sessions.csv", session_pages.sessions_file, "the same list as CSV"),
    Page("/sessions.json", session_pages.sessions_file, "the same list as JSON"),
    Page("/sessions/{id}", session_pages.session, "one session as a conversation"),
    Page("/sessions/{id}/tasks.csv", session_pages.session_file, "its tasks as CSV"),
    Page("/sessions/{id}/tasks.json", session_pages.session_file, "its tasks as JSON"),
    Page("/tasks/{id}/feedback", acting.feedback, "what somebody thinks of the task, sent", method="POST"),
    Page("/tasks/{id}/events", acting.events, "the labels of the task, sent", method="POST"),
    Page("/sessions/{id}/split", acting.split, "a turn and what came after it, out of the session", method="POST"),
    Page("/sessions/{id}/merge", acting.merge, "the session, into another one", method="POST"),
    Page("/forget", acting.forget, "a task, a session or a user, for good", method="POST"),
    Page("/users", user_pages.users, "the list of users"),
    Page("/users.csv", user_pages.users_file, "the same list as CSV"),
    Page("/users.json", user_pages.users_file, "the same list as JSON"),
    Page("/users/{id}", user_pages.user, "one user, with their sessions"),
    Page("/insights", insight_pages.tasks, "tasks by model or anything else, over time and by hour of the week"),
    Page("/insights/sessions", insight_pages.sessions, "how long sessions last, over time, and what ends them"),
    Page("/insights/users", insight_pages.users, "power, abusive and struggling users with what shows it; who comes again"),
    Page("/insights/compare", insight_pages.compare, "two times, versions or models, with confidence intervals"),
    *(
        Page(f"{path}.{way}", handler, f"{what} as {way.upper()}")
        for path, handler, what in (
            ("/insights", insight_files.tasks, "the groups of tasks"),
            ("/insights/series", insight_files.series, "what is drawn over time"),
            ("/insights/sessions", insight_files.sessions, "what last messages are like"),
            ("/insights/users", insight_files.users, "the users of each segment"),
            ("/insights/compare", insight_files.compare, "the comparison"),
            ("/status/upstreams", health_page.file, "how upstreams did"),
        )
        for way in ("csv", "json")
    ),
    Page("/live", live_page.page, "the calls that run, and what they say while they say it"),
    Page("/live/events", live_page.events, "the same as server-sent events"),
    Page("/status", health_page.page, "the promises in figures, and what is wrong"),
    Page("/status/doctor", health_page.consult, "the doctor, asked", method="POST"),
    Page("/sign-in", sign_in.page, "where the desk's key is asked for", open=True),
    Page("/sign-in", sign_in.sign_in, "the key, sent", method="POST", open=True),
    Page("/sign-out", sign_in.sign_out, "the cookie, forgotten", method="POST", open=True),
    Page("/static/{name}", _asset, "style sheet, script, icon", open=True),
)

OPEN = frozenset(page.path for page in PAGES if page.open)
_PATTERNS = {"{id}": "{id:[^/]+}", "{number}": "{number:[0-9]+}", "{way}": "{way:curl|python}", "{name}": "{name:[a-z.]+}"}


def put(app: web.Application, room: Room) -> None:
    """Add the pages to the desk's application."""
    for page in sorted(PAGES, key=lambda page: "{id}" in page.path and "}." not in page.path):  # the more exact ones first
        path = page.path
        for name, pattern in _PATTERNS.items():
            path = path.replace(name, pattern)
        if page.method == "GET":
            app.router.add_get(path, _bound(page.handler, room))
        else:
            app.router.add_route(page.method, path, _bound(page.handler, room))


def _bound(handler: Handler, room: Room) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(room, request)

    return handle


def speaking_html(room: Room) -> Callable[..., Awaitable[web.StreamResponse]]:
    """The outermost middleware: an error that a browser would see as JSON is a page, and a missing key the way to sign in."""

    @web.middleware
    async def speak(request: web.Request, handler: Callable[..., Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        answer = await handler(request)
        if (
            answer.status < 400
            or "text/html" not in request.headers.get("Accept", "")
            or answer.content_type != "application/json"
        ):
            return answer
        if request.path.startswith("/api/") or not isinstance(answer, web.Response) or not isinstance(answer.body, bytes):
            return answer
        if answer.status == 401 and request.method in ("GET", "HEAD"):
            return web.Response(status=303, headers={"Location": f"/sign-in?next={quote(request.path_qs, safe='')}"})
        try:
            message = str(json.loads(answer.body)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            return answer
        title = {404: "Not found", 400: "That cannot be shown", 421: "Not this desk's name", 503: "Not now"}.get(
            answer.status, "Sorry"
        )
        shown = await room.show(request, "wrong.html", status=answer.status, title=title, message=message)
        for name in ("Allow", "WWW-Authenticate"):
            if name in answer.headers and answer.status != 401:
                shown.headers[name] = answer.headers[name]
        return shown

    return speak
