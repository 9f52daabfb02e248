"""Method and path -> which upstream, which target there, and which dialect is spoken. Pure."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import NamedTuple

from proxy.record.http1 import BadMessage

_ABSOLUTE = re.compile(rb"(?i:https?)://[^/?]*")

_KINDS = (
    (b"/chat/completions", "chat"),
    (b"/agents/completions", "chat"),  # Mistral's
    (b"/completions", "completion"),
    (b"/responses", "response"),
    (b"/v1/messages", "message"),
    (b"/v1/messages/count_tokens", "message"),
    (b":generateContent", "gemini"),
    (b":streamGenerateContent", "gemini"),
    (b":countTokens", "gemini"),
    (b":embedContent", "embedding"),
    (b":batchEmbedContents", "embedding"),
    (b"/api/chat", "ollama_chat"),
    (b"/api/generate", "ollama_generate"),
    (b"/api/embed", "ollama_embed"),
    (b"/api/embeddings", "ollama_embed"),
    (b"/embeddings", "embedding"),
    (b"/moderations", "moderation"),
    (b"/images/generations", "image"),
    (b"/images/edits", "image"),
    (b"/images/variations", "image"),
    (b"/audio/speech", "audio"),
    (b"/audio/transcriptions", "audio"),
    (b"/audio/translations", "audio"),
)
"""How the path of a POST ends in each dialect: providers put prefixes of their own before it."""

_CLAUDE = re.compile(
    rb"/publishers/anthropic/models/[^/]+:(?:streamR|r)awPredict$|/model/[^/]*anthropic[^/]*/invoke(?:-with-response-stream)?$"
)
"""Where Vertex AI and Bedrock take Anthropic's messages."""

_CONVERSE = re.compile(rb"/model/[^/]+/converse(?:-stream)?$")
"""Bedrock's own shape, for all its models."""

_RESOURCE = re.compile(rb"/(?:v1|openai|v1/messages|v1beta(?=/models))/(responses|files|uploads|batches|models|realtime)(?:/|$)")
_RESOURCES = {
    b"responses": "response",
    b"files": "file",
    b"uploads": "file",
    b"batches": "batch",
    b"models": "model",
    b"realtime": "realtime",
}
"""What can be listed, fetched and deleted, by any method: the path goes on with its id. Azure has no `/v1` before it.

Anthropic's batches are of messages, and Gemini's models in a version of their own.
"""

_OLLAMA_MODELS = re.compile(rb"/api/(?:tags|ps|show|pull|push|create|copy|delete|blobs/sha256:[0-9a-f]+)$")
"""What Ollama does with its models."""

_MARKERS: dict[str, tuple[bytes, ...]] = {
    "response": (b"response.completed", b"response.failed", b"response.incomplete"),
    "image": (b"image_generation.completed", b"image_edit.completed"),
    "audio": (b"transcript.text.done", b"speech.audio.done"),
    "message": (b"message_stop",),
    "gemini": (),  # its streams just end
    "converse": (),  # likewise: figures come behind the end of the message
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
        if _CLAUDE.search(path) is not None:
            return "message"
        if _CONVERSE.search(path) is not None:
            return "converse"
    resource = _RESOURCE.search(path)
    if resource is None or (method == b"POST" and resource[1] == b"models"):  # Gemini's own calls are POSTs to a model
        return "model" if _OLLAMA_MODELS.search(path) is not None else "opaque"
    return _RESOURCES[resource[1]]


def markers(kind: str) -> tuple[bytes, ...]:
    """The bytes that end a stream of this dialect: who has read them has the whole answer."""
    return _MARKERS.get(kind, _DONE)
