"""What the store holds after the fire, against what the callers were given."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from proxy.store import Store, open_store
from proxy.task import Filter, Summary, Which
from tests.fire.traffic import World

CUT_ENDINGS = {"proxy_died", "completed", "upstream_error", "stopped"}  # an end that was journalled before the kill stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The findings. `complaints` is empty when every promise was kept."""

    delivered: int
    stored: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    complaints: tuple[str, ...]
    endings: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        found = f"delivered {self.delivered}, stored {self.stored}, doubled {len(self.doubled)}, lost {len(self.lost)}"
        return f"{found}; endings {self.endings}" + "".join(f"\n  {complaint}" for complaint in self.complaints)


async def every_task(store: Store) -> list[Summary]:
    """All of them, page by page."""
    page = await store.find(Filter(), limit=500)
    found = list(page.items)
    while page.next is not None:
        page = await store.find(Filter(), limit=500, cursor=page.next)
        found += page.items
    return found


def some(what: str, which: list[str] | tuple[str, ...]) -> list[str]:
    """One complaint about several, when there are any."""
    return [f"{len(which)} {what}: {', '.join(which[:5])}"] if which else []


async def judge(data: Path, world: World) -> Verdict:
    """Read the store of a tasktap that has stopped."""
    with closing(sqlite3.connect(f"file:{data / 'tasktap.db'}?mode=ro", uri=True)) as plain:
        integrity = plain.execute("PRAGMA integrity_check").fetchall()
    store = await open_store("sqlite:", data, write=False)
    try:
        tasks = await every_task(store)
        rollup = sum(session.tasks for session in (await store.sessions(limit=500)).items)
        by_id = {task.id: task for task in tasks}
        lost, unlike, ended = [], [], []
        for id, (digest, ending) in world.seen.items():
            if id not in by_id:
                lost.append(id)
                continue
            body = await store.body(id, Which.RESPONSE)
            if body is None or hashlib.sha256(body.data).hexdigest() != digest:
                unlike.append(id)
            if by_id[id].ending != ending:
                ended.append(f"{id} {by_id[id].ending}")
    finally:
        await store.close()
    origins = Counter(task.origin for task in tasks)
    doubled = [task.id for task in tasks if origins[task.origin] > 1 or task.retry_of is not None]
    strangers = [task.id for task in tasks if task.id.startswith("fire-") and task.id not in world.begun]
    nameless = sum(not task.id.startswith("fire-") for task in tasks)
    complaints = [
        *some("delivered answers are lost", lost),
        *some("tasks are doubled", doubled),
        *some("bodies differ from what was delivered", unlike),
        *some("delivered calls have another ending", ended),
        *some("calls whose answer had begun are missing", sorted(world.cut - by_id.keys())),
        *some("calls whose caller left are missing", sorted(world.left - by_id.keys())),
        *some(
            "cut calls have an impossible ending", [id for id in world.cut & by_id.keys() if by_id[id].ending not in CUT_ENDINGS]
        ),
        *some("tasks were never called", strangers),
        *some("answers were not what the upstream said", world.wrong),
        *some("calls failed though no relay was killed", world.unexcused),
    ]
    if nameless > world.nameless:
        complaints.append(f"{nameless} tasks without a name of ours for {world.nameless} such calls")
    if rollup != len(tasks):
        complaints.append(f"the sessions count {rollup} tasks, the store has {len(tasks)}")
    if integrity != [("ok",)]:
        complaints.append(f"integrity_check: {integrity[:3]}")
    if world.hung:
        complaints.append(f"{world.hung} calls hung")
    return Verdict(
        delivered=len(world.seen),
        stored=len(tasks),
        lost=tuple(lost),
        doubled=tuple(doubled),
        complaints=tuple(complaints),
        endings=dict(Counter(str(task.ending) for task in tasks)),
    )
