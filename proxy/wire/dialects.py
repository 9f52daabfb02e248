"""Which reader reads which kind of call: a new dialect is one file beside this one, and one row here."""

from __future__ import annotations

from proxy.wire import (
    audio,
    chat,
    completions,
    converse,
    embeddings,
    gemini,
    images,
    messages,
    moderations,
    ollama,
    ollama_embed,
    opaque,
    realtime,
    resources,
    responses,
)
from proxy.wire.dialect import Dialect

DIALECTS: dict[str, Dialect] = {
    "chat": Dialect("chat", chat.read),
    "completion": Dialect("completion", completions.read),
    "response": Dialect("response", responses.read),
    "embedding": Dialect("embedding", embeddings.read),
    "moderation": Dialect("moderation", moderations.read),
    "image": Dialect("image", images.read),
    "audio": Dialect("audio", audio.read),
    "file": Dialect("file", resources.read),
    "batch": Dialect("batch", resources.read),
    "model": Dialect("model", resources.read),
    "realtime": Dialect("realtime", realtime.read),
    "ollama_chat": Dialect("ollama_chat", ollama.read_chat),
    "ollama_generate": Dialect("ollama_generate", ollama.read_generate),
    "ollama_embed": Dialect("ollama_embed", ollama_embed.read),
    "message": Dialect("message", messages.read),
    "gemini": Dialect("gemini", gemini.read),
    "converse": Dialect("converse", converse.read),
    "opaque": Dialect("opaque", opaque.read),
}
"""How each kind of call is read. What is not here is read as `opaque`."""


def dialect_of(kind: str) -> Dialect:
    """The dialect of a kind of call."""
    return DIALECTS.get(kind) or DIALECTS["opaque"]
