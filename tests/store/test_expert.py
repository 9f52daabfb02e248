"""SQL for experts: what it reads, and that it can do nothing else."""

import re
import sqlite3
from pathlib import Path

import pytest

from proxy.store import StoreMissing, open_store
from proxy.store.expert import VIEWS, BadStatement, answer, reading
from proxy.task import Feedback, Flag
from tests.store.tasks import a_task


@pytest.fixture
async def path(tmp_path):
    store = await open_store("sqlite:", tmp_path, write=True)
    said = Feedback(id="f", created_at=5, flag=Flag.SUCCESS, comment="good")
    await store.save([a_task(n, metadata={"tier": "gold", "version_id": "v"}, system_prompt="be kind") for n in range(5)])
    await store.save([a_task(9, feedback=(said,), flag=Flag.SUCCESS, events=({"name": "refund", "source": "app"},))])
    await store.close()
    return tmp_path / "tasktap.db"


def ask(path, statement):
    with reading(path) as db:
        columns, rows = answer(db, statement)
        return columns, list(rows)


def test_each_view_reads_what_was_kept(path):
    assert ask(path, "select id, input_tokens, version_id, created_at, system_prompt from tasks where id = 'id-3'")[1] == [
        ("id-3", 10, "v", "2026-09-21T14:13:20.003000Z", "be kind")
    ]
    assert ask(path, "select sum(cost) from tasks")[1] == [(pytest.approx(0.006),)]
    assert ask(path, "select id, task_count, ended_badly from sessions order by id")[1] == [
        ("s0", 3, 0),
        ("s1", 2, 0),
        ("s2", 1, 0),
    ]
    assert ask(path, "select first_input, last_input from sessions order by id")[1] == [
        ("question 0", "question 9"),
        ("question 1", "question 4"),
        ("question 2", "question 2"),
    ]
    assert ask(path, "select id, task_count, success from users order by id")[1] == [("u0", 3, 0), ("u1", 3, 1)]
    each = "select tasks.id, value ->> 'name' from tasks, json_each(tasks.events)"
    assert ask(path, each)[1] == [("id-9", "refund")]
    assert ask(path, "select task_id, flag, comment from feedback")[1] == [("id-9", "success", "good")]
    assert ask(path, "select count(*) from tasks, json_each(tasks.metadata) where json_each.value = 'gold'")[1] == [(5,)]
    assert ask(path, "with recursive n(x) as (select 1 union all select x + 1 from n where x < 3) select sum(x) from n")[1] == [
        (6,)
    ]


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_of_a_view_can_be_read(path, view):
    columns, rows = ask(path, f"select * from {view}")
    assert len(set(columns)) == len(columns)
    assert len(rows[0]) == len(columns)


@pytest.mark.parametrize(
    "statement",
    [
        "select * from task",
        "select * from main.session",
        "select data from record",
        "select * from main.feedback",
        "select * from sqlite_master",
        "delete from tasks",
        "insert into feedback values (1)",
        "drop view tasks",
        "create table x (a)",
        "attach 'x.db' as x",
        "pragma journal_mode = delete",
        "pragma query_only = 0",
        "select load_extension('x')",
        "vacuum into 'x.db'",
        "begin",
        "select 1; select 2",
        "nonsense",
        "",
    ],
)
def test_nothing_else_can_be_done(path, statement):
    with pytest.raises(BadStatement):
        ask(path, statement)
    assert sqlite3.connect(path).execute("select count(*) from task").fetchone() == (6,)


def test_where_nothing_was_ever_stored_it_says_so(tmp_path):
    with pytest.raises(StoreMissing), reading(tmp_path / "no.db"):
        pass


def test_the_readme_names_each_view_with_its_columns(path):
    told = (Path(__file__).parents[2] / "README.md").read_text().split("<!-- views -->")[1].split("<!-- /views -->")[0]
    with reading(path) as db:
        columns = {view: answer(db, f"SELECT * FROM {view}")[0] for view in VIEWS}
    documented = dict(re.findall(r"^\| `(\w+)` \| (`.*`) \|$", told, re.MULTILINE))
    assert {view: tuple(re.findall(r"`(\w+)`", names)) for view, names in documented.items()} == columns
