"""The `tasktap` command: serve, and everything that reads the record back."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer
from typer.exceptions import TyperException

from proxy.cli import again, demo, doctor, export, feedback, forget, importing, insights, lists, live, regroup, replay, sql
from proxy.cli.options import Config, DataDir, Json, Problem, print_json, settings_of

app = typer.Typer(
    name="tasktap",
    help="An OpenAI-compatible logging reverse proxy: every call carried byte for byte and kept as a task.",
    epilog="Start with `tasktap serve`, then set OPENAI_BASE_URL as it says.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version
        from importlib.util import find_spec

        spec = find_spec("proxy.record.carry")
        compiled = spec is not None and not (spec.origin or "").endswith(".py")
        try:
            typer.echo(f"tasktap {version('tasktap')}{', compiled' if compiled else ''}")
        except PackageNotFoundError:  # run from a source tree that was never installed
            typer.echo("tasktap, not installed")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def tasktap(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """An OpenAI-compatible logging reverse proxy: every call carried byte for byte and kept as a task."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def serve(
    *,
    config: Config = None,
    data_dir: DataDir = None,
    calls: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where apps call [default: 127.0.0.1:8900].")] = None,
    desk: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where people and tools ask [default: 127.0.0.1:8901].")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Say which settings would be used, and exit.")] = False,
    json: Json = False,
) -> None:
    """Carry calls and keep them, until stopped by Ctrl-C or SIGTERM."""
    settings = settings_of(config, data_dir, calls, desk)
    if check:
        from proxy.config import describe

        rows = describe(settings)
        if json:
            print_json(dict(rows))
            return
        width = max(len(key) for key, _ in rows)
        for key, value in rows:
            typer.echo(f"{key:<{width}}  {value}")
        return
    from proxy.server import serve as start
    from proxy.server.plan import given

    start(settings, given(config, data_dir, calls, desk))


app.command()(lists.tasks)
app.command()(lists.show)
app.command()(lists.sessions)
app.command()(lists.session)
app.command()(lists.users)
app.command()(live.tail)
app.command()(live.status)
app.command()(doctor.doctor)
app.command()(insights.insights)
app.command()(sql.sql)
app.command()(export.export)
app.command("import")(importing.import_)
app.command()(feedback.feedback)
app.command()(replay.replay)
app.command()(forget.forget)
app.command()(again.reprice)
app.command()(again.reread)
app.command("session-split")(regroup.session_split)
app.command("session-merge")(regroup.session_merge)
app.command()(demo.demo)


def main() -> None:
    """Run the command of this process; what goes wrong is one line on standard error, and never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal that cannot show a character shows another
    try:
        code = app(standalone_mode=False, prog_name="tasktap")
    except Problem as problem:
        _complain(str(problem))
        code = problem.code
    except TyperException as wrong:
        context = getattr(wrong, "ctx", None)
        _complain(f"{wrong.format_message()} (see `{context.command_path if context else 'tasktap'} --help`)")
        code = wrong.exit_code
    except Exception as bug:  # the outermost handler: a person is told what to do, whatever it was
        *_, place = traceback.extract_tb(bug.__traceback__)
        _complain(f"this is a bug in tasktap: {type(bug).__name__} at {place.filename}:{place.lineno}. Please report it.")
        code = 70  # EX_SOFTWARE of sysexits.h
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> None:
    typer.echo("\n".join(f"tasktap: {line}" for line in message.splitlines()), err=True)
