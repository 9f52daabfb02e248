"""Kept tasks read again, with the readers as they are today: what was understood is understood anew, what was measured stays."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from proxy.record import reading, routes
from proxy.record.background import CREDITED, waits
from proxy.record.regroup import moved
from proxy.record.reprice import summary_of, tasks_of
from proxy.record.second_look import SECOND_LOOK
from proxy.record.spoken_again import parts_of
from proxy.store import Store
from proxy.store.merging import told_again
from proxy.store.story import PARENT
from proxy.task import JSON, Call, Ending, Filter, Piece, Source, Summary, Task

UNDERSTOOD = (
    *("kind", "project_id", "name", "session_id", "session_source", "session_evidence", "session_final"),
    *("user_id", "user_source", "parent_task_id"),
    *("input", "output", "system_prompt", "metadata", "model_requested", "model", "usage", "cost", "price", "response_id"),
    *("upstream_request_id", "stream", "seconds_to_first_token", "longest_stall", "tokens_per_second", "ending"),
    *("finish_reasons", "problems"),
)
"""The fields of a summary that come of reading."""

WITHIN = ("raw_input", "raw_output", "redactions", "carried")
"""The other fields of a task that do."""

EXAMPLES = 3  # of each field that changed, on one page
EXAMPLE_LENGTH = 200
UPGRADED = 101


def call_of(task: Task) -> Call | None:
    """The call that `task` was read from, put together again; `None` where it was none, or too little of it is kept."""
    if task.method is None or task.path is None or task.upstream is None:
        return None
    bodies = (task.raw_input, task.request_body), (task.raw_output, task.response_body)
    if task.http_status != UPGRADED and any(raw is not None and not body for raw, body in bodies):
        return None  # its bodies have been let go: what was read of them is all there is
    ends = [0]
    for _, size in task.pieces:
        ends.append(ends[-1] + size)
    response = tuple(
        Piece(at, task.response_body[start:end]) for (at, _), (start, end) in zip(task.pieces, pairwise(ends), strict=True)
    )
    carried = task.carried
    parts: JSON = {"created_at": task.created_at, "ended_at": task.ended_at, "response": response}
    parts["seconds_to_first_byte"] = task.seconds_to_first_byte
    if task.http_status == UPGRADED:
        known = parts_of(task)
        if known is None:
            return None
        parts |= known
    return Call(
        **parts,
        origin=task.origin,
        id=task.id,
        own_id=task.id,
        retry_of=task.retry_of,
        ending=Ending(carried.get("ending", task.ending)),
        upstream=task.upstream,
        kind=_kind(task),
        method=task.method,
        target=task.path,
        caller_key=task.caller_key,
        request_fields=_fields(task.request_headers),
        request_body=task.request_body,
        request_size=task.request_size or 0,
        request_decoded=task.request_coding is None,
        http_status=task.http_status,
        response_fields=_fields(task.response_headers),
        response_size=task.response_size or 0,
        response_decoded=task.response_coding is None,
        seconds_to_connect=carried.get("seconds_to_connect"),
        seconds_to_sent=carried.get("seconds_to_sent"),
        marked=bool(carried.get("marked")),
        unclosed=Ending(carried["unclosed"]) if "unclosed" in carried else None,
        drained=bool(carried.get("drained")),
        error_code=task.error_code,
        redactions=tuple(where for where in task.redactions if where != SECOND_LOOK),
        problems=task.problems[: carried.get("problems", 0)],
    )


def again(task: Task, complete: Callable[[Task], Task]) -> Task | None:
    """`task` as it is read today; `None` where nothing of it was read from bytes. `complete` is what the recorder does then.

    What others have said since stays: who inferred, moved or logged its session and user, feedback, events, evaluations.
    """
    call = call_of(task)
    if call is None:
        return None
    now = complete(reading.read(call))
    if task.logged:
        now = told_again(now, task.logged)
    found: dict[str, Any] = {name: getattr(now, name) for name in (*UNDERSTOOD, *WITHIN)}
    part = (task.session_evidence or {}).get("by") == PARENT
    inferred = now.session_source in (None, Source.INFERRED)
    if part and now.project_id == "default":
        found["project_id"] = task.project_id
    if moved(task) or (part and inferred) or (now.session_id is None and task.session_source in (Source.INFERRED, Source.CLIENT)):
        found |= {name: getattr(task, name) for name in ("session_id", "session_source", "session_evidence")}
    if now.usage is None and waits(now):
        found |= {name: getattr(task, name) for name in CREDITED}
    if now.user_id is None and task.user_source in (Source.CLIENT, Source.INFERRED):
        found |= {"user_id": task.user_id, "user_source": task.user_source}
    return replace(task, **found)


@dataclass(slots=True)
class Reread:
    """What one page came to. Mutable: it is filled and read once."""

    read: int = 0
    changed: int = 0
    unreadable: int = 0  # tasks whose record is damaged
    skipped: int = 0  # not read from bytes: logged by an app, or of bytes that are not kept whole
    fields: Counter[str] = field(default_factory=Counter)  # how many tasks changed in each
    examples: list[JSON] = field(default_factory=list)
    next: str | None = None
    at: int | None = None  # when its last task began

    def add(self, old: Task, new: Task) -> None:
        self.changed += 1
        for name in changed(old, new):
            self.fields[name] += 1
            if self.fields[name] <= EXAMPLES:
                before, after = (_shown(getattr(task, name)) for task in (old, new))
                self.examples.append({"id": old.id, "field": name, "before": before, "after": after})

    def document(self) -> JSON:
        """As JSON."""
        counts = {"read": self.read, "unreadable": self.unreadable, "changed": self.changed, "skipped": self.skipped}
        return {**counts, "fields": dict(self.fields.most_common()), "examples": self.examples, "next": self.next}


def changed(old: Task, new: Task) -> list[str]:
    """The fields that are not as they were."""
    return [name for name in (*UNDERSTOOD, *WITHIN) if getattr(old, name) != getattr(new, name)]


async def reread(
    store: Store,
    complete: Callable[[Task], Task],
    filter: Filter,
    *,
    limit: int,
    cursor: str | None = None,
    id: str | None = None,
    dry_run: bool = False,
) -> Reread:
    """Read the page of tasks that `filter` finds at `cursor` again, or the task `id`; put right what is understood otherwise now.

    Raises BadCursor, StoreUnavailable.
    """
    done = Reread()
    if id is not None:
        ids = [id]
    else:
        page = await store.find(filter, limit=limit, cursor=cursor)
        ids = [summary.id for summary in page.items]
        done.next, done.at = page.next, page.items[-1].created_at if page.items else None
    found, done.unreadable = await tasks_of(store, ids)
    fresh = await asyncio.to_thread(lambda: [again(task, complete) for task in found])
    done.read = len(found)
    better: list[Summary] = []
    for old, new in zip(found, fresh, strict=True):
        if new is None:
            done.skipped += 1
        elif new != old:
            done.add(old, new)
            # a record that says the same is not written again: it may be kept as a difference from another
            better.append(new if any(getattr(old, name) != getattr(new, name) for name in WITHIN) else summary_of(new))
    if better and not dry_run:
        await store.rewrite(better, only=UNDERSTOOD)
    return done


def _kind(task: Task) -> str:
    """What was opaque may have a reader by now."""
    if task.kind != "opaque" or task.method is None or task.path is None:
        return task.kind
    return routes.kind(task.method.encode("latin-1", "replace"), task.path.encode("utf-8", "surrogateescape"))


def _fields(headers: Sequence[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")) for name, value in headers)


def _shown(value: Any) -> str | None:
    text = None if value is None else value if isinstance(value, str) else repr(value)
    return text if text is None or len(text) <= EXAMPLE_LENGTH else f"{text[:EXAMPLE_LENGTH]}..."
