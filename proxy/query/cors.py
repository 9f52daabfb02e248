"""Pages of other sites: they may give feedback, where the desk takes it, and nothing else (CORS, and how often)."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiohttp import web

from proxy.query.door import refuse
from proxy.query.guard import Desk, may_give_feedback, takes_feedback_from_pages
from proxy.query.pace import Pace


def pattern(request: web.Request) -> str:
    """The route's path as it is in the table; `?` where there is none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "?"


async def no_preflight(_request: web.Request) -> web.Response:
    """What a preflight is told by a desk that lets no other site's pages in."""
    return refuse(405, "method_not_allowed", "Pages of other sites may not do this.", headers={"Allow": "POST"})


FEEDBACK_BURST, FEEDBACK_PER_MINUTE = 30, 60
"""How much feedback one address may give at once, and a minute, by the feedback key or without any."""


def for_pages(desk: Desk, feedback: Collection[str]) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Lets pages of other sites give feedback, where the desk takes it: CORS, and how often (Fetch, section 3.2)."""
    pace = Pace(FEEDBACK_BURST, FEEDBACK_PER_MINUTE)

    @web.middleware
    async def let_in(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        if pattern(request) not in feedback or not takes_feedback_from_pages(desk):
            answer: web.StreamResponse = await handler(request)
            return answer
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            answer = web.Response(status=204, headers=PREFLIGHT)
        elif may_give_feedback(request.headers, desk) and (wait := pace.wait(request.remote or "", time.monotonic())) > 0:
            after = {"Retry-After": str(math.ceil(wait))}
            answer = refuse(429, "too_often", "Feedback comes too often from this address.", headers=after)
        else:
            answer = await handler(request)
        answer.headers["Access-Control-Allow-Origin"] = "*"  # no cookie is ever looked at, so any page may read this answer
        return answer

    return let_in


PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Max-Age": "600",
}
