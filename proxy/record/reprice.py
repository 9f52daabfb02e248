"""What tasks cost, reckoned anew over the tokens that were kept: one page of tasks at a time, so that nothing waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from proxy.store import Store, StoreUnavailable
from proxy.task import JSON, Filter, Page, Summary, Task

AT_ONCE = 2  # questions to the store
_SUMMARY = tuple(field.name for field in fields(Summary))


@dataclass(slots=True)
class Sum:
    """What changed of the tasks of one model. Mutable: it is filled and read once. Dollars; costs not known count as nothing."""

    changed: int = 0
    learned: int = 0  # of the changed ones, those whose cost was not known
    forgotten: int = 0  # those whose cost is not known any more
    before: float = 0.0
    after: float = 0.0

    def add(self, before: float | None, after: float | None) -> None:
        self.changed += 1
        self.learned += before is None and after is not None
        self.forgotten += before is not None and after is None
        self.before += before or 0.0
        self.after += after or 0.0


@dataclass(slots=True)
class Repriced:
    """What one page came to."""

    read: int = 0
    unreadable: int = 0  # tasks whose record is damaged
    by_model: dict[str, Sum] = field(default_factory=dict)
    next: str | None = None  # the cursor of the page after it
    at: int | None = None  # when its last task began

    def document(self) -> JSON:
        """As JSON."""
        sums = [
            {"model": model, **{each.name: getattr(sum, each.name) for each in fields(Sum)}}
            for model, sum in self.by_model.items()
        ]
        return {
            "read": self.read,
            "unreadable": self.unreadable,
            "changed": sum(each.changed for each in self.by_model.values()),
            "models": sums,
            "next": self.next,
        }


async def reprice(
    store: Store, price: Callable[[Task], Task], filter: Filter, *, limit: int, cursor: str | None = None, dry_run: bool = False
) -> Repriced:
    """Reckon the page of tasks that `filter` finds at `cursor`; put right what changed. Raises BadCursor, StoreUnavailable."""
    page: Page[Summary] = await store.find(filter, limit=limit, cursor=cursor)
    whole, unreadable = await tasks_of(store, [summary.id for summary in page.items])
    now = await asyncio.to_thread(lambda: [price(task) for task in whole])
    done = Repriced(read=len(whole), unreadable=unreadable, next=page.next, at=page.items[-1].created_at if page.items else None)
    changed = []
    for old, new in zip(whole, now, strict=True):
        if (old.cost, old.price) != (new.cost, new.price):
            done.by_model.setdefault(new.model or new.model_requested or new.kind, Sum()).add(old.cost, new.cost)
            changed.append(summary_of(new))
    if changed and not dry_run:
        await store.rewrite(changed, only=("cost", "price"))
    return done


async def tasks_of(store: Store, ids: Sequence[str]) -> tuple[list[Task], int]:
    """Those of the tasks that are still there, and how many cannot be read. A few at a time: others ask the store, too.

    Raises StoreUnavailable where none of them can be read.
    """
    found: list[Task] = []
    failed: list[StoreUnavailable] = []
    for start in range(0, len(ids), AT_ONCE):
        for each in await asyncio.gather(*map(store.get, ids[start : start + AT_ONCE]), return_exceptions=True):
            if isinstance(each, StoreUnavailable):
                failed.append(each)
            elif isinstance(each, BaseException):
                raise each
            elif each is not None:
                found.append(each)
    if failed and not found:
        raise failed[0]
    return found, len(failed)


def summary_of(task: Task) -> Summary:
    """What lists show of a task: a rewrite of it leaves bodies alone."""
    values: dict[str, Any] = {name: getattr(task, name) for name in _SUMMARY}
    return Summary(**values)
