"""A store that forgets everything when the process ends: for tests and trials, held to the same suite as the others."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace
from typing import TypeVar

from proxy.store import cursor as cursors
from proxy.store import story
from proxy.store.entries import Entry, Said, heard, is_logged, is_of
from proxy.store.measures import PICODOLLARS
from proxy.store.memory_insight import MemoryInsights
from proxy.store.memory_sums import Added, add_up
from proxy.store.merging import joined, relabelled, settled, told, with_feedback
from proxy.store.metadata import left_by
from proxy.store.naming import epoch_of, named
from proxy.store.rows import check
from proxy.task import Body, Ending, Filter, Forget, Forgotten, Page, Session, Summary, Task, Trace, Traced, User, Which

T = TypeVar("T")

_SUMMARY = tuple(field.name for field in fields(Summary))
_WHOLE = {field.name for field in fields(Task)} - set(_SUMMARY)
_STAYS = {"id", "own_id", "traces", "origin", "created_at", "flag", "feedback"}


class MemoryStore:
    """See `Store`."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._order: list[tuple[int, int, str]] = []  # (created_at, how many were kept before, id), sorted
        self._origins: set[str] = set()
        self._epochs: Counter[str] = Counter()
        self._added = add_up(())
        self._traces: dict[int, list[tuple[tuple[int, int, str], Trace]]] = {}  # by key; the place in `_order`, sorted
        self._stale = False
        self._parked: list[Entry] = []
        self._insights = MemoryInsights(self._up_to_date, left_by)

    @property
    def insights(self) -> MemoryInsights:
        return self._insights

    async def save(self, tasks: Sequence[Task]) -> int:
        logged = {
            task.id: self._tasks[task.id] for task in tasks if is_logged(self._origin(task.id)) and not is_logged(task.origin)
        }
        free = self._tasks.keys() - logged.keys()
        new = named(tasks, self._origins, free)
        new = [joined(task, logged[task.id]) if task.id in logged else self._with_parked(task) for task in new]
        for task in new:
            check(task)
        for id in logged.keys() & {task.id for task in new}:
            self._remove(id)
        new = self._placed(new)
        for task in new:
            place = (task.created_at, len(self._tasks), task.id)
            bisect.insort(self._order, place)
            for trace in {trace.key: trace for trace in reversed(task.traces)}.values():
                bisect.insort(self._traces.setdefault(trace.key, []), (place, trace))
            self._tasks[task.id] = replace(task, own_id=None, traces=())
            self._origins.add(task.origin)
            self._epochs[epoch_of(task.origin)] += 1
        self._stale = self._stale or bool(new)
        return len(new)

    async def absorb(self, entries: Sequence[Entry], *, through: str | None = None) -> int:
        changes, waiting = settled(entries, self._tasks.get, self._answer)
        for change in changes:
            check(change.new)
        changed = {change.new.id: change.new for change in changes if change.old is not None}
        if changed:
            self._tasks |= changed
            self._stale = True
        await self.save([change.new for change in changes if change.old is None])
        self._placed([self._tasks[change.new.id] for change in changes if relabelled(change)])
        self._parked += [entry for entry in waiting if entry not in self._parked]
        if through is not None:
            epoch, _, number = through.rpartition(".")
            self._epochs[heard(epoch)] = max(self._epochs[heard(epoch)], int(number))
        return len(changes)

    def _placed(self, fresh: Sequence[Task]) -> list[Task]:
        """`fresh` in the places that they have as parts; what is kept already is put there."""
        kept = story.Kept(
            lambda ids: [self._tasks[id] for id in ids if id in self._tasks],
            lambda ids: [task for task in self._tasks.values() if task.parent_task_id in ids],
            lambda *key: [task for task in self._tasks.values() if (task.project_id, task.session_id) == key],
        )
        found = {task.id: task for task in story.settled(fresh, kept) if isinstance(task, Task)}
        self._tasks |= {id: task for id, task in found.items() if id in self._tasks}
        self._stale = self._stale or bool(found)
        return [found.get(task.id, task) for task in fresh]

    def _with_parked(self, task: Task) -> Task:
        own = task.feedback
        task = replace(task, feedback=())  # what waited came first
        for entry in tuple(self._parked):
            named = entry.task_id or entry.response_id if isinstance(entry, Said) else entry.id
            if named in (task.id, task.response_id):
                self._parked.remove(entry)
                task = told(task, entry)
        return with_feedback(task, own)

    def _remove(self, id: str) -> None:
        task = self._tasks.pop(id)
        self._order = [place for place in self._order if place[2] != id]
        self._origins.discard(task.origin)
        self._stale = True

    def _origin(self, id: str) -> str:
        return self._tasks[id].origin if id in self._tasks else ""

    def _answer(self, response_id: str) -> str | None:
        found = [id for _, _, id in self._order if self._tasks[id].response_id == response_id]
        return found[0] if found else None

    async def known(self, ids: Sequence[str]) -> frozenset[str]:
        return frozenset(id for id in ids if id in self._tasks)

    async def answered(self, response_id: str) -> str | None:
        return self._answer(response_id)

    async def rewrite(self, tasks: Sequence[Summary], *, only: Collection[str] | None = None) -> int:
        kept = {task.origin: task for task in self._tasks.values()}
        after: dict[str, Task] = {}
        for task in tasks:
            if (old := kept.get(task.origin)) is not None:
                names = set(_SUMMARY if only is None else only)
                names |= _WHOLE if isinstance(task, Task) else set()
                after[old.id] = replace(old, **{name: getattr(task, name) for name in names - _STAYS})
        for new in after.values():
            check(new)
        self._tasks |= after
        self._stale = self._stale or bool(after)
        return len(after)

    def _up_to_date(self) -> Added:
        if self._stale:
            self._added, self._stale = add_up(self._tasks.values()), False
        return self._added

    async def doomed(self, what: Forget, *, limit: int) -> Sequence[str]:
        return [id for _, _, id in self._order if what.holds(self._tasks[id])][:limit]

    async def doomed_count(self, what: Forget) -> int:
        return sum(what.holds(task) for task in self._tasks.values())

    async def forget(self, ids: Sequence[str]) -> Forgotten:
        before = self._up_to_date()
        gone = [task for id in dict.fromkeys(ids) if (task := self._tasks.pop(id, None)) is not None]
        self._order = [place for place in self._order if place[2] in self._tasks]
        self._origins -= {task.origin for task in gone}
        self._traces = {
            key: left for key, of in self._traces.items() if (left := [each for each in of if each[0][2] in self._tasks])
        }
        self._stale = self._stale or bool(gone)
        after = self._up_to_date()
        return Forgotten(
            tasks=len(gone),
            sessions=len(before.sessions) - len(after.sessions),
            users=len(before.users) - len(after.users),
            feedback=sum(len(task.feedback) for task in gone),
            bytes=sum(len(task.request_body) + len(task.response_body) for task in gone),
            through=max((task.created_at for task in gone), default=None),
        )

    async def forget_feedback(self, user_id: str, project_id: str | None = None) -> int:
        count = 0
        for id, task in self._tasks.items():
            left = tuple(said for said in task.feedback if said.user_id != user_id)
            if len(left) < len(task.feedback) and project_id in (None, task.project_id):
                count += len(task.feedback) - len(left)
                flag = next((said.flag for said in reversed(left) if said.flag is not None), None)
                self._tasks[id] = replace(task, feedback=left, flag=flag)
                self._stale = True
        return count

    async def forget_parked(self, what: Forget) -> int:
        left = [entry for entry in self._parked if not is_of(entry, what)]
        gone = len(self._parked) - len(left)
        self._parked = left
        return gone

    async def scrub(self) -> bool:
        return True

    async def give_back(self) -> bool:
        return False

    async def size(self) -> int:
        return sum(len(task.request_body) + len(task.response_body) for task in self._tasks.values())

    async def stored(self, epoch: str) -> int:
        return self._epochs[epoch]

    async def get(self, id: str) -> Task | None:
        return self._tasks.get(id)

    async def body(self, id: str, which: Which) -> Body | None:
        if (task := self._tasks.get(id)) is None:
            return None
        if which is Which.REQUEST:
            return Body(task.request_body, task.request_coding)
        return Body(task.response_body, task.response_coding)

    async def find(self, filter: Filter, *, limit: int, cursor: str | None = None, oldest_first: bool = False) -> Page[Summary]:
        order = self._order if oldest_first else self._order[::-1]
        found = [(created_at, number, self._tasks[id]) for created_at, number, id in order if left_by(filter, self._tasks[id])]
        page = _page(
            found,
            lambda item: item[:2],
            name=cursors.tasks(filter, oldest_first),
            limit=limit,
            cursor=cursor,
            rising=oldest_first,
        )
        return Page(tuple(_summary(task) for _, _, task in page.items), page.next)

    async def sessions(
        self,
        *,
        project_id: str | None = None,
        user_id: str | None = None,
        implicit: bool | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Session]:
        added = self._up_to_date()
        found = [
            (session.ended_at, number, session)
            for number, (key, session) in enumerate(added.sessions.items())
            if project_id in (None, key[0])
            and (user_id is None or (*key, user_id) in added.pairs)
            and implicit in (None, session.implicit)
        ]
        found.sort(key=lambda item: item[:2], reverse=True)
        page = _page(
            found, lambda item: item[:2], name=cursors.sessions(project_id, user_id, implicit), limit=limit, cursor=cursor
        )
        return Page(tuple(session for _, _, session in page.items), page.next)

    async def session(self, id: str, project_id: str | None = None) -> Session | None:
        added = self._up_to_date()
        found = [s for (project, name), s in added.sessions.items() if name == id and project_id in (None, project)]
        return max(found, key=lambda session: session.ended_at) if found else None

    async def users(
        self, *, project_id: str | None = None, sort: str | None = None, limit: int, cursor: str | None = None
    ) -> Page[User]:
        added = self._up_to_date()
        found = [
            (_user_place(user, sort), number, user)
            for number, (key, user) in enumerate(added.users.items())
            if project_id in (None, key[0])
        ]
        found.sort(key=lambda item: item[:2], reverse=True)
        page = _page(found, lambda item: item[:2], name=cursors.users(project_id, sort), limit=limit, cursor=cursor)
        return Page(tuple(user for _, _, user in page.items), page.next)

    async def user(self, id: str, project_id: str | None = None) -> User | None:
        added = self._up_to_date()
        found = [u for (project, name), u in added.users.items() if name == id and project_id in (None, project)]
        return max(found, key=lambda user: user.last_seen) if found else None

    async def traced(self, keys: Sequence[int], most: int) -> list[Traced]:
        added = self._up_to_date()
        return [
            Traced(
                key=key,
                mark=trace.mark,
                task_id=task.id,
                session_id=task.session_id,
                explicit=(task.project_id, task.session_id) in added.explicit,
                created_at=task.created_at,
                last_at=0 if session.final and session.last_ending is Ending.COMPLETED else session.ended_at,
            )
            for key in keys
            for (_, _, id), trace in self._traces.get(key, ())[-most:]
            if (task := self._tasks.get(id)) is not None
            and task.session_id is not None
            and (session := added.sessions.get((task.project_id, task.session_id))) is not None
        ]

    async def close(self) -> None:
        """Nothing is held that must be given back."""


def _user_place(user: User, sort: str | None) -> int:
    rated = user.signs.success + user.signs.failure
    if sort == "cost":
        return -1 if user.cost is None else round(user.cost * PICODOLLARS)
    if sort == "session_seconds":
        return -1 if user.session_seconds is None else int(user.session_seconds * 1e6)
    if sort == "success_rate":
        return 1_000_000 * user.signs.success // rated if rated else -1
    return int(getattr(user, sort or "last_seen"))


def _page(
    found: list[T], place: Callable[[T], tuple[int, int]], *, name: str, limit: int, cursor: str | None, rising: bool = False
) -> Page[T]:
    if cursor is not None:
        after = cursors.decode(name, cursor)
        found = [item for item in found if (place(item) > after if rising else place(item) < after)]
    more = len(found) > limit
    return Page(tuple(found[:limit]), cursors.encode(name, place(found[limit - 1])) if more else None)


def _summary(task: Task) -> Summary:
    return Summary(**{name: getattr(task, name) for name in _SUMMARY})
