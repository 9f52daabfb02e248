"""Live: the calls that run, and what they say while they say it, as server-sent events."""

from __future__ import annotations

import asyncio

from aiohttp import web

from proxy.query.answers import NotFound
from proxy.query.dashboard import view
from proxy.query.dashboard.room import Room
from proxy.query.dashboard.task_list import excerpt
from proxy.query.encoding import encode

SILENCE_SECONDS = 15.0
"""After which a comment is sent, so that a browser that has gone is noticed."""


async def page(room: Room, request: web.Request) -> web.StreamResponse:
    """The page, with what runs now."""
    calls = await room.watch.now() if room.watch is not None else []
    return await room.show(request, "live.html", here="live", calls=calls[::-1], excerpt=excerpt, segment=view.segment)


async def events(room: Room, request: web.Request) -> web.StreamResponse:
    """What happens, until the browser goes. Raises NotFound where nobody can look on."""
    if room.watch is None:
        raise NotFound("This desk does not run beside relays.")
    answer = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
    answer.content_type = "text/event-stream"
    await answer.prepare(request)
    following = room.watch.follow()
    coming = asyncio.ensure_future(anext(following))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=SILENCE_SECONDS)
            if not done:
                await answer.write(b":\n\n")
                continue
            calls = coming.result()
            coming = asyncio.ensure_future(anext(following))
            await answer.write(b"data: " + encode(calls) + b"\n\n")
    except (ConnectionError, StopAsyncIteration):
        return answer
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await following.aclose()
