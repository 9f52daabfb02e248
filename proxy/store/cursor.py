"""Cursors: where the next page starts, and which list it is a page of, in a few characters that fit in a URL."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from proxy.store import BadCursor
from proxy.task import Filter

_SHAPE = struct.Struct(">8sqq")


def encode(name: str, position: tuple[int, int]) -> str:
    """A cursor of the list `name` at `position`: what the list is ordered by, and what tells equals apart."""
    return base64.urlsafe_b64encode(_SHAPE.pack(_digest(name), *position)).decode().rstrip("=")


def decode(name: str, cursor: str) -> tuple[int, int]:
    """The position that `encode` was given. Raises BadCursor for anything that this list did not make."""
    try:
        digest, first, second = _SHAPE.unpack(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, struct.error):
        raise BadCursor("This is no cursor. Leave it out to start at the newest.") from None
    if encode(name, (first, second)) != cursor or digest != _digest(name):
        raise BadCursor("This cursor was made by another list or other filters. Leave it out to start at the newest.")
    return first, second


def tasks(filter: Filter, oldest_first: bool) -> str:
    """The name of a list of tasks: another filter or another direction is another list."""
    return f"tasks {oldest_first} {filter!r}"


def sessions(project_id: str | None, user_id: str | None) -> str:
    """The name of a list of sessions."""
    return f"sessions {project_id!r} {user_id!r}"


def users(project_id: str | None) -> str:
    """The name of a list of users."""
    return f"users {project_id!r}"


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="backslashreplace"), digest_size=8).digest()
