"""The `sql` command: a question in SQL, of four views that stay what they are."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import typer

from proxy.cli.export import cell
from proxy.cli.options import Config, DataDir, Json, Problem, database, print_json, settings_of
from proxy.cli.text import line

SHOWN = 1000
"""Rows that a terminal is shown at most."""


def sql(
    statement: Annotated[
        str, typer.Argument(metavar="SELECT", help="A statement in SQLite's SQL over tasks, sessions, users and feedback.")
    ],
    *,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Ask in SQL, to read only; a table in a terminal, CSV elsewhere."""
    from proxy.cli.paper import Paper, row, table
    from proxy.store import StoreUnavailable
    from proxy.store.expert import BadStatement, answer, reading

    path = database(settings_of(config, data_dir))
    if path is None:
        raise Problem("store.url: this store is not SQLite, and only that has SQL.", 2)
    try:
        with reading(path) as db:
            columns, rows = answer(db, statement)
            if json:
                print_json([dict(zip(columns, found, strict=True)) for found in rows])
            elif sys.stdout.isatty():
                shown = table(*((name, {}) for name in columns))
                for number, found in enumerate(rows):
                    if number == SHOWN:
                        break
                    shown.add_row(*row(*("" if value is None else line(str(value)) for value in found)))
                Paper().print(shown)
            else:
                writer = csv.writer(sys.stdout, lineterminator="\n")
                writer.writerow(columns)
                writer.writerows([cell(value) for value in found] for found in rows)
                sys.stdout.flush()
    except BadStatement as bad:
        raise Problem(str(bad), 2) from None
    except StoreUnavailable as away:
        raise Problem(f"the store cannot be read: {away}", 1) from None
