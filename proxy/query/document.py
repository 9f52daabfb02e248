"""Pure: the values of the house as the JSON documents that the interface promises.

No field is dropped: what is not known is null. The bytes of the bodies are the exception; they have routes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from proxy.store.marks import TOOL_RESULT
from proxy.task import JSON, Ending, Feedback, Page, Session, Signs, Status, Summary, Task, Usage, User

WAY = ("seconds_to_connect", "seconds_to_sent")
"""Of the way to the upstream: until there was a new connection, until the whole request had come where it came in pieces."""

TITLE_LENGTH = 80
"""Characters of a session's title."""

HIDDEN = frozenset({"as_read", "carried", "own_id", "traces", "request_body", "response_body"})
"""Fields of a task that are no part of its document."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(microseconds: int) -> str:
    """Microseconds since the epoch as `2026-11-22T15:04:05.123456Z`."""
    return (EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def of_usage(usage: Usage | None) -> JSON | None:
    """All figures, those that nobody gave as null; null as a whole where there was no usage."""
    return None if usage is None else {field.name: getattr(usage, field.name) for field in fields(Usage)}


def of_feedback(feedback: Feedback) -> JSON:
    """One thing that somebody said of a task."""
    return {
        "id": feedback.id,
        "created_at": moment(feedback.created_at),
        "flag": feedback.flag,
        "score": feedback.score,
        "comment": feedback.comment,
        "source": feedback.source,
        "user_id": feedback.user_id,
    }


SPECIAL: dict[str, Callable[[Any], Any]] = {
    "created_at": moment,
    "ended_at": moment,
    "usage": of_usage,
    "finish_reasons": list,
    "problems": list,
    "redactions": list,
    "events": list,
    "evaluations": list,
    "request_headers": lambda pairs: [list(pair) for pair in pairs],
    "response_headers": lambda pairs: [list(pair) for pair in pairs],
    "pieces": lambda pairs: [list(pair) for pair in pairs],
    "feedback": lambda feedback: [of_feedback(one) for one in feedback],
}
"""How the fields are written that are not written as they are."""


def of_summary(task: Summary) -> JSON:
    """A task as lists show it; of a whole `Task`, too, only this."""
    return _written(task, Summary)


def of_task(task: Task) -> JSON:
    """A task, whole, but for its bodies' bytes."""
    return {**_written(task, Task), **{name: task.carried.get(name) for name in WAY}}


def _written(task: Summary, kind: type[Summary]) -> JSON:
    return {
        field.name: SPECIAL[field.name](getattr(task, field.name)) if field.name in SPECIAL else getattr(task, field.name)
        for field in fields(kind)
        if field.name not in HIDDEN
    }


def of_signs(signs: Signs) -> JSON:
    """What tells of judgement and of trouble, counted."""
    return {field.name: getattr(signs, field.name) for field in fields(Signs)}


def of_session(session: Session, silent_since: int | None = None) -> JSON:
    """A session's sums. Counts are called `..._count`: `tasks` is the list of them, where one session is asked for.

    It is `running` unless it was said to be over, or nothing was heard of it since `silent_since`; null where that is not given.
    """
    over = session.final and session.last_ending is Ending.COMPLETED
    return {
        "id": session.id,
        "project_id": session.project_id,
        "user_id": session.user_id,
        "started_at": moment(session.started_at),
        "ended_at": moment(session.ended_at),
        "seconds": session.seconds,
        "task_count": session.tasks,
        "error_count": session.errors,
        "input_tokens": session.input_tokens,
        "output_tokens": session.output_tokens,
        "cost": session.cost,
        "title": title_of(session),
        "first_input": session.first_input,
        "last_input": session.last_input,
        "last_output": session.last_output,
        "last_ending": session.last_ending,
        "model": session.model,
        "final": session.final,
        "running": None if silent_since is None else session.ended_at >= silent_since and not over,
        "implicit": session.implicit,
        "turns": session.turns,
        "silence_seconds": session.silence_seconds,
        "longest_silence_seconds": session.longest_silence_seconds,
        "models": list(session.models),
        "last_flag": session.last_flag,
        "ended_badly": session.ended_badly,
        "signs": of_signs(session.signs),
    }


def title_of(session: Session) -> str | None:
    """The first words that a user said in it, on one line; `None` where a tool spoke first, or nobody."""
    said = session.first_input
    return None if said is None or said.startswith(TOOL_RESULT) else " ".join(said.split())[:TITLE_LENGTH] or None


def of_user(user: User) -> JSON:
    """A user's sums; the rate of success is that of rated tasks."""
    success, rated = user.signs.success, user.signs.success + user.signs.failure
    return {
        "id": user.id,
        "project_id": user.project_id,
        "first_seen": moment(user.first_seen),
        "last_seen": moment(user.last_seen),
        "task_count": user.tasks,
        "session_count": user.sessions,
        "error_count": user.errors,
        "input_tokens": user.input_tokens,
        "output_tokens": user.output_tokens,
        "cost": user.cost,
        "rated": rated,
        "success_rate": success / rated if rated else None,
        "active_days": user.active_days,
        "session_seconds": user.session_seconds,
        "ended_badly": user.ended_badly,
        "busiest_minute": user.busiest_minute,
        "signs": of_signs(user.signs),
    }


def of_page(items: Iterable[JSON], page: Page[Any]) -> JSON:
    """A list's answer: `next` is the cursor of the page after it, null where there is none."""
    return {"items": list(items), "next": page.next}


def of_status(status: Status) -> JSON:
    """Where every call is. `carried == stored + waiting + lost` holds in it."""
    return {
        "calls": {
            "carried": status.carried,
            "running": status.running,
            "journalled": status.journalled,
            "stored": status.stored,
            "waiting": status.waiting,
            "lost": status.lost,
            "rejected": status.rejected,
            "recovered": status.recovered,
            "set_aside": status.set_aside,
        },
        "journal": {
            "bytes": status.journal_bytes,
            "segments": status.journal_segments,
            "lapses": status.lapses,
            "bodies_dropped": status.bodies_dropped,
            "stalled": status.journal_stalled,
            "damaged_bytes": status.journal_damaged,
        },
        "intake": {
            "waiting": status.intake_waiting,
            "set_aside": status.intake_set_aside,
            "stalled": status.intake_stalled,
            "error": status.intake_error,
        },
        "store": {
            "error": status.store_error,
            "errors": status.store_errors,
            "commits": status.commits,
            "commit_seconds": status.commit_seconds,
        },
        "held": {
            "seconds": status.held_seconds,
            "up_to": {f"{most:g}": count for most, count in status.held},
            "more": status.held_more,
        },
        "retention": {"tasks": status.retired_tasks, "bytes": status.retired_bytes, "error": status.retention_error},
        "relays": status.relays,
        "open_connections": status.open_connections,
        "open_streams": status.open_streams,
        "unrecorded": status.unrecorded,
        "endings": {str(ending): count for ending, count in status.endings},
        "limits": dict(status.limits),
        "lag_seconds": status.lag_seconds,
        "reasons": list(status.reasons),
    }


def of_error(message: str, *, type: str, code: str, param: str | None = None) -> JSON:
    """The one shape of every error, OpenAI's."""
    return {"error": {"message": message, "type": type, "code": code, "param": param}}
