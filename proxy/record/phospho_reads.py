"""What phospho's clients ask: tasks, sessions and projects, in the shapes that they read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any, Final

from proxy.record import phospho_shapes as shapes
from proxy.record.intake_acts import Answer, new_id, refused
from proxy.record.phospho_keep import clock, object_in
from proxy.record.phospho_routes import Path, Query
from proxy.record.words import BadWord, moment
from proxy.store import Store
from proxy.task import JSON, Filter, Flag, Session, Summary

MOST_LISTED: Final = 1000  # tasks, where a question names no limit
PAGE: Final = 500
REMEMBERED: Final = 10_000  # sessions that were made and have no task yet


class Asking:
    """The acts that ask something; each is given the path's parts, the query, the plain body and the fields."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: OrderedDict[str, tuple[str, int]] = OrderedDict()  # sessions without a task: project, made at

    async def task(self, path: Path, _query: Query, _body: bytes, _fields: Path) -> Answer:
        """One task, whole."""
        task = await self._store.get(path["id"])
        if task is None:
            return refused("not_found", f'There is no task "{path["id"]}".', status=404)
        return 200, await self._with_position(task)

    async def tasks(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """The tasks of a project that its filters leave, newest first."""
        given = await object_in(body)
        wanted = given["filters"] if isinstance(given.get("filters"), dict) else {}
        limit = given["limit"] if isinstance(given.get("limit"), int) else MOST_LISTED
        try:
            filter = _filter(path["project"], wanted)
        except ValueError as wrong:
            return refused("bad_body", str(wrong))
        found = [task async for task in self._found(filter, wanted, limit)]
        return 200, {"tasks": [shapes.task_of(task) for task in found]}

    async def tasks_flat(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """The tasks of a project as rows of a table."""
        given = await object_in(body)
        limit = given["limit"] if isinstance(given.get("limit"), int) else MOST_LISTED
        found = [task async for task in self._found(Filter(project_id=path["project"]), {}, limit)]
        lengths: dict[str, int | None] = {}
        for id in {task.session_id for task in found if task.session_id is not None} if given.get("with_sessions", True) else ():
            session = await self._store.session(id, path["project"])
            lengths[id] = None if session is None else session.tasks
        return 200, {"flattened_tasks": [shapes.flattened(task, lengths.get(task.session_id or ""), None) for task in found]}

    async def sessions(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """The sessions of a project, the one that ended last first."""
        given = await object_in(body)
        limit = given["limit"] if isinstance(given.get("limit"), int) else MOST_LISTED
        found: list[Session] = []
        cursor = None
        while len(found) < limit:
            page = await self._store.sessions(project_id=path["project"], limit=min(PAGE, limit - len(found)), cursor=cursor)
            found += page.items
            if (cursor := page.next) is None:
                break
        return 200, {"sessions": [shapes.session_of(session) for session in found]}

    async def create_session(self, _path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """An id for a session: it is one once it has a task."""
        given = await object_in(body)
        id, project, now = new_id(), str(given.get("project_id") or "default"), shapes.seconds(clock())
        self._made[id] = (project, now)
        if len(self._made) > REMEMBERED:
            self._made.popitem(last=False)
        return 200, shapes.empty_session(id, project, now)

    async def session(self, path: Path, _query: Query, _body: bytes, _fields: Path) -> Answer:
        """One session."""
        found = await self._store.session(path["id"])
        if found is not None:
            return 200, shapes.session_of(found)
        if path["id"] in self._made:
            project, made_at = self._made[path["id"]]
            return 200, shapes.empty_session(path["id"], project, made_at)
        return refused("not_found", f'There is no session "{path["id"]}".', status=404)

    async def session_tasks(self, path: Path, _query: Query, _body: bytes, _fields: Path) -> Answer:
        """The tasks of a session, oldest first."""
        found = await self._of_session(path["id"])
        last = len(found)
        rows = [shapes.task_of(task, position=at, last=at == last) for at, task in enumerate(found, start=1)]
        return 200, {"tasks": rows}

    async def project(self, path: Path, _query: Query, _body: bytes, _fields: Path) -> Answer:
        """A project: any label is one."""
        return 200, shapes.project_of(path["project"])

    async def health(self, _path: Path, _query: Query, _body: bytes, _fields: Path) -> Answer:
        """That there is somebody here."""
        return 200, {"status": "ok"}

    async def project_of(self, session_id: Any) -> str:
        """The project that a session is of: the client does not say which one a task is for."""
        if isinstance(session_id, str) and session_id in self._made:
            return self._made[session_id][0]
        session = await self._store.session(session_id) if isinstance(session_id, str) else None
        return "default" if session is None else session.project_id

    async def _with_position(self, task: Summary) -> JSON:
        if task.session_id is None:
            return shapes.task_of(task, position=1, last=True)
        of_it = [each.id for each in await self._of_session(task.session_id, task.project_id)]
        position = of_it.index(task.id) + 1 if task.id in of_it else None
        return shapes.task_of(task, position=position, last=None if position is None else position == len(of_it))

    async def _of_session(self, id: str, project: str | None = None) -> list[Summary]:
        """The tasks of a session in their order, the first `MOST_LISTED`."""
        return [task async for task in self._found(Filter(session_id=id, project_id=project), {}, MOST_LISTED, oldest_first=True)]

    async def _found(self, filter: Filter, wanted: JSON, limit: int, *, oldest_first: bool = False) -> AsyncIterator[Summary]:
        cursor, left = None, limit
        while left > 0:
            page = await self._store.find(filter, limit=min(PAGE, max(left, 50)), cursor=cursor, oldest_first=oldest_first)
            for task in page.items:
                if left > 0 and shapes.matches(task, wanted):
                    left -= 1
                    yield task
            if (cursor := page.next) is None:
                return


def _filter(project: str, wanted: JSON) -> Filter:
    """What a store can look up. Raises BadWord."""
    times: dict[str, int | None] = {}
    for name in ("created_at_start", "created_at_end"):
        try:
            times[name] = None if wanted.get(name) is None else moment(wanted[name])
        except (ValueError, TypeError, OverflowError):
            raise BadWord(f"{name}: is no time") from None
    end = times["created_at_end"]
    flag = wanted.get("flag")
    return Filter(
        project_id=project,
        user_id=wanted.get("user_id"),
        flag=Flag(flag) if flag in tuple(Flag) else None,
        since=times["created_at_start"],
        until=None if end is None else end + 1_000_000,  # it is inclusive, in whole seconds
    )
