"""What passes each way: which field lines go to the upstream and which to the caller.

Everything passes as the bytes it came in, in its order and case, except hop-by-hop fields (RFC 9110 section 7.6.1), our own labels,
and the upstream's `Host`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from proxy.record.http1 import Line, RequestHead, ResponseHead

HOP: Final = frozenset((
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"upgrade", b"http2-settings",
))  # fmt: skip

_KEPT_THOUGH_NAMED = frozenset((b"content-length", b"transfer-encoding", b"host", b"x-task-id"))
"""Fields that `Connection` may not take off: a message whose framing a hop can remove is two messages."""

OURS: Final = frozenset((
    b"x-session-id", b"x-user-id", b"x-task-id", b"x-project-id", b"x-task-name", b"x-parent-task-id", b"x-session-final",
    b"x-task-metadata", b"x-task-privacy",
))  # fmt: skip
OURS_PREFIX: Final = b"x-metadata-"

ALIASES: Final = frozenset((
    b"x-session-affinity", b"helicone-session-id", b"x-litellm-session-id", b"x-litellm-trace-id", b"x-bf-session-id",
    b"agent-session-id", b"x-dynamo-session-id", b"x-claude-code-session-id", b"session-id", b"session_id", b"thread-id",
    b"conversation_id", b"x-opencode-session", b"x-conversation-id", b"x-thread-id",
    b"helicone-user-id", b"x-litellm-end-user-id", b"x-litellm-customer-id", b"x-openwebui-user-id", b"x-openwebui-user-name",
    b"x-openwebui-user-email", b"x-openwebui-user-role", b"helicone-session-name", b"helicone-session-path", b"x-parent-session-id",
    b"x-dynamo-parent-session-id", b"x-dynamo-session-final", b"x-litellm-tags", b"x-litellm-spend-logs-metadata",
    b"x-portkey-metadata", b"cf-aig-metadata",
))  # fmt: skip
ALIAS_PREFIXES: Final = (b"helicone-property-", b"x-bf-dim-")

CREDENTIALS: Final = frozenset((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"))
"""Where the providers of this field look for a key."""

_SCHEMES = {"bearer": (b"Authorization", b"Bearer "), "x-api-key": (b"x-api-key", b""), "api-key": (b"api-key", b""), "x-goog-api-key": (b"x-goog-api-key", b"")}  # fmt: skip


class Key(NamedTuple):
    """A key of ours for an upstream: the field line that carries it, and whether it beats the caller's own."""

    line: bytes
    value: bytes
    always: bool


def key_line(key: str, auth: str, *, always: bool) -> Key:
    """The field that carries `key` in the way `auth` names ("bearer", "x-api-key", "api-key", "x-goog-api-key")."""
    name, scheme = _SCHEMES[auth]
    value = key.encode("utf-8", "surrogateescape")
    return Key(name + b": " + scheme + value, value, always)


def is_ours(name: bytes) -> bool:
    """Whether a field is a label of ours, which is never passed on."""
    return name in OURS or name.startswith(OURS_PREFIX)


def is_alias(name: bytes) -> bool:
    """Whether a field is another gateway's label."""
    return name in ALIASES or name.startswith(ALIAS_PREFIXES)


def to_upstream(request: RequestHead, authority: bytes, key: Key | None, *, strip_aliases: bool, websocket: bool) -> list[bytes]:
    """The field lines that go upstream."""
    nominated = request.connection - _KEPT_THOUGH_NAMED if request.connection else request.connection
    out: list[bytes] = []
    host_seen = False
    add_key = key is not None
    if key is not None and not key.always:
        add_key = not any(field.name in CREDENTIALS for field in request.fields)
    for raw, name, _value in request.fields:
        if name in _PLAIN and name not in nominated:
            out.append(raw)
        elif name == b"host":
            out.append(raw[:4] + b": " + authority)
            host_seen = True
        elif name in HOP or name in nominated or name == b"trailer" or is_ours(name):
            continue
        elif (add_key and name in CREDENTIALS) or (strip_aliases and is_alias(name)):
            continue
        else:
            out.append(raw)
    if not host_seen:
        out.insert(0, b"Host: " + authority)
    if add_key and key is not None:
        out.append(key.line)
    if websocket and request.upgrade is not None:
        out += (b"Connection: Upgrade", b"Upgrade: " + request.upgrade)
    return out


_PLAIN = frozenset((
    b"accept", b"accept-encoding", b"content-type", b"content-length", b"user-agent", b"transfer-encoding", b"content-encoding",
    b"x-stainless-lang", b"x-stainless-os", b"x-stainless-arch", b"x-stainless-runtime", b"x-stainless-async",
))  # fmt: skip
"""Fields that surely pass: they are looked up first, because they are nearly all there is."""


def to_caller(response: ResponseHead, *, chunked: bool) -> list[bytes]:
    """The field lines that go to the caller; without `Transfer-Encoding` where the caller's HTTP/1.0 does not know it."""
    nominated = response.connection - _KEPT_THOUGH_NAMED if response.connection else response.connection
    drop = _NOT_TO_CALLER if chunked else _NOT_TO_OLD_CALLER
    if nominated:
        return [raw for raw, name, _ in response.fields if name not in drop and name not in nominated]
    return [raw for raw, name, _ in response.fields if name not in drop]


_NOT_TO_CALLER = HOP | {b"x-task-id"}
_NOT_TO_OLD_CALLER = _NOT_TO_CALLER | {b"transfer-encoding", b"trailer"}


def first(fields: Iterable[Line], name: bytes) -> bytes | None:
    """The value of the first field of this name."""
    return next((field.value for field in fields if field.name == name), None)
