"""The `export` command: everything that a filter finds, as JSON lines or CSV, page by page and never held whole."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from proxy.cli.corpus import conversations
from proxy.cli.options import (
    Config,
    DataDir,
    Flagged,
    HowEnded,
    Json,
    Kind,
    Metadata,
    Model,
    Parent,
    Problem,
    Project,
    Search,
    Session,
    Since,
    Until,
    User,
    Version,
    asked_of,
    opened,
    run,
    settings_of,
)
from proxy.task import JSON, Filter, Summary, Usage

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.store import Store

PAGE = 500
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What begins a cell that a spreadsheet would run; `'` before it makes it text (OWASP, CSV injection)."""

USAGE = {field.name if field.name.endswith("_tokens") else f"usage_{field.name}": field.name for field in fields(Usage)}
"""What a CSV calls the figures of a task's usage, which has a column each."""

COLUMNS = tuple(name for field in fields(Summary) for name in (USAGE if field.name == "usage" else (field.name,)))


class Format(StrEnum):
    """How tasks are written."""

    JSONL = "jsonl"
    CSV = "csv"
    OPENAI_CHAT = "openai-chat"
    MARKDOWN = "markdown"


def export(
    context: typer.Context,
    *,
    format: Annotated[
        Format, typer.Option(help="jsonl, csv for a spreadsheet, openai-chat for fine-tuning, or markdown: conversations.")
    ] = Format.JSONL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to [default: standard output].")
    ] = None,
    summaries: Annotated[
        bool, typer.Option("--summaries", help="JSON lines without raw JSON, headers and pieces (CSV never has).")
    ] = False,
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
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Write tasks as JSON lines, CSV, examples for fine-tuning, or conversations.

    All of them, or those that the filters find; newest first.
    """
    from proxy.query.parameters import FILTERS

    format = Format.JSONL if json else format
    run(_export(settings_of(config, data_dir), asked_of(context, FILTERS).filter, output, format, whole=not summaries))


async def _export(settings: Settings, filter: Filter, output: Path | None, format: Format, *, whole: bool) -> None:
    async with opened(settings) as store:
        if format is Format.OPENAI_CHAT:
            from proxy.cli.examples import examples

            lines = examples(found(store, filter), store)
        elif format is Format.MARKDOWN:
            lines = conversations(found(store, filter), store)
        else:
            lines = rows(store, filter) if format is Format.CSV else documents(store, filter, whole=whole)
        with writing(output) as file:
            async for line in lines:
                file.write(line)
            file.flush()


@contextmanager
def writing(output: Path | None) -> Iterator[BinaryIO]:
    """Where to write. A file takes its name when it is whole; nobody but its owner may read it."""
    if output is None:
        yield sys.stdout.buffer
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
        part.replace(output)
    except OSError as wrong:
        raise Problem(f"--output: {output}: {wrong.strerror}", 2) from None
    finally:
        part.unlink(missing_ok=True)


async def found(store: Store, filter: Filter) -> AsyncIterator[Summary]:
    """Every task that `filter` finds, newest first; what is stored meanwhile is not among them."""
    cursor: str | None = None
    while True:
        page = await store.find(filter, limit=PAGE, cursor=cursor)
        for task in page.items:
            yield task
        if (cursor := page.next) is None:
            return


async def documents(store: Store, filter: Filter, *, whole: bool) -> AsyncIterator[bytes]:
    """A line of JSON a task."""
    from proxy.query import document
    from proxy.query.encoding import encode

    async for summary in found(store, filter):
        if not whole:
            yield encode(document.of_summary(summary)) + b"\n"
        elif (task := await store.get(summary.id)) is not None:  # it may have been deleted meanwhile
            yield encode(document.of_task(task)) + b"\n"


async def rows(store: Store, filter: Filter) -> AsyncIterator[bytes]:
    """A line of names, then a row of CSV a task."""
    from proxy.query import document

    yield csv_line(COLUMNS)
    async for summary in found(store, filter):
        yield csv_line([cell(value) for value in _flat(document.of_summary(summary))])


def _flat(task: JSON) -> list[object]:
    usage = task["usage"] or {}
    return [usage.get(USAGE[name]) if name in USAGE else task[name] for name in COLUMNS]


def cell(value: object) -> str:
    """A value as a cell that no spreadsheet takes for a formula."""
    from proxy.query.encoding import encode

    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = str(value) if isinstance(value, str) else encode(value).decode()
    return f"'{text}" if text.startswith(FORMULA) else text


def csv_line(cells: tuple[str, ...] | list[str]) -> bytes:
    """One line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode("utf-8", "replace")
