"""The desk's JSON over HTTP: each route of the table answered from the store, everything guarded, every error in one shape."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiohttp import web

from proxy.query import answers, document, insights, metrics
from proxy.query.attempts import Attempts
from proxy.query.cors import for_pages, no_preflight, pattern
from proxy.query.dashboard import pages
from proxy.query.dashboard.kept import Kept
from proxy.query.dashboard.room import Act, Room, Watch
from proxy.query.door import DeskRunner, refuse
from proxy.query.encoding import encode
from proxy.query.guard import HEADERS, Desk, knows_cookie, refusal
from proxy.query.openapi import openapi
from proxy.query.parameters import Asked, BadFilter, understand
from proxy.query.premises import House
from proxy.query.routes import ACTS, OCTETS, ROUTES, Route
from proxy.store import BadCursor, Store, StoreUnavailable
from proxy.task import Status, Which

__all__ = ["ACTS", "ROUTES", "Act", "Desk", "DeskRunner", "Mounted", "build"]

LOG = logging.getLogger("tasktap.desk")

Decode = Callable[[bytes, str], bytes]
"""Bytes and their content coding, to plain bytes; raises ValueError where they are not that or the coding is not known."""


CARRIED = "/tasktap/"
"""Paths that the calls door carries to the desk begin so."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """A route of somebody else's API, which the desk serves too."""

    method: str
    path: str
    act: Callable[[Mapping[str, str], Sequence[tuple[str, str]], bytes, Mapping[str, str]], Awaitable[tuple[int, Any]]]
    """Given the path's parts, the query, the plain body and the fields, it gives the status and the document."""
    most: int
    feedback: bool
    open: bool


def build(
    store: Store,
    status: Callable[[], Awaitable[Status]],
    desk: Desk,
    decode: Decode,
    acts: Mapping[str, Act] | None = None,
    *,
    calls: str | None = None,
    watch: Watch | None = None,
    house: House | None = None,
    mounted: Sequence[Mounted] = (),
) -> web.Application:
    """The application; run it with `DeskRunner`, which keeps aiohttp's own words from going out.

    `acts` are what the routes of `ACTS` do, by name; `mounted` are served beside them; `calls` is where apps call, for pages that
    say so; `watch` tells what running calls do, `house` of disk, upstreams and versions.
    """
    attempts, kept = Attempts(), Kept()
    acts = {name: _forgetting(act, kept) if name == "forget" else act for name, act in (acts or {}).items()}
    room = Room(store, status, desk, decode, acts, watch=watch, calls=calls, house=house, attempts=attempts, kept=kept)
    opens = {route.path for route in ROUTES if route.open} | pages.OPEN
    feedback = {route.path for route in ACTS if route.feedback}
    manners = [for_pages(desk, feedback), pages.speaking_html(room), _well_mannered(desk, opens, feedback, attempts)]
    app = web.Application(middlewares=manners, client_max_size=0)  # each act says itself how much it takes
    handlers = _Handlers(store, status, desk, decode)
    for route in ROUTES:
        app.router.add_get(route.path.replace("{id}", "{id:[^/]+}"), _handler(route, handlers), name=route.name)
    for route in ACTS:
        act = acts.get(route.name)
        app.router.add_route(route.method, route.path.replace("{id}", "{id:[^/]+}"), _acting(route, act, decode), name=route.name)
    for each in mounted:
        resource = app.router.add_route(each.method, each.path, _serving(each, decode)).resource
        path = resource.canonical if resource else ""
        opens |= {path} if each.open else set()
        feedback |= {path} if each.feedback else set()
    for path in sorted({each.path for each in mounted if each.feedback} | {route.path for route in ACTS if route.feedback}):
        app.router.add_route("OPTIONS", path.replace("{id}", "{id:[^/]+}"), no_preflight)
    pages.put(app, room)
    app.on_response_prepare.append(_dress)
    return app


def _forgetting(act: Act, kept: Kept) -> Act:
    """To forget is to keep no sums of before, either."""

    async def forget(id: str, body: bytes, fields: Mapping[str, str]) -> tuple[int, Any]:
        try:
            return await act(id, body, fields)
        finally:
            kept.forget()

    return forget


async def _dress(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = HEADERS["Server"]  # aiohttp's own would be there


def _well_mannered(
    desk: Desk, opens: Collection[str], feedback: Collection[str], attempts: Attempts
) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def well_mannered(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        carried = request.path.startswith(CARRIED)
        keyed = (
            "Authorization" in request.headers and pattern(request) not in opens and (desk.key or desk.feedback_key) is not None
        )
        if keyed and not knows_cookie(request.headers, desk) and (late := attempts.refusal(request, carried=carried)) is not None:
            return late
        address = request.transport.get_extra_info("sockname") if request.transport else None
        no = refusal(
            request.method,
            request.headers,
            address[0] if isinstance(address, tuple) else None,
            desk,
            open=pattern(request) in opens,
            feedback=pattern(request) in feedback,
            carried=carried,
        )
        if no is not None:
            if no.status == 401 and keyed:
                attempts.wrong(request, carried=carried)
                LOG.warning("a wrong key came", extra={"facts": {"from": "the calls door" if carried else request.remote}})
            return refuse(no.status, no.code, no.message, headers={"WWW-Authenticate": "Bearer"} if no.status == 401 else None)
        try:
            answer: web.StreamResponse = await handler(request)
            return answer
        except BadFilter as bad:
            return refuse(400, "bad_parameter", str(bad), param=bad.param)
        except BadCursor as bad:
            return refuse(400, "bad_cursor", str(bad) or str(BadCursor.__doc__), param="cursor")
        except answers.NotFound as missing:
            return refuse(404, "not_found", str(missing), param="id")
        except StoreUnavailable as away:
            return refuse(503, "store_unavailable", str(away) or str(StoreUnavailable.__doc__))
        except web.HTTPMethodNotAllowed as wrong:
            allowed = ", ".join(sorted(wrong.allowed_methods))
            return refuse(405, "method_not_allowed", f"This answers {allowed}.", headers={"Allow": allowed})
        except web.HTTPException as wrong:
            return refuse(
                wrong.status, "not_found" if wrong.status == 404 else "bad_request", f"{wrong.reason}: see /api/openapi.json"
            )
        except Exception as failed:  # the outermost handler: what we did not foresee is answered in the one shape, too
            # Only the kind and the place: a message may quote what was stored.
            LOG.error(
                "%s %s failed: %s at %s", request.method, pattern(request), type(failed).__name__, _place(failed.__traceback__)
            )
            return refuse(500, "desk_failed", f"The desk failed: {type(failed).__name__}. Its log says where.")

    return well_mannered


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _handler(route: Route, handlers: _Handlers) -> Callable[[web.Request], Awaitable[web.Response]]:
    answer: Callable[[Asked, str], Awaitable[web.Response]] = getattr(handlers, route.name)

    async def handle(request: web.Request) -> web.Response:
        asked = understand(request.query.items(), route.parameters)
        return await answer(asked, request.match_info.get("id", ""))

    return handle


def _acting(route: Route, act: Act | None, decode: Decode) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if act is None:
            return refuse(503, "not_here", "This desk only reads.")
        understand(request.query.items(), route.parameters)
        body = await plain_body(request, route.most, decode)
        if isinstance(body, web.Response):
            return body
        status, document = await act(request.match_info.get("id", ""), body, request.headers)
        return _json(document, status)

    return handle


def _serving(route: Mounted, decode: Decode) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        body = await plain_body(request, route.most, decode)
        if isinstance(body, web.Response):
            return body
        status, document = await route.act(request.match_info, tuple(request.query.items()), body, request.headers)
        return _json(document, status)

    return handle


async def plain_body(request: web.Request, most: int, decode: Decode) -> bytes | web.Response:
    """The request's body, its content coding taken off; or why it is not taken."""
    parts, size = list[bytes](), 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > most:
            return refuse(413, "too_large", f"The body is longer than {most} bytes.")
        parts.append(part)
    body, coding = b"".join(parts), request.headers.get("Content-Encoding", "").strip().lower()
    if coding in ("", "identity"):
        return body
    try:
        return await asyncio.to_thread(decode, body, coding)
    except ValueError:
        return refuse(415, "bad_coding", f'The body is not whole "{coding}".')


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=encode(body) + b"\n", content_type="application/json")


@dataclass(frozen=True, slots=True)
class _Handlers:
    """A method a route, by its name in the table."""

    store: Store
    state: Callable[[], Awaitable[Status]]
    desk: Desk
    decode: Decode

    def _silent_since(self) -> int:
        return self.desk.silent_since(time.time_ns() // 1000)

    async def metrics(self, _asked: Asked, _id: str) -> web.Response:
        text = metrics.of_status(await self.state())
        return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def tasks(self, asked: Asked, _id: str) -> web.Response:
        return _json(await answers.tasks(self.store, asked))

    async def task(self, _asked: Asked, id: str) -> web.Response:
        return _json(await answers.task(self.store, id))

    async def request_body(self, asked: Asked, id: str) -> web.Response:
        return await self._body(asked, id, Which.REQUEST)

    async def response_body(self, asked: Asked, id: str) -> web.Response:
        return await self._body(asked, id, Which.RESPONSE)

    async def _body(self, asked: Asked, id: str, which: Which) -> web.Response:
        kept = await answers.body(self.store, id, which)
        data, coding = kept.data, kept.coding
        if asked.decoded and coding is not None:
            try:
                data, coding = await asyncio.to_thread(self.decode, data, coding), None
            except ValueError:  # cut short, or a coding that nobody here speaks
                return refuse(
                    422, "not_decodable", f'These bytes are not whole "{coding}". Ask without `decoded`.', param="decoded"
                )
        # The coding is told beside the bytes: in Content-Encoding a browser or an SDK would take it off.
        headers = {
            "Content-Disposition": f'attachment; filename="{which}.bin"',
            **({"X-Content-Coding": coding} if coding else {}),
        }
        return web.Response(body=data, content_type=OCTETS, headers=headers)

    async def sessions(self, asked: Asked, _id: str) -> web.Response:
        return _json(await answers.sessions(self.store, asked, self._silent_since()))

    async def session(self, asked: Asked, id: str) -> web.Response:
        return _json(await answers.session(self.store, id, asked, self._silent_since()))

    async def users(self, asked: Asked, _id: str) -> web.Response:
        return _json(await answers.users(self.store, asked, self.desk.thresholds))

    async def user(self, asked: Asked, id: str) -> web.Response:
        return _json(await answers.user(self.store, id, asked, self.desk.thresholds, self._silent_since()))

    async def overview(self, asked: Asked, _id: str) -> web.Response:
        return _json(await insights.overview(self.store, asked))

    async def series(self, asked: Asked, _id: str) -> web.Response:
        return _json(await insights.series(self.store, asked))

    async def breakdown(self, asked: Asked, _id: str) -> web.Response:
        return _json(await insights.breakdown(self.store, asked))

    async def session_insights(self, asked: Asked, _id: str) -> web.Response:
        return _json(await insights.sessions(self.store, asked, silent_since=self._silent_since()))

    async def user_insights(self, asked: Asked, _id: str) -> web.Response:
        return _json(await insights.users(self.store, asked, self.desk.thresholds))

    async def compare(self, asked: Asked, _id: str) -> web.Response:
        return _json(await insights.compare(self.store, asked))

    async def status(self, _asked: Asked, _id: str) -> web.Response:
        return _json(document.of_status(await self.state()))

    async def openapi(self, _asked: Asked, _id: str) -> web.Response:
        return _json(openapi(self.desk.version))

    async def healthz(self, _asked: Asked, _id: str) -> web.Response:
        if (await self.state()).relays == 0:
            return refuse(503, "not_carrying", NO_RELAY)
        return _json({"ok": True})

    async def readyz(self, _asked: Asked, _id: str) -> web.Response:
        state = await self.state()
        reasons = [*([] if state.relays else [NO_RELAY]), *state.reasons]
        if reasons:
            error = document.of_error("; ".join(reasons), type="server_error", code="not_ready")
            return _json({"ok": False, "reasons": reasons, **error}, status=503)
        return _json({"ok": True, "reasons": []})


NO_RELAY = "no relay is alive: calls cannot be carried"
