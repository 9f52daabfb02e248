"""The questions over everything: totals, series, breakdowns, sessions, users and comparisons, each a document of JSON."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from proxy.query import document, endings, statistics
from proxy.query.measured import SECONDS, of_measures, rank
from proxy.query.parameters import LIMIT_MOST, Asked, BadFilter
from proxy.query.segments import SEGMENTS, Thresholds, definitions, segments
from proxy.store import Store
from proxy.store.insight import CUBE, POSITION_MOST, WEEK, Group, Grouping, Insights, Present, Range, Span, TooMuch, floor
from proxy.store.measures import DAY, HOUR, MINUTE, PICODOLLARS, Measures
from proxy.store.memory_insight import insights_of
from proxy.task import JSON, Filter, Summary

STEPS = {"minute": MINUTE, "hour": HOUR, "day": DAY, "week": WEEK}
POINTS_MOST = 3000
HEARD = 1500
RATED = 2000
TIMED = 2000
"""Tasks of the users or sessions that are shown, whose durations are read one by one: none are kept of each."""

AMONG = 20_000
"""Tasks that a filter leaves, of which sessions and users are counted."""

ASIDE = 10_000
"""Tasks that a filter leaves, which are added up for questions of sessions and users: no sums are kept by other filters."""

_EACH = ("user_id", "session_id")

SECOND_EDGES = (0, 10, 60, 300, 900, 1800, 3600, 4 * 3600, 24 * 3600)
COUNT_EDGES = (1, 2, 3, 5, 10, 20, 50, 100)


async def overview(store: Store, asked: Asked) -> JSON:
    """Everything in one answer: totals, how many sessions and users, and the main breakdowns."""
    groups = await added_up(store, asked.filter, Grouping(CUBE))
    if asked.filter == Filter(**_place(asked.filter)):
        present: Present | None = await store.insights.present(_range(asked.filter))
    else:
        present = await store.insights.among(asked.filter, AMONG)
    return {
        **_times(asked.filter),
        "totals": of_measures(_total(groups)),
        "sessions": present and present.sessions,
        "users": present and present.users,
        **{
            f"{name.removesuffix('_id')}s": _broken_down(groups, CUBE.index(name), "tasks", 10)["items"]
            for name in ("project_id", "model", "kind", "ending")
        },
    }


async def series(store: Store, asked: Asked) -> JSON:
    """The measures of each minute, hour, day or week (UTC, weeks from Monday); with `by`, of each of the largest groups apart."""
    step = STEPS[asked.step]
    since, until = asked.filter.since, asked.filter.until
    if step == MINUTE and since is None:
        raise BadFilter("step", "of a minute wants a time. Give `from`, or ask for a longer step.")
    if since is not None and until is not None and (until - since) / step > POINTS_MOST:
        raise BadFilter("step", f"makes more than {POINTS_MOST} points. Ask for a longer step, or a shorter time.")
    groups = await added_up(store, asked.filter, Grouping(_by(asked), step))
    if asked.by is None:
        points = {group.at: group.measures for group in groups if group.at is not None}
        items = [{"at": document.moment(at), **of_measures(points.get(at, Measures()))} for at in _stretch(points, asked, step)]
        return {**_times(asked.filter), "step": asked.step, "by": None, "items": items}
    sizes: Counter[str | None] = Counter()
    for group in groups:
        sizes[group.values[0]] += group.measures.tasks
    shown = {value for value, _ in sizes.most_common(min(asked.limit, 20))}
    sums: dict[tuple[int, bool, str | None], Measures] = defaultdict(Measures)
    for group in groups:
        value = group.values[0]
        sums[group.at or 0, value not in shown, value if value in shown else None].take(group.measures)
    items = [
        {"at": document.moment(at), "value": value, "others": others, **of_measures(measures)}
        for (at, others, value), measures in sorted(sums.items(), key=lambda each: (*each[0][:2], each[0][2] or ""))
    ]
    return {**_times(asked.filter), "step": asked.step, "by": asked.by, "items": items}


async def breakdown(store: Store, asked: Asked) -> JSON:
    """The measures of each value of `by`, the first by `sort` first; those past `limit` are added up as `others`."""
    by, sort = asked.by or "model", asked.sort or "tasks"
    if by in _EACH and sort not in SECONDS and asked.filter == Filter(**_place(asked.filter)):
        return await _ranked(store, asked, by, sort)
    groups = await added_up(store, asked.filter, Grouping((by,)))
    if by in _EACH and not any(group.measures.seconds or group.measures.first_token for group in groups):
        if sort in SECONDS and groups:
            raise BadFilter("sort", "durations are read of what is shown only: sort these by another measure.")
        groups.sort(key=lambda group: (-rank(group.measures, sort), group.values[0] or ""))
        groups = await _timed(store, asked, by, groups)
    return {**_times(asked.filter), "by": by, "sort": sort, **_broken_down(groups, 0, sort, asked.limit)}


def _place(filter: Filter) -> JSON:
    return {"project_id": filter.project_id, "since": filter.since, "until": filter.until}


async def _ranked(store: Store, asked: Asked, by: str, sort: str) -> JSON:
    """The first users or sessions; those past them are what is left of all."""
    found = await store.insights.ranked(_range(asked.filter), by, sort, asked.limit)
    groups = list(found.first)
    if not any(group.measures.seconds or group.measures.first_token for group in groups):
        groups = await _timed(store, asked, by, groups)
    others = found.total.without(_total(found.first))
    return {
        **_times(asked.filter),
        "by": by,
        "sort": sort,
        "values": found.size,
        "items": [{"value": group.values[0], **of_measures(group.measures)} for group in groups],
        "others": of_measures(others) if found.size > asked.limit else None,
    }


async def _timed(store: Store, asked: Asked, by: str, groups: Sequence[Group]) -> list[Group]:
    """Groups of which no durations are kept, the first of them with the durations of their tasks."""
    found = list(groups)
    left = TIMED
    for place, group in enumerate(found[: asked.limit]):
        if (left := left - group.measures.tasks) < 0:
            break
        value, project_id = group.values[0], asked.filter.project_id
        whole = Filter(session_id=value, project_id=project_id)
        if by == "user_id":  # whole days, as their other sums
            since, until = asked.filter.since, asked.filter.until
            whole = Filter(
                user_id=value,
                project_id=project_id,
                since=None if since is None else floor(since, DAY),
                until=None if until is None else floor(until - 1, DAY) + DAY,
            )
        of_it = _total(await added_up(store, whole, Grouping()))
        sums = replace(group.measures, micros=of_it.micros, seconds=of_it.seconds, first_token=of_it.first_token)
        found[place] = replace(group, measures=sums)
    return found


async def sessions(store: Store, asked: Asked, sample: int = HEARD, silent_since: int | None = None) -> JSON:
    """How long sessions last and how they end. Those of one call that named none are counted apart, as `implicit`.

    How they end is told of those that have ended: that were said to be over, or of which nothing was heard since `silent_since`
    (microseconds; `None`: all have ended). The others are counted as `running`, with what they have so far.

    Filters beyond project and time leave tasks, of which sessions are made as if there were no others.
    """
    kept, range = await _narrowed_to(store, asked.filter)
    every = await kept.spans(range)
    spans = [span for span in every if not span.implicit]
    facets = await kept.facets(range, silent_since)
    heard = await kept.heard(range, sample, silent_since)
    rated = await kept.rated(range, RATED)
    positions: dict[int, list[bool]] = defaultdict(list)
    for one in rated:
        positions[one.position].append(one.success)
    return {
        **_times(asked.filter),
        "count": len(spans),
        "implicit": len(every) - len(spans),
        "running": sum(not _has_ended(span, silent_since) for span in spans),
        "ended_badly": sum(span.ended_badly for span in spans if _has_ended(span, silent_since)),
        **_distributions(spans),
        "over_time": _over_time(spans, STEPS[asked.step], silent_since),
        "ends": endings.ends(facets),
        "abandoned": endings.abandoned(facets),
        "terms": endings.terms(heard.lasts, heard.others),
        "positions": [
            {
                "position": position,
                "and_later": position == POSITION_MOST,
                "rated": len(found),
                "success": sum(found),
                "success_rate": sum(found) / len(found),
            }
            for position, found in sorted(positions.items())
        ],
        "sampled": {"terms": len(heard.lasts), "other_texts": len(heard.others), "rated": len(rated)},
    }


async def users(store: Store, asked: Asked, by: Thresholds) -> JSON:
    """Who the power users are, the abusive ones and the struggling ones, and how many come again week after week.

    Filters beyond project and time leave tasks, of which users are made as if there were no others.
    """
    kept, seen = await _narrowed_to(store, asked.filter)
    rules = segments(await kept.tops(seen, by.power_share), by)
    members = dict(zip(SEGMENTS, await kept.members(seen, rules, asked.limit), strict=True))
    cohorts: dict[int, dict[int, int]] = defaultdict(dict)
    for cohort in await kept.cohorts(seen):
        cohorts[cohort.week][cohort.later] = cohort.users
    return {
        **_times(asked.filter),
        "count": await kept.seen(seen),
        "segments": [
            {
                "name": each.name,
                "definition": definitions(by)[each.name],
                "count": members[each.name].size,
                "users": [{**document.of_user(user), "evidence": each.shown(user)} for user in members[each.name].users],
            }
            for each in rules
        ],
        "cohorts": [
            {
                "week": document.moment(week),
                "users": later.get(0, 0),
                "came_again": [later.get(n, 0) for n in range(1, max(later) + 1)],
            }
            for week, later in sorted(cohorts.items())
        ],
    }


async def compare(store: Store, asked: Asked) -> JSON:
    """Two sets of tasks: those that the filters leave, and the same of another time, version or model; else of all of those."""
    against = asked.against if asked.against != Filter() else None
    other = replace(asked.filter, since=None, until=None, version_id=None, model=None)
    if against is not None:
        times = asked.filter if against.since is None and against.until is None else against
        other = replace(
            other,
            since=times.since,
            until=times.until,
            version_id=against.version_id or asked.filter.version_id,
            model=against.model or asked.filter.model,
        )
    base, now = [_total(await added_up(store, filter, Grouping())) for filter in (other, asked.filter)]
    return {
        "base": {**_narrowed(other), **of_measures(base)},
        "now": {**_narrowed(asked.filter), **of_measures(now)},
        "differences": _differences(base, now),
        "confidence": 0.95,
    }


async def added_up(store: Store, filter: Filter, grouping: Grouping) -> list[Group]:
    """`Insights.groups`. Raises BadFilter where there are too many tasks."""
    try:
        return await store.insights.groups(filter, grouping)
    except TooMuch as much:
        raise BadFilter("from", str(much)) from None


async def _narrowed_to(store: Store, filter: Filter) -> tuple[Insights, Range]:
    """What tells of sessions and users, and which of them: of all tasks, but where more than project and time narrows them."""
    if filter == Filter(**_place(filter)):
        return store.insights, _range(filter)
    found: list[Summary] = []
    cursor = None
    while len(found) <= ASIDE:
        page = await store.find(filter, limit=LIMIT_MOST, cursor=cursor)
        found += page.items
        if (cursor := page.next) is None:
            return await asyncio.to_thread(insights_of, found), Range()
    raise BadFilter("from", f"the other filters leave more than {ASIDE:,} tasks. Ask for a shorter time.")


def _by(asked: Asked) -> tuple[str, ...]:
    return () if asked.by is None else (asked.by,)


def _range(filter: Filter) -> Range:
    return Range(project_id=filter.project_id, since=filter.since, until=filter.until)


def _times(filter: Filter) -> JSON:
    return {name: at and document.moment(at) for name, at in (("from", filter.since), ("to", filter.until))}


def _narrowed(filter: Filter) -> JSON:
    return {**_times(filter), "version_id": filter.version_id, "model": filter.model}


def _total(groups: Iterable[Group]) -> Measures:
    total = Measures()
    for group in groups:
        total.take(group.measures)
    return total


def _broken_down(groups: Sequence[Group], place: int, sort: str, limit: int) -> JSON:
    sums: dict[str | None, Measures] = {}
    for group in groups:
        if (so_far := sums.get(value := group.values[place])) is None:
            sums[value] = replace(group.measures)
        else:
            so_far.take(group.measures)
    found = sorted(sums.items(), key=lambda each: (-rank(each[1], sort), each[0] or ""))
    others = _total(Group(None, (), measures) for _, measures in found[limit:])
    return {
        "values": len(found),
        "items": [{"value": value, **of_measures(measures)} for value, measures in found[:limit]],
        "others": of_measures(others) if len(found) > limit else None,
    }


def _stretch(points: dict[int, Measures], asked: Asked, step: int) -> list[int]:
    """Every point from the first to the last, those without a task too."""
    if not points:
        return []
    first = min(points) if asked.filter.since is None else floor(asked.filter.since, step)
    last = max(points) if asked.filter.until is None else floor(asked.filter.until - 1, step)
    return list(range(first, last + 1, step)) if (last - first) / step <= POINTS_MOST else sorted(points)


def _distributions(spans: Sequence[Span]) -> JSON:
    return {
        "seconds": statistics.distribution([span.micros / 1e6 for span in spans], SECOND_EDGES),
        "tasks": statistics.distribution([span.tasks for span in spans], COUNT_EDGES),
        "turns": statistics.distribution([span.turns for span in spans], (0, *COUNT_EDGES)),
    }


def _has_ended(span: Span, silent_since: int | None) -> bool:
    return span.over or silent_since is None or span.ended_at < silent_since


def _over_time(spans: Sequence[Span], step: int, silent_since: int | None) -> list[JSON]:
    stretches: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        stretches[floor(span.ended_at, step)].append(span)
    return [
        {
            "at": document.moment(at),
            "sessions": len(found),
            "running": sum(not _has_ended(span, silent_since) for span in found),
            "ended_badly": sum(span.ended_badly for span in found if _has_ended(span, silent_since)),
            **{name: _short(told) for name, told in _distributions(found).items()},
        }
        for at, found in sorted(stretches.items())
    ]


def _short(told: JSON) -> JSON:
    return {name: told[name] for name in ("mean", "median", "p90")}


def _differences(base: Measures, now: Measures) -> list[JSON]:
    """What is different, and between which bounds with 95% confidence; `significant` where zero is not among them."""
    pairs = {
        "success_rate": [statistics.wilson(each.success, each.success + each.failure) for each in (base, now)],
        "error_rate": [statistics.wilson(each.errors, each.tasks) for each in (base, now)],
        "cost_per_task": [statistics.mean(each.cost / PICODOLLARS, each.cost_square, each.priced) for each in (base, now)],
        "output_tokens_per_task": [statistics.mean(each.output_tokens, each.output_square, each.tasks) for each in (base, now)],
        "seconds_p50": [statistics.quantile(each.seconds, 0.5) for each in (base, now)],
        "seconds_p95": [statistics.quantile(each.seconds, 0.95) for each in (base, now)],
        "first_token_seconds_p50": [statistics.quantile(each.first_token, 0.5) for each in (base, now)],
    }
    found: list[JSON] = []
    for name, (one, other) in pairs.items():
        between = statistics.difference(one, other)
        found.append(
            {
                "measure": name,
                "base": one and {"value": one.value, "low": one.low, "high": one.high},
                "now": other and {"value": other.value, "low": other.low, "high": other.high},
                "difference": between and {"value": between.value, "low": between.low, "high": between.high},
                "significant": between is not None and not between.low <= 0 <= between.high,
            }
        )
    return found
