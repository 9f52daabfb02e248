"""Gives each call without a session the one it belongs to: batch by batch, before it is stored.

Calls of one batch may go on from one another: they are gone through in the order in which they began.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from proxy.record.conversation import History, Looks, history, link, looks
from proxy.record.keys import Keys
from proxy.store import Store
from proxy.task import OWN_SESSION, Ending, Source, Task, Traced, changed, fill

MOST_ALIKE: Final = 8  # tasks of one key, the latest ones, that are looked at
MOST_KEYS: Final = 2000  # in one question to the store

InThread = Callable[..., Awaitable[Any]]
"""Does a piece of work elsewhere: `await in_thread(act, *arguments)`."""


_COMPLETED: Final = Ending.COMPLETED  # said once, since it takes Python long to find a member of an enumeration
_INFERRED: Final = Source.INFERRED


class Followed:
    """A task on its way to its session, with what it goes on from and leaves behind."""

    __slots__ = ("history", "looks", "open", "task")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.history: History | None = None
        self.looks: Looks | None = None
        self.open = task.session_id is None  # it names no session

    def look(self, keys: Keys) -> None:
        try:
            self.history = found = history(keys, self.task)
        except Exception as error:  # a provider's JSON may be anything, and a fault in here must not cost the task
            problem = f"the conversation could not be followed: {type(error).__name__}: {str(error)[:200]}"
            self.task = changed(self.task, problems=(*self.task.problems, problem))
        else:
            if found is not None:
                fill(self.task, "traces", found.traces)


class Threads:
    """What is known of conversations: all of it is in the store, so a restart forgets nothing."""

    def __init__(self, store: Store, pepper: bytes, idle_seconds: float) -> None:
        self._store = store
        self._keys = Keys(pepper)
        self._idle = round(idle_seconds * 1e6)

    def followed(self, task: Task) -> Followed:
        """A task that nobody else has so far: its traces and its session are put into it. Best done while it is at hand."""
        found = Followed(task)
        found.look(self._keys)
        return found

    async def link(self, calls: Sequence[Followed], in_thread: InThread) -> None:
        """Give each task its session. Raises StoreUnavailable, and may be done again then."""
        batch: Batch = await in_thread(Batch, self._keys, calls)
        await self._find(batch, batch.first_keys)
        await self._find(batch, await in_thread(batch.look_further))
        await in_thread(batch.place, self._idle)

    async def _find(self, batch: Batch, keys: Iterable[int]) -> None:
        for some in _some(sorted(keys), MOST_KEYS):
            batch.take(await self._store.traced(some, MOST_ALIKE))


class Batch:
    """The tasks that are being placed, and those that they may go on from."""

    def __init__(self, keys: Keys, calls: Sequence[Followed]) -> None:
        self._keys = keys
        self._calls = calls
        self._open = [call for call in calls if call.open and call.history is not None]  # those that look for others
        for call in self._open:
            call.looks = None
        self.first_keys = {key for call in self._open if call.history is not None for key in call.history.keys}
        """What the store is asked for first; a call that names its session asks for nothing."""
        self._wanted: set[int] = set()  # by what those that name no session look for others
        self._found: dict[int, list[Traced]] = {}
        self._last: dict[str, int] = {}  # when sessions ended, those of this batch included

    def take(self, found: Sequence[Traced]) -> None:
        """What the store has found."""
        for each in found:
            self._found.setdefault(each.key, []).append(each)

    def look_further(self) -> set[int]:
        """What the store is asked for then, for calls of which nothing that they go on from is known, here or there."""
        if not self._open:
            return set()
        left = {trace.key for call in self._calls if call.history is not None for trace in call.history.traces}
        for call in self._open:
            if call.history is not None and not self._knows(call.history, left):
                call.looks = looks(self._keys, call.history)
        return {key for call in self._open if call.looks is not None for key in call.looks.keys} - self.first_keys

    def _knows(self, one: History, left: set[int]) -> bool:
        keys = [key for _, key in one.references] or ([one.last.key] if one.last is not None else [])
        return any(key in self._found or key in left for key in keys)

    def place(self, idle: int) -> None:
        """Put each task into its session; `idle` is in microseconds."""
        looked_for = {key for call in self._open if call.looks is not None for key in call.looks.keys}
        self._wanted = self.first_keys | looked_for
        for call in sorted(self._calls, key=lambda call: call.task.created_at) if self._open else ():
            if call.history is not None:
                self._place(call, call.history, idle)
        for call in self._calls:
            call.history = call.looks = None  # of no more use, and large

    def _place(self, call: Followed, one: History, idle: int) -> None:
        task = call.task
        if call.open:
            found = link(one, call.looks, self._found, idle)
            fill(task, "session_id", f"{OWN_SESSION}{task.own_id or task.id}" if found is None else found.session_id)
            fill(task, "session_source", _INFERRED)
            fill(task, "session_evidence", None if found is None else found.evidence)
        session_id = task.session_id or ""
        ended = self._last[session_id] = max(task.ended_at, self._last.get(session_id, task.ended_at))
        if task.session_final and task.ending is _COMPLETED:
            ended = 0
            for key, known in self._found.items():
                self._found[key] = [each._replace(last_at=0) if each.session_id == session_id else each for each in known]
        for trace in one.traces:
            if trace.key not in self._wanted:
                continue
            self._found.setdefault(trace.key, []).append(
                Traced(
                    key=trace.key,
                    mark=trace.mark,
                    task_id=task.id,
                    session_id=session_id,
                    explicit=task.session_source is not _INFERRED,
                    created_at=task.created_at,
                    last_at=ended,
                )
            )


def _some(keys: Sequence[int], most: int) -> Iterable[Sequence[int]]:
    return (keys[start : start + most] for start in range(0, len(keys), most))
