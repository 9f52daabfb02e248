"""The command that looks a deployment over and says what to do."""

from __future__ import annotations

from typing import Any

import typer

from proxy.cli.options import Config, DataDir, Json, Problem, database, print_json, settings_of
from proxy.cli.reach import ask

MARKS = {"well": ("✓", "green"), "care": ("!", "yellow"), "ill": ("✗", "bold red")}


def doctor(config: Config = None, data_dir: DataDir = None, json: Json = False) -> None:
    """Check this deployment: permissions, disk, clock, open files, doors, recording, store, upstreams.

    Changes nothing and sends no key. Exit code 1 where something is ill.
    """
    from proxy.server.checkup import Verdict, checkup

    settings = settings_of(config, data_dir)
    status: dict[str, Any] | str | None
    try:
        status = ask(settings, "/api/status")
    except Problem as silent:  # it runs, and does not answer
        status = str(silent)
    found = checkup(settings, status, database(settings))
    ill = any(each.verdict is Verdict.ILL for each in found)
    if json:
        shown = [{"about": f.about, "verdict": str(f.verdict), "seen": f.seen, "advice": f.advice} for f in found]
        print_json({"ok": not ill, "findings": shown})
    else:
        from rich.text import Text

        from proxy.cli.paper import Paper

        paper = Paper()
        width = max(len(each.about) for each in found)
        for each in found:
            sign, style = MARKS[each.verdict]
            paper.print(Text.assemble((sign, style), f" {each.about:<{width}}  ", each.seen))
            if each.advice is not None:
                paper.print(Text(f"  {'':<{width}}  {each.advice}", style="dim"))
    raise typer.Exit(1 if ill else 0)
