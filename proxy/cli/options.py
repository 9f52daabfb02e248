"""What the commands share: their options, the store they open, and how they end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # what is heavy to import is imported where a command needs it: `--help` stays fast
    from proxy.config import Settings
    from proxy.query.parameters import Asked, Parameter
    from proxy.store import Store

Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Configuration [default: $TASKTAP_CONFIG, else ./tasktap.toml if it is there]."),
]
DataDir = Annotated[Path | None, typer.Option(metavar="DIR", help="Where everything is kept [default: tasktap-data].")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, the same as the API gives.")]
Limit = Annotated[str | None, typer.Option("--limit", "-n", metavar="N", help="How many at most, 1 to 500 [default: 50].")]
Cursor = Annotated[str | None, typer.Option(metavar="CURSOR", help="Where the page before ended: its `next`.")]
Session = Annotated[str | None, typer.Option("--session", metavar="ID", help="Tasks of this session.")]
User = Annotated[str | None, typer.Option("--user", metavar="ID", help="What this user did.")]
Project = Annotated[str | None, typer.Option("--project", metavar="ID", help="What is in this project.")]
Parent = Annotated[str | None, typer.Option("--parent", metavar="ID", help="Parts of this task.")]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Tasks answered by this model, or that asked for it.")]
Kind = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Tasks of this kind: chat, or the app's own word.")]
HowEnded = Annotated[
    str | None, typer.Option("--ending", metavar="ENDING", help="Tasks that ended so: completed, caller_left, ...")
]
Flagged = Annotated[str | None, typer.Option("--flag", metavar="FLAG", help="Tasks that somebody flagged: success or failure.")]
Version = Annotated[str | None, typer.Option("--version-id", metavar="ID", help="Tasks whose metadata has this version_id.")]
Metadata = Annotated[
    str | None, typer.Option(metavar="CONDITIONS", help="Metadata like this: tier=gold, or score>=0.5,score<0.9.")
]
Since = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Tasks that began then or later (ISO 8601 or epoch, UTC).")
]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Tasks that began before then.")]
Search = Annotated[str | None, typer.Option("--search", "-q", metavar="WORDS", help='Words, and "phrases", in input or output.')]

NAMES = {
    "session_id": ("session", "--session"),
    "user_id": ("user", "--user"),
    "project_id": ("project", "--project"),
    "parent_task_id": ("parent", "--parent"),
    "from": ("since", "--from"),
    "to": ("until", "--to"),
    "q": ("search", "--search"),
    "version_id": ("version_id", "--version-id"),
    "against_from": ("against_from", "--against-from"),
    "against_to": ("against_to", "--against-to"),
    "against_version_id": ("against_version", "--against-version"),
    "against_model": ("against_model", "--against-model"),
    "task_id": ("task", "--task"),
}
"""What the command line calls a parameter of the API, where that is not its name: the argument and the option."""


class Problem(Exception):
    """What a person has to hear, in a line or more, and the exit code that says it to a script."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


def settings_of(config: Path | None, data_dir: Path | None, calls: str | None = None, desk: str | None = None) -> Settings:
    """The settings, or the Problem with them."""
    from proxy.config import ConfigError, load

    try:
        return load(config, data_dir, calls, desk)
    except ConfigError as wrong:
        raise Problem(str(wrong), 2) from None


def given(context: typer.Context, allowed: tuple[Parameter, ...]) -> dict[str, str]:
    """What the options of this command say, by the names that the API has for them."""
    values = ((parameter.name, context.params.get(NAMES.get(parameter.name, (parameter.name,))[0])) for parameter in allowed)
    return {name: value for name, value in values if value is not None}


def asked_of(context: typer.Context, allowed: tuple[Parameter, ...]) -> Asked:
    """What the options of this command ask, read as the API would read them."""
    from proxy.query.parameters import BadFilter, understand

    try:
        return understand(given(context, allowed).items(), allowed)
    except BadFilter as bad:
        _, option = NAMES.get(bad.param, ("", f"--{bad.param}"))
        raise Problem(f"{option}: {bad.problem}", 2) from None


def database(settings: Settings) -> Path | None:
    """The file of the SQLite store; `None`: the store is of another kind."""
    scheme, _, path = settings.store.url.partition(":")
    return settings.data_dir / (path or "tasktap.db") if scheme == "sqlite" else None


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Store]:
    """The store, to read; where nothing was ever stored, one that is empty."""
    from proxy.store import StoreMissing, open_store

    try:
        store = await open_store(settings.store.url, settings.data_dir, write=False)
    except StoreMissing:
        note(f"nothing is stored yet in {settings.data_dir}. Start `tasktap serve`, and call it.")
        store = await open_store("memory:", settings.data_dir, write=False)
    try:
        yield store
    finally:
        await store.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Do `work` to its end; raises Problem for what the store or the question made fail."""
    import asyncio

    from proxy.query.answers import NotFound
    from proxy.store import BadCursor, StoreUnavailable

    try:
        asyncio.run(work)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has enough (`| head`). What Python still holds must not be flushed into the broken pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except NotFound as missing:
        raise Problem(str(missing), 1) from None
    except BadCursor as bad:
        raise Problem(f"--cursor: {bad or BadCursor.__doc__}", 2) from None
    except StoreUnavailable as away:
        raise Problem(f"the store cannot be read: {away or StoreUnavailable.__doc__}", 1) from None


def print_json(document: Any) -> None:
    """One JSON document: indented on a terminal, on one line elsewhere."""
    from proxy.query.encoding import encode

    sys.stdout.flush()
    sys.stdout.buffer.write(encode(document, indent=sys.stdout.isatty()) + b"\n")
    sys.stdout.flush()


def note(message: str) -> None:
    """Something to know beside the answer, on standard error."""
    typer.echo(f"tasktap: {message}", err=True)


def silent_since(settings: Settings) -> int:
    """The moment since which nothing was heard of sessions that have ended; microseconds."""
    return time.time_ns() // 1000 - settings.sessions.idle_minutes * 60_000_000
