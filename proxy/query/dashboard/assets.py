"""The files that pages refer to, in memory: each has an address that changes with its content, so that it is kept for ever."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from aiohttp import web

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    data: bytes
    packed: bytes  # gzip
    mark: str  # of its content
    type: str


@cache
def _all() -> dict[str, Asset]:
    found = {}
    for file in (files(__package__) / "static").iterdir():
        ending = file.name.rpartition(".")[2]
        if ending in TYPES:
            data = file.read_bytes()
            found[file.name] = Asset(data, gzip.compress(data, 9, mtime=0), sha256(data).hexdigest()[:12], TYPES[ending])
    return found


@cache
def address(name: str) -> str:
    """Where pages find the file. Raises KeyError where there is none of that name."""
    return f"/static/{name}?{_all()[name].mark}"


async def serve(request: web.Request) -> web.Response:
    """A file; for ever where it was asked for by its address."""
    asset = _all().get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    forever = request.query_string == asset.mark
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if forever else "no-cache",
        "ETag": f'"{asset.mark}"',
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    body = asset.data
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        body, headers["Content-Encoding"] = asset.packed, "gzip"
    return web.Response(body=body, content_type=asset.type, charset="utf-8", headers=headers)
