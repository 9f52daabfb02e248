"""Insights over HTTP, held against tasks counted in plain Python; and their statistics against known figures."""

import csv
import io
import math
import time
from collections import Counter
from dataclasses import replace

import pytest

from proxy.query import statistics
from proxy.query.endings import terms
from proxy.query.segments import Thresholds, segments_of
from proxy.store import histogram, open_store
from proxy.store.memory import MemoryStore
from proxy.store.segment import tops
from proxy.task import Ending, Flag, Signs, User
from tests.query.examples import OPEN
from tests.store.insight_contract import some_tasks
from tests.store.tasks import NOON, a_task


@pytest.fixture
async def store() -> MemoryStore:
    kept = MemoryStore()
    await kept.save(some_tasks(7))
    return kept


async def answer(ask, path: str, status: int = 200):
    client = await ask()
    async with client.get(f"/api/insights/{path}") as response:
        assert response.status == status, await response.text()
        return await response.json()


async def test_the_overview_adds_up_every_task(ask):
    told, tasks = await answer(ask, "overview"), some_tasks(7)
    assert told["totals"]["tasks"] == len(tasks)
    assert told["totals"]["error_rate"] == sum(task.ending != "completed" for task in tasks) / len(tasks)
    assert told["totals"]["cost"] == sum(task.cost or 0 for task in tasks)
    assert {item["value"]: item["tasks"] for item in told["kinds"]} == Counter(task.kind for task in tasks)
    assert sum(item["tasks"] for item in told["models"]) == len(tasks)
    assert told["users"] == len({(task.project_id, task.user_id) for task in tasks if task.user_id})


async def test_a_series_has_every_day_and_those_without_a_task_too(ask):
    told = await answer(ask, "series?from=2026-09-01T00:00:00Z&to=2026-09-30T00:00:00Z")
    assert len(told["items"]) == 29
    tasks = [task for task in some_tasks(7) if task.created_at < 1_790_726_400_000_000]
    assert sum(item["tasks"] for item in told["items"]) == len(tasks)
    days = Counter(task.created_at // 86_400_000_000 for task in tasks)
    assert [item["tasks"] for item in told["items"] if item["tasks"]] == [count for _, count in sorted(days.items())]


async def test_a_series_by_value_shows_the_largest_and_adds_up_the_others(ask):
    told = await answer(ask, "series?step=week&by=user_id&limit=2")
    assert {item["others"] for item in told["items"]} == {True, False}
    assert len({item["value"] for item in told["items"] if not item["others"]}) == 2
    assert sum(item["tasks"] for item in told["items"]) == sum(task.user_id is not None for task in some_tasks(7))


@pytest.mark.parametrize("by", ["model", "version_id", "user_id", "session_id", "metadata.tier"])
async def test_a_breakdown_and_its_others_are_the_whole(ask, by):
    whole, told = await answer(ask, f"breakdown?by={by}"), await answer(ask, f"breakdown?by={by}&limit=1&sort=cost")
    shown = told["items"] + ([told["others"]] if told["others"] else [])
    assert sum(item["tasks"] for item in shown) == sum(item["tasks"] for item in whole["items"])
    assert told["items"][0]["cost"] == max(item["cost"] or 0 for item in whole["items"])
    assert told["values"] == len(whole["items"])


async def test_sessions_say_how_long_they_are_and_what_ends_them(ask):
    told, tasks = await answer(ask, "sessions?step=week"), some_tasks(7)
    groups = {(task.project_id, task.session_id) for task in tasks if task.session_id}
    assert told["count"] + told["implicit"] == len(groups)
    assert sum(bar["count"] for bar in told["seconds"]["histogram"]) == told["seconds"]["count"] == told["count"]
    assert sum(stretch["sessions"] for stretch in told["over_time"]) == told["count"]
    assert sum(end["lasts"] for end in told["ends"] if end["name"] == "ending") == len(groups)
    assert sum(each["rated"] for each in told["positions"]) == sum(bool(t.flag and t.session_id) for t in tasks)
    assert all(0 <= each["share"] <= 1 for each in told["abandoned"])


async def test_a_failure_that_ends_sessions_shows_as_one(ask, store):
    await store.save(
        [
            a_task(10_000 + n, session_id=f"x{n // 4}", ending=Ending.TIMED_OUT if n % 4 == 3 else Ending.COMPLETED)
            for n in range(200)
        ]
    )
    told = await answer(ask, "sessions?project_id=default")
    worst = next(end for end in told["ends"] if (end["name"], end["value"]) == ("ending", "timed_out"))
    assert (worst["lasts"], worst["others"], worst["share_of_lasts"]) == (50, 0, 1.0)
    assert worst["p"] < 1e-6
    assert told["ended_badly"] == 50


async def test_what_ends_sessions_is_told_of_those_that_have_ended(ask, store):
    now = time.time_ns() // 1000
    ago = {"just now": 60_000_000, "silent": 31 * 60_000_000, "over": 30_000_000}
    await store.save(
        [
            a_task(
                30_000 + n,
                project_id="mine",
                session_id=name,
                session_final=name == "over",
                created_at=now - before - (1 - n % 2) * 1_000_000,
                ended_at=now - before,
                ending=Ending.TIMED_OUT if n % 2 and name != "over" else Ending.COMPLETED,
            )
            for n, (name, before) in enumerate((name, before) for name, before in ago.items() for _ in range(2))
        ]
    )
    told = await answer(ask, "sessions?project_id=mine")
    assert (told["count"], told["running"], told["ended_badly"]) == (3, 1, 1)
    assert [sum(at[name] for at in told["over_time"]) for name in ("sessions", "running", "ended_badly")] == [3, 1, 1]
    ends = {each["value"]: (each["lasts"], each["others"]) for each in told["ends"] if each["name"] == "ending"}
    assert ends == {"timed_out": (1, 0), "completed": (1, 3)}
    page = await (await ask()).get("/insights/sessions?project_id=mine")
    assert "1 not ended yet" in await page.text()
    file = await (await ask()).get("/insights/sessions.csv?project_id=mine")
    row = next(row for row in csv.DictReader(io.StringIO(await file.text())) if row["value"] == "timed_out")
    assert row["lasts"] == "1"
    listed = await (await (await ask()).get("/api/sessions?project_id=mine")).json()
    assert {each["id"]: each["running"] for each in listed["items"]} == {"just now": True, "silent": False, "over": False}
    patient = await (await ask(replace(OPEN, idle_seconds=3600.0))).get("/api/insights/sessions?project_id=mine")
    assert (await patient.json())["running"] == 2


async def test_users_have_segments_with_their_evidence(ask, store):
    await store.save(
        [a_task(20_000 + n, user_id="burst", session_id=None, project_id="x", created_at=NOON + n) for n in range(70)]
    )
    told = await answer(ask, "users?project_id=x")
    abusive = next(segment for segment in told["segments"] if segment["name"] == "abusive")
    assert (abusive["count"], abusive["users"][0]["id"], abusive["users"][0]["evidence"]) == (1, "burst", {"busiest_minute": 70})
    assert "60 tasks begun in one minute" in abusive["definition"]
    assert told["cohorts"] == [{"week": "2026-09-21T00:00:00.000000Z", "users": 1, "came_again": []}]


async def test_two_versions_are_compared_with_intervals(ask, store):
    for first, version, good in ((30_000, "old", 40), (40_000, "new", 90)):
        await store.save(
            [
                a_task(
                    first + n,
                    project_id="ab",
                    metadata={"version_id": version},
                    flag=Flag.SUCCESS if n < good else Flag.FAILURE,
                )
                for n in range(100)
            ]
        )
    told = await answer(ask, "compare?project_id=ab&version_id=new&against_version_id=old")
    (success,) = (each for each in told["differences"] if each["measure"] == "success_rate")
    assert (success["base"]["value"], success["now"]["value"], success["significant"]) == (0.4, 0.9, True)
    assert success["difference"]["value"] == 0.5
    assert 0.37 < success["difference"]["low"] < 0.4 < 0.6 < success["difference"]["high"] < 0.62
    (errors,) = (each for each in told["differences"] if each["measure"] == "error_rate")
    assert not errors["significant"]


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("breakdown?by=colour", "by"),
        ("series?step=year", "step"),
        ("series?step=minute", "step"),
        ("series?step=minute&from=2026-09-01T00:00:00Z&to=2026-09-04T00:00:00Z", "step"),
        ("series?step=hour&from=2000-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "step"),
        ("breakdown?by=model&sort=beauty", "sort"),
        ("overview?metadata=score>=high", "metadata"),
        ("overview?metadata=nothing", "metadata"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(ask, path, param):
    assert (await answer(ask, path, 400))["error"]["param"] == param


async def test_tasks_are_filtered_by_metadata(ask):
    client = await ask()
    async with client.get("/api/tasks?metadata=score>=4,score<9&version_id=v&limit=500") as response:
        found = [task["id"] for task in (await response.json())["items"]]
    tasks = [task for task in some_tasks(7) if 4 <= task.metadata.get("score", -1) < 9 and task.metadata["version_id"] == "v"]
    assert sorted(found) == sorted(task.id for task in tasks)
    assert found


def a_user(id: str, **changes: object) -> User:
    plain = {"first_seen": 0, "last_seen": 1, "tasks": 10, "sessions": 4, "errors": 0, "input_tokens": 0, "output_tokens": 0}
    return User(**{**plain, "id": id, "project_id": "p", "cost": 0.1, "active_days": 1, **changes})  # type: ignore[arg-type]


def test_each_segment_is_what_its_definition_says():
    by = Thresholds()
    crowd = [a_user(f"u{n}") for n in range(38)]
    great = a_user("great", tasks=500, active_days=9, cost=4.0)
    everyone = [*crowd, great, a_user("once", tasks=900)]
    top = tops([(user.active_days, user.tasks, user.cost) for user in everyone], by.power_share)
    assert segments_of(great, top, by) == {"power": {"active_days": 9, "tasks": 500, "cost": 4.0}}
    assert segments_of(a_user("once", tasks=900, cost=9.0), top, by) == {}
    lost = a_user("lost", errors=2, signs=Signs(failure=2, rephrased=1, repeated=1))
    assert segments_of(lost, top, by)["struggling"] == {"failure": 2, "repeated_or_rephrased": 2, "errors": 2}
    assert segments_of(a_user("fine", errors=1, signs=Signs(failure=2)), top, by) == {}
    rude = a_user("rude", signs=Signs(refusals=3, moderated=2, repeated=6))
    assert segments_of(rude, top, by)["abusive"] == {"refused": 5, "repeated": 6}
    assert segments_of(a_user("patient", signs=Signs(repeated=6)), top, by).get("abusive") is None


async def test_users_are_listed_with_the_segments_they_are_in(ask):
    tasks = [a_task(n, user_id="bob", session_id="long", flag=Flag.FAILURE, input="this is useless") for n in range(3)]
    kept = MemoryStore()
    await kept.save([*tasks, a_task(9, user_id="ann", session_id="short")])
    client = await ask(over=kept)
    async with client.get("/api/users") as response:
        found = {user["id"]: user["segments"] for user in (await response.json())["items"]}
    assert found["ann"] == {}
    assert found["bob"]["struggling"].items() >= {"failure": 3, "frustrated": 3, "repeated_or_rephrased": 2}.items()
    async with client.get("/api/users/bob") as response:
        assert (await response.json())["segments"] == found["bob"]
    async with client.get("/api/insights/users") as response:
        told = {each["name"]: each for each in (await response.json())["segments"]}
    assert [user["evidence"] for user in told["struggling"]["users"]] == [found["bob"]["struggling"]]
    assert (told["struggling"]["count"], told["power"]["count"]) == (1, 0)


@pytest.mark.parametrize("by", ["user_id", "session_id"])
async def test_durations_of_users_and_sessions_are_those_of_their_tasks(ask, tmp_path, by):
    kept = await open_store("sqlite:", tmp_path, write=True)
    await kept.save(some_tasks(7))
    client = await ask(over=kept)
    async with client.get(f"/api/insights/breakdown?by={by}&project_id=p&limit=500") as response:
        items = (await response.json())["items"]
    async with client.get(f"/api/insights/breakdown?by={by}&sort=p95") as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, "sort")
    async with client.get(f"/api/insights/breakdown?by={by}&sort=p95&flag=success") as response:
        shown = [item["seconds"]["p95"] for item in (await response.json())["items"]]
        assert shown == sorted(shown, key=lambda p95: -1 if p95 is None else p95, reverse=True)
    await kept.close()
    assert items
    for item in items:
        theirs = [task for task in some_tasks(7) if getattr(task, by) == item["value"] and task.project_id == "p"]
        for name, of in (("seconds", "seconds_total"), ("first_token_seconds", "seconds_to_first_token")):
            took = sorted(getattr(task, of) for task in theirs if getattr(task, of) is not None)
            if not took:
                assert item[name]["p90"] is None
            elif (exact := took[math.ceil(0.9 * len(took)) - 1]) > 0.0011:
                assert abs(item[name]["p90"] / exact - 1) < histogram.ERROR + 1e-9


def test_wilsons_and_newcombes_intervals_are_those_of_the_papers():
    one, other = statistics.wilson(56, 70), statistics.wilson(48, 80)
    assert (round(one.low, 4), round(one.high, 4)) == (0.6918, 0.877)
    between = statistics.difference(other, one)
    assert (round(between.low, 4), round(between.high, 4)) == (0.0524, 0.3339)
    assert statistics.wilson(0, 0) is None
    assert statistics.wilson(0, 10).low == 0


def test_a_quantiles_interval_holds_the_quantile():
    values = [0.01 * (n + 1) for n in range(1000)]
    spread = sum(histogram.one(value) for value in values)
    for share in (0.5, 0.95):
        found = statistics.quantile(spread, share)
        exact = values[math.ceil(share * 1000) - 1]
        assert abs(found.value / exact - 1) <= histogram.ERROR + 1e-9
        assert found.low < exact < found.high


def test_words_that_only_last_messages_have_are_told():
    lasts, others = ["thanks, goodbye then"] * 8 + ["more please"] * 2, ["how does that work"] * 20
    assert {each["term"] for each in terms(lasts, others)} == {"thanks", "goodbye", "then"}


def test_words_that_no_spaces_tell_apart_are_told_by_pairs_of_characters():
    lasts, others = ["我要退款谢谢"] * 8 + ["还有别的吗"] * 2, ["怎么更改我的密码"] * 20
    assert {each["term"] for each in terms(lasts, others)} == {"我要", "要退", "退款", "款谢", "谢谢"}


def test_a_distribution_counts_every_value_once():
    told = statistics.distribution([1, 2, 2, 9, 100], (1, 2, 5, 10))
    assert (told["mean"], told["median"], told["p90"], told["most"]) == (22.8, 2, 100, 100)
    assert [bar["count"] for bar in told["histogram"]] == [1, 2, 1, 1]
    assert statistics.distribution([], (1, 2))["mean"] is None
