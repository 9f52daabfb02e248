"""`tasktap import`, run as people run it: into a store where nothing runs, and through a running desk."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.progress import Mark, Progress
from proxy.cli.rows import opened
from tests.proc import clean_environment, serving, soon
from tests.test_cli import tasktap

Row = dict[str, Any]


def rows(count: int) -> list[Row]:
    return [
        {"input": f"question {n}", "output": f"answer {n}", "task_id": f"t-{n}", "session_id": f"s-{n // 3}"}
        for n in range(count)
    ]


def jsonl(path: Path, items: Iterable[Row]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def stored(data: Path, **filters: str) -> list[Row]:
    found = json.loads(tasktap("tasks", "--json", "-n", "500", data=data))
    return [item for item in found["items"] if all(item[name] == value for name, value in filters.items())]


def report(data: Path, *words: str, code: int = 0) -> Any:
    """What `import --json` says."""
    said = tasktap_json("import", *words, "--json", "--data-dir", str(data), code=code)
    return json.loads(said)


def tasktap_json(*words: str, code: int) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "proxy", *words], capture_output=True, text=True, timeout=100, env=environment(), check=False
    )
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout


def environment() -> dict[str, str]:
    return clean_environment(PYTHONPATH=str(Path(__file__).parents[2]))


def test_where_nothing_runs_tasks_go_into_the_store(tmp_path: Path):
    file = jsonl(tmp_path / "tasks.jsonl", rows(1200))
    said = tasktap("import", str(file), data=tmp_path / "data")
    assert said == "1,200 rows read as plain: 1,200 stored, 0 there before.\n"
    found = json.loads(tasktap("show", "t-7", "--json", data=tmp_path / "data"))
    assert (found["input"], found["output"], found["session_id"], found["session_source"]) == (
        "question 7",
        "answer 7",
        "s-2",
        "client",
    )
    session = json.loads(tasktap("session", "s-2", "--json", data=tmp_path / "data"))
    assert [task["id"] for task in session["tasks"]] == ["t-6", "t-7", "t-8"]


def test_importing_again_changes_nothing(tmp_path: Path):
    items = [*rows(20), {"input": "no id"}, {"input": "no id"}]
    file = jsonl(tmp_path / "tasks.jsonl", items)
    first, again = (report(tmp_path / "data", str(file)) for _ in range(2))
    assert (first["stored"], first["merged"], again["stored"], again["merged"]) == (22, 0, 0, 22)
    assert len(stored(tmp_path / "data")) == 22
    sessions = json.loads(tasktap("sessions", "--json", data=tmp_path / "data"))
    assert sum(item["task_count"] for item in sessions["items"]) == 20


def test_what_is_there_is_merged_as_the_desk_would(tmp_path: Path):
    data = tmp_path / "data"
    report(data, str(jsonl(tmp_path / "a.jsonl", [{"input": "q", "task_id": "t", "metadata": {"a": 1}, "session_id": "s"}])))
    later = [
        {"output": "a", "task_id": "t", "metadata": {"b": 2}, "input": "q"},
        {"input": "x", "parent_task_id": "t", "id": "u"},
    ]
    said = report(data, str(jsonl(tmp_path / "b.jsonl", later)))
    assert (said["stored"], said["merged"]) == (1, 1)
    found = json.loads(tasktap("show", "t", "--json", data=data))
    assert (found["output"], found["metadata"]) == ("a", {"a": 1, "b": 2})
    assert json.loads(tasktap("show", "u", "--json", data=data))["session_id"] == "s"


@pytest.mark.parametrize("desk", [False, True])
def test_scores_find_their_tasks_whichever_file_comes_first(tmp_path: Path, desk: bool):
    score = {
        "id": "s-1",
        "trace_id": "tr",
        "name": "liked",
        "value": 1,
        "data_type": "BOOLEAN",
        "timestamp": "2024-05-29 13:50:00",
    }
    trace = {"id": "tr", "timestamp": "2024-05-29 13:46:19", "name": "chat", "user_id": "ada", "input": "hi", "output": "yo"}
    scores, traces = jsonl(tmp_path / "scores.jsonl", [score]), jsonl(tmp_path / "traces.jsonl", [trace])

    def come(data: Path, *words: str) -> list[tuple[int, int, int]]:
        said = [report(data, str(file), *words) for file in (scores, traces, scores)]
        return [(each["waiting"], each["stored"], each["merged"]) for each in said]

    if desk:
        with serving(tmp_path) as house:
            assert come(house.data, "--config", str(house.config)) == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
            found = soon(lambda: task if (task := house.task("tr"))["feedback"] else None)
    else:
        assert come(tmp_path / "data") == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
        found = json.loads(tasktap("show", "tr", "--json", data=tmp_path / "data"))
    assert [(one["id"], one["flag"], one["score"], one["comment"]) for one in found["feedback"]] == [
        ("s-1", "success", 1.0, "liked")
    ]


def test_a_dry_run_reads_everything_and_keeps_nothing(tmp_path: Path):
    file = jsonl(tmp_path / "tasks.jsonl", [*rows(5), {"input": "x", "session_id": "y" * 600}])
    said = report(tmp_path / "data", str(file), "--dry-run", code=1)
    assert (said["rows"], said["stored"], said["rejected"]) == (6, 5, 1)
    assert not (tmp_path / "data").exists()


def test_rows_that_are_not_taken_are_written_down_with_their_reason_and_the_others_are_kept(tmp_path: Path):
    file = tmp_path / "tasks.jsonl"
    good = [json.dumps(row) for row in rows(3)]
    bad = [
        "{broken",
        "[1]",
        json.dumps({"output": "no input", "input": None}),
        json.dumps({"input": "x", "session_id": "y" * 600}),
    ]
    file.write_text("\n".join([good[0], bad[0], good[1], *bad[1:], good[2]]) + "\n")
    said = report(tmp_path / "data", str(file), code=1)
    assert (said["rows"], said["stored"], said["rejected"]) == (7, 3, 4)
    kept = [json.loads(line) for line in Path(said["rejected_file"]).read_text().splitlines()]
    assert [each.get("row") for each in kept] == [2, 4, 5, None]
    assert ["no JSON" in kept[0]["error"], "session_id" in kept[3]["error"]] == [True, True]
    assert kept[3]["content"]["session_id"] == "y" * 600
    assert Path(said["rejected_file"]).stat().st_mode & 0o777 == 0o600
    assert len(stored(tmp_path / "data")) == 3


def test_through_a_running_desk_tasks_are_there_when_the_command_ends(tmp_path: Path):
    file = jsonl(tmp_path / "tasks.jsonl", rows(700))
    with serving(tmp_path) as house:
        said = report(house.data, "--config", str(house.config), str(file))
        assert (said["stored"], said["rejected"]) == (700, 0)
        assert soon(lambda: house.fetch("/api/tasks/t-699")[0] == 200)
        again = report(house.data, "--config", str(house.config), str(file))
        assert (again["stored"], again["merged"]) == (0, 700)
        assert house.get("/api/sessions/s-1")["task_count"] == 3


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path):
    """The mark says how far a run came; a row before it is not read for meaning again."""
    file = jsonl(tmp_path / "tasks.jsonl", rows(1000))
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    Mark.of(data, file).at(600)
    said = report(data, str(file))
    assert (said["rows"], said["skipped"], said["stored"]) == (1000, 600, 400)
    assert report(data, str(file))["skipped"] == 0, "a run that came to its end leaves no mark"
    Mark.of(data, file).at(600)
    assert report(data, str(file), "--restart")["skipped"] == 0


def test_a_run_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path: Path):
    file = jsonl(tmp_path / "tasks.jsonl", rows(4000))
    data = tmp_path / "data"
    command = [sys.executable, "-m", "proxy", "import", str(file), "--data-dir", str(data)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    soon(lambda: process.poll() is not None or list(data.glob("imports/*.json")))
    process.kill()
    process.wait()
    said = report(data, str(file))
    assert said["skipped"] >= 500 or process.returncode == 0, "it was killed, or was faster than this test"
    assert said["skipped"] + said["stored"] + said["merged"] == 4000
    sessions = tasktap("export", "--summaries", data=data)
    assert len({json.loads(line)["id"] for line in sessions.splitlines()}) == 4000


def test_columns_that_nobody_knows_are_told(tmp_path: Path):
    file = jsonl(tmp_path / "x.jsonl", [{"a": 1, "b": 2}])
    said = tasktap("import", str(file), data=tmp_path / "data", code=2)
    assert "these columns: a, b" in said
    assert "--from" in said
    assert "No such file" in tasktap("import", str(tmp_path / "none"), data=tmp_path / "data", code=2)


def test_an_export_of_ours_comes_back_into_another_store(tmp_path: Path):
    file = jsonl(
        tmp_path / "tasks.jsonl", [{**row, "flag": "success", "created_at": 1700000000 + n} for n, row in enumerate(rows(9))]
    )
    report(tmp_path / "one", str(file))
    for format in ("jsonl", "csv"):
        out = tmp_path / f"out.{format}"
        tasktap("export", "--format", format, "--output", str(out), data=tmp_path / "one")
        said = report(tmp_path / format, str(out))
        assert (said["format"], said["stored"]) == ("tasktap", 9)
        for old, new in zip(stored(tmp_path / "one"), stored(tmp_path / format), strict=True):
            assert {**old, "origin": None} == {**new, "origin": None}


def test_a_bar_says_how_far_it_is_and_goes_away(capsys: pytest.CaptureFixture[str]):
    bar = Progress(1000, silent=False)
    bar.at(500, 42, 3)
    said = capsys.readouterr().err
    assert [part in said for part in (" 50%", "42 rows", "3 not taken")] == [True, True, True]
    bar.end()
    assert capsys.readouterr().err == "\r\x1b[K"
    Progress(1000, silent=True).at(500, 42, 3)
    assert capsys.readouterr().err == ""


# --- reading files ---

Write = Callable[[Path, list[Row]], Path]


def as_csv(path: Path, items: list[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(items[0]))
        writer.writeheader()
        writer.writerows(items)
    return path


def as_array(path: Path, items: list[Row]) -> Path:
    path.write_text(json.dumps(items, indent=2))
    return path


def gzipped(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


ITEMS: list[Row] = [
    {"input": 'with "quotes", commas\nand lines', "output": "ü 😀", "id": "1"},
    {"input": "x" * 300_000, "output": "[1, 2]", "id": "2"},
    {"input": "{", "output": "]", "id": "3"},
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "write"), [("a.jsonl", jsonl), ("a.json", as_array), ("a.csv", as_csv), ("noname", jsonl), ("array", as_array)]
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, write: Write, packed: bool):
    file = write(tmp_path / name, ITEMS)
    with opened(gzipped(file) if packed else file) as found:
        said = list(found.each)
        assert found.place() == found.size
    assert [row.said for row in said] == ITEMS
    assert [row.wrong for row in said] == [None] * 3


def test_parquet_gives_the_same_rows(tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow", reason="reading Parquet: pip install pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ITEMS), tmp_path / "a.parquet")
    with opened(tmp_path / "a.parquet") as found:
        assert [row.said for row in found.each] == ITEMS
        assert (found.kind, found.place()) == ("parquet", found.size)


def test_a_cut_array_gives_what_is_whole_and_says_that_it_is_cut(tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps(ITEMS)[:-20])
    with opened(tmp_path / "a.json") as found:
        said = list(found.each)
    assert [row.said for row in said[:2]] == ITEMS[:2]
    assert "no JSON" in str(said[2].wrong)
    assert len(said) == 3


def test_a_row_of_a_csv_with_too_many_cells_is_told(tmp_path: Path):
    (tmp_path / "a.csv").write_text("input,output\na,b,c\nd,e\n")
    with opened(tmp_path / "a.csv") as found:
        first, second = found.each
    assert first.wrong == "has more cells than there are columns"
    assert (second.number, second.said) == (3, {"input": "d", "output": "e"})


@pytest.mark.parametrize(("name", "write"), [("a.jsonl", jsonl), ("a.json", as_array), ("a.csv", as_csv)])
def test_a_large_file_is_never_held_whole(tmp_path: Path, name: str, write: Write):
    dice = random.Random(1)
    file = write(
        tmp_path / name, [{"input": f"{n} {dice.random()} " * 20, "output": "y" * 500, "id": str(n)} for n in range(20_000)]
    )
    size = os.path.getsize(file)
    assert size > 15_000_000
    tracemalloc.start()
    with opened(file) as found:
        count = sum(1 for _ in found.each)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert most < 5_000_000
