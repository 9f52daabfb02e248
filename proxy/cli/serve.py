"""The command that carries calls."""

from __future__ import annotations

from typing import Annotated

import typer

from proxy.cli.options import Config, DataDir, Json, print_json, settings_of


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
