"""The command that forgets for ever, in the store, the journal and the free places of their files."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.options import Config, DataDir, Json, Problem, Project, note, print_json, run, settings_of

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.query.api import Act
    from proxy.store import Store


def forget(
    *,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="What this user did and said.")] = None,
    session: Annotated[str | None, typer.Option("--session", metavar="ID", help="Tasks of this session.")] = None,
    task: Annotated[str | None, typer.Option("--task", metavar="ID", help="This task.")] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="TIME", help="Tasks that began before then (ISO 8601 or epoch, UTC).")
    ] = None,
    project: Project = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many tasks it would be.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Forget tasks for ever: what all of the options given hold for.

    They go from the store, its sums and its full text, from the journal, and from the free places of these files.
    """
    from proxy.query.parameters import BadFilter, time

    given = {"user_id": user, "session_id": session, "task_id": task, "before": before, "project_id": project}
    body = {name: value for name, value in given.items() if value is not None}
    if not body.keys() - {"project_id"}:
        raise Problem("say what to forget: --user, --session, --task or --before.", 2)
    try:
        if before is not None:
            time("before", before)
    except BadFilter as bad:
        raise Problem(f"--before: {bad.problem}", 2) from None
    run(_forget(settings_of(config, data_dir), body, yes, dry_run, json))


async def _forget(settings: Settings, body: dict[str, Any], yes: bool, dry_run: bool, json: bool) -> None:
    from proxy.cli.reach import doing
    from proxy.store import StoreMissing

    try:
        async with doing(settings, _acts(settings)) as do:
            found = await do("forget", {**body, "dry_run": True})
            if not dry_run:
                if not yes:
                    _ask(found["tasks"])
                found = await do("forget", body)
    except StoreMissing as nothing:
        note(f"{nothing}.")
        return
    if json:
        print_json(found)
    elif dry_run:
        typer.echo(f"{found['tasks']:,} tasks would be forgotten.")
    else:
        _say(found)


def _ask(tasks: int) -> None:
    if not sys.stdin.isatty():
        raise Problem(f"{tasks:,} tasks would be forgotten for ever. Say --yes, or --dry-run.", 2)
    if not typer.confirm(f"Forget {tasks:,} tasks for ever?", err=True):
        raise Problem("nothing was forgotten.", 1)


def _say(found: dict[str, Any]) -> None:
    typer.echo(
        f"Forgotten: {found['tasks']:,} tasks, {found['sessions']:,} sessions, {found['users']:,} users,"
        f" {found['feedback']:,} feedback; {found['bytes']:,} bytes of bodies,"
        f" {found['journal_records']:,} records of the journal, {found['set_aside']:,} calls set aside."
    )
    if found["unreadable"]:
        note(f"{found['unreadable']:,} calls that were set aside cannot be read: look at them in `aside` of the data directory.")
    if not found["settled"]:
        note("calls that have ended are still being stored: some may have come too late to be forgotten. Say it again later.")
    if not found["clean"]:
        note("something reads the store all the time: copies may be left in free places of its files. Say it again later.")


def _acts(settings: Settings) -> Callable[[Store], Mapping[str, Act]]:
    from proxy.record.absorber import Absorber
    from proxy.record.recorder import Recorder
    from proxy.record.threads import Threads
    from proxy.server import data_dir, forgetting, parts
    from proxy.server.finish import Rules

    def made(store: Store) -> Mapping[str, Act]:
        path = settings.data_dir
        data_dir.prepare(path)
        price = Rules.of(parts.desk_part(settings), path).pricer.price
        pepper = (path / "pepper").read_bytes()
        infer, idle = settings.sessions.infer, settings.sessions.idle_minutes * 60
        threads = Threads(store, pepper, idle) if infer else None
        recorder = Recorder(path / data_dir.JOURNAL, path / data_dir.ASIDE, store, "-", lambda _: None, pepper, price, threads)
        absorber = Absorber(path / data_dir.INTAKE, path / data_dir.ASIDE, store, lambda *_: None, asyncio.Event())
        return forgetting.acts(store, recorder, absorber, asyncio.Lock(), running=False)

    return made
