"""Formats, pure: bytes in, meaning out. A new dialect is one file here, and one row of `DIALECTS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.wire.dialect import Dialect, Reading, Said, Turn

if TYPE_CHECKING:
    from proxy.wire.dialects import DIALECTS, dialect_of


def __getattr__(name: str) -> object:
    """The table, with all the readers behind it, once somebody asks for it: relays never do, and start the sooner."""
    if name not in ("DIALECTS", "dialect_of"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from proxy.wire import dialects

    return getattr(dialects, name)


__all__ = ["DIALECTS", "Dialect", "Reading", "Said", "Turn", "dialect_of"]
