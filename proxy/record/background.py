"""What a response used that OpenAI made in the background: said where that is looked up, it belongs to the call that asked.

However often it is looked up, and whatever is stored again after a crash, the same is written into the same task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from proxy.record.reprice import summary_of
from proxy.store import Store, StoreUnavailable
from proxy.task import Task, Usage, changed
from proxy.wire.usage import usage_of

FINAL = ("completed", "incomplete", "failed", "cancelled")
KIND = "response"
CREDITED = ("usage", "cost", "price")
"""The fields of a summary that are told later."""


async def credited(
    store: Store, tasks: Sequence[Task], complete: Callable[[Task], Task], in_thread: Callable[..., Awaitable[Any]]
) -> None:
    """Put what `tasks`, which are stored, tell of background responses into the tasks that asked for those.

    `complete` says what the tokens cost. Raises StoreUnavailable.
    """
    for task in tasks:
        if task.kind != KIND:
            continue
        try:
            await _credit(store, task, complete, in_thread)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: S112  # what it used is not worth a journal that is never let go
            continue


async def _credit(store: Store, task: Task, complete: Callable[[Task], Task], in_thread: Callable[..., Awaitable[Any]]) -> None:
    usage = told_later(task)
    if usage is None or task.response_id is None:
        return
    id = await store.answered(task.response_id)
    made = None if id is None else await store.get(id)
    if made is None or made.project_id != task.project_id or not waits(made) or made.usage == usage:
        return
    priced = await in_thread(complete, changed(task, usage=usage, created_at=made.created_at))
    whole = changed(made, usage=usage, cost=priced.cost, price=priced.price)
    await store.rewrite([summary_of(whole)], only=CREDITED)


def told_later(task: Task) -> Usage | None:
    """What a background response used, where `task` only looked it up or broke it off."""
    if task.kind != KIND or _is_made(task) or not _is_in_background(task.raw_output):
        return None
    return usage_of(task.raw_output.get("usage")) if task.raw_output.get("status") in FINAL else None


def waits(task: Task) -> bool:
    """Whether `task` asked for a background response, and its own answer does not say what that used."""
    return task.kind == KIND and _is_made(task) and _is_in_background(task.raw_output) and not task.raw_output.get("usage")


def _is_made(task: Task) -> bool:
    return task.method == "POST" and (task.path or "").partition("?")[0].rstrip("/").endswith("/responses")


def _is_in_background(raw: Any) -> bool:
    return isinstance(raw, dict) and raw.get("background") is True
