"""Routes, and what stands before them: which handler a request goes to, and through whose hands."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

from proxy.query.web.answer import StreamResponse
from proxy.query.web.request import Request

Handler = Callable[[Request], Awaitable[StreamResponse]]
Middleware = Callable[[Request, Handler], Awaitable[StreamResponse]]
"""Stands before a handler: may answer itself, and sees what the handler answers or raises."""

_PART = re.compile(r"\{([a-z_]+)(?::([^{}]+))?\}")


class HTTPException(Exception):
    """Why a request cannot be answered, as a status."""

    status = 400

    @property
    def reason(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase


class NotFound(HTTPException):
    """There is nothing at this path."""

    status = 404


class TooLarge(HTTPException):
    """The body is longer than it may be."""

    status = 413


class BadBody(HTTPException):
    """The body is not framed as it should be, or breaks off."""


class MethodNotAllowed(HTTPException):
    """There is something at this path, but not for this method."""

    status = 405

    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__()
        self.allowed_methods = allowed


@dataclass(frozen=True, slots=True)
class _Route:
    methods: frozenset[str]
    pattern: str  # with the names of its parts alone: `/api/tasks/{id}`
    path: re.Pattern[str]
    handler: Handler


class Application:
    """Handlers by method and path; a part of a path is `{name}`, or `{name:REGEX}` where it is not just what has no slash."""

    def __init__(self, middlewares: Sequence[Middleware]) -> None:
        self._middlewares = tuple(middlewares)  # the first is the outermost
        self._routes: list[_Route] = []

    def add(self, method: str, path: str, handler: Handler) -> str:
        """Serve `path` with `handler`, HEAD as GET; gives the pattern it is known by. The first that fits is taken."""
        methods = {method, "HEAD"} if method == "GET" else {method}
        found, at = "", 0
        for part in _PART.finditer(path):
            found += re.escape(path[at : part.start()]) + f"(?P<{part[1]}>{part[2] or '[^/]+'})"
            at = part.end()
        pattern = _PART.sub(r"{\1}", path)
        self._routes.append(_Route(frozenset(methods), pattern, re.compile(found + re.escape(path[at:])), handler))
        return pattern

    @property
    def patterns(self) -> frozenset[str]:
        """What is served."""
        return frozenset(route.pattern for route in self._routes)

    async def answer(self, request: Request) -> StreamResponse:
        """The answer to `request`. Raises what handlers raise and no middleware takes."""
        handler = self._handler(request)
        for middleware in reversed(self._middlewares):
            handler = _through(middleware, handler)
        return await handler(request)

    def _handler(self, request: Request) -> Handler:
        path = _plain(request.raw_path)
        allowed: set[str] = set()
        for route in self._routes:
            match = route.path.fullmatch(path)
            if match is None:
                continue
            if request.method in route.methods:
                request.pattern = route.pattern
                request.match_info = {name: _whole(value) for name, value in match.groupdict().items()}
                return route.handler
            allowed |= route.methods

        async def refuse(_request: Request) -> StreamResponse:
            raise MethodNotAllowed(frozenset(allowed)) if allowed else NotFound

        return refuse


def _through(middleware: Middleware, handler: Handler) -> Handler:
    async def handle(request: Request) -> StreamResponse:
        return await middleware(request, handler)

    return handle


def _plain(path: str) -> str:
    """A path with what it says in its own characters, but for slashes that are part of a name, and per cent signs."""
    return unquote(path.replace("%25", "%2525").replace("%2F", "%252F").replace("%2f", "%252F"), errors="replace")


def _whole(part: str) -> str:
    return part.replace("%2F", "/").replace("%25", "%")
