"""The `baggage` field: the keys and values that a trace carries along (W3C Baggage)."""

from __future__ import annotations

from urllib.parse import unquote


def baggage(value: bytes) -> dict[str, str]:
    """Its members; the first of a key stands. Properties after `;` are left out, values are percent-decoded."""
    members: dict[str, str] = {}
    for member in value.decode("latin-1").split(","):
        key, equals, rest = member.partition("=")
        if equals and key.strip():
            members.setdefault(key.strip(), unquote(rest.partition(";")[0].strip()))
    return members
