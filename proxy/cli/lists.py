"""The commands that look things up: tasks, sessions and users, one or many."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.options import (
    Config,
    Cursor,
    DataDir,
    Flagged,
    HowEnded,
    Json,
    Kind,
    Limit,
    Metadata,
    Model,
    Parent,
    Project,
    Search,
    Session,
    Since,
    Until,
    User,
    Version,
    asked_of,
    note,
    opened,
    print_json,
    run,
    settings_of,
)

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.query.parameters import Asked


def tasks(
    context: typer.Context,
    *,
    session: Session = None,
    user: User = None,
    project: Project = None,
    parent: Parent = None,
    model: Model = None,
    kind: Kind = None,
    ending: HowEnded = None,
    flag: Flagged = None,
    version_id: Version = None,
    metadata: Metadata = None,
    since: Since = None,
    until: Until = None,
    search: Search = None,
    sort: Annotated[
        str | None, typer.Option(metavar="ORDER", help="Of what a search found: newest or relevance [default: newest].")
    ] = None,
    limit: Limit = None,
    cursor: Cursor = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """List tasks, newest first; of those that a search found, what it found in them."""
    from proxy.query.parameters import FILTERS, PAGING, RELEVANCE

    run(_tasks(settings_of(config, data_dir), asked_of(context, (*FILTERS, RELEVANCE, *PAGING)), json))


async def _tasks(settings: Settings, asked: Asked, json: bool) -> None:
    from proxy.cli import tables
    from proxy.query import answers

    async with opened(settings) as store:
        if json:
            print_json(await answers.tasks(store, asked))
            return
        page = await answers.page_of_tasks(store, asked)
        tables.tasks(page.items, asked.filter.words)
        _more(page.next)


def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="The task's id, as `tasktap tasks` and X-Task-Id give it.")],
    *,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show one task, whole."""
    run(_show(settings_of(config, data_dir), id, json))


async def _show(settings: Settings, id: str, json: bool) -> None:
    from proxy.cli import pages
    from proxy.query import answers

    async with opened(settings) as store:
        if json:
            print_json(await answers.task(store, id))
            return
        found = await store.get(id)
        if found is None:
            raise answers.NotFound(f'There is no task "{id}".')
        pages.task(found)


def sessions(
    context: typer.Context,
    *,
    user: User = None,
    project: Project = None,
    implicit: Annotated[
        str | None, typer.Option(metavar="0|1", help="1: sessions of one call that named none, alone; 0: without those.")
    ] = None,
    limit: Limit = None,
    cursor: Cursor = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """List sessions, the one that ended last first."""
    from proxy.query.parameters import IMPLICIT, PAGING, PROJECT, USER

    run(_sessions(settings_of(config, data_dir), asked_of(context, (USER, PROJECT, IMPLICIT, *PAGING)), json))


async def _sessions(settings: Settings, asked: Asked, json: bool) -> None:
    from proxy.cli import tables
    from proxy.cli.options import silent_since
    from proxy.query import answers

    async with opened(settings) as store:
        if json:
            print_json(await answers.sessions(store, asked, silent_since(settings)))
            return
        narrow = asked.filter
        page = await store.sessions(
            project_id=narrow.project_id,
            user_id=narrow.user_id,
            implicit=asked.implicit,
            limit=asked.limit,
            cursor=asked.cursor,
        )
        tables.sessions(page.items)
        _more(page.next)


def session(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The session's id, as `tasktap sessions` gives it.")],
    *,
    project: Project = None,
    limit: Limit = None,
    cursor: Cursor = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show one session as a conversation."""
    from proxy.query.parameters import PAGING, PROJECT

    run(_session(settings_of(config, data_dir), id, asked_of(context, (PROJECT, *PAGING)), json, whole=limit is None))


async def _session(settings: Settings, id: str, asked: Asked, json: bool, *, whole: bool) -> None:
    from proxy.cli import pages
    from proxy.cli.options import silent_since
    from proxy.query import answers
    from proxy.task import Filter

    async with opened(settings) as store:
        if json:
            print_json(await answers.session(store, id, asked, silent_since(settings)))
            return
        found = await store.session(id, asked.filter.project_id)
        if found is None:
            raise answers.NotFound(f'There is no session "{id}".')
        conversation = pages.Conversation(found)
        whose = Filter(session_id=id, project_id=found.project_id)
        while True:
            page = await store.find(whose, limit=asked.limit, cursor=asked.cursor, oldest_first=True)
            conversation.add(page.items)
            if not whole or page.next is None:
                break
            asked = replace(asked, cursor=page.next)
        _more(page.next)


def users(
    context: typer.Context,
    *,
    project: Project = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Those with the most of this first: tasks, cost, ... [default: last_seen]."),
    ] = None,
    limit: Limit = None,
    cursor: Cursor = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """List users, the one seen last first, or by any column."""
    from proxy.query.parameters import PAGING, PROJECT, USER_SORT

    run(_users(settings_of(config, data_dir), asked_of(context, (PROJECT, USER_SORT, *PAGING)), json))


async def _users(settings: Settings, asked: Asked, json: bool) -> None:
    from proxy.cli import tables
    from proxy.query import answers
    from proxy.query.segments import Thresholds

    async with opened(settings) as store:
        if json:
            print_json(await answers.users(store, asked, Thresholds(**settings.insights.model_dump())))
            return
        page = await store.users(project_id=asked.filter.project_id, sort=asked.sort, limit=asked.limit, cursor=asked.cursor)
        tables.users(page.items)
        _more(page.next)


def _more(cursor: str | None) -> None:
    if cursor is not None and sys.stdout.isatty():
        note(f"there are more: add --cursor {cursor}")
