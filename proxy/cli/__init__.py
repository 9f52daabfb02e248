"""The `tasktap` command: serve, and everything that reads the record back."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated

import typer
from typer.exceptions import TyperException

from proxy.cli.options import Problem


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


def tasktap(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """An OpenAI-compatible logging reverse proxy: every call carried byte for byte and kept as a task."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


COMMANDS = {
    "serve": ("serve", "serve"),
    "tasks": ("lists", "tasks"),
    "show": ("lists", "show"),
    "sessions": ("lists", "sessions"),
    "session": ("lists", "session"),
    "users": ("lists", "users"),
    "tail": ("live", "tail"),
    "status": ("live", "status"),
    "doctor": ("doctor", "doctor"),
    "insights": ("insights", "insights"),
    "sql": ("sql", "sql"),
    "export": ("export", "export"),
    "import": ("importing", "import_"),
    "feedback": ("feedback", "feedback"),
    "replay": ("replay", "replay"),
    "forget": ("forget", "forget"),
    "reprice": ("again", "reprice"),
    "reread": ("again", "reread"),
    "session-split": ("regroup", "session_split"),
    "session-merge": ("regroup", "session_merge"),
    "demo": ("demo", "demo"),
}
"""Each command, in the order of the help: its module in this room, and its function there."""


def app(asked: str | None = None) -> typer.Typer:
    """The command line; with the command that is `asked` for alone, where there is one, since each loads what it needs."""
    made = typer.Typer(
        name="tasktap",
        help="An OpenAI-compatible logging reverse proxy: every call carried byte for byte and kept as a task.",
        epilog="Start with `tasktap serve`, then set OPENAI_BASE_URL as it says.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    made.callback(invoke_without_command=True)(tasktap)
    for name in (asked,) if asked in COMMANDS else COMMANDS:
        module, function = COMMANDS[name]
        made.command(name)(getattr(import_module(f"proxy.cli.{module}"), function))
    return made


def main() -> None:
    """Run the command of this process; what goes wrong is one line on standard error, and never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal that cannot show a character shows another
    try:
        code = app(sys.argv[1] if len(sys.argv) > 1 else None)(standalone_mode=False, prog_name="tasktap")
    except Problem as problem:
        _complain(str(problem))
        code = problem.code
    except TyperException as wrong:
        context = getattr(wrong, "ctx", None)
        _complain(f"{wrong.format_message()} (see `{context.command_path if context else 'tasktap'} --help`)")
        code = wrong.exit_code
    except Exception as bug:  # the outermost handler: a person is told what to do, whatever it was
        import traceback

        *_, place = traceback.extract_tb(bug.__traceback__)
        _complain(f"this is a bug in tasktap: {type(bug).__name__} at {place.filename}:{place.lineno}. Please report it.")
        code = 70  # EX_SOFTWARE of sysexits.h
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> None:
    typer.echo("\n".join(f"tasktap: {line}" for line in message.splitlines()), err=True)
