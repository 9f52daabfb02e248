"""`tasktap insights`, `tasktap sql` and the exports to learn from, run as people run them, on a real SQLite store."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.cli.charts import bar, spark
from proxy.cli.examples import example, examples
from proxy.cli.export import found
from proxy.record.threads import Threads
from proxy.store import open_store
from proxy.task import Ending, Filter, Flag
from tests.sessions.linking import linked
from tests.sessions.talk import NOON, SECOND, App, model, task, user
from tests.sessions.test_threads import at_once
from tests.store.insight_contract import some_tasks
from tests.store.tasks import a_task
from tests.test_cli import tasktap

CHAT = a_task(
    900,
    session_id="talk",
    flag=Flag.SUCCESS,
    events=({"name": "refund", "source": "rule"},),
    raw_input={"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function"}]},
    raw_output={"choices": [{"message": {"role": "assistant", "content": "# not a heading", "tool_calls": None}}]},
    input="hi",
    output="# not a heading",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home") / "data"

    async def save() -> None:
        store = await open_store("sqlite:", place, write=True)
        await store.save([*some_tasks(11), CHAT, replace(CHAT, id="x", own_id=None, origin="e.x", ending=Ending.TIMED_OUT)])
        await store.close()

    place.mkdir(mode=0o700)
    asyncio.run(save())
    return place


@pytest.mark.parametrize("what", ["overview", "series", "breakdown", "sessions", "users", "compare"])
def test_each_question_is_shown_and_printed_as_json(data, what):
    shown = tasktap("insights", what, data=data)
    assert len(shown.splitlines()) > 2
    told = json.loads(tasktap("insights", what, "--json", data=data))
    assert "from" in (told["base"] if what == "compare" else told)
    narrow = tasktap("insights", what, data=data, columns=60)
    assert max(map(len, narrow.splitlines())) <= 60 or what in ("users", "sessions")


def test_a_series_goes_down_to_minutes(data):
    minutes = [task.created_at // 60_000_000 for task in (*some_tasks(11), CHAT, CHAT)]
    times = ("--from", "2026-09-21T14:00", "--to", "2026-09-21T16:00")
    told = json.loads(tasktap("insights", "series", "--step", "minute", *times, "--json", data=data))
    assert len(told["items"]) == 120
    start = 1_789_999_200_000_000 // 60_000_000  # 14:00
    found = {start + place: item["tasks"] for place, item in enumerate(told["items"]) if item["tasks"]}
    assert found == Counter(minute for minute in minutes if start <= minute < start + 120)
    assert "each minute from 2026-09-21T14:00 to 2026-09-21T15:59, UTC" in tasktap(
        "insights", "series", "--step", "minute", *times, data=data
    )


def test_what_a_question_does_not_take_is_told_and_filters_narrow_sessions_too(data):
    told = json.loads(tasktap("insights", "sessions", "--user", "u2", "--json", data=data))
    theirs = [task for task in some_tasks(11) if task.user_id == "u2"]
    assert told["count"] + told["implicit"] == len({(t.project_id, t.session_id) for t in theirs if t.session_id})
    assert "--by: says nothing to `insights sessions`" in tasktap("insights", "sessions", "--by", "model", data=data, code=2)


def test_a_search_shows_what_it_found_and_the_best_first(data):
    shown = tasktap("tasks", "--search", "heading", "--sort", "relevance", data=data, columns=120)
    assert "FOUND" in shown
    assert "# not a heading" in shown
    assert "INPUT" in tasktap("tasks", "--limit", "1", data=data, columns=120)
    assert "--sort" in tasktap("tasks", "--sort", "cost", data=data, code=2)


def test_users_are_listed_by_any_column_with_how_they_fare(data):
    shown = tasktap("users", "--sort", "tasks", data=data, columns=140).splitlines()
    told = json.loads(tasktap("users", "--sort", "tasks", "--json", data=data))["items"]
    assert [row.split()[1] for row in shown[1:]] == [user["id"] for user in told]
    assert [user["task_count"] for user in told] == sorted((user["task_count"] for user in told), reverse=True)
    assert {"LASTED", "DAYS", "SUCCESS"} <= set(shown[0].split())


def test_a_breakdown_as_csv_and_parquet_holds_what_json_says(data):
    told = json.loads(tasktap("insights", "breakdown", "--by", "metadata.tier", "--json", data=data))
    rows = list(csv.DictReader(io.StringIO(tasktap("insights", "breakdown", "--by", "metadata.tier", "--as", "csv", data=data))))
    assert [(row["value"], int(row["tasks"])) for row in rows] == [(item["value"], item["tasks"]) for item in told["items"]]
    pytest.importorskip("pyarrow", reason="pip install 'tasktap[parquet]'")
    from pyarrow import parquet

    tasktap("insights", "breakdown", "--by", "metadata.tier", "--as", "parquet", "-o", str(data / "out.parquet"), data=data)
    table = parquet.read_table(data / "out.parquet").to_pylist()
    assert [row["seconds_p95"] for row in table] == [item["seconds"]["p95"] for item in told["items"]]


def test_what_ends_sessions_has_events_words_and_what_they_end_after(data):
    told = json.loads(tasktap("insights", "sessions", "--json", data=data))
    assert next(each for each in told["ends"] if each["name"] == "event")["value"] == "refund"
    rows = list(csv.DictReader(io.StringIO(tasktap("insights", "sessions", "--as", "csv", data=data))))
    assert {row["name"] for row in rows} >= {"ending", "flag", "event", "latency", "cost", "model", "length"}
    shown = tasktap("insights", "sessions", data=data, columns=120)
    assert "A SESSION ENDS AFTER" in shown
    assert "TURN" in shown


def test_a_question_in_sql_is_answered_as_csv_and_as_json(data):
    assert tasktap("sql", "select count(*) as n from tasks", data=data) == "n\n122\n"
    assert json.loads(tasktap("sql", "select flag from tasks where id = 'id-900'", "--json", data=data)) == [{"flag": "success"}]


def test_an_export_for_fine_tuning_has_the_messages_as_they_were_sent(data):
    lines = tasktap("export", "--format", "openai-chat", "--session", "talk", data=data).splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "# not a heading"}],
            "tools": [{"type": "function"}],
        }
    ]
    good = tasktap("export", "--format", "openai-chat", "--flag", "success", data=data).splitlines()
    chats = [task for task in [*some_tasks(11), CHAT] if task.kind == "chat" and task.ending == "completed"]
    assert len(good) == sum(task.flag == "success" for task in chats)


def test_an_example_of_another_kind_is_made_of_its_texts():
    told = example(a_task(1, kind="message", system_prompt="be kind"))
    assert [message["role"] for message in told["messages"]] == ["system", "user", "assistant"]
    assert example(a_task(1, output=None)) is None


async def test_an_example_holds_what_the_provider_remembers_and_none_is_made_without_it(tmp_path):
    app, store = App("response"), await open_store("sqlite:", tmp_path, write=True)
    first = app.call([user("Where is a bakery?")], model("In Mill Street."), NOON)
    asked = {"model": "m", "input": "When does it open?", "previous_response_id": first.response_id, "instructions": "Be brief."}
    second = task(app, asked, app.response(model("At six."), []), NOON + SECOND)
    third = task(app, asked | {"previous_response_id": second.response_id}, app.response(model("Six."), []), NOON + 2 * SECOND)
    lost = task(app, asked | {"previous_response_id": "resp_gone"}, app.response(model("At ten."), []), NOON + 3 * SECOND)
    other = [
        replace(app.call([user("x")], model("y"), NOON + 4 * SECOND), kind="embedding"),
        replace(app.call([user("x")], model("y"), NOON + 5 * SECOND), raw_input=None, raw_output=None, input="[tool] 8:00"),
    ]
    threads = Threads(store, b"pepper", 1800)
    for one in (first, second, third, lost, *other):
        await store.save(await linked(threads, [one], at_once))
    lines = [json.loads(line) async for line in examples(found(store, Filter()), store)]
    await store.close()
    told = [[(message["role"], message["content"]) for message in line["messages"]] for line in lines]
    question, again = ("user", "When does it open?"), [("user", "Where is a bakery?"), ("assistant", "In Mill Street.")]
    assert told == [
        [("system", "Be brief."), *again, question, ("assistant", "At six."), question, ("assistant", "Six.")],
        [("system", "Be brief."), *again, question, ("assistant", "At six.")],
        [("system", "You are a helpful assistant."), *again],
    ]


def test_conversations_become_markdown_that_no_answer_can_break(data):
    text = tasktap("export", "--format", "markdown", "--session", "talk", data=data)
    assert text.startswith("# hi\n\n`talk`\n")
    assert "> # not a heading" in text
    assert text.count("**User**") == 2
    assert "*timed_out*" in text


def test_a_plot_shows_the_most_as_full_and_little_as_something():
    assert spark([0, 1, 800, None, 400], 80) == " ▁█ ▄"
    assert len(spark(list(range(1000)), 40)) == 40
    assert (bar(1, 1000, 10), bar(1000, 1000, 10), bar(0, 10, 10), bar(500, 1000, 5)) == ("▏", "█" * 10, "", "██▌")
