"""The routes of phospho's own API, and what stands for an act of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

HUGE: Final = 1 << 30

Path = Mapping[str, str]
Query = Sequence[tuple[str, str]]


class Served(NamedTuple):
    """One route: its method and path, the act, and the most bytes of its body."""

    method: str
    path: str
    act: str
    most: int = 64 << 20
    feedback: bool = False  # pages of other sites may be let in, too
    open: bool = False  # answered without the key


ROUTES: Final = (
    Served("POST", "/v2/log/{project}", "log", HUGE),
    Served("POST", "/v2/tasks/{id:.+}/human-eval", "human_eval", feedback=True),
    Served("POST", "/v2/tasks/{id:.+}/flag", "human_eval", feedback=True),
    Served("GET", "/v2/tasks/{id:.+}", "task"),
    Served("POST", "/v2/tasks/{id:.+}", "update_task"),
    Served("POST", "/v2/tasks", "create_task"),
    Served("POST", "/v2/projects/{project}/tasks", "tasks"),
    Served("POST", "/v2/projects/{project}/tasks/flat", "tasks_flat"),
    Served("POST", "/v2/projects/{project}/tasks/flat-update", "update_flat", HUGE),
    Served("GET", "/v2/projects/{project}/sessions", "sessions"),
    Served("POST", "/v2/projects/{project}/sessions", "sessions"),
    Served("GET", "/v2/projects/{project}", "project"),
    Served("POST", "/v2/sessions", "create_session"),
    Served("GET", "/v2/sessions/{id:.+}/tasks", "session_tasks"),
    Served("POST", "/v2/sessions/{id:.+}/tasks", "session_tasks"),
    Served("GET", "/v2/sessions/{id:.+}", "session"),
    Served("POST", "/v3/otl/{project}", "spans", HUGE),
    Served("GET", "/v2/health", "health", open=True),
    Served("GET", "/health", "health", open=True),
)
"""In the order in which they are tried."""
