"""The port to memory: what a store promises, and the one place that opens one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from proxy.task import Body, Filter, Forget, Forgotten, Page, Session, Summary, Task, Traced, User, Which

if TYPE_CHECKING:
    from proxy.store.entries import Entry
    from proxy.store.insight import Insights


class StoreUnavailable(Exception):
    """The store cannot be reached or cannot write now. Keep what you have and try again."""


class StoreMissing(StoreUnavailable):
    """There is no database yet. `tasktap serve` makes it at its first start."""


class StoreRejected(Exception):
    """The store will never take this. Set it aside and save its batch mates."""


class BadCursor(ValueError):
    """This cursor was not made by this list. Leave `cursor` out to start at the newest."""


class Store(Protocol):
    """Tasks, kept. One suite, `tests/store/contract.py`, holds every adapter to this.

    Lists are newest first and are paged by key: `cursor` is what the page before gave as `next`, never an offset.
    """

    @property
    def insights(self) -> Insights:
        """Sums by anything, for `proxy.query.insights`."""
        ...

    async def save(self, tasks: Sequence[Task]) -> int:
        """Keep `tasks` durably, all or none; return how many were new. Saving the same one again is harmless.

        `origin` says what is the same: a task whose origin is known is not saved again and counts nowhere. A task whose `id` is
        taken by another origin is kept under its `own_id`, with `retry_of` naming the first.

        Raises StoreUnavailable, StoreRejected.
        """
        ...

    async def rewrite(self, tasks: Sequence[Summary], *, only: Collection[str] | None = None) -> int:
        """Put these in the place of the kept tasks of the same `origin`, durably, all or none; return how many are kept.

        `only` names the fields of a `Summary` that are taken from them: others may have been changed by somebody else meanwhile.

        What is not kept is left alone. A `Summary` changes what lists show, a `Task` bodies, headers, pieces and the rest, too.
        `id`, `created_at`, `flag` and feedback stay as they are kept. Sessions, users and full text follow in the same commit.

        Raises StoreUnavailable, StoreRejected.
        """
        ...

    async def doomed(self, what: Forget, *, limit: int) -> Sequence[str]:
        """The ids of the first tasks, oldest first, that `what` tells to forget."""
        ...

    async def doomed_count(self, what: Forget) -> int:
        """How many tasks `what` tells to forget. Counts them: for a person who is about to decide."""
        ...

    async def forget(self, ids: Sequence[str]) -> Forgotten:
        """Forget these tasks, durably, all or none, and all that is known by them: sums, full text, feedback, prompts.

        A `stored` counter stays as it is. What is not there is left alone. Raises StoreUnavailable.
        """
        ...

    async def forget_feedback(self, user_id: str, project_id: str | None = None) -> int:
        """Forget what this user said of tasks that stay; return how many times that was. Raises StoreUnavailable."""
        ...

    async def forget_parked(self, what: Forget) -> int:
        """Forget what was said of tasks that are not there, where it is of what is to be forgotten; how many times that was."""
        ...

    async def scrub(self) -> bool:
        """Leave nothing of what was forgotten in the free places of files; whether all of it could be done.

        In small steps, between which saves go on. Raises StoreUnavailable.
        """
        ...

    async def give_back(self) -> bool:
        """Give some free room back to the disk; whether there is more."""
        ...

    async def size(self) -> int:
        """Bytes in use on disk; free room in files does not count."""

    async def absorb(self, entries: Sequence[Entry], *, through: str | None = None) -> int:
        """Take in what was said of tasks, in this order, durably, all or none; return how many tasks it made or changed.

        A task that an app logs is made, or merged into what is kept under its id (`proxy.store.merging` says how). What is
        about a task that is not there waits, and is taken in when that task is kept. The same entries again change nothing.
        A call that `save` is given later under the id of a task that was only logged is joined with it.

        `through` is "<epoch>.<number>" of the last of them: in the same commit it is kept how far the epoch has been taken in,
        which `stored(heard(epoch))` tells.

        Raises StoreUnavailable, StoreRejected.
        """
        ...

    async def known(self, ids: Sequence[str]) -> frozenset[str]:
        """Which of these ids are tasks."""
        ...

    async def answered(self, response_id: str) -> str | None:
        """The id of the task whose answer has this id of the provider's; the first one where several have it."""
        ...

    async def stored(self, epoch: str) -> int:
        """How many tasks are kept whose origin begins with `epoch + "."`; kept as a counter, in the same commit as the tasks."""
        ...

    async def get(self, id: str) -> Task | None: ...

    async def body(self, id: str, which: Which) -> Body | None:
        """One kept body; `None` when there is no such task."""
        ...

    async def find(self, filter: Filter, *, limit: int, cursor: str | None = None, oldest_first: bool = False) -> Page[Summary]:
        """Raises BadCursor."""
        ...

    async def sessions(
        self,
        *,
        project_id: str | None = None,
        user_id: str | None = None,
        implicit: bool | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Session]:
        """Sessions, the one with the latest end first. Raises BadCursor.

        `implicit`: those of one call that named none alone, or all others.
        """
        ...

    async def session(self, id: str, project_id: str | None = None) -> Session | None:
        """One session; where several projects have it and none is named, the one that ended last."""
        ...

    async def users(
        self, *, project_id: str | None = None, sort: str | None = None, limit: int, cursor: str | None = None
    ) -> Page[User]:
        """Users, the one seen last first, or the one with the most of `sort`, of `insight.USER_SORTS`. Raises BadCursor."""
        ...

    async def user(self, id: str, project_id: str | None = None) -> User | None: ...

    async def traced(self, keys: Sequence[int], most: int) -> Sequence[Traced]:
        """The tasks that left one of these keys and are in a session: of each key the `most` latest, in no order."""
        ...

    async def close(self) -> None: ...


async def open_store(url: str, data_dir: Path, *, write: bool) -> Store:
    """Open the store at `url`; `write=False` can only read, and never checkpoints.

    `sqlite:` is `tasktap.db` in the data directory, `sqlite:PATH` a file of its own (relative to the data directory).
    `memory:` forgets everything when the process ends.

    Raises ValueError for a URL of no known scheme, StoreUnavailable where it cannot be opened (StoreMissing: there is
    nothing to read yet).
    """
    scheme, _, rest = url.partition(":")
    if scheme == "memory":
        from proxy.store.memory import MemoryStore

        return MemoryStore()
    if scheme == "sqlite":
        from proxy.store.sqlite import open_sqlite

        return await open_sqlite(data_dir / (rest or "tasktap.db"), write=write)
    from difflib import get_close_matches

    near = get_close_matches(scheme, ("sqlite", "memory"), n=1)
    meant = f'Did you mean "{near[0]}"?' if near else 'Use "sqlite:" or "memory:".'
    raise ValueError(f'store.url: unknown scheme "{scheme}". {meant}')
