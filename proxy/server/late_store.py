"""A store that may not be open yet: until it is, everything asked of it says why not."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from proxy.store import Store, StoreUnavailable
from proxy.store.entries import Entry
from proxy.store.insight import Insights
from proxy.task import Body, Filter, Forget, Forgotten, Page, Session, Summary, Task, Traced, User, Which


class LateStore:
    """Stands in for the store from the start on."""

    def __init__(self) -> None:
        self.why = "the store is being opened"
        self._store: Store | None = None

    def opened(self, store: Store) -> None:
        """From now on, `store` answers."""
        self._store = store

    @property
    def is_open(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

    @property
    def _there(self) -> Store:
        if self._store is None:
            raise StoreUnavailable(self.why)
        return self._store

    @property
    def insights(self) -> Insights:
        return self._there.insights

    async def save(self, tasks: Sequence[Task]) -> int:
        return await self._there.save(tasks)

    async def rewrite(self, tasks: Sequence[Summary], *, only: Collection[str] | None = None) -> int:
        return await self._there.rewrite(tasks, only=only)

    async def doomed(self, what: Forget, *, limit: int) -> Sequence[str]:
        return await self._there.doomed(what, limit=limit)

    async def doomed_count(self, what: Forget) -> int:
        return await self._there.doomed_count(what)

    async def forget(self, ids: Sequence[str]) -> Forgotten:
        return await self._there.forget(ids)

    async def forget_feedback(self, user_id: str, project_id: str | None = None) -> int:
        return await self._there.forget_feedback(user_id, project_id)

    async def forget_parked(self, what: Forget) -> int:
        return await self._there.forget_parked(what)

    async def scrub(self) -> bool:
        return await self._there.scrub()

    async def give_back(self) -> bool:
        return await self._there.give_back()

    async def size(self) -> int:
        return await self._there.size()

    async def absorb(self, entries: Sequence[Entry], *, through: str | None = None) -> int:
        return await self._there.absorb(entries, through=through)

    async def known(self, ids: Sequence[str]) -> frozenset[str]:
        return await self._there.known(ids)

    async def answered(self, response_id: str) -> str | None:
        return await self._there.answered(response_id)

    async def stored(self, epoch: str) -> int:
        return await self._there.stored(epoch)

    async def get(self, id: str) -> Task | None:
        return await self._there.get(id)

    async def body(self, id: str, which: Which) -> Body | None:
        return await self._there.body(id, which)

    async def find(self, filter: Filter, *, limit: int, cursor: str | None = None, oldest_first: bool = False) -> Page[Summary]:
        return await self._there.find(filter, limit=limit, cursor=cursor, oldest_first=oldest_first)

    async def sessions(
        self,
        *,
        project_id: str | None = None,
        user_id: str | None = None,
        implicit: bool | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Session]:
        return await self._there.sessions(project_id=project_id, user_id=user_id, implicit=implicit, limit=limit, cursor=cursor)

    async def session(self, id: str, project_id: str | None = None) -> Session | None:
        return await self._there.session(id, project_id)

    async def users(
        self, *, project_id: str | None = None, sort: str | None = None, limit: int, cursor: str | None = None
    ) -> Page[User]:
        return await self._there.users(project_id=project_id, sort=sort, limit=limit, cursor=cursor)

    async def user(self, id: str, project_id: str | None = None) -> User | None:
        return await self._there.user(id, project_id)

    async def traced(self, keys: Sequence[int], most: int) -> Sequence[Traced]:
        return await self._there.traced(keys, most)

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()
