"""Method and path -> which upstream, which target there, and which dialect is spoken. Pure."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import NamedTuple

from proxy.record.http1 import BadMessage

_ABSOLUTE = re.compile(rb"(?i:https?)://[^/?]*")

_KINDS = (
    (b"/chat/completions", "chat"),
    (b"/v1/completions", "completion"),
    (b"/v1/responses", "response"),
    (b"/v1/embeddings", "embedding"),
    (b"/v1/moderations", "moderation"),
    (b"/v1/messages", "message"),
    (b"/api/chat", "ollama_chat"),
    (b"/api/generate", "ollama_generate"),
    (b"/api/embed", "ollama_embed"),
    (b"/api/embeddings", "ollama_embed"),
)
"""How the path of a POST ends in each dialect: providers put prefixes of their own before it."""

_MARKERS: dict[str, tuple[bytes, ...]] = {
    "response": (b"response.completed", b"response.failed", b"response.incomplete"),
    "message": (b"message_stop",),
    "ollama_chat": (b'"done":true',),
    "ollama_generate": (b'"done":true',),
}
_DONE = (b"[DONE]",)
MARKER_LENGTH = 32
"""No marker is longer, in bytes."""


class Route(NamedTuple):
    """Where a call goes."""

    upstream: str
    target: bytes
    """Path and query for the upstream, without its own prefix, as the caller sent them."""
    kind: str


def match(method: bytes, target: bytes, names: Container[str], default: str) -> Route:
    """Route one request target. A first segment that is no upstream's name goes to the default one, unchanged.

    An absolute-form target (RFC 9112 section 3.2.2) goes by its path: its authority never chooses anything. Raises BadMessage.
    """
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.match(target)
        if absolute is not None:
            target = target[absolute.end() :]
            target = target if target.startswith(b"/") else b"/" + target
        elif target != b"*" or method != b"OPTIONS":
            raise BadMessage("The request target must begin with `/`.")
    if not target.startswith(b"/v1/"):
        end = _end_of_segment(target)
        name = target[1:end].decode("latin-1")
        if name in names:
            rest = target[end:]
            rest = rest if rest.startswith(b"/") else b"/" + rest
            return Route(name, rest, kind(method, rest))
    return Route(default, target, kind(method, target))


def _end_of_segment(target: bytes) -> int:
    for at in range(1, min(len(target), 64)):
        if target[at] in b"/?":
            return at
    return len(target)


def kind(method: bytes, target: bytes) -> str:
    """The dialect that a path promises; `opaque` where it promises none."""
    path = target.partition(b"?")[0].rstrip(b"/")
    if method == b"POST":
        for ends, name in _KINDS:
            if path.endswith(ends):
                return name
    elif path.startswith(b"/v1/models") and path[10:11] in (b"", b"/"):
        return "model"
    return "opaque"


def markers(kind: str) -> tuple[bytes, ...]:
    """The bytes that end a stream of this dialect: who has read them has the whole answer."""
    return _MARKERS.get(kind, _DONE)
