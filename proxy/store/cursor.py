"""Cursors: where the next page starts, and which list it is a page of, in a few characters that fit in a URL."""

from __future__ import annotations

import base64
import hashlib
import struct

from proxy.store import BadCursor
from proxy.task import Filter

_PLACE = struct.Struct(">qq")
_SEAL_BYTES = 8  # with the place 24 bytes: 32 characters, without padding


def encode(name: str, position: tuple[int, int]) -> str:
    """A cursor of the list `name` at `position`: what the list is ordered by, and what tells equals apart."""
    place = _PLACE.pack(*position)
    return base64.urlsafe_b64encode(_seal(name, place) + place).decode()


def decode(name: str, cursor: str) -> tuple[int, int]:
    """The position that `encode` was given. Raises BadCursor for anything that this list did not make."""
    try:
        data = base64.b64decode(cursor, altchars=b"-_", validate=True)
    except ValueError:
        data = b""
    place = data[_SEAL_BYTES:]
    if len(place) == _PLACE.size:
        first, second = _PLACE.unpack(place)
        if encode(name, (first, second)) == cursor:
            return first, second
    raise BadCursor("This cursor was not made by this list with these filters. Leave it out to start at the newest.")


def tasks(filter: Filter, oldest_first: bool) -> str:
    """The name of a list of tasks: another filter or another direction is another list."""
    return f"tasks {oldest_first} {filter!r}"


def sessions(project_id: str | None, user_id: str | None, implicit: bool | None = None) -> str:
    """The name of a list of sessions."""
    return f"sessions {project_id!r} {user_id!r}" + ("" if implicit is None else f" {implicit}")


def users(project_id: str | None, sort: str | None = None) -> str:
    """The name of a list of users."""
    return f"users {project_id!r} {sort!r}"


def _seal(name: str, place: bytes) -> bytes:
    """Ties a place to its list; it guards against mistakes, not against malice: a forged place shows nothing that is hidden."""
    return hashlib.blake2b(place + name.encode(errors="backslashreplace"), digest_size=_SEAL_BYTES).digest()
