"""Forgets tasks everywhere: in the journal, among what was set aside, in the store, and in the free places of its files.

The journal first, and of all that is stored: what an app or a person said of a task lies there beside the task itself. Were it
the store first, a crash in between would bring back from the journal what the store has forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from proxy.record import faults
from proxy.store import Store
from proxy.task import JSON, Forget, Forgotten

STEP: Final = 50  # tasks in one commit: a save waits for no more than that


class Keeper(Protocol):
    """What takes a journal into the store: the recorder, the absorber."""

    @property
    def caught_up(self) -> bool:
        """Whether it has read all that was in the journal when it began: it blanks only what it has read."""
        ...

    async def blank(self) -> int:
        """Leave nothing in the journal of what is stored; how many records that were. Raises OSError."""
        ...

    async def forget_set_aside(self, what: Forget) -> tuple[int, int]:
        """Delete what was set aside and is of what is to be forgotten: how many, and how many cannot be read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was forgotten, and where."""

    store: Forgotten
    journal_records: int = 0
    set_aside: int = 0
    unreadable: int = 0  # calls set aside that nobody can read: they may be among those that were meant
    settled: bool = True  # all that had ended was stored first: none of it can come later
    clean: bool = True  # nothing is left in the free places of the store's files

    def document(self) -> JSON:
        """As JSON."""
        return {
            "tasks": self.store.tasks,
            "sessions": self.store.sessions,
            "users": self.store.users,
            "feedback": self.store.feedback,
            "bytes": self.store.bytes,
            "journal_records": self.journal_records,
            "set_aside": self.set_aside,
            "unreadable": self.unreadable,
            "settled": self.settled,
            "clean": self.clean,
        }


async def forget(
    store: Store, journals: Sequence[Keeper], what: Forget, now: int, settle: Callable[[], Awaitable[bool]]
) -> Report:
    """Forget what `what` tells and had ended by `now` (microseconds). Raises StoreUnavailable, OSError.

    `settle` sees to it that what has ended is stored, and says whether it is.

    It can be told again after a failure: what is left is forgotten then.
    """
    what = replace(what, ended_by=now)
    settled = await settle()
    records = set_aside = unreadable = 0
    for journal in journals:
        records += await journal.blank()
        dropped, unread = await journal.forget_set_aside(what)
        set_aside, unreadable = set_aside + dropped, unreadable + unread
    if faults.ARMED:
        faults.hit("forget.blanked")
    total = Forgotten()
    while ids := await store.doomed(what, limit=STEP):
        total += await store.forget(ids)
        if faults.ARMED:
            faults.hit("forget.step")
        await asyncio.sleep(0)
    if what.user_id is not None and what == Forget(user_id=what.user_id, project_id=what.project_id, ended_by=now):
        total += Forgotten(feedback=await store.forget_feedback(what.user_id, what.project_id))
    total += Forgotten(feedback=await store.forget_parked(what))
    if faults.ARMED:
        faults.hit("forget.scrub")
    clean = await store.scrub()
    return Report(store=total, journal_records=records, set_aside=set_aside, unreadable=unreadable, settled=settled, clean=clean)
