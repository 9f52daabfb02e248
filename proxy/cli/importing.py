"""The `import` command: a file of tasks from elsewhere, batch by batch, through the desk where it runs, else into the store."""

from __future__ import annotations

import asyncio
import json as stdlib_json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from proxy.cli.options import Config, DataDir, Json, Problem, print_json, run, settings_of

if TYPE_CHECKING:
    from proxy.cli.rows import Row, Rows
    from proxy.config import Settings
    from proxy.record.imports import Format
    from proxy.task import JSON

BATCH = 500
BATCH_BYTES = 4 << 20
PATIENCE_SECONDS = 30.0  # for a desk that cannot take more just now
TELL_SECONDS = 0.1

Send = Callable[[list["JSON"]], Awaitable[list["JSON"]]]
"""Keeps tasks durably; gives what became of each, as `POST /api/tasks` does."""


class From(StrEnum):
    """Whose export it is."""

    PLAIN = "plain"
    TASKTAP = "tasktap"
    PHOSPHO = "phospho"
    LANGFUSE = "langfuse"
    HELICONE = "helicone"
    LITELLM = "litellm"


@dataclass(slots=True)
class Report:
    """What became of a file's rows so far."""

    file: str
    format: str | None = None
    dry_run: bool = False
    rows: int = 0
    skipped: int = 0  # of them, done by an earlier run that was interrupted
    counts: Counter[str] = field(default_factory=Counter)
    rejected_file: str | None = None
    examples: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        counts = {name: self.counts[name] for name in ("stored", "merged", "waiting", "rejected")}
        about = {name: getattr(self, name) for name in ("file", "format", "dry_run", "rows", "skipped")}
        return {**about, **counts, "rejected_file": self.rejected_file}


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, a JSON array, CSV or Parquet; gzipped or not.")],
    *,
    source: Annotated[From | None, typer.Option("--from", help="Whose export it is [default: told by its columns].")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, and keep nothing.")] = False,
    rejected: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write rows that were not taken [default: FILE.rejected.jsonl].")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin at the first row, also where a run was interrupted.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Import tasks from a file: your own, or an export of phospho, Langfuse, Helicone, LiteLLM or tasktap.

    Importing the same file again changes nothing; a run that was interrupted goes on where it was. Exits with 1 if rows were
    rejected.
    """
    report = Report(str(file), dry_run=dry_run, rejected_file=str(rejected or Path(f"{file}.rejected.jsonl")))
    work = _import(settings_of(config, data_dir), file, source, report, restart=restart, quiet=json)
    try:
        run(work)
    except OSError as wrong:
        raise Problem(f"{wrong.filename or file}: {wrong.strerror or wrong}", 2) from None
    except KeyboardInterrupt:
        raise Problem("interrupted. The same command goes on from here.", 130) from None
    if json:
        print_json(report.document())
    else:
        _say(report)
    if report.counts["rejected"]:
        raise typer.Exit(1)


async def _import(settings: Settings, file: Path, source: From | None, report: Report, *, restart: bool, quiet: bool) -> None:
    from proxy.cli import rows
    from proxy.cli.progress import Mark, Progress
    from proxy.cli.straight import nowhere

    with rows.opened(file) as found:
        mark = Mark.of(settings.data_dir, file)
        report.skipped = 0 if restart or report.dry_run else mark.rows
        bar = Progress(found.size, quiet or not sys.stderr.isatty())
        with _Rejected(Path(str(report.rejected_file)), afresh=not report.skipped) as rejected:
            async with nowhere() if report.dry_run else _destination(settings) as send:
                for batch in _batches(found, source, report, rejected):
                    for item, answer in zip(batch, await _sent(send, batch), strict=True):
                        report.counts[str(answer.get("status"))] += 1
                        if answer.get("status") == "rejected":
                            rejected.add(report, None, str(answer.get("error")), item)
                    rejected.flush()
                    if not report.dry_run:
                        mark.at(report.rows)
                    bar.at(found.place(), report.rows, report.counts["rejected"])
        bar.end()
        if not report.dry_run:
            mark.forget()
        if not rejected.lines:
            report.rejected_file = None


def _batches(found: Rows, source: From | None, report: Report, rejected: _Rejected) -> Iterator[list[JSON]]:
    """The tasks of the rows that are not done yet, some at a time. Raises Problem where nobody knows what they are."""
    from proxy.record.imports import FORMATS, BadRow, item_of

    format = FORMATS[source] if source is not None else None
    batch: list[JSON] = []
    size = 0
    for row in found.each:
        report.rows += 1
        if row.wrong is None and format is None:
            format = _detected(row)
        report.format = format.name if format is not None else None
        if report.rows <= report.skipped:
            continue
        try:
            if row.wrong is not None or format is None:
                raise BadRow(row.wrong or "")
            item = item_of(format, row.said, row.number)
        except BadRow as wrong:
            report.counts["rejected"] += 1
            rejected.add(report, row.number, str(wrong), row.said)
            continue
        batch.append(item)
        size += sum(len(value) if isinstance(value, str) else 200 for value in row.said.values())
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _detected(row: Row) -> Format:
    from proxy.record.imports import detect

    format = detect(row.said.keys())
    if format is None:
        columns = ", ".join(list(row.said)[:12]) or "none"
        raise Problem(f"no export that is known has these columns: {columns}. Say whose it is with --from.", 2)
    return format


async def _sent(send: Send, batch: list[JSON]) -> list[JSON]:
    """Raises Busy when the desk has been so for too long, Problem for what it cannot do at all."""
    from proxy.cli.reach import Busy

    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await send(batch)
        except Busy:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(1)


@asynccontextmanager
async def _destination(settings: Settings) -> AsyncIterator[Send]:
    """The desk, or where nothing runs the store itself, under the locks. Raises Problem, StoreUnavailable."""
    from proxy.cli.reach import ask

    if await asyncio.to_thread(ask, settings, "/api/status") is not None:

        async def through(batch: list[JSON]) -> list[JSON]:
            answer = await asyncio.to_thread(ask, settings, "/api/tasks", {"tasks": batch})
            if answer is None:
                raise Problem("the desk has gone away meanwhile. The same command goes on from here.", 1)
            return list(answer["items"])

        yield through
        return
    from proxy.cli.straight import straight

    async with straight(settings) as send:
        yield send


class _Rejected:
    """The report of rows that were not taken: a line of JSON each, made with the first."""

    def __init__(self, path: Path, *, afresh: bool) -> None:
        self._path = path
        self._afresh = afresh
        self._file: Any = None
        self.lines = 0

    def __enter__(self) -> Self:
        if self._afresh:
            self._path.unlink(missing_ok=True)
        return self

    def add(self, report: Report, number: int | None, error: str, row: JSON) -> None:
        if self._file is None:
            self._file = self._path.open("a", encoding="utf-8", errors="replace")
            self._path.chmod(0o600)
        place = {"row": number} if number is not None else {"task_id": row.get("task_id")}
        self._file.write(stdlib_json.dumps({**place, "error": error, "content": row}, default=str, ensure_ascii=False) + "\n")
        self.lines += 1
        if len(report.examples) < 3:
            report.examples.append(f"{f'row {number}' if number is not None else place['task_id']}: {error}")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _say(report: Report) -> None:
    counts = report.counts
    kept = "could be imported" if report.dry_run else "stored"
    there = "" if report.dry_run else f", {counts['merged']:,} there before"
    typer.echo(f"{report.rows:,} rows read as {report.format or 'nothing'}: {counts['stored']:,} {kept}{there}.")
    if counts["waiting"]:
        typer.echo(f"{counts['waiting']:,} are feedback on tasks that are not there yet; it waits for them.")
    if report.skipped:
        typer.echo(f"The first {report.skipped:,} were done by a run that was interrupted.")
    if counts["rejected"]:
        typer.echo(f"{counts['rejected']:,} were not taken; see {report.rejected_file}")
        for example in report.examples:
            typer.echo(f"  {example}")
