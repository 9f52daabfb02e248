"""Log an app's own tasks, and what users thought of them: standard library only, never in the app's way.

    from proxy import client as tasktap

    tasktap.init()
    tasktap.log(input="What is the meaning of life?", output="42", session_id="chat-1", user_id="ada")

A call copies what it is given (see `snapshot`), queues it, and returns. A thread sends it to the desk; while that is away tasks
wait, bounded, the oldest forgotten first and counted (`stats`), or on disk (`init(spool=...)`).
"""

from __future__ import annotations

from typing import Any

from proxy.client.entry import Logged
from proxy.client.labels import labelled, latest_session, latest_task, new_session, new_task, openai_headers, session
from proxy.client.life import flush, init, stats
from proxy.client.streams import MutableAsyncGenerator, MutableGenerator
from proxy.client.tasks import log, user_feedback
from proxy.client.wrap import wrap

__all__ = [
    "Logged",
    "MutableAsyncGenerator",
    "MutableGenerator",
    "flush",
    "init",
    "labelled",
    "log",
    "new_session",
    "new_task",
    "openai_headers",
    "session",
    "stats",
    "user_feedback",
    "wrap",
]


def __getattr__(name: str) -> Any:
    """`latest_task_id` and `latest_session_id`: of this thread or asyncio task."""
    if name == "latest_task_id":
        return latest_task.get()
    if name == "latest_session_id":
        return latest_session.get()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
