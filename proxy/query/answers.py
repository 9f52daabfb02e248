"""The answers: one function a question, from a store to the document that the API sends and `--json` prints."""

from __future__ import annotations

from dataclasses import replace

from proxy.query import document, found
from proxy.query.nesting import depths
from proxy.query.parameters import Asked
from proxy.query.segments import Thresholds, segments_of
from proxy.store import Store
from proxy.store.insight import Range
from proxy.store.segment import Tops
from proxy.task import JSON, Body, Filter, Page, Summary, Which


class NotFound(LookupError):
    """There is no such thing in the store."""


async def tasks(store: Store, asked: Asked) -> JSON:
    """A page of summaries, newest first; what a search found each with a `snippet`. Raises BadCursor.

    By relevance: the best of the newest 300 that were found, on one page.
    """
    words = asked.filter.words
    page = await page_of_tasks(store, asked)
    items = [document.of_summary(task) for task in page.items]
    if words:
        for item, task in zip(items, page.items, strict=True):
            item["snippet"] = found.snippet(task, words)
    return document.of_page(items, page)


async def page_of_tasks(store: Store, asked: Asked) -> Page[Summary]:
    """The same as values. Raises BadCursor."""
    words = asked.filter.words
    if not words or asked.sort != "relevance":
        return await store.find(asked.filter, limit=asked.limit, cursor=asked.cursor)
    page = await store.find(asked.filter, limit=found.BEST_OF, cursor=asked.cursor)
    return Page(tuple(found.ranked(page.items, words)[: asked.limit]), None)


async def task(store: Store, id: str) -> JSON:
    """A task, whole. Raises NotFound."""
    kept = await store.get(id)
    if kept is None:
        raise NotFound(f'There is no task "{id}".')
    return document.of_task(kept)


async def body(store: Store, id: str, which: Which) -> Body:
    """The kept bytes of one of a task's bodies. Raises NotFound."""
    kept = await store.body(id, which)
    if kept is None:
        raise NotFound(f'There is no task "{id}".')
    return kept


async def sessions(store: Store, asked: Asked, silent_since: int | None = None) -> JSON:
    """A page of sessions, the one that ended last first; `silent_since`: see `document.of_session`. Raises BadCursor."""
    narrow = asked.filter
    page = await store.sessions(
        project_id=narrow.project_id,
        user_id=narrow.user_id,
        implicit=asked.implicit,
        limit=asked.limit,
        cursor=asked.cursor,
    )
    return document.of_page((document.of_session(each, silent_since) for each in page.items), page)


async def session(store: Store, id: str, asked: Asked, silent_since: int | None = None) -> JSON:
    """A session and its `tasks`, oldest first and each with its `depth`; `next` gives more. Raises NotFound, BadCursor."""
    kept = await store.session(id, asked.filter.project_id)
    if kept is None:
        raise NotFound(f'There is no session "{id}".')
    whose = Filter(session_id=id, project_id=kept.project_id)
    page = await store.find(whose, limit=asked.limit, cursor=asked.cursor, oldest_first=True)
    deep = zip(page.items, depths(page.items), strict=True)
    return {
        **document.of_session(kept, silent_since),
        "tasks": [{**document.of_summary(task), "depth": depth} for task, depth in deep],
        "next": page.next,
    }


async def users(store: Store, asked: Asked, by: Thresholds) -> JSON:
    """A page of users, the one seen last first, or by `sort` the most of it; each with their `segments`. Raises BadCursor."""
    page = await store.users(project_id=asked.filter.project_id, sort=asked.sort, limit=asked.limit, cursor=asked.cursor)
    top = await top_users(store, asked.filter.project_id, by)
    return document.of_page(({**document.of_user(user), "segments": segments_of(user, top, by)} for user in page.items), page)


async def top_users(store: Store, project_id: str | None, by: Thresholds) -> Tops:
    """Where the top users of a project begin, or of all projects."""
    return await store.insights.tops(Range(project_id=project_id), by.power_share)


async def user(store: Store, id: str, asked: Asked, by: Thresholds, silent_since: int | None = None) -> JSON:
    """A user with their `segments` and `sessions`, the latest first; `next` gives more. Raises NotFound, BadCursor."""
    kept = await store.user(id, asked.filter.project_id)
    if kept is None:
        raise NotFound(f'There is no user "{id}".')
    theirs = replace(asked, filter=Filter(project_id=kept.project_id, user_id=id))
    page = await sessions(store, theirs, silent_since)
    told = segments_of(kept, await top_users(store, asked.filter.project_id, by), by)
    return {**document.of_user(kept), "segments": told, "sessions": page["items"], "next": page["next"]}
