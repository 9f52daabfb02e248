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
from tests.fire.traffic import World, answer
from tests.proc import slack

BEHIND_SECONDS = 0.25  # that the journal of a stream may be behind it
DROPPED = "only its beginning was kept"
CUT_ENDINGS = {"proxy_died", "completed", "upstream_error", "stopped"}  # an end that was journalled before the kill stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The findings. `complaints` is empty when every promise was kept but that of time, which `late` is about."""

    delivered: int
    big: int
    stored: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    complaints: tuple[str, ...]
    endings: dict[str, int] = field(default_factory=dict)
    behind: tuple[float, ...] = ()  # seconds that the record of each stream that a kill cut was behind it, sorted

    @property
    def late(self) -> list[str]:
        """Empty when no record of a stream was further behind it than is promised."""
        late = [f"{each:.3f} s" for each in self.behind if each > BEHIND_SECONDS * slack()]
        return some("records of cut streams are too far behind", late)

    def __str__(self) -> str:
        delivered = f"delivered {self.delivered}" + (f" ({self.big} of them big)" if self.big else "")
        found = f"{delivered}, stored {self.stored}, doubled {len(self.doubled)}, lost {len(self.lost)}"
        if self.behind:
            late = sum(behind > BEHIND_SECONDS for behind in self.behind)
            found += f"; {len(self.behind)} streams were cut, their records at most {self.behind[-1] * 1000:.0f} ms behind"
            found += f" ({late} by more than {BEHIND_SECONDS * 1000:.0f} ms)"
        return f"{found}; endings {self.endings}" + "".join(f"\n  {complaint}" for complaint in self.complaints)


async def _behind(store: Store, world: World, id: str) -> float:
    """How long before the relay was killed the first piece was said that the caller got and the record has not; seconds."""
    cut = world.cut[id]
    body = await store.body(id, Which.RESPONSE)
    kept, said_at = len(body.data) if body is not None else 0, world.said.get(cut.number, [])
    for (_, piece), at in zip(answer(cut.number, world.big(cut.number)).pieces[: cut.pieces], said_at, strict=False):
        kept -= len(piece)
        if kept < 0:
            return max(0.0, cut.killed_at - at)
    return 0.0


async def notes(store: Store, id: str) -> list[str]:
    """The problems of a task, each without its first word where that names a body."""
    task = await store.get(id)
    return [] if task is None else [note.partition(" body: ")[2] or note for note in task.problems]


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


@dataclass(frozen=True, slots=True)
class Excuse:
    """What is known to be missing, because it was counted."""

    gone: int = 0  # calls that left no record
    dropped: int = 0  # bodies of which only a part was kept


async def judge(data: Path, world: World, excuse: Excuse | None = None) -> Verdict:
    """Read the store of a tasktap that has stopped."""
    excuse = excuse or Excuse()
    with closing(sqlite3.connect(f"file:{data / 'tasktap.db'}?mode=ro", uri=True)) as plain:
        integrity = plain.execute("PRAGMA integrity_check").fetchall()
    store = await open_store("sqlite:", data, write=False)
    try:
        tasks = await every_task(store)
        rollup = sum(session.tasks for session in (await store.sessions(limit=500)).items)
        by_id = {task.id: task for task in tasks}
        lost, unlike, ended, misheard = [], [], [], []
        dropped = sum([note == DROPPED for task in tasks for note in await notes(store, task.id)]) if excuse.dropped else 0
        for id, (digest, ending) in world.seen.items():
            if id not in by_id:
                lost.append(id)
                continue
            body = await store.body(id, Which.RESPONSE)
            same = body is not None and hashlib.sha256(body.data).hexdigest() == digest
            if not same and not (excuse.dropped and DROPPED in await notes(store, id)):
                unlike.append(id)
            if id in world.sent:
                asked = await store.body(id, Which.REQUEST)
                if asked is None or hashlib.sha256(asked.data).hexdigest() != world.sent[id]:
                    misheard.append(id)
            if by_id[id].ending != ending:
                ended.append(f"{id} {by_id[id].ending}")
        behind = sorted([await _behind(store, world, id) for id in world.cut if id in by_id and by_id[id].ending == "proxy_died"])
    finally:
        await store.close()
    origins = Counter(task.origin for task in tasks)
    backwards = [task.id for task in tasks if task.ended_at < task.created_at or (task.seconds_total or 0) < 0]
    doubled = [task.id for task in tasks if origins[task.origin] > 1 or task.retry_of is not None]
    strangers = [task.id for task in tasks if task.id.startswith("fire-") and task.id not in world.begun]
    nameless = sum(not task.id.startswith("fire-") for task in tasks)
    begun = {*world.seen, *world.cut, *world.left}
    missing = sorted(begun - by_id.keys())
    if excuse.gone and len(missing) <= excuse.gone:
        begun = set()  # they are counted
    complaints = [
        *some("delivered answers are lost", [id for id in lost if id in begun]),
        *some("tasks are doubled", doubled),
        *some("tasks ended before they began", backwards),
        *some("bodies differ from what was delivered", unlike),
        *some("big requests differ from what was sent", misheard),
        *some("delivered calls have another ending", ended),
        *some("calls whose answer had begun are missing", sorted(world.cut.keys() & begun - by_id.keys())),
        *some("calls whose caller left are missing", sorted(world.left & begun - by_id.keys())),
        *some(
            "cut calls have an impossible ending",
            [id for id in world.cut.keys() & by_id.keys() if by_id[id].ending not in CUT_ENDINGS],
        ),
        *some("tasks were never called", strangers),
        *some("answers were not what the upstream said", world.wrong),
        *some("calls failed though no relay was killed", world.unexcused),
    ]
    if dropped != excuse.dropped:
        complaints.append(f"{excuse.dropped} bodies are counted as dropped, {dropped} tasks say so")
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
        big=len(world.sent),
        stored=len(tasks),
        lost=tuple(lost),
        doubled=tuple(doubled),
        complaints=tuple(complaints),
        behind=tuple(behind),
        endings=dict(Counter(str(task.ending) for task in tasks)),
    )
