"""aiohttp's server with the desk's manners: no answer, log line or header of aiohttp's own ever leaves it.

aiohttp answers malformed HTTP below the application, in plain text that quotes the offending line, and logs it: a mistyped
`Authorization` header would be printed, key and all.
"""

from __future__ import annotations

import logging
import re

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from proxy.query.document import of_error
from proxy.query.encoding import encode
from proxy.query.guard import HEADERS

SILENT = logging.getLogger("tasktap.desk.http")
SILENT.disabled = True  # what aiohttp has to say quotes what was sent


def refuse(
    status: int, code: str, message: str, *, param: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    """An error's answer, in the one shape."""
    type = "invalid_request_error" if status < 500 else "server_error"
    body = encode(of_error(message, type=type, code=code, param=param)) + b"\n"
    return web.Response(status=status, body=body, content_type="application/json", headers={**HEADERS, **(headers or {})})


_PHOSPHO = re.compile(r"(?:^|/)v([023])/((?:log|tasks|sessions|projects|otl|health)(?:/.*)?)$")


def canonical(path: str) -> str | None:
    """The path of phospho's API that this one means; `None` where it is that already, or is none.

    Its client puts `/v2/...` behind whatever base URL it was given: one that ends in a slash, or in `/v2`, or has a prefix. To
    redirect it would lose what it sends: it turns a POST into a GET.
    """
    if path.startswith(("/api/", "/tasktap/")) or (found := _PHOSPHO.search(path)) is None:
        return None
    version, rest = found.groups()
    meant = f"/v{version if rest.startswith('otl') else '2'}/{rest}"
    return None if meant == path else meant


class DeskRunner(web.AppRunner):
    """Runs the desk's application; give it to `web.SockSite` or `web.TCPSite`."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float = 2.0):
        super().__init__(
            app,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=75.0,
            logger=SILENT,
            shutdown_timeout=shutdown_timeout,
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            path = canonical(request.rel_url.raw_path)
            if path is not None:
                request = request.clone(rel_url=request.rel_url.with_path(path, encoded=True, keep_query=True))
            try:
                return await made.request_handler(request)
            except web.HTTPException as wrong:  # raised outside the application's middleware: a strange `Expect`
                return refuse(wrong.status, "bad_request", f"{wrong.reason}.")

        return _Server(
            answer,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,
            **made._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun: all that is left is to break it off")
        if status < 500:
            answer = refuse(status, "bad_request", "This is not well-formed HTTP.")
        else:
            answer = refuse(status, "desk_failed", "The desk failed.")
        answer.force_close()
        return answer
