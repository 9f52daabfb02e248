"""Pure: the cookie of a browser that has shown the desk's key: it says until when, and proves it; the key is not in it."""

from __future__ import annotations

import hmac
from hashlib import sha256

NAME = "tasktap_desk"
SECONDS = 7 * 86_400


def issue(key: str, now: int) -> str:
    """A cookie's value that opens the desk for `SECONDS` from `now` (seconds since the epoch)."""
    until = now + SECONDS
    return f"{until}.{_proof(key, until)}"


def opens(value: str, key: str, now: int) -> bool:
    """Whether this value was issued with this key and is still good."""
    until, _, proof = value.partition(".")
    if not until.isascii() or not until.isdigit() or len(until) > 12:
        return False
    return (
        hmac.compare_digest(proof.encode("utf-8", "surrogateescape"), _proof(key, int(until)).encode())
        and now < int(until) <= now + SECONDS
    )


def _proof(key: str, until: int) -> str:
    return hmac.new(key.encode("utf-8", "surrogateescape"), f"tasktap desk cookie {until}".encode(), sha256).hexdigest()
