"""The answers: one function a question, from a store to the document that the API sends and `--json` prints."""

from __future__ import annotations

from dataclasses import replace

from proxy.query import document
from proxy.query.parameters import Asked
from proxy.store import Store
from proxy.task import JSON, Body, Filter, Which


class NotFound(LookupError):
    """There is no such thing in the store."""


async def tasks(store: Store, asked: Asked) -> JSON:
    """A page of summaries, newest first. Raises BadCursor."""
    page = await store.find(asked.filter, limit=asked.limit, cursor=asked.cursor)
    return document.of_page(map(document.of_summary, page.items), page)


async def task(store: Store, id: str) -> JSON:
    """A task, whole. Raises NotFound."""
    found = await store.get(id)
    if found is None:
        raise NotFound(f'There is no task "{id}".')
    return document.of_task(found)


async def body(store: Store, id: str, which: Which) -> Body:
    """The kept bytes of one of a task's bodies. Raises NotFound."""
    found = await store.body(id, which)
    if found is None:
        raise NotFound(f'There is no task "{id}".')
    return found


async def sessions(store: Store, asked: Asked) -> JSON:
    """A page of sessions, the one that ended last first. Raises BadCursor."""
    narrow = asked.filter
    page = await store.sessions(project_id=narrow.project_id, user_id=narrow.user_id, limit=asked.limit, cursor=asked.cursor)
    return document.of_page(map(document.of_session, page.items), page)


async def session(store: Store, id: str, asked: Asked) -> JSON:
    """A session and its `tasks`, oldest first, of which `next` gives more. Raises NotFound, BadCursor."""
    found = await store.session(id, asked.filter.project_id)
    if found is None:
        raise NotFound(f'There is no session "{id}".')
    whose = Filter(session_id=id, project_id=found.project_id)
    page = await store.find(whose, limit=asked.limit, cursor=asked.cursor, oldest_first=True)
    return {**document.of_session(found), "tasks": [document.of_summary(task) for task in page.items], "next": page.next}


async def users(store: Store, asked: Asked) -> JSON:
    """A page of users, the one seen last first. Raises BadCursor."""
    page = await store.users(project_id=asked.filter.project_id, limit=asked.limit, cursor=asked.cursor)
    return document.of_page(map(document.of_user, page.items), page)


async def user(store: Store, id: str, asked: Asked) -> JSON:
    """A user and their `sessions`, the one that ended last first, of which `next` gives more. Raises NotFound, BadCursor."""
    found = await store.user(id, asked.filter.project_id)
    if found is None:
        raise NotFound(f'There is no user "{id}".')
    theirs = replace(asked, filter=Filter(project_id=found.project_id, user_id=id))
    page = await sessions(store, theirs)
    return {**document.of_user(found), "sessions": page["items"], "next": page["next"]}
