"""The commands that go over what is kept: `reprice` reckons costs anew, `reread` reads bytes again."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.options import (
    Config,
    DataDir,
    Flagged,
    HowEnded,
    Json,
    Kind,
    Model,
    Parent,
    Project,
    Search,
    Session,
    Since,
    Until,
    User,
    asked_of,
    given,
    note,
    print_json,
    run,
    settings_of,
)

if TYPE_CHECKING:
    from proxy.config import Settings
    from proxy.query.api import Act
    from proxy.store import Store

PAGE = 200
EXAMPLES = 3

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]


def reprice(
    context: typer.Context,
    *,
    dry_run: DryRun = False,
    session: Session = None,
    user: User = None,
    project: Project = None,
    parent: Parent = None,
    model: Model = None,
    kind: Kind = None,
    ending: HowEnded = None,
    flag: Flagged = None,
    since: Since = None,
    until: Until = None,
    search: Search = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Reckon anew what tasks cost.

    From the tokens that are kept and today's prices: those of the configuration, of the provider, of the price list.
    """
    from proxy.query.parameters import FILTERS

    asked_of(context, FILTERS)  # says what is wrong, before anything is done
    body = {**given(context, FILTERS), "dry_run": dry_run}
    run(_reprice(settings_of(config, data_dir), body, json))


async def _reprice(settings: Settings, body: dict[str, Any], json: bool) -> None:
    from proxy.cli import changes

    total: dict[str, Any] = {"read": 0, "unreadable": 0, "changed": 0, "models": {}}
    async for page in _pages(settings, "reprice", body):
        total["read"] += page["read"]
        total["unreadable"] += page["unreadable"]
        for one in page["models"]:
            sums = total["models"].setdefault(one["model"], dict.fromkeys(one.keys() - {"model"}, 0))
            for name in sums:
                sums[name] += one[name]
    models = [{"model": model, **sums} for model, sums in total["models"].items()]
    total |= {"models": sorted(models, key=lambda one: (-one["changed"], one["model"])), "dry_run": body["dry_run"]}
    total["changed"] = sum(one["changed"] for one in models)
    if json:
        print_json(total)
    else:
        changes.prices(total)


def reread(
    context: typer.Context,
    *,
    dry_run: DryRun = False,
    task: Annotated[str | None, typer.Option("--task", metavar="ID", help="This task alone.")] = None,
    session: Session = None,
    user: User = None,
    project: Project = None,
    parent: Parent = None,
    model: Model = None,
    kind: Kind = None,
    ending: HowEnded = None,
    flag: Flagged = None,
    since: Since = None,
    until: Until = None,
    search: Search = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Read the kept bytes of tasks again.

    After a reader has been mended: says what is understood otherwise now, field by field. Feedback and ids stay.
    """
    from proxy.query.parameters import FILTERS, TASK

    asked_of(context, (*FILTERS, TASK))
    body = {**given(context, (*FILTERS, TASK)), "dry_run": dry_run}
    run(_reread(settings_of(config, data_dir), body, json))


async def _reread(settings: Settings, body: dict[str, Any], json: bool) -> None:
    from proxy.cli import changes

    counts: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []
    async for page in _pages(settings, "reread", body):
        counts.update({name: page[name] for name in ("read", "unreadable", "changed", "skipped")})
        for one in page["examples"]:
            if sum(other["field"] == one["field"] for other in examples) < EXAMPLES:
                examples.append(one)
        fields.update(page["fields"])
    total = {
        **{name: counts[name] for name in ("read", "unreadable", "changed", "skipped")},
        "fields": dict(fields.most_common()),
        "examples": examples,
        "dry_run": body["dry_run"],
    }
    if json:
        print_json(total)
    else:
        changes.readings(total)


async def _pages(settings: Settings, act: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The answers to one page after the other; what was read so far is shown on a terminal."""
    from proxy.cli.reach import doing
    from proxy.store import StoreMissing

    read = changed = 0
    try:
        async with doing(settings, _acts(settings)) as do:
            while True:
                page = await do(act, {**body, "limit": PAGE})
                read, changed = read + page["read"], changed + page["changed"]
                yield page
                if sys.stderr.isatty():
                    sys.stderr.write(f"\r{read:,} tasks read, {changed:,} changed, back to {page['at']}\x1b[K")
                    sys.stderr.flush()
                if page["next"] is None:
                    break
                body = {**body, "cursor": page["next"]}
    except StoreMissing as nothing:
        note(f"{nothing}.")
    finally:
        if read and sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")


def _acts(settings: Settings) -> Callable[[Store], Mapping[str, Act]]:
    from proxy.server import again, parts
    from proxy.server.finish import Rules

    return lambda store: again.acts(store, Rules.of(parts.desk_part(settings), settings.data_dir))
