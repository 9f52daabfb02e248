"""Forgets tasks everywhere: in the journal, among what was set aside, in the store, and in the free places of its files.

The journal first: were it the store first, a crash in between would bring back from the journal what the store has forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from proxy.record.blank import blank, drop_set_aside, held
from proxy.record.recorder import Recorder
from proxy.store import Store
from proxy.task import JSON, Forget, Forgotten

STEP: Final = 50  # tasks in one commit: a save waits for no more than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was forgotten, and where."""

    store: Forgotten
    journal_records: int = 0
    set_aside: int = 0
    unreadable: int = 0  # calls set aside that nobody can read: they may be among those that were meant
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
            "clean": self.clean,
        }


async def forget(store: Store, recorder: Recorder, what: Forget, now: int, settle: Callable[[], Awaitable[object]]) -> Report:
    """Forget what `what` tells and had ended by `now` (microseconds). Raises StoreUnavailable, OSError.

    `settle` sees to it that what has ended is stored.

    It can be told again after a failure: what is left is forgotten then.
    """
    what = replace(what, ended_by=now)
    await settle()
    gone = await journalled(store, recorder, what)
    records = await recorder.apart(lambda journal, _: blank(journal, gone))
    set_aside, unreadable = await recorder.apart(lambda _, aside: drop_set_aside(aside, what.holds))
    total = Forgotten()
    while ids := await store.doomed(what, limit=STEP):
        total += await store.forget(ids)
        await asyncio.sleep(0)
    if what.user_id is not None and what == Forget(user_id=what.user_id, project_id=what.project_id, ended_by=now):
        total += Forgotten(feedback=await store.forget_feedback(what.user_id, what.project_id))
    clean = await store.scrub()
    return Report(store=total, journal_records=records, set_aside=set_aside, unreadable=unreadable, clean=clean)


async def journalled(store: Store, recorder: Recorder, what: Forget) -> dict[str, set[int]]:
    """The stored calls that `what` tells to forget and that the journal still holds, by relay start. Raises StoreUnavailable."""
    gone: dict[str, set[int]] = {}
    for epoch, numbers in (await recorder.apart(lambda journal, _: held(journal))).items():
        origins = await store.doomed_of(what, [f"{epoch}.{number}" for number in sorted(numbers)])
        if origins:
            gone[epoch] = {int(origin.rpartition(".")[2]) for origin in origins}
    return gone
