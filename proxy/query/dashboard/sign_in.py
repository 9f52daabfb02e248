"""Signing in with the desk's key: a cookie that no script reads, and out again."""

from __future__ import annotations

import time

from aiohttp import web

from proxy.query import cookie
from proxy.query.dashboard.room import Room, form
from proxy.query.guard import same_key


def within(address: str) -> str:
    """An address of ours to go on to; what leads elsewhere leads home."""
    inside = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable() and "\\" not in address
    return address if inside and not address.startswith("/sign-") else "/"


async def page(room: Room, request: web.Request) -> web.StreamResponse:
    """The form."""
    return await room.show(request, "sign_in.html", here="door", next=within(request.query.get("next", "/")), wrong="")


async def sign_in(room: Room, request: web.Request) -> web.StreamResponse:
    """Compare the key; the answer is a cookie and the way on, or the form again."""
    sent = await form(request)
    key, onward = sent.get("key", ""), within(sent.get("next", "/"))
    if room.desk.key is None:
        raise web.HTTPSeeOther(onward)
    if (late := room.attempts.refusal(request)) is not None:
        return late
    keys = [each for each in (room.desk.key, room.desk.read_key) if each is not None and same_key(key.strip(), each)]
    if not keys:
        room.attempts.wrong(request)
        return await room.show(request, "sign_in.html", here="door", status=403, next=onward, wrong="That is not the key.")
    answer = web.Response(status=303, headers={"Location": onward})
    answer.set_cookie(
        cookie.NAME,
        cookie.issue(keys[0], int(time.time())),
        max_age=cookie.SECONDS,
        httponly=True,
        samesite="Lax",  # a link that is followed from a chat finds its reader signed in; others' forms are refused by Origin
        secure=request.secure,
    )
    return answer


async def sign_out(_room: Room, _request: web.Request) -> web.StreamResponse:
    """Forget the cookie."""
    answer = web.Response(status=303, headers={"Location": "/sign-in"})
    answer.del_cookie(cookie.NAME)
    return answer
