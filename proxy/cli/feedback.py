"""The command that says what somebody thinks of a task: through the desk where it runs, else into the store itself."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from proxy.cli import reach
from proxy.cli.options import Config, DataDir, Json, Problem, print_json, run, settings_of

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.query.api import Act
    from proxy.store import Store


def feedback(
    id: Annotated[str, typer.Argument(metavar="ID", help="The task's id, or the provider's own of its answer (chatcmpl-...).")],
    flag: Annotated[str | None, typer.Argument(metavar="FLAG", help="success or failure.")] = None,
    *,
    comment: Annotated[str | None, typer.Option(metavar="TEXT", help="What there is to say about it.")] = None,
    score: Annotated[float | None, typer.Option(metavar="NUMBER", help="How good it was, on a scale of your own.")] = None,
    source: Annotated[str, typer.Option(metavar="NAME", help="Where this comes from.")] = "cli",
    by: Annotated[str | None, typer.Option("--by", metavar="ID", help="The user who thinks so.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Say what somebody thinks of a task; it may not be there yet."""
    said = {"flag": flag, "comment": comment, "score": score, "source": source, "user_id": by}
    body = {name: value for name, value in said.items() if value is not None}
    run(_feedback(settings_of(config, data_dir), id, body, json))


async def _feedback(settings: Settings, id: str, body: dict[str, Any], json: bool) -> None:
    import asyncio

    path = f"/api/tasks/{quote(id, safe='')}/feedback"
    answer = await asyncio.to_thread(reach.ask, settings, path, body)
    if answer is None:
        async with reach.doing(settings, lambda store: {"give_feedback": _act(settings, store, id)}) as do:
            answer = await do("give_feedback", body)
    if json:
        print_json(answer)
    elif answer["status"] == "waiting":
        typer.echo(f"kept for {id}, which is not there yet")
    else:
        typer.echo(f"kept with {answer['id']}")


def _act(settings: Settings, store: Store, id: str) -> Act:
    """Feedback straight into the store, where no desk runs."""
    from proxy.record.intake_acts import new_id
    from proxy.record.redact_entries import without
    from proxy.record.redact_rules import redaction_of
    from proxy.record.words import BadWord, feedback_of
    from proxy.server.parts import redact_part
    from proxy.store.entries import Said

    async def act(_id: str, body: bytes, _fields: Mapping[str, str]) -> tuple[int, Any]:
        import time

        try:
            said = feedback_of(stdlib_json.loads(body), id=new_id(), at=time.time_ns() // 1000)
        except BadWord as wrong:
            raise Problem(str(wrong), 2) from None
        there = id if await store.known([id]) else await store.answered(id)
        entry = without(Said(task_id=id, response_id=id, feedback=said), redaction_of(redact_part(settings)))
        await store.absorb([entry])
        return 200, {"id": there or id, "status": "stored" if there else "waiting", "feedback_id": said.id}

    return act
