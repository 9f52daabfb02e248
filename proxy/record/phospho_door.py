"""phospho's own API, as its unmodified clients speak it (Python 0.3.45, JavaScript 1.3.13): to log, read and give feedback.

A 4xx on the log path ends the Python client's thread for the life of the app, so nothing about the content of a log gives one.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from proxy.record import phospho_shapes as shapes
from proxy.record.intake import Intake, IntakeBusy, TooLarge, Written, written
from proxy.record.intake_acts import IN_A_THREAD, Answer, new_id, refused
from proxy.record.phospho_events import logged_of
from proxy.record.phospho_spans import entries_of
from proxy.record.words import BadWord, moment, without_secrets
from proxy.store import Store, StoreUnavailable
from proxy.store.entries import Amended, Entry, Logged, Said
from proxy.task import JSON, Feedback, Filter, Flag, Session, Summary
from proxy.wire.lenient import loads, mend
from proxy.wire.otlp import NotProtobufError, spans_of

MOST_LISTED: Final = 1000  # tasks, where a question names no limit
PAGE: Final = 500
REMEMBERED: Final = 10_000  # sessions that were made and have no task yet
HUGE: Final = 1 << 30

Path = Mapping[str, str]
Query = Sequence[tuple[str, str]]


class Served(NamedTuple):
    """One route: its method and path, the act, and the most bytes of its body."""

    method: str
    path: str
    act: str
    most: int = 64 << 20
    feedback: bool = False  # pages of other sites may be let in, too
    open: bool = False  # answered without the key


ROUTES: Final = (
    Served("POST", "/v2/log/{project}", "log", HUGE),
    Served("POST", "/v2/tasks/{id:.+}/human-eval", "human_eval", feedback=True),
    Served("POST", "/v2/tasks/{id:.+}/flag", "human_eval", feedback=True),
    Served("GET", "/v2/tasks/{id:.+}", "task"),
    Served("POST", "/v2/tasks/{id:.+}", "update_task"),
    Served("POST", "/v2/tasks", "create_task"),
    Served("POST", "/v2/projects/{project}/tasks", "tasks"),
    Served("POST", "/v2/projects/{project}/tasks/flat", "tasks_flat"),
    Served("POST", "/v2/projects/{project}/tasks/flat-update", "update_flat", HUGE),
    Served("GET", "/v2/projects/{project}/sessions", "sessions"),
    Served("POST", "/v2/projects/{project}/sessions", "sessions"),
    Served("GET", "/v2/projects/{project}", "project"),
    Served("POST", "/v2/sessions", "create_session"),
    Served("GET", "/v2/sessions/{id:.+}/tasks", "session_tasks"),
    Served("POST", "/v2/sessions/{id:.+}/tasks", "session_tasks"),
    Served("GET", "/v2/sessions/{id:.+}", "session"),
    Served("POST", "/v3/otl/{project}", "spans", HUGE),
    Served("GET", "/v2/health", "health", open=True),
    Served("GET", "/health", "health", open=True),
)
"""In the order in which they are tried."""


class PhosphoDoor:
    """The acts of `ROUTES`: each is given the path's parts, the query, the plain body and the fields."""

    def __init__(self, intake: Intake, store: Store) -> None:
        self._intake = intake
        self._store = store
        self._made: OrderedDict[str, tuple[str, int]] = OrderedDict()  # sessions without a task: project, made at

    # -- logging

    async def log(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """A batch of events; each is answered by itself, and none of them with a 4xx."""
        try:
            batch = await _read(body)
        except ValueError as wrong:
            return refused("bad_body", str(wrong))
        events = batch.get("batched_log_events") if isinstance(batch, dict) else batch
        if not isinstance(events, list):
            events = [] if events is None else [events]
        project = path["project"]
        heard = await asyncio.to_thread(_heard, events, project) if len(body) > IN_A_THREAD else _heard(events, project)
        if (busy := await self._keep([each for event in heard for each in event.writing])) is not None:
            return busy
        return 200, {"logged_events": [event.answer for event in heard]}

    async def spans(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """OTLP: each span that says what it did is a task, nested under the one it names."""
        try:
            spans = await asyncio.to_thread(spans_of, body)
        except NotProtobufError as wrong:
            return refused("bad_body", f"This is no OTLP in protobuf: {wrong}.")
        now = time.time_ns() // 1000
        kept = [each for entry in entries_of(spans, path["project"], at=now) if (each := _written(entry)) is not None]
        if (busy := await self._keep(kept)) is not None:
            return busy
        return 200, {}

    # -- feedback

    async def human_eval(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """What a user thinks of a task, which may come later."""
        given = await _object(body)
        flag = given.get("human_eval", given.get("flag"))
        source = given.get("source") or given.get("flag_source")
        feedback = _feedback(flag, given.get("notes"), source)
        project = given.get("project_id") if isinstance(given.get("project_id"), str) else None
        if feedback is None:
            return 200, await self._shown(path["id"], project, None)
        said = Said(task_id=path["id"], response_id=path["id"], project_id=project, feedback=feedback)
        if (busy := await self._settled([said])) is not None:
            return busy
        return 200, await self._shown(path["id"], project, feedback)

    # -- tasks

    async def task(self, path: Path, _query: Query, _body: bytes, _fields: Path) -> Answer:
        """One task, whole."""
        task = await self._store.get(path["id"])
        if task is None:
            return refused("not_found", f'There is no task "{path["id"]}".', status=404)
        return 200, await self._with_position(task)

    async def create_task(self, _path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """A task that is logged one at a time."""
        given = await _object(body)
        id = str(given.get("id") or given.get("task_id") or new_id())
        event = {
            "task_id": id,
            "session_id": given.get("session_id"),
            "user_id": given.get("sender_id"),
            "input": given.get("input"),
            "output": given.get("output"),
            "metadata": {"data": given["data"]} if given.get("data") else {},
            **{f"raw_{name}": given[f"additional_{name}"] for name in ("input", "output") if given.get(f"additional_{name}")},
        }
        project = str(given.get("project_id") or await self._project_of(given.get("session_id")))
        entry, _ = logged_of(event, project, at=_now(), own_id=id)
        if (busy := await self._settled([entry])) is not None:
            return busy
        return 200, await self._shown(entry.id, project, None)

    async def update_task(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """Metadata, notes and flag of a task."""
        given, id = await _object(body), path["id"]
        metadata = dict(given["metadata"]) if isinstance(given.get("metadata"), dict) else {}
        if isinstance(given.get("data"), dict):
            metadata["data"] = given["data"]
        entries: list[Entry] = []
        if metadata:
            entries.append(Amended(id=id, at=_now(), words=without_secrets({"metadata": metadata})))
        feedback = _feedback(given.get("flag"), given.get("notes"), given.get("flag_source"))
        if feedback is not None:
            entries.append(Said(task_id=id, feedback=feedback))
        if (busy := await self._settled(entries)) is not None:
            return busy
        return 200, await self._shown(id, None, feedback)

    async def tasks(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """The tasks of a project that its filters leave, newest first."""
        given = await _object(body)
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
        given = await _object(body)
        limit = given["limit"] if isinstance(given.get("limit"), int) else MOST_LISTED
        found = [task async for task in self._found(Filter(project_id=path["project"]), {}, limit)]
        lengths: dict[str, int | None] = {}
        for id in {task.session_id for task in found if task.session_id is not None} if given.get("with_sessions", True) else ():
            session = await self._store.session(id, path["project"])
            lengths[id] = None if session is None else session.tasks
        return 200, {"flattened_tasks": [shapes.flattened(task, lengths.get(task.session_id or ""), None) for task in found]}

    async def update_flat(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """Rows of such a table, changed. What is null, or is not there, stays."""
        given = await _object(body)
        entries: list[Entry] = []
        for row in given["flattened_tasks"] if isinstance(given.get("flattened_tasks"), list) else ():
            if isinstance(row, dict) and isinstance(row.get("task_id"), str):
                entries += await self._changed(row, path["project"])
        if (busy := await self._settled(entries)) is not None:
            return busy
        return 200, {"updated": len(entries)}

    # -- sessions and projects

    async def sessions(self, path: Path, _query: Query, body: bytes, _fields: Path) -> Answer:
        """The sessions of a project, the one that ended last first."""
        given = await _object(body)
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
        given = await _object(body)
        id, project, now = new_id(), str(given.get("project_id") or "default"), shapes.seconds(_now())
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

    # -- how

    async def _keep(self, writing: Sequence[Written]) -> Answer | None:
        """Write them; the answer where they cannot be: the client tries again."""
        try:
            await self._intake.keep(writing)
        except IntakeBusy as busy:
            return refused("intake_busy", str(busy), status=503)
        return None

    async def _settled(self, entries: Sequence[Entry]) -> Answer | None:
        """Write them, and wait a little for the store: whoever asks next wants to see it."""
        try:
            await self._intake.settled(await self._intake.keep([written(entry) for entry in entries]))
        except TooLarge as wrong:
            return refused("too_large", str(wrong), status=413)
        except IntakeBusy as busy:
            return refused("intake_busy", str(busy), status=503)
        return None

    async def _shown(self, id: str, project: str | None, feedback: Feedback | None) -> JSON:
        try:
            task = await self._store.get(id)
        except StoreUnavailable:
            task = None
        return shapes.unknown_task(id, project or "default", feedback) if task is None else shapes.task_of(task)

    async def _project_of(self, session_id: Any) -> str:
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

    async def _changed(self, row: JSON, project: str) -> list[Entry]:
        id = row["task_id"]
        kept = await self._store.get(id)
        metadata = dict(row["task_metadata"]) if isinstance(row.get("task_metadata"), dict) else {}
        metadata |= {name[14:]: value for name, value in row.items() if name.startswith("task_metadata.") and value is not None}
        shown = {} if kept is None else shapes.metadata_of(kept)
        words: JSON = {name: row[f"task_{name}"] for name in ("input", "output") if isinstance(row.get(f"task_{name}"), str)}
        if kept is not None:
            words = {name: value for name, value in words.items() if value != (getattr(kept, name) or "")}
        if metadata := {name: value for name, value in metadata.items() if shown.get(name) != value}:
            words["metadata"] = metadata
        found: list[Entry] = [Amended(id=id, at=_now(), words=without_secrets(words))] if words else []
        if row.get("task_eval") in tuple(Flag) and (kept is None or kept.flag != row["task_eval"]):
            feedback = _feedback(row["task_eval"], None, row.get("task_eval_source"))
            if feedback is not None:
                found.append(Said(task_id=id, project_id=project, feedback=feedback))
        return found


class _Heard(NamedTuple):
    """One event: what is to be written for it, and what it is answered."""

    writing: tuple[Written, ...]
    answer: JSON


def _heard(events: list[Any], project: str) -> list[_Heard]:
    now = _now()
    return [_one(event, project, now) for event in events]


def _one(event: Any, project: str, now: int) -> _Heard:
    entry, flag = logged_of(event, project, at=now, own_id=new_id())
    first = _written(entry)
    if first is None:
        return _Heard((), {"error_in_log": "The event is longer than 64 MiB, without its raw input and output, too."})
    writing = [first]
    if flag is not None:
        feedback = Feedback(id=f"logged-{flag}", created_at=now, flag=Flag(flag), source="log")
        writing.append(written(Said(task_id=entry.id, project_id=project, feedback=feedback)))
    echo = event if isinstance(event, dict) else {}
    labels = {"task_id": entry.id, "session_id": entry.words.get("session_id"), "project_id": project}
    return _Heard(tuple(writing), {**{name: echo.get(name) for name in ("input", "output")}, **labels})


def _written(entry: Entry) -> Written | None:
    """Ready for the journal; where it is too long for that without what is raw, and `None` where even that is."""
    try:
        return written(entry)
    except TooLarge:
        if not isinstance(entry, Logged):
            return None
    words = {name: value for name, value in entry.words.items() if name not in ("raw_input", "raw_output")}
    words["problems"] = [*words.get("problems", ()), "raw input and output are not kept: the event is longer than 64 MiB"]
    try:
        return written(replace(entry, words=words))
    except TooLarge:
        return None


def _feedback(flag: Any, notes: Any, source: Any) -> Feedback | None:
    """Feedback as it was given; None where nothing was."""
    known = Flag(flag) if flag in tuple(Flag) else None
    comment = notes if isinstance(notes, str) and notes else None
    if known is None and comment is None:
        return None
    return Feedback(
        id=new_id(), created_at=_now(), flag=known, comment=comment, source=source if isinstance(source, str) else None
    )


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


async def _read(body: bytes) -> Any:
    """Raises ValueError."""
    if not body:
        return {}
    try:
        return mend((await asyncio.to_thread(loads, body) if len(body) > IN_A_THREAD else loads(body))[0])
    except ValueError as wrong:
        raise ValueError(f"This is not JSON: {wrong}") from None


async def _object(body: bytes) -> JSON:
    """The object in a body; an empty one where it is no object: on these routes nothing has to be there."""
    try:
        found = await _read(body)
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def _now() -> int:
    return time.time_ns() // 1000
