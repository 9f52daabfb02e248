"""What every store's insights must answer: held against tasks counted in plain Python."""

import math
import random
from collections import Counter, defaultdict

import pytest

from proxy.store import Store, histogram
from proxy.store.insight import USER_SORTS, WEEK, Grouping, Present, Range
from proxy.store.measures import DAY, HOUR, SECONDS, SORTS, Measures, rank
from proxy.store.segment import Rule, Segment
from proxy.task import Condition, Ending, Filter, Flag, Source, Task, Usage
from tests.store.tasks import NOON, a_task


def some_tasks(seed: int, count: int = 120) -> list[Task]:
    """Tasks of some days."""
    dice = random.Random(seed)
    found = []
    for n in range(count):
        at = NOON + n * 2_900_000_000 + dice.randrange(2_000_000_000)
        found.append(
            a_task(
                n,
                created_at=at,
                ended_at=at + 2_000_000,
                project_id=dice.choice("pq"),
                kind=dice.choice(("chat", "embedding")),
                session_id=f"s{n // 5}" if n % 7 else None,
                session_source=dice.choice((Source.HEADER, Source.INFERRED)),
                user_id=f"u{n // 15}" if n % 5 else None,
                model=dice.choice(("m", "n", None)),
                model_requested=dice.choice(("m", None)),
                ending=dice.choice((Ending.COMPLETED, Ending.COMPLETED, Ending.TIMED_OUT)),
                flag=dice.choice((None, Flag.SUCCESS, Flag.FAILURE)),
                cost=dice.choice((None, 0.5, 0.25, 1)),
                usage=dice.choice((None, Usage(input_tokens=n, output_tokens=2 * n))),
                seconds_total=dice.choice((None, dice.expovariate(1))),
                seconds_to_first_token=dice.choice((None, dice.expovariate(3))),
                metadata=dice.choice(
                    ({}, {"version_id": dice.choice("vw"), "score": n / 10}, {"tier": "gold", "ok": True, "n": n})
                ),
            )
        )
    return found


def holds(task: Task, filter: Filter) -> bool:
    return (
        filter.project_id in (None, task.project_id)
        and filter.kind in (None, task.kind)
        and filter.model in (None, task.model, task.model_requested)
        and filter.ending in (None, task.ending)
        and filter.flag in (None, task.flag)
        and filter.user_id in (None, task.user_id)
        and filter.version_id in (None, task.metadata.get("version_id"))
        and (filter.since is None or task.created_at >= filter.since)
        and (filter.until is None or task.created_at < filter.until)
        and (not filter.metadata or 4.0 <= task.metadata.get("score", -1) < 9.0)
    )


TIMES = (
    {},
    {"since": NOON + 7 * HOUR + 123_456_789, "until": NOON + 3 * DAY + 1},
    {"since": NOON + 10 * 60_000_000, "until": NOON + 50 * 60_000_000},
    {"since": NOON + DAY},
    {"until": NOON + 2 * DAY + HOUR // 2},
)
FILTERS = (
    {},
    {"project_id": "p"},
    {"model": "m", "kind": "chat"},
    {"ending": Ending.TIMED_OUT, "version_id": "v"},
    {"flag": Flag.SUCCESS},
    {"user_id": "u2"},
    {"metadata": (Condition("score", ">=", 4.0), Condition("score", "<", 9.0))},
)


RULES = (
    Segment("busy", (Rule("tasks", ("tasks",), 6), Rule("input_tokens", ("input_tokens",), 200)), 2),
    Segment("dear", (Rule("cost", ("cost",), 0.002),), 1, (Rule("active_days", ("active_days",), 2),)),
    Segment(
        "failing",
        (
            Rule("errors", ("errors",), 1, 0.2, "tasks"),
            Rule("signs", ("repeated", "rephrased", "refusals"), 1, with_some=("errors", "failure")),
        ),
    ),
    Segment("nobody", (), 1),
)


def counted(sums: Measures) -> tuple[int, ...]:
    figures = (sums.tasks, sums.errors, sums.success, sums.failure, sums.input_tokens, sums.output_tokens)
    return (*figures, sums.priced, sums.cost)


class InsightContract:
    @pytest.mark.parametrize("times", TIMES, ids=range(len(TIMES)))
    @pytest.mark.parametrize("filters", FILTERS, ids=str)
    async def test_groups_are_what_plain_python_counts(self, store: Store, filters, times):
        kept = some_tasks(1)
        for start in range(0, len(kept), 50):
            await store.save(kept[start : start + 50])
        filter = Filter(**filters, **times)
        names = ("project_id", "kind", "model", "ending", "version_id")
        for by, step in ((), None), ((), HOUR), (("model",), DAY), (names, None), (("kind", "ending"), WEEK):
            wanted = defaultdict(list)
            for task in kept:
                if holds(task, filter):
                    values = {
                        "project_id": task.project_id,
                        "kind": task.kind,
                        "model": task.model or task.model_requested,
                        "ending": task.ending.value,
                        "version_id": task.metadata.get("version_id"),
                    }
                    monday = task.created_at - (task.created_at - 4 * DAY) % WEEK
                    at = None if step is None else monday if step == WEEK else task.created_at // step * step
                    wanted[at, tuple(values[name] for name in by)].append(task)
            found = {
                (group.at, group.values): group.measures for group in await store.insights.groups(filter, Grouping(by, step))
            }
            assert found.keys() == wanted.keys()
            for key, group in wanted.items():
                sums = found[key]
                assert sums.tasks == len(group)
                assert sums.errors == sum(task.ending != "completed" for task in group)
                assert (sums.success, sums.failure) == tuple(
                    sum(task.flag == f for task in group) for f in ("success", "failure")
                )
                assert sums.input_tokens == sum(task.usage.input_tokens for task in group if task.usage)
                assert sums.output_square == sum(task.usage.output_tokens**2 for task in group if task.usage)
                assert sums.priced == sum(task.cost is not None for task in group)
                assert sums.dollars == (sum(task.cost or 0 for task in group) if sums.priced else None)
                first = sorted(t.seconds_to_first_token for t in group if t.seconds_to_first_token is not None)
                assert histogram.size(sums.first_token) == len(first)
                if first and (exact := first[max(1, math.ceil(0.9 * len(first))) - 1]) > 0.0011:
                    assert abs(histogram.quantile(sums.first_token, 0.9) / exact - 1) < histogram.ERROR + 1e-9

    async def test_users_sessions_and_metadata_add_up_too(self, store: Store):
        kept = some_tasks(2)
        await store.save(kept)
        groups = store.insights.groups
        by_user = {
            group.values[0]: group.measures.tasks for group in await groups(Filter(project_id="p"), Grouping(("user_id",)))
        }
        assert by_user == Counter(task.user_id for task in kept if task.user_id and task.project_id == "p")
        by_tier = {group.values[0]: group.measures for group in await groups(Filter(), Grouping(("metadata.tier",)))}
        gold = [task for task in kept if "tier" in task.metadata]
        assert (by_tier.keys(), by_tier["gold"].tasks) == ({"gold"}, len(gold))
        assert by_tier["gold"].dollars == sum(task.cost or 0 for task in gold)
        by_session = {group.values[0]: group.measures.tasks for group in await groups(Filter(), Grouping(("session_id",)))}
        assert by_session == Counter(task.session_id for task in kept if task.session_id)
        of_one = await groups(Filter(user_id="u1"), Grouping(("session_id",)))
        assert sum(group.measures.tasks for group in of_one) == sum(task.user_id == "u1" for task in kept)

    @pytest.mark.parametrize("by", ["user_id", "session_id"])
    @pytest.mark.parametrize("times", [TIMES[0], TIMES[1], {"project_id": "p"}, {"project_id": "q", **TIMES[4]}], ids=range(4))
    async def test_the_first_of_users_and_sessions_are_those_of_all_groups(self, store: Store, by, times):
        await store.save(some_tasks(12, 200))
        groups = await store.insights.groups(Filter(**times), Grouping((by,)))
        assert len(groups) > 3
        for sort in (name for name in SORTS if name not in SECONDS):
            groups.sort(key=lambda group, sort=sort: (-rank(group.measures, sort), group.values[0]))
            found = await store.insights.ranked(Range(**times), by, sort, 3)
            assert [group.values for group in found.first] == [group.values for group in groups[:3]], sort
            for one, other in zip(found.first, groups, strict=False):
                assert counted(one.measures) == counted(other.measures)
            assert found.size == len(groups)
            assert counted(found.total) == tuple(map(sum, zip(*(counted(group.measures) for group in groups), strict=True)))

    @pytest.mark.parametrize("filters", FILTERS, ids=str)
    async def test_of_whom_the_tasks_are_that_a_filter_leaves_is_counted_up_to_a_limit(self, store: Store, filters):
        await store.save(some_tasks(13))
        ours = [task for task in some_tasks(13) if holds(task, Filter(**filters))]
        sessions = {(task.project_id, task.session_id) for task in ours if task.session_id}
        users = {(task.project_id, task.user_id) for task in ours if task.user_id}
        assert await store.insights.among(Filter(**filters), len(ours)) == Present(len(sessions), len(users))
        assert await store.insights.among(Filter(**filters), len(ours) - 1) is None

    async def test_nobody_is_first_where_there_is_nobody(self, store: Store):
        found = await store.insights.ranked(Range(), "user_id", "tasks", 3)
        assert (found.first, found.size, found.total.tasks) == ([], 0, 0)

    async def test_what_tasks_tell_is_counted_and_so_how_sessions_end(self, store: Store):
        kept = some_tasks(3)
        await store.save(kept)
        facets = {(facet.name, facet.value): facet for facet in await store.insights.facets(Range(project_id="p"))}
        ours = [task for task in kept if task.project_id == "p"]
        assert {value: f.tasks for (name, value), f in facets.items() if name == "ending"} == Counter(
            t.ending.value for t in ours
        )
        assert facets["flag", "success"].success == facets["flag", "success"].tasks == sum(t.flag == "success" for t in ours)
        lasts = {(task.project_id, task.session_id): task for task in kept if task.session_id}
        ended = Counter(task.ending.value for task in lasts.values() if task.project_id == "p")
        assert {value: f.lasts for (name, value), f in facets.items() if name == "ending"} == ended
        spans = await store.insights.spans(Range(project_id="p"))
        mine = [task for task in ours if task.session_id]
        assert sum(span.tasks for span in spans) == len(mine)
        assert len(spans) == len({task.session_id for task in mine})
        assert (await store.insights.present(Range(project_id="p"))).sessions == len(spans)
        assert (await store.insights.present(Range())).users == len({(t.project_id, t.user_id) for t in kept if t.user_id})

    async def test_how_sessions_end_is_told_of_those_that_have_ended(self, store: Store):
        end = {"created_at": NOON + 60_000_000, "ended_at": NOON + 61_000_000}
        await store.save(
            [
                a_task(1, session_id="silent", input="text 1", ending=Ending.TIMED_OUT),
                a_task(2, session_id="running", input="text 2"),
                a_task(3, session_id="running", input="text 3", ending=Ending.TIMED_OUT, flag=Flag.FAILURE, model="a\0b", **end),
                a_task(4, session_id="over", input="text 4", session_final=True, **end),
                a_task(5, session_id="not quite", input="text 5", session_final=True, ending=Ending.TIMED_OUT, **end),
                a_task(6, session_id=None, input="text 6", **end),
                a_task(7, session_id="elsewhere", project_id="other", input="text 7", flag=Flag.SUCCESS, **end),
            ]
        )

        async def told(range: Range, since: int | None):
            found = await store.insights.facets(range, since)
            ends = {f.value: (f.tasks, f.lasts, f.errors) for f in found if f.name == "ending"}
            flags = {f.value: (f.tasks, f.success, f.failure) for f in found if f.name == "flag"}
            assert (("model", "a\0b") in {(f.name, f.value) for f in found}) == (since != NOON + 61_000_000)
            assert all(0 <= f.lasts <= f.tasks for f in found)
            return ends, flags, (await store.insights.heard(range, 10, since)).lasts

        whole = {"completed": (4, 2, 0), "timed_out": (3, 3, 3)}
        flags = {"none": (5, 0, 0), "failure": (1, 0, 1), "success": (1, 1, 0)}
        every = ("text 7", "text 5", "text 4", "text 3", "text 1")
        for since in (None, NOON + 61_000_001):
            ends, flagged, lasts = await told(Range(), since)
            assert (ends, flagged, set(lasts)) == (whole, flags, set(every))
        ends, flagged, lasts = await told(Range(), NOON + 61_000_000)
        assert ends == {"completed": (3, 1, 0), "timed_out": (1, 1, 1)}
        assert (flagged, set(lasts)) == ({"none": (4, 0, 0)}, {"text 4", "text 1"})
        ends, flagged, lasts = await told(Range(project_id="other"), NOON + 61_000_000)
        assert (ends, flagged, lasts) == ({}, {}, ())
        ends, *_ = await told(Range(until=NOON - DAY), NOON + 61_000_000)
        assert ends == {}
        assert {span.over for span in await store.insights.spans(Range()) if span.ended_badly} == {False}
        assert sum(span.over for span in await store.insights.spans(Range())) == 1

    async def test_a_rated_task_is_the_how_manieth_of_its_session(self, store: Store):
        await store.save([a_task(n, session_id="s", flag=Flag.SUCCESS if n == 3 else None) for n in range(5)])
        await store.save([a_task(9, session_id="t", flag=Flag.FAILURE), a_task(10, session_id=None, flag=Flag.FAILURE)])
        assert await store.insights.rated(Range(), 10) == [(1, False), (4, True)]
        assert await store.insights.rated(Range(until=NOON + 4000), 10) == [(4, True)]
        await store.save([a_task(20, session_id="s", project_id="other"), a_task(21, session_id="s", flag=Flag.FAILURE)])
        assert await store.insights.rated(Range(), 10) == [(6, False), (1, False), (4, True)]
        await store.save([a_task(n, session_id="s", flag=Flag.SUCCESS if n == 39 else None) for n in range(30, 40)])
        await store.save([a_task(n, session_id="s", project_id="other") for n in range(40, 60)])
        assert (await store.insights.rated(Range(), 1)) == [(10, True)]  # or a later one: more are not counted

    async def test_last_inputs_are_told_from_the_others(self, store: Store):
        await store.save([a_task(n, session_id=f"s{n // 3}", input=f"text {n}") for n in range(6)])
        heard = await store.insights.heard(Range(), 10)
        assert heard.lasts == ("text 5", "text 2")
        assert heard.others == ("text 4", "text 3", "text 1", "text 0")

    async def test_the_only_input_of_a_session_is_its_last_one(self, store: Store):
        said = ("one", None, "[tool] two", "three")
        await store.save([a_task(n, session_id=f"s{n}", input=text) for n, text in enumerate(said)])
        heard = await store.insights.heard(Range(), 10)
        assert (heard.lasts, heard.others) == (("three", "one"), ())

    async def test_cohorts_say_who_came_again(self, store: Store):
        weeks = {"a": (0, 1, 3), "b": (0,), "c": (1, 2)}
        tasks = [(user, week) for user, all_weeks in weeks.items() for week in all_weeks]
        await store.save([a_task(n, created_at=NOON + week * WEEK, user_id=user) for n, (user, week) in enumerate(tasks)])
        found = [(cohort.later, cohort.users) for cohort in await store.insights.cohorts(Range())]
        assert found == [(0, 2), (1, 1), (3, 1), (0, 1), (1, 1)]

    async def test_tasks_are_found_by_their_metadata(self, store: Store):
        await store.save([a_task(n, metadata={"score": n / 10, "tier": "gold" if n % 2 else 1, "on": n > 3}) for n in range(8)])

        async def ids(*conditions: Condition, **more) -> list[str]:
            return [task.id for task in (await store.find(Filter(metadata=conditions, **more), limit=50)).items]

        assert await ids(Condition("score", ">=", 0.25), Condition("score", "<", 0.5)) == ["id-4", "id-3"]
        assert await ids(Condition("tier", "=", "gold")) == ["id-7", "id-5", "id-3", "id-1"]
        assert await ids(Condition("tier", "=", 1), Condition("score", ">", 0.3)) == ["id-6", "id-4"]
        assert await ids(Condition("tier", "=", "gold"), session_id="s1") == ["id-7", "id-1"]
        assert await ids(Condition("on", "=", "true"), model="gpt-5") == ["id-7", "id-6", "id-5", "id-4"]
        assert await ids(Condition("tier", ">", 0.0)) == ["id-6", "id-4", "id-2", "id-0"]
        assert await ids(Condition("nothing", "=", "x")) == []

    @pytest.mark.parametrize("sort", USER_SORTS)
    async def test_users_come_by_any_column_page_by_page(self, store: Store, sort):
        await store.save(some_tasks(6, 60))
        found, cursor = [], None
        while True:
            page = await store.users(sort=sort, limit=2, cursor=cursor)
            found += page.items
            if (cursor := page.next) is None:
                break
        assert sorted((user.project_id, user.id) for user in found) == sorted(
            {(task.project_id, task.user_id) for task in some_tasks(6, 60) if task.user_id}
        )
        if sort not in ("success_rate", "cost", "session_seconds"):
            values = [getattr(user, sort) for user in found]
            assert values == sorted(values, reverse=True)
        known = [user.cost for user in found]
        assert sort != "cost" or known == sorted(known, key=lambda cost: -1 if cost is None else cost, reverse=True)

    @pytest.mark.parametrize("range", [Range(), Range(project_id="p"), Range(since=NOON + 2 * DAY, until=NOON + 9 * DAY)])
    async def test_who_is_in_a_segment_is_told_by_rules(self, store: Store, range):
        await store.save(some_tasks(11, 160))
        everyone = [user for user in (await store.users(limit=500)).items if range.project_id in (None, user.project_id)]
        seen = [u for u in everyone if (range.since or 0) <= u.last_seen and (range.until is None or u.last_seen < range.until)]
        seen.sort(key=lambda user: (-user.tasks, user.project_id, user.id))
        assert await store.insights.seen(range) == len(seen)
        found = await store.insights.members(range, RULES, 2)
        for segment, members in zip(RULES, found, strict=True):
            wanted = [user for user in seen if segment.shown(user)]
            assert (members.size, members.users) == (len(wanted), tuple(wanted[:2]))
        assert any(0 < members.size < len(seen) for members in found)
        assert found[-1] == (0, ())

    async def test_the_top_users_begin_where_their_share_ends(self, store: Store):
        assert await store.insights.tops(Range(), 0.5) == (None, None, None)
        await store.save(some_tasks(11, 160))
        users = (await store.users(limit=500)).items
        last = math.ceil(0.25 * len(users)) - 1
        top = await store.insights.tops(Range(), 0.25)
        for name in ("active_days", "tasks", "cost"):
            assert getattr(top, name) == sorted((getattr(user, name) or 0 for user in users), reverse=True)[last]

    async def test_the_days_of_users_are_told(self, store: Store):
        tasks = some_tasks(9)
        await store.save(tasks)
        users = sorted({(task.project_id, task.user_id) for task in tasks if task.user_id})[:3]
        since = sorted(task.created_at for task in tasks)[len(tasks) // 2]
        wanted: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
        for task in tasks:
            key, day = (task.project_id, task.user_id), task.created_at // DAY * DAY
            if key in users and day >= since // DAY * DAY:
                count, errors = wanted.setdefault(key, {}).get(day, (0, 0))
                wanted[key][day] = (count + 1, errors + (task.ending is not Ending.COMPLETED))
        assert await store.insights.activity([*users, ("p", "nobody")], since) == wanted
        assert wanted
