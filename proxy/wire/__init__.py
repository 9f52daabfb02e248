"""Formats, pure: bytes in, meaning out. A new dialect is one file here, and one row of `DIALECTS`."""

from __future__ import annotations

from proxy.wire import chat, opaque
from proxy.wire.dialect import Dialect, Reading, Said

DIALECTS: dict[str, Dialect] = {
    "chat": Dialect("chat", chat.read),
    "opaque": Dialect("opaque", opaque.read),
}
"""How each kind of call is read. What is not here is read as `opaque`."""


def dialect_of(kind: str) -> Dialect:
    """The dialect of a kind of call."""
    return DIALECTS.get(kind) or DIALECTS["opaque"]


__all__ = ["DIALECTS", "Dialect", "Reading", "Said", "dialect_of"]
