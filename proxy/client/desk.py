"""The desk, from an app's side: one kept connection, a few ways to fail, and no waiting beyond a limit."""

from __future__ import annotations

import encodings.idna  # noqa: F401  # `socket` imports it at the first connection, on the thread: a fork in the middle breaks the child
import json
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection  # not lazily either
from typing import Any
from urllib.parse import quote, urlsplit

SPLIT = frozenset({400, 413, 422})
"""Statuses that mean that the desk will never take this body: the batch is halved until the one at fault is alone."""

HELD_BACK = frozenset({408, 425, 429})
"""Statuses of the 400s that mean: again, later."""

KEY = frozenset({401, 403})

ANSWER_BYTES = 8_000_000


class Away(Exception):
    """The desk cannot be reached, or cannot take anything now. Keep what you have and try again."""


class Refused(Exception):
    """The desk will never take this."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the desk is, and the key that it wants, if any."""

    url: str = "http://127.0.0.1:8901"
    key: str | None = None


class Desk:
    """Posts to one desk. Not for two threads at once."""

    def __init__(self, address: Address, seconds: float) -> None:
        self.address = address
        self._seconds = seconds
        self._connection: HTTPConnection | None = None

    def tasks(self, encoded: Sequence[bytes]) -> list[dict[str, Any]]:
        """Send tasks; give what became of each. Raises Away, Refused."""
        answer = self._post("/api/tasks", b'{"tasks":[' + b",".join(encoded) + b"]}")
        items = answer.get("items") if isinstance(answer, dict) else None
        if not isinstance(items, list):
            raise Away("what answers there is not tasktap's desk")
        return [item if isinstance(item, dict) else {} for item in items]

    def feedback(self, task_id: str, encoded: bytes) -> None:
        """Send feedback. Raises Away, Refused."""
        self._post(f"/api/tasks/{quote(task_id, safe='')}/feedback", encoded)

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, path: str, body: bytes) -> Any:
        fresh = self._connection is None
        try:
            return self._once(path, body)
        except (OSError, HTTPException) as wrong:
            self.close()
            if fresh:
                raise Away(f"{type(wrong).__name__}: {wrong}") from None
        try:  # the kept connection had gone stale; ids make a second sending harmless
            return self._once(path, body)
        except (OSError, HTTPException) as wrong:
            self.close()
            raise Away(f"{type(wrong).__name__}: {wrong}") from None

    def _once(self, path: str, body: bytes) -> Any:
        place = urlsplit(self.address.url)
        if self._connection is None:
            kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
            self._connection = kind(place.hostname or "127.0.0.1", place.port, timeout=self._seconds)
        head = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.address.key:
            head["Authorization"] = f"Bearer {self.address.key}"
        self._connection.request("POST", place.path.rstrip("/") + path, body, head)
        with self._connection.getresponse() as answer:
            said = answer.read(ANSWER_BYTES)
            status = answer.status
            if answer.read(1):
                self.close()
        if status in SPLIT:
            raise Refused(f"{status}: {said[:300].decode(errors='replace')}")
        if not 200 <= status < 300:
            reason = "the key is wrong (TASKTAP_KEY)" if status in KEY else said[:300].decode(errors="replace")
            raise Away(f"it answered {status}: {reason}")
        try:
            return json.loads(said)
        except (ValueError, RecursionError):
            raise Away("what answers there is not tasktap's desk") from None
