"""What passes each way: which field lines go to the upstream and which to the caller.

Everything passes as the bytes it came in, in its order and case, except hop-by-hop fields (RFC 9110 section 7.6.1), our own
labels, and the upstream's `Host`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from proxy.record.fields import ALIAS, HOP, HOST, OURS, PROVIDER_KEY, TASK_ID, TRAILER
from proxy.record.http1 import UNTIL_CLOSE, RequestHead, ResponseHead, joined

_NOT_REMOVABLE: Final = frozenset((b"content-length", b"transfer-encoding", b"host", b"x-task-id"))
"""Fields that `Connection` may not take off: a message whose framing a hop can remove is two messages."""

_SCHEMES = {
    "bearer": b"Authorization: Bearer ",
    "x-api-key": b"x-api-key: ",
    "api-key": b"api-key: ",
    "x-goog-api-key": b"x-goog-api-key: ",
}


class Key(NamedTuple):
    """A key of ours for an upstream: the field line that carries it, and whether it beats the caller's own."""

    line: bytes
    value: bytes
    always: bool


def key_line(key: str, auth: str, *, always: bool) -> Key:
    """The field that carries `key` in the way `auth` names ("bearer", "x-api-key", "api-key", "x-goog-api-key")."""
    value = key.encode("utf-8", "surrogateescape")
    return Key(_SCHEMES[auth] + value, value, always)


def to_upstream(request: RequestHead, authority: bytes, key: Key | None, *, strip_aliases: bool, websocket: bool) -> list[bytes]:
    """The field lines that go upstream. Without an `authority` the caller's own Host goes on."""
    drop = HOP | OURS | TRAILER
    if strip_aliases:
        drop |= ALIAS
    if key is not None:
        if key.always:
            drop |= PROVIDER_KEY
        elif any(role & PROVIDER_KEY for _, _, _, role in request.fields):
            key = None
    nominated = request.connection - _NOT_REMOVABLE if request.connection else ()
    special = drop | HOST
    out: list[bytes] = []
    host_seen = False
    for raw, name, _, role in request.fields:
        if not role & special:
            if not nominated or name not in nominated:
                out.append(raw)
        elif role & HOST:
            out.append(raw[:4] + b": " + authority if authority else raw)
            host_seen = True
    if not host_seen:
        out.insert(0, b"Host: " + authority)
    if key is not None:
        out.append(key.line)
    if websocket and request.upgrade is not None:
        out += (b"Connection: Upgrade", b"Upgrade: " + request.upgrade)
    return out


def to_caller(response: ResponseHead, *, old: bool) -> list[bytes]:
    """The field lines that go to the caller; an `old` one (HTTP/1.0) does not know transfer codings and trailers."""
    nominated = response.connection - _NOT_REMOVABLE if response.connection else ()
    drop = HOP | TASK_ID | (TRAILER if old else 0)
    out = [raw for raw, name, _, role in response.fields if not role & drop and name not in nominated]
    return [raw for raw in out if not raw[:18].lower().startswith(b"transfer-encoding:")] if old else out


class Passed(NamedTuple):
    """An answer's head as the caller gets it, and what that means for its body and its connection."""

    head: bytes
    dechunk: bool  # the payload goes on, without chunks
    reset: bool  # only the end of the connection ends the answer
    close: bool  # the connection ends with this answer


def answer(response: ResponseHead, task_id: str, *, old: bool, stays: bool) -> Passed:
    """The head for a caller; `stays` says that its connection could serve another call."""
    fields = to_caller(response, old=old)
    fields.append(b"X-Task-Id: " + task_id.encode("ascii"))
    dechunk = old and response.chunked
    reset = dechunk or (response.length == UNTIL_CLOSE and not response.chunked)
    close = reset or not stays
    if response.status == 101:
        fields += (b"Connection: Upgrade", *[field.raw for field in response.fields if field.name == b"upgrade"])
    elif close:
        fields.append(b"Connection: close")
    elif old:
        fields.append(b"Connection: keep-alive")
    return Passed(joined(b"HTTP/1.1" + response.status_line[8:], fields), dechunk, reset, close)
