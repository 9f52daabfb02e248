"""The overview: a period in figures against the one before, drawn over time; what needs attention; what was said last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aiohttp import web
from markupsafe import Markup

from proxy.query import insights
from proxy.query.dashboard import figures, plot, span, view
from proxy.query.dashboard.health_page import concerns
from proxy.query.dashboard.room import Room
from proxy.query.dashboard.task_list import excerpt
from proxy.query.parameters import FILTERS, Asked
from proxy.store.insight import floor
from proxy.task import JSON, Filter

RECENT = 6
LONG = 10 * span.DAY
"""What is longer is not added up anew for who looks again at once."""

WORSE_RATE = 0.02
"""Errors that are this much more of all tasks than before are worth a word."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure: now, against before, and its course."""

    name: str
    value: str
    change: str
    tone: str  # "pos", "neg" or nothing
    before: str
    course: Markup
    note: str = ""


async def page(room: Room, request: web.Request) -> web.StreamResponse:
    """The first page."""
    now = room.now()
    asked = view.read("/", request.query.items(), FILTERS, now, ("period",))
    over = span.of(asked, now)
    state = await room.state()
    project = asked.asked.filter.project_id
    asks, past = over.asked(asked), over.before()
    ago = past.asked(asked)
    found, items = await _told(room, asks, over, keep=over.until - over.since > LONG)
    earlier, before = await _told(room, ago, past, keep=True)  # it hardly changes any more
    recent = await room.store.find(Filter(project_id=project), limit=RECENT)
    slots = over.slots()
    charts = await asyncio.to_thread(_charts, slots, items, before)  # whoever saves on this loop goes on meanwhile
    return await room.show(
        request,
        "overview.html",
        here="overview",
        view=asked,
        over=over,
        periods=view.PERIODS,
        state=state,
        concerns=concerns(state, await asyncio.to_thread(room.house.look) if room.house is not None else None),
        worse=_worse(found["totals"], earlier["totals"]),
        tiles=_tiles(found, earlier, items),
        charts=charts,
        models=_shares(found["models"], "model", asked, over),
        endings=_shares([one for one in found["endings"] if one["value"] != "completed"], "ending", asked, over),
        kinds=_shares(found["kinds"], "kind", asked, over),
        has_tasks=found["totals"]["tasks"] > 0,
        recent=recent.items,
        excerpt=excerpt,
        segment=view.segment,
    )


async def _told(room: Room, asks: Asked, over: span.Span, *, keep: bool) -> tuple[JSON, list[JSON | None]]:
    """The sums of a span and its course, each for a while where they may be `keep`t."""
    if not keep:
        cut = max(over.since, floor(over.until - span.DAY, span.DAY))  # days before yesterday are kept, what came since is not
        then = replace(asks, filter=replace(asks.filter, until=cut))
        now = replace(asks, filter=replace(asks.filter, since=cut))
        course = await span.series(room.store, now, over)
        if cut > over.since:
            earlier = await room.kept.get(("course", then), lambda: span.series(room.store, then, over))
            course = [late if late is not None else early for early, late in zip(earlier, course, strict=True)]
        return await insights.overview(room.store, asks), course
    sums = await room.kept.get(("overview", asks), lambda: insights.overview(room.store, asks))
    return sums, await room.kept.get(("course", asks), lambda: span.series(room.store, asks, over))


def _worse(now: JSON, before: JSON) -> str | None:
    if now["error_rate"] is None or before["error_rate"] is None or now["error_rate"] - before["error_rate"] < WORSE_RATE:
        return None
    rates = [figures.percent(totals["error_rate"]) for totals in (now, before)]
    return f"{rates[0]} of calls did not complete, {rates[1]} in the period before."


def change(now: float | None, before: float | None) -> str:
    """`+12 %`, `−3.4 %`, `×3.2`; nothing where there is nothing to compare."""
    if now is None or not before:
        return ""
    factor = now / before
    if factor >= 3:
        return f"×{factor:.1f}" if factor < 10 else f"×{figures.count(round(factor))}"
    percent = 100 * (factor - 1)
    if abs(percent) < 0.05:
        return "±0 %"
    text = f"{abs(percent):.0f}" if abs(percent) >= 9.95 else f"{abs(percent):.1f}"
    return f"{'+' if percent > 0 else '−'}{text} %"


def _tiles(found: JSON, earlier: JSON, items: Sequence[JSON | None]) -> list[Tile]:
    now, before = found["totals"], earlier["totals"]

    def tile(
        name: str, pick: Callable[[JSON], float | None], unit: plot.Unit, *, less_is_good: bool = False, note: str = ""
    ) -> Tile:
        value, was = pick(now), pick(before)
        told = change(value, was)
        worse = bool(less_is_good and value is not None and was and value > 1.2 * was)
        better = bool(less_is_good and value is not None and was and value < was / 1.2)
        course = plot.spark([pick(item) or 0 if item else 0 for item in items], title=f"{name} over time")
        return Tile(name, unit(value), told, "neg" if worse else "pos" if better else "", unit(was), course, note)

    p95 = figures.seconds(now["seconds"]["p95"])
    first95 = figures.seconds(now["first_token_seconds"]["p95"])
    cached = figures.percent(now["cached_input_tokens"], now["input_tokens"])
    unknown = now["tasks"] - now["priced"]
    rated = (
        f"{figures.count(now['rated'])} rated, {figures.percent(now['success_rate'])} success" if now["rated"] else "none rated"
    )
    return [
        tile("Tasks", lambda each: each["tasks"], figures.count, note=rated),
        tile(
            "Did not complete",
            lambda each: each["error_rate"],
            figures.percent,
            less_is_good=True,
            note=f"{figures.count(now['errors'])} tasks",
        ),
        tile(
            "Took, median",
            lambda each: each["seconds"]["p50"],
            figures.seconds,
            less_is_good=True,
            note=f"95 % within {p95}",
        ),
        tile(
            "First token, median",
            lambda each: each["first_token_seconds"]["p50"],
            figures.seconds,
            less_is_good=True,
            note=f"95 % within {first95}",
        ),
        tile("Tokens in", lambda each: each["input_tokens"], figures.count, note=f"{cached} cached"),
        tile("Tokens out", lambda each: each["output_tokens"], figures.count),
        tile(
            "Cost",
            lambda each: each["cost"],
            figures.dollars,
            note=f"{figures.count(unknown)} not priced" if unknown else "all priced",
        ),
        Tile(
            "Users",
            figures.count(found["users"]),
            change(found["users"], earlier["users"]),
            "",
            figures.count(earlier["users"]),
            Markup(""),
            f"{figures.count(found['sessions'])} sessions",
        ),
    ]


def _charts(slots: list[plot.Slot], items: Sequence[JSON | None], before: Sequence[JSON | None]) -> list[tuple[str, Markup]]:
    def values(pick: Callable[[JSON], float | None], of: Sequence[JSON | None] = items) -> tuple[float | None, ...]:
        return tuple(pick(item) if item else None for item in of)

    def past(pick: Callable[[JSON], float | None]) -> tuple[float | None, ...]:
        return (values(pick, before) + (None,) * len(slots))[: len(slots)]

    calls = [
        plot.Series("completed", values(lambda each: each["tasks"] - each["errors"]), "1"),
        plot.Series("did not complete", values(lambda each: each["errors"]), "2"),
    ]
    took = [
        plot.Series("median", values(lambda each: each["seconds"]["p50"]), "1"),
        plot.Series("95 % within", values(lambda each: each["seconds"]["p95"]), "2"),
    ]
    tokens = [
        plot.Series("new input", values(lambda each: each["input_tokens"] - each["cached_input_tokens"]), "1"),
        plot.Series("cached input", values(lambda each: each["cached_input_tokens"]), "8"),
        plot.Series("output", values(lambda each: each["output_tokens"]), "2"),
    ]
    cost = plot.Series("cost", tuple(value or 0 for value in values(lambda each: each["cost"])), "3")
    return [
        ("Tasks", plot.bars(slots, calls, title="Tasks over time")),
        ("Took", plot.lines(slots, took, title="Seconds over time", unit=figures.seconds)),
        ("Tokens", plot.bars(slots, tokens, title="Tokens over time")),
        ("Cost", plot.lines(slots, [cost], title="Cost over time", unit=figures.dollars, before=past(lambda each: each["cost"]))),
    ]


def _shares(items: Sequence[JSON], name: str, asked: view.View, over: span.Span) -> Markup | None:
    rows = []
    for item in items:
        address = asked.link(
            "/tasks", period=asked.get("period") or (None if asked.get("from") else span.DEFAULT), **{name: item["value"]}
        )
        rows.append(
            (
                figures.words(item["value"]) if item["value"] else "not known",
                float(item["tasks"]),
                address if item["value"] else "",
            )
        )
    return plot.shares(rows, title=f"Tasks by {name}") if rows else None
