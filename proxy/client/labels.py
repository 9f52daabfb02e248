"""Who is talking, and in the middle of what: a current session, user, project and task for each thread and each asyncio task."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Here(NamedTuple):
    """The labels that a task gets where it is given none."""

    session_id: str | None = None
    user_id: str | None = None
    project_id: str | None = None
    parent_task_id: str | None = None
    metadata: dict[str, Any] | None = None


NOWHERE = Here()

VARIANT, MARKS = 1 << 62, 7 << 76 | 1 << 63
"""The bit of a UUIDv7 that is never set, and those that always are: version 7, variant 10."""

here: ContextVar[Here] = ContextVar("tasktap_here", default=NOWHERE)
latest_task: ContextVar[str | None] = ContextVar("tasktap_latest_task", default=None)
latest_session: ContextVar[str | None] = ContextVar("tasktap_latest_session", default=None)


def new_id() -> str:
    """A UUIDv7: 48 bits of milliseconds, then 74 random ones (RFC 9562, section 5.7). Not for secrets."""
    bits = random.getrandbits(76) & ~VARIANT | MARKS  # an id, not a secret; Python seeds it anew in a forked child
    digits = f"{time.time_ns() // 1_000_000 << 80 | bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_session() -> str:
    """A new session id, to pass as `session_id`. `latest_session_id` is the last one of this thread or asyncio task."""
    id = new_id()
    latest_session.set(id)
    return id


def new_task() -> str:
    """A new task id, to pass as `task_id`. `latest_task_id` is the last one of this thread or asyncio task."""
    id = new_id()
    latest_task.set(id)
    return id


@contextmanager
def session(
    session_id: str | None = None,
    *,
    user_id: str | None = None,
    project_id: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Iterator[str]:
    """Everything logged inside belongs to this session (a new one, if none is named), and to this user and project.

    Threads and asyncio tasks do not see each other's. `openai_headers` and `labelled` tell it to the calls that are made inside.
    """
    above = here.get()
    id = session_id if session_id is not None else new_session()
    metadata = {**(above.metadata or {}), **metadata} if metadata else above.metadata
    token = here.set(
        Here(str(id), user_id or above.user_id, project_id or above.project_id, above.parent_task_id, metadata),
    )
    try:
        yield str(id)
    finally:
        here.reset(token)


def openai_headers(**more: str) -> dict[str, str]:
    """The labels of here as header fields, for `extra_headers=` of an OpenAI client that calls through tasktap.

    Inside a wrapped function the call becomes a part of that function's task. `more` is added:
    `openai_headers(**{"X-Task-Name": "x"})`.
    """
    now = here.get()
    found = {
        "X-Session-Id": now.session_id,
        "X-User-Id": now.user_id,
        "X-Project-Id": now.project_id,
        "X-Parent-Task-Id": now.parent_task_id,
    }
    return {name: value for name, value in found.items() if value and _fits(value)} | more


def _fits(value: str) -> bool:
    """Can this be a header field's value? HTTP has no way to say the others; the SDK would raise."""
    return value.isascii() and value.isprintable() and value == value.strip()


def labelled(client: T) -> T:
    """Make an OpenAI, AsyncOpenAI (or Anthropic) client send the labels of here with each call; returns the same client.

    It hooks into the client's HTTP client, so every call of it is labelled, streams and retries included. A field that the call
    sets itself stays as it is. A client of another kind is returned as it came.
    """
    http = getattr(client, "_client", None)
    hooks = getattr(http, "event_hooks", None)
    if not isinstance(hooks, dict):
        return client
    if hasattr(http, "aclose"):
        hooks.setdefault("request", []).append(_label_later)
    else:
        hooks.setdefault("request", []).append(_label)
    http.event_hooks = hooks  # type: ignore[union-attr]  # httpx gives a copy, or checks what it is given
    return client


def _label(request: Any) -> None:
    for name, value in openai_headers().items():
        if name not in request.headers:
            request.headers[name] = value


async def _label_later(request: Any) -> None:
    _label(request)
