"""The commands that put sessions right: `session-split` and `session-merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.options import Config, DataDir, Json, Project, print_json, run, settings_of

if TYPE_CHECKING:
    from proxy.config import Settings

SessionId = Annotated[str, typer.Argument(metavar="ID", help="The session's id, as `tasktap sessions` gives it.")]


def session_split(
    id: SessionId,
    *,
    from_task: Annotated[str, typer.Option("--from-task", metavar="ID", help="The first task of the new session.")],
    thread: Annotated[bool, typer.Option("--thread", help="Move only the tasks that go on from it, not all later ones.")] = False,
    into: Annotated[str | None, typer.Option("--into", metavar="ID", help="The new session's id [default: one is made].")] = None,
    project: Project = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make two sessions of one: a task and what came after it move into a new one."""
    body = {"from_task": from_task, "thread": thread, "into": into, "project_id": project}
    run(_done(settings_of(config, data_dir), "split_session", id, body, json))


def session_merge(
    id: SessionId,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The session that its tasks move into.")],
    *,
    project: Project = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make one session of two: all tasks of ID move into INTO."""
    run(_done(settings_of(config, data_dir), "merge_session", id, {"into": into, "project_id": project}, json))


async def _done(settings: Settings, act: str, id: str, body: dict[str, Any], json: bool) -> None:
    from proxy.cli.reach import doing
    from proxy.query.answers import NotFound
    from proxy.server.regroup import acts
    from proxy.store import StoreMissing

    try:
        async with doing(settings, acts) as do:
            done = await do(act, {name: value for name, value in body.items() if value is not None}, id)
    except StoreMissing as nothing:
        raise NotFound(f"{nothing}.") from None
    if json:
        print_json(done)
        return
    session, left = done["session"], done["left"]
    moved = f"{done['moved']} task{'' if done['moved'] == 1 else 's'}"
    typer.echo(f"{moved} moved into session {session['id']}, which has {session['task_count']} now.")
    if left is not None:
        typer.echo(f"Session {left['id']} has {left['task_count']}.")
