"""The `insights` command: the questions over everything, as tables and small plots, JSON, CSV or Parquet."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.export import writing
from proxy.cli.options import (
    NAMES,
    Config,
    DataDir,
    Flagged,
    HowEnded,
    Json,
    Kind,
    Limit,
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
    given,
    opened,
    print_json,
    run,
    settings_of,
    silent_since,
)

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.query.parameters import Asked, Parameter


class What(StrEnum):
    """The questions."""

    OVERVIEW = "overview"
    SERIES = "series"
    BREAKDOWN = "breakdown"
    SESSIONS = "sessions"
    USERS = "users"
    COMPARE = "compare"


class Shape(StrEnum):
    """How the answer is written."""

    TABLE = "table"
    CSV = "csv"
    PARQUET = "parquet"


def insights(
    context: typer.Context,
    what: Annotated[
        What, typer.Argument(metavar="WHAT", help="overview, series, breakdown, sessions, users or compare.")
    ] = What.OVERVIEW,
    *,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Group by model, user_id, ..., or metadata.KEY.")] = None,
    step: Annotated[str | None, typer.Option(metavar="STEP", help="minute, hour, day or week [default: day].")] = None,
    sort: Annotated[str | None, typer.Option(metavar="MEASURE", help="What comes first: tasks, cost, errors, p95, ...")] = None,
    against_from: Annotated[str | None, typer.Option(metavar="TIME", help="Compare with tasks from then on.")] = None,
    against_to: Annotated[str | None, typer.Option(metavar="TIME", help="And before then.")] = None,
    against_version: Annotated[str | None, typer.Option(metavar="ID", help="Compare with this version_id.")] = None,
    against_model: Annotated[str | None, typer.Option(metavar="NAME", help="Compare with this model.")] = None,
    shape: Annotated[
        Shape, typer.Option("--as", help="A table, CSV, or Parquet (that needs `pip install tasktap[parquet]`).")
    ] = Shape.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to [default: standard output].")
    ] = None,
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
    limit: Limit = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Say what tasks add up to: totals, over time, by anything; what ends sessions, who the users are, what changed."""
    from proxy.query.parameters import AGAINST, BY, FILTERS, SORT, STEP, TOP

    allowed: dict[What, tuple[Parameter, ...]] = {
        What.OVERVIEW: FILTERS,
        What.SERIES: (*FILTERS, STEP, BY, *TOP),
        What.BREAKDOWN: (*FILTERS, BY, SORT, *TOP),
        What.SESSIONS: (*FILTERS, STEP),
        What.USERS: (*FILTERS, *TOP),
        What.COMPARE: (*FILTERS, *AGAINST),
    }
    names = {parameter.name for parameter in allowed[what]}
    others = {each.name: each for parameters in allowed.values() for each in parameters if each.name not in names}
    for name in given(context, tuple(others.values())):
        raise Problem(f"{NAMES.get(name, ('', f'--{name}'))[1]}: says nothing to `insights {what.value}`.", 2)
    asked = asked_of(context, allowed[what])
    run(_insights(settings_of(config, data_dir), what, asked, shape, output, json))


async def _insights(settings: Settings, what: What, asked: Asked, shape: Shape, output: Path | None, json: bool) -> None:
    from proxy.cli import insight_tables
    from proxy.query import insights as questions
    from proxy.query.parameters import BadFilter
    from proxy.query.segments import Thresholds

    async with opened(settings) as store:
        try:
            if what is What.USERS:
                told = await questions.users(store, asked, Thresholds(**settings.insights.model_dump()))
            elif what is What.SESSIONS:
                told = await questions.sessions(store, asked, silent_since=silent_since(settings))
            else:
                told = await getattr(questions, what.value)(store, asked)
        except BadFilter as bad:
            raise Problem(str(bad), 2) from None
    if json:
        print_json(told)
    elif shape is Shape.TABLE:
        insight_tables.show(what.value, told)
    else:
        rows = insight_tables.rows(what.value, told)
        data = insight_tables.csv_of(rows) if shape is Shape.CSV else insight_tables.parquet_of(rows)
        with writing(output) as file:
            file.write(data)
    sys.stdout.flush()
