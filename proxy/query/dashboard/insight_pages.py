"""Insights: tasks by model or anything else, sessions and what ends them, users by segment, two times or versions compared."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from aiohttp import web
from markupsafe import Markup

from proxy.query import insights
from proxy.query.dashboard import figures, plot, span, view
from proxy.query.dashboard.room import Room
from proxy.query.parameters import AGAINST, BY, FILTERS, PAGING, SORT
from proxy.store.insight import Grouping, floor
from proxy.task import JSON

TABS = (
    ("/insights", "Tasks", view.PERIODS),
    ("/insights/sessions", "Sessions", view.DAYS),
    ("/insights/users", "Users", view.DAYS),
    ("/insights/compare", "Compare", view.PERIODS),
)
"""Where they lead, what they are called, and of which periods they can be asked."""

DEFAULT = "30d"
GROUPS = (
    ("model", "Model"),
    ("kind", "Kind"),
    ("ending", "Ending"),
    ("project_id", "Project"),
    ("version_id", "Version"),
    ("metadata.app", "App"),
    ("metadata.language", "Language"),
)
COLUMNS: tuple[tuple[str, str, Callable[[JSON], str]], ...] = (
    ("tasks", "Tasks", lambda item: figures.count(item["tasks"])),
    ("error_rate", "Did not complete", lambda item: figures.percent(item["error_rate"])),
    ("success_rate", "Rated success", lambda item: figures.percent(item["success_rate"])),
    ("input_tokens", "Tokens in", lambda item: figures.count(item["input_tokens"])),
    ("output_tokens", "Tokens out", lambda item: figures.count(item["output_tokens"])),
    ("cost", "Cost", lambda item: figures.dollars(item["cost"])),
    ("p50", "Took, median", lambda item: figures.seconds(item["seconds"]["p50"])),
    ("p95", "Took, p95", lambda item: figures.seconds(item["seconds"]["p95"])),
    ("", "First token, median", lambda item: figures.seconds(item["first_token_seconds"]["p50"])),
)
SHOWN: dict[str, tuple[str, Callable[[JSON], float | None], plot.Unit, bool]] = {
    "tasks": ("Tasks", lambda item: item["tasks"], figures.count, True),
    "cost": ("Cost", lambda item: item["cost"], figures.dollars, True),
    "tokens": ("Tokens", lambda item: item["input_tokens"] + item["output_tokens"], figures.count, True),
    "errors": ("Did not complete", lambda item: item["errors"], figures.count, True),
    "p50": ("Took, median", lambda item: item["seconds"]["p50"], figures.seconds, False),
    "p95": ("Took, p95", lambda item: item["seconds"]["p95"], figures.seconds, False),
    "first": ("First token, median", lambda item: item["first_token_seconds"]["p50"], figures.seconds, False),
}
"""What can be drawn of groups over time: its name, the figure, its unit, and whether figures can be piled up."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SERIES = 7
SAMPLE = 500
"""Last messages whose words are compared; the API looks at more."""


def standing_span(asked: view.View, now: int) -> span.Span:
    """The span that is asked for, or the usual one."""
    if not asked.get("period") and not asked.get("from") and not asked.get("to"):
        return span.of(replace(asked, given={**asked.given, "period": DEFAULT}), now)
    return span.of(asked, now)


async def tasks(room: Room, request: web.Request) -> web.StreamResponse:
    """Tasks in groups: a table, a series, and the hours of the week."""
    now = room.now()
    asked = view.read("/insights", request.query.items(), (*FILTERS, BY, SORT), now, ("period", "show"))
    over = standing_span(asked, now)
    by = asked.asked.by or "model"
    of_span = replace(over.asked(asked), by=by, limit=20)
    table = await room.kept.get(("breakdown", of_span), lambda: insights.breakdown(room.store, of_span))
    stepped = replace(of_span, step=over.summed_by, limit=SERIES, sort=None)
    series = await room.kept.get(("series", stepped), lambda: insights.series(room.store, stepped))
    show = asked.get("show") if asked.get("show") in SHOWN else "tasks"
    return await room.show(
        request,
        "insights.html",
        here="insights",
        view=asked,
        tabs=TABS,
        standing=DEFAULT,
        by=by,
        groups=GROUPS,
        columns=COLUMNS,
        sort=asked.asked.sort or "tasks",
        table=table,
        linked=by in ("model", "kind", "ending", "project_id", "version_id", "user_id", "session_id"),
        shown={key: name for key, (name, *_) in SHOWN.items()},
        show=show,
        chart=await asyncio.to_thread(_grouped, over, series["items"], show, table["items"]),
        hours=await _hours(room, over, asked),
    )


def _grouped(over: span.Span, items: Sequence[JSON], show: str, order: Sequence[JSON]) -> Markup:
    name, pick, unit, piled = SHOWN[show]
    points = over.points()
    places = {at: number for number, at in enumerate(points)}
    values: dict[str, list[float | None]] = {}
    names = [item["value"] for item in order]
    for item in sorted(items, key=lambda one: names.index(one["value"]) if one["value"] in names else len(names)):
        label = "others" if item["others"] else figures.words(item["value"]) if item["value"] else "not known"
        place = places.get(floor(span.micros(item["at"]), over.step))
        if place is not None:
            line = values.setdefault(label, [None] * len(points))
            figure = pick(item)
            line[place] = figure if not piled else (line[place] or 0) + (figure or 0)
    series = [plot.Series(label, tuple(line), str(min(8, number + 1))) for number, (label, line) in enumerate(values.items())]
    draw = plot.bars if piled else plot.lines
    return draw(over.slots(), series, title=f"{name} over time", unit=unit, height=210)


async def _hours(room: Room, over: span.Span, asked: view.View) -> Markup:
    """Tasks by hour of the week, UTC; of a span of more than 100 days its last 100."""
    since = max(over.since, over.until - 100 * span.DAY)
    narrow = replace(over.asked(asked).filter, since=since)
    counts: dict[datetime, int] = defaultdict(int)
    by_hour = Grouping((), span.HOUR)
    for group in await room.kept.get(("hours", narrow), lambda: insights.added_up(room.store, narrow, by_hour)):
        if group.at is not None:
            counts[figures.moment(group.at)] += group.measures.tasks
    hours = [f"{hour:02}" for hour in range(24)]
    title = "Tasks by weekday and hour, UTC"
    return await asyncio.to_thread(plot.heat, DAYS, hours, span.weekday_hours(counts), title=title)


async def sessions(room: Room, request: web.Request) -> web.StreamResponse:
    """How long sessions last, and what ends them."""
    now = room.now()
    asked = view.read("/insights/sessions", request.query.items(), FILTERS, now, ("period",))
    over = standing_span(asked, now)
    question = replace(over.asked(asked), step="day" if over.step <= span.DAY else "week")
    silent = room.desk.silent_since(now)
    found = await room.kept.get(("sessions", question), lambda: insights.sessions(room.store, question, SAMPLE, silent))
    return await room.show(
        request,
        "insight_sessions.html",
        here="insights",
        view=asked,
        tabs=TABS,
        standing=DEFAULT,
        found=found,
        turns=_distribution(found["turns"], figures.count, "turns"),
        seconds=_distribution(found["seconds"], figures.seconds, "duration"),
        over_time=_sessions_over_time(found["over_time"]),
        positions=_positions(found["positions"]),
        ends=_ends(found["ends"]),
    )


def _distribution(told: JSON, unit: plot.Unit, name: str) -> Markup:
    bins = told["histogram"]
    while len(bins) > 1 and not bins[-1]["count"]:
        bins = bins[:-1]
    while len(bins) > 1 and not bins[0]["count"]:
        bins = bins[1:]
    slots = [plot.Slot(_bin(one, unit), _bin(one, unit)) for one in bins]
    return plot.bars(
        slots, [plot.Series("sessions", tuple(one["count"] for one in bins), "1")], title=f"Sessions by {name}", height=150
    )


def _bin(one: JSON, unit: plot.Unit) -> str:
    """`3`, `3–4`, `5+` of whole numbers; `1 min`, the end of the stretch, of durations."""
    since, until = one["from"], one["to"]
    if until is None:
        return f"{unit(since)}+"
    if unit is not figures.count:
        return f"<{unit(until)}"
    return unit(since) if until - since == 1 else f"{unit(since)}–{unit(until - 1)}"


def _sessions_over_time(items: Sequence[JSON]) -> Markup:
    slots = [plot.Slot(f"{span.parsed(one['at']):%-d %b}", f"{span.parsed(one['at']):%a %-d %b}") for one in items]
    series = [
        plot.Series("ended well", tuple(one["sessions"] - one["running"] - one["ended_badly"] for one in items), "1"),
        plot.Series("given up", tuple(one["ended_badly"] for one in items), "2"),
    ]
    if any(one["running"] for one in items):
        series.append(plot.Series("not ended yet", tuple(one["running"] for one in items), "3"))
    return plot.bars(slots, series, title="Sessions over time", height=150)


def _positions(items: Sequence[JSON]) -> Markup | None:
    if not items:
        return None
    slots = [
        plot.Slot(f"{one['position']}{'+' if one['and_later'] else ''}", f"turn {one['position']}, {one['rated']} rated")
        for one in items
    ]
    return plot.bars(
        slots,
        [plot.Series("success", tuple(one["success_rate"] for one in items), "5")],
        title="Success by turn",
        unit=figures.percent,
        height=150,
    )


def _ends(items: Sequence[JSON]) -> list[JSON]:
    """The facets of last messages that are surely more or less often there than in others."""
    return [one for one in items if one["p"] < 0.05 and one["lasts"] + one["others"] >= 5][:12]


async def users(room: Room, request: web.Request) -> web.StreamResponse:
    """Who is in which segment, with what shows it, and who comes again."""
    now = room.now()
    asked = view.read("/insights/users", request.query.items(), (*FILTERS, *PAGING[:1]), now, ("period",))
    over = standing_span(asked, now)
    question = replace(over.asked(asked), limit=12)
    found = await room.kept.get(("users", question), lambda: insights.users(room.store, question, room.desk.thresholds))
    cohorts = [cohort for cohort in found["cohorts"] if cohort["users"]]
    longest = max((len(cohort["came_again"]) for cohort in cohorts), default=0)
    return await room.show(
        request,
        "insight_users.html",
        here="insights",
        view=asked,
        tabs=TABS,
        standing=DEFAULT,
        found=found,
        cohorts=_cohorts(cohorts, longest) if longest else None,
        segment=view.segment,
    )


def _cohorts(cohorts: Sequence[JSON], longest: int) -> Markup:
    rows = [f"{span.parsed(cohort['week']):%-d %b}" for cohort in cohorts]
    columns = [f"week {number}" for number in range(1, longest + 1)]
    shares: list[list[float | None]] = []
    for cohort in cohorts:
        came: list[float | None] = [count / cohort["users"] for count in cohort["came_again"]]
        shares.append(came + [None] * (longest - len(came)))
    return plot.heat(
        rows, columns, shares, title="Users who came again, by the week they came first", unit=figures.percent, told=True
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """What was compared, and how it was asked."""

    view: view.View
    answer: JSON


async def compared(room: Room, request: web.Request) -> Compared:
    """Two times, versions or models; where nothing else is said, this time and the one before."""
    now = room.now()
    asked = view.read("/insights/compare", request.query.items(), (*FILTERS, *AGAINST), now, ("period",))
    over = standing_span(asked, now)
    question = over.asked(asked)
    if not any(name.startswith("against_") for name in asked.given):
        before = over.before()
        question = replace(question, against=replace(question.against, since=before.since, until=before.until))
    return Compared(asked, await insights.compare(room.store, question))


async def compare(room: Room, request: web.Request) -> web.StreamResponse:
    """Two times, versions or models beside each other."""
    found = await compared(room, request)
    return await room.show(
        request,
        "insight_compare.html",
        here="insights",
        view=found.view,
        tabs=TABS,
        standing=DEFAULT,
        found=found.answer,
        rows=[_compared(one) for one in found.answer["differences"]],
    )


_MEASURES: dict[str, tuple[str, plot.Unit, bool | None]] = {
    "success_rate": ("Rated success", figures.percent, False),
    "error_rate": ("Did not complete", figures.percent, True),
    "cost_per_task": ("Cost of a task", figures.dollars, True),
    "output_tokens_per_task": ("Output tokens of a task", figures.count, None),
    "seconds_p50": ("Took, median", figures.seconds, True),
    "seconds_p95": ("Took, p95", figures.seconds, True),
    "first_token_seconds_p50": ("First token, median", figures.seconds, True),
}


def _compared(one: JSON) -> JSON:
    """A row: what is measured, both figures, and where the difference lies, drawn from -100 % to +100 % of the base."""
    name, unit, less_is_good = _MEASURES.get(one["measure"], (figures.words(one["measure"]), figures.count, False))
    row: JSON = {
        "name": name,
        "base": unit(one["base"] and one["base"]["value"]),
        "now": unit(one["now"] and one["now"]["value"]),
    }
    between, base = one["difference"], one["base"]
    row["significant"] = one["significant"]
    row["tone"] = ""
    if between is None or not base or not base["value"]:
        return row | {"text": figures.DASH, "low": None}
    if one["significant"] and less_is_good is not None:
        row["tone"] = "pos" if (between["value"] < 0) == less_is_good else "neg"

    def place(value: float) -> float:
        return round(50 + 50 * max(-1.0, min(1.0, value / abs(float(base["value"])))), 2)

    text = _signed(between["value"], unit)
    bounds = f"{_signed(between['low'], unit)} to {_signed(between['high'], unit)}"
    return row | {
        "text": text,
        "bounds": bounds,
        "low": place(between["low"]),
        "high": place(between["high"]),
        "at": place(between["value"]),
    }


def _signed(value: float, unit: plot.Unit) -> str:
    """`+12`, `−$0.031`, `+0.5 points` of a share, `±0` where nothing of it shows."""
    text = unit(abs(value))
    if text.startswith("<") or not any(digit in text for digit in "123456789"):
        return "±0"
    if unit is figures.percent:
        text = text.replace("%", "points")
    return f"{'+' if value >= 0 else '−'}{text}"
