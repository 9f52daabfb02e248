"""Insights of any tasks, held against the same counted in plain Python."""

import math
from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.query import insights
from proxy.query.parameters import Asked
from proxy.query.segments import Thresholds
from proxy.store import histogram
from proxy.store.measures import DAY
from proxy.task import Condition, Ending, Filter, Flag
from tests.store.tasks import NOON
from tests.store.test_rollups import badly, in_a_store, last_user, some_tasks

spans = st.tuples(st.none() | st.integers(0, 200_000), st.none() | st.integers(200_000, 300_000)).map(
    lambda pair: Filter(**{n: None if s is None else NOON + s * 1_400_000 for n, s in zip(("since", "until"), pair, strict=True)})
)


narrows = st.sampled_from(
    [
        Filter(user_id="a"),
        Filter(model="b"),
        Filter(kind="chat", project_id="p"),
        Filter(flag=Flag.SUCCESS),
        Filter(metadata=(Condition("score", ">=", 0.5), Condition("score", "<", 1.0))),
        Filter(version_id="gold", since=NOON + 1_000_000),
        Filter(ending=Ending.CALLER_LEFT),
    ]
)


def left(filter: Filter, task) -> bool:
    score = task.metadata.get("score")
    return (
        filter.user_id in (None, task.user_id)
        and filter.model in (None, task.model, task.model_requested)
        and filter.kind in (None, task.kind)
        and filter.project_id in (None, task.project_id)
        and filter.flag in (None, task.flag)
        and filter.ending in (None, task.ending)
        and filter.version_id in (None, task.metadata.get("version_id"))
        and (filter.since is None or task.created_at >= filter.since)
        and (not filter.metadata or (type(score) in (int, float) and 0.5 <= score < 1.0))
    )


def counted(tasks) -> tuple[int, int, int, int]:
    return (
        len(tasks),
        sum(task.ending != "completed" for task in tasks),
        sum(task.flag == "success" for task in tasks),
        sum((task.usage.output_tokens or 0) for task in tasks if task.usage),
    )


def told(document) -> tuple[int, int, int, int]:
    return tuple(document[name] for name in ("tasks", "errors", "success", "output_tokens"))


@settings(max_examples=20, deadline=None)
@given(some_tasks, spans)
def test_totals_series_breakdowns_and_ends_are_those_of_the_tasks(kept, span):
    async def act(store):
        await store.save(kept)
        asked = Asked(filter=span, limit=500, step="day", by="model")
        return (
            await insights.overview(store, asked),
            await insights.series(store, Asked(filter=span, step="day")),
            await insights.breakdown(store, asked),
            await insights.sessions(store, Asked()),
            await insights.users(store, Asked(limit=500), Thresholds(struggling_reasons=1, power_days=1)),
        )

    overview, series, breakdown, sessions, users = in_a_store(act)
    inside = [t for t in kept if (span.since or 0) <= t.created_at and (span.until is None or t.created_at < span.until)]
    assert told(overview["totals"]) == counted(inside)
    took = sorted(task.seconds_total for task in inside if task.seconds_total is not None)
    if took and (exact := took[math.ceil(0.95 * len(took)) - 1]) > 0.0011:
        assert abs(overview["totals"]["seconds"]["p95"] / exact - 1) < histogram.ERROR + 1e-9
    days, models = defaultdict(list), defaultdict(list)
    for task in inside:
        days[task.created_at // DAY].append(task)
        models[task.model if task.model is not None else task.model_requested].append(task)
    points = [point for point in series["items"] if point["tasks"]]
    assert [told(point) for point in points] == [counted(days[day]) for day in sorted(days)]
    assert {item["value"]: told(item) for item in breakdown["items"]} == {name: counted(of) for name, of in models.items()}

    ordered = sorted(kept, key=lambda task: (task.created_at, task.id))
    lasts = {(task.project_id, task.session_id): task for task in ordered if task.session_id is not None}
    ended = Counter(task.ending.value for task in lasts.values())
    ends = {each["value"]: each for each in sessions["ends"] if each["name"] == "ending"}
    assert {value: each["lasts"] for value, each in ends.items() if each["lasts"]} == ended
    assert sum(each["lasts"] + each["others"] for each in ends.values()) == len(kept)
    happened = Counter(event["name"] for task in kept for event in task.events)
    at_the_end = Counter(event["name"] for task in lasts.values() for event in task.events)
    labelled = {each["value"]: (each["lasts"], each["others"]) for each in sessions["ends"] if each["name"] == "event"}
    assert labelled == {name: (at_the_end[name], count - at_the_end[name]) for name, count in happened.items()}
    given_up_after = {each["value"]: each["ended"] for each in sessions["abandoned"] if each["name"] == "event"}
    assert given_up_after == {name: at_the_end[name] for name in happened}
    assert sessions["count"] + sessions["implicit"] == len(lasts)
    if sessions["implicit"] == 0:
        assert sessions["ended_badly"] == sum(badly(task) for task in lasts.values())

    struggling = next(each for each in users["segments"] if each["name"] == "struggling")
    failing = {}
    for user in {(task.project_id, task.user_id) for task in kept if task.user_id is not None}:
        theirs = [task for task in kept if (task.project_id, task.user_id) == user]
        errors = sum(task.ending != "completed" for task in theirs)
        failures = sum(task.flag == "failure" for task in theirs)
        sessions_of = {(task.project_id, task.session_id) for task in theirs if task.session_id is not None}
        given_up = sum(badly(lasts[s]) for s in lasts if (s[0], last_user(kept, lasts[s])) == user)
        failing[user] = {
            **({"errors": errors} if errors >= max(2, 0.2 * len(theirs)) else {}),
            **({"failure": failures} if failures >= 2 else {}),
            **({"ended_badly": given_up} if given_up >= max(2, 0.2 * len(sessions_of)) else {}),
        }
    shown = {(user["project_id"], user["id"]): user["evidence"] for user in struggling["users"]}
    names = ("errors", "failure", "ended_badly")
    for user, wanted in failing.items():
        assert {name: value for name, value in shown.get(user, {}).items() if name in names} == wanted


@settings(max_examples=30, deadline=None)
@given(some_tasks, narrows)
def test_any_filter_leaves_the_sessions_and_users_of_its_tasks(kept, filter):
    async def act(store):
        await store.save(kept)
        asked = Asked(filter=filter, limit=500)
        return (
            await insights.overview(store, asked),
            await insights.sessions(store, asked),
            await insights.users(store, asked, Thresholds()),
        )

    overview, sessions, users = in_a_store(act)
    inside = sorted((task for task in kept if left(filter, task)), key=lambda task: (task.created_at, task.id))
    lasts = {(task.project_id, task.session_id): task for task in inside if task.session_id is not None}
    people = {(task.project_id, task.user_id) for task in inside if task.user_id is not None}
    assert (overview["totals"]["tasks"], overview["sessions"], overview["users"]) == (len(inside), len(lasts), len(people))
    assert sessions["count"] + sessions["implicit"] == len(lasts)
    assert users["count"] == len(people)
    ends = {each["value"]: each["lasts"] for each in sessions["ends"] if each["name"] == "ending" and each["lasts"]}
    assert ends == Counter(task.ending.value for task in lasts.values())
    assert sum(each["lasts"] + each["others"] for each in sessions["ends"] if each["name"] == "ending") == len(inside)
    rated = [task for task in inside if task.flag is not None and task.session_id is not None]
    assert sum(each["rated"] for each in sessions["positions"]) == len(rated)
