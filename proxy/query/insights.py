"""The questions over everything: totals, series, breakdowns, sessions, users and comparisons, each a document of JSON."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from proxy.query import document, statistics
from proxy.query.found import plain
from proxy.query.measured import SECONDS, of_measures, rank
from proxy.query.parameters import Asked, BadFilter
from proxy.query.segments import SEGMENTS, Thresholds, definitions, segments
from proxy.store import Store
from proxy.store.insight import CUBE, WEEK, FacetSum, Group, Grouping, Range, Span, TooMuch, floor
from proxy.store.measures import DAY, HOUR, PICODOLLARS, Measures
from proxy.task import JSON, Filter

STEPS = {"hour": HOUR, "day": DAY, "week": WEEK}
_WORD = re.compile(r"[^\W_]+")
POINTS_MOST = 3000
HEARD = 1500
RATED = 2000
TIMED = 2000
"""Tasks of the users or sessions that are shown, whose durations are read one by one: none are kept of each."""

_EACH = ("user_id", "session_id")
TERMS = 20
FEWEST = 5
"""A term that fewer last messages have is not told."""

SECOND_EDGES = (0, 10, 60, 300, 900, 1800, 3600, 4 * 3600, 24 * 3600)
COUNT_EDGES = (1, 2, 3, 5, 10, 20, 50, 100)


async def overview(store: Store, asked: Asked) -> JSON:
    """Everything in one answer: totals, how many sessions and users, and the main breakdowns."""
    groups = await _groups(store, asked.filter, Grouping(CUBE))
    present = await store.insights.present(_range(asked.filter))
    return {
        **_times(asked.filter),
        "totals": of_measures(_total(groups)),
        "sessions": present.sessions,
        "users": present.users,
        **{
            f"{name.removesuffix('_id')}s": _broken_down(groups, CUBE.index(name), "tasks", 10)["items"]
            for name in ("project_id", "model", "kind", "ending")
        },
    }


async def series(store: Store, asked: Asked) -> JSON:
    """The measures of each hour, day or week (UTC, weeks from Monday); with `by`, of each of the largest groups apart."""
    step = STEPS[asked.step]
    since, until = asked.filter.since, asked.filter.until
    if since is not None and until is not None and (until - since) / step > POINTS_MOST:
        raise BadFilter("step", f"makes more than {POINTS_MOST} points. Ask for a longer step, or a shorter time.")
    groups = await _groups(store, asked.filter, Grouping(_by(asked), step))
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
    groups = await _groups(store, asked.filter, Grouping((by,)))
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
        of_it = _total(await _groups(store, whole, Grouping()))
        sums = replace(group.measures, micros=of_it.micros, seconds=of_it.seconds, first_token=of_it.first_token)
        found[place] = replace(group, measures=sums)
    return found


async def sessions(store: Store, asked: Asked, sample: int = HEARD) -> JSON:
    """How long sessions last and how they end. Those of one call that named none are counted apart, as `implicit`."""
    range = _range(asked.filter)
    every = await store.insights.spans(range)
    spans = [span for span in every if not span.implicit]
    facets = await store.insights.facets(range)
    heard = await store.insights.heard(range, sample)
    rated = await store.insights.rated(range, RATED)
    positions: dict[int, list[bool]] = defaultdict(list)
    for one in rated:
        positions[min(one.position, 10)].append(one.success)
    return {
        **_times(asked.filter),
        "count": len(spans),
        "implicit": len(every) - len(spans),
        "ended_badly": sum(span.ended_badly for span in spans),
        **_distributions(spans),
        "over_time": _over_time(spans, STEPS[asked.step]),
        "ends": _ends(facets),
        "abandoned": _abandoned(facets),
        "terms": _terms(heard.lasts, heard.others),
        "positions": [
            {
                "position": position,
                "and_later": position == 10,
                "rated": len(found),
                "success": sum(found),
                "success_rate": sum(found) / len(found),
            }
            for position, found in sorted(positions.items())
        ],
        "sampled": {"terms": len(heard.lasts), "other_texts": len(heard.others), "rated": len(rated)},
    }


async def users(store: Store, asked: Asked, by: Thresholds) -> JSON:
    """Who the power users are, the abusive ones and the struggling ones, and how many come again week after week."""
    seen = _range(asked.filter)
    rules = segments(await store.insights.tops(seen, by.power_share), by)
    members = dict(zip(SEGMENTS, await store.insights.members(seen, rules, asked.limit), strict=True))
    cohorts: dict[int, dict[int, int]] = defaultdict(dict)
    for cohort in await store.insights.cohorts(seen):
        cohorts[cohort.week][cohort.later] = cohort.users
    return {
        **_times(asked.filter),
        "count": await store.insights.seen(seen),
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
    base, now = [_total(await _groups(store, filter, Grouping())) for filter in (other, asked.filter)]
    return {
        "base": {**_narrowed(other), **of_measures(base)},
        "now": {**_narrowed(asked.filter), **of_measures(now)},
        "differences": _differences(base, now),
        "confidence": 0.95,
    }


async def _groups(store: Store, filter: Filter, grouping: Grouping) -> list[Group]:
    try:
        return await store.insights.groups(filter, grouping)
    except TooMuch as much:
        raise BadFilter("from", str(much)) from None


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


def _over_time(spans: Sequence[Span], step: int) -> list[JSON]:
    stretches: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        stretches[floor(span.ended_at, step)].append(span)
    return [
        {
            "at": document.moment(at),
            "sessions": len(found),
            "ended_badly": sum(span.ended_badly for span in found),
            **{name: _short(told) for name, told in _distributions(found).items()},
        }
        for at, found in sorted(stretches.items())
    ]


def _short(told: JSON) -> JSON:
    return {name: told[name] for name in ("mean", "median", "p90")}


def _ends(facets: Sequence[FacetSum]) -> list[JSON]:
    """What the last tasks of sessions are, against all others: shares of each, how much likelier, and how surely."""
    tasks, lasts = _whole(facets)
    others = tasks - lasts
    found = []
    for facet in facets:
        rest = facet.tasks - facet.lasts
        z, p = statistics.surprise(facet.lasts, lasts, rest, others)
        share, share_of_others = _share(facet.lasts, lasts), _share(rest, others)
        found.append(
            {
                "name": facet.name,
                "value": facet.value,
                "lasts": facet.lasts,
                "others": rest,
                "share_of_lasts": share,
                "share_of_others": share_of_others,
                "lift": share / share_of_others if share is not None and share_of_others else None,
                "z": z,
                "p": p,
            }
        )
    return sorted(found, key=lambda each: (-abs(each["z"]), each["name"], each["value"]))


def endings(told: JSON) -> list[JSON]:
    """What `sessions` tells of last messages as rows with the same names: what they are like, and then their words, as `term`."""
    ends = [{**each, "g2": None} for each in told["ends"]]
    nothing = dict.fromkeys(ends[0]) if ends else {}
    return ends + [
        {**nothing, "name": "term", "value": each["term"], **{name: each[name] for name in ("lasts", "others", "g2", "p")}}
        for each in told["terms"]
    ]


def _abandoned(facets: Sequence[FacetSum]) -> list[JSON]:
    """How often a session ends after a task like this: slow, failed, refused."""
    tasks, lasts = _whole(facets)
    return [
        {
            "name": facet.name,
            "value": facet.value,
            "tasks": facet.tasks,
            "ended": facet.lasts,
            "share": facet.lasts / facet.tasks,
            "of_all": _share(lasts, tasks),
        }
        for facet in facets
        if facet.name in ("latency", "sign", "flag", "event") and facet.tasks > 0
    ]


def _whole(facets: Sequence[FacetSum]) -> tuple[int, int]:
    """How many tasks there are, and how many are the last of their session: every task has one ending."""
    endings = [facet for facet in facets if facet.name == "ending"]
    return sum(facet.tasks for facet in endings), sum(facet.lasts for facet in endings)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole > 0 else None


def _terms(lasts: Sequence[str], others: Sequence[str]) -> list[JSON]:
    """Words that last messages have more often than others do, the surest first."""
    mine, theirs = (
        Counter(word for text in texts for word in set(_WORD.findall(plain(text))) if len(word) > 2) for texts in (lasts, others)
    )
    found: list[JSON] = []
    for term, count in mine.items():
        more = bool(lasts and others) and count / len(lasts) > theirs[term] / len(others)
        if count >= FEWEST and more:
            score = statistics.likelihood(count, len(lasts), theirs[term], len(others))
            chance = statistics.chance(score)
            found.append({"term": term, "lasts": count, "others": theirs[term], "g2": score, "p": chance})
    return sorted(found, key=lambda each: (-float(each["g2"]), str(each["term"])))[:TERMS]


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
