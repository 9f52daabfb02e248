"""The `tasktap` command, run as people run it, on a real SQLite store."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from proxy.cli.export import COLUMNS, cell
from proxy.cli.live import PAGE, Follower
from proxy.cli.text import ago, clock, dollars, line, lines, seconds, size
from proxy.query import document
from proxy.query.encoding import encode
from proxy.store import open_store
from proxy.store.memory import MemoryStore
from proxy.task import Filter, Task
from tests.query.examples import BARE, FULL, MORNING, SECOND, others
from tests.sockets import PATIENCE

HERE = Path(__file__).parent.parent
EVIL = replace(
    BARE, id="t-evil", origin="e.evil", created_at=MORNING + 100 * SECOND, ended_at=MORNING + 101 * SECOND, session_id="long",
    input="\x1b]0;owned\x07[bold]=cmd|' /C calc'!A0[/bold]\r\nsecond line\u202egnp", output="=1+1",
)  # fmt: skip


def store_in(data_dir: Path, tasks: list[Task]) -> None:
    async def save() -> None:
        store = await open_store("sqlite:", data_dir, write=True)
        await store.save(tasks)
        await store.close()

    data_dir.mkdir(mode=0o700, exist_ok=True)
    asyncio.run(save())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home") / "data"
    store_in(place, [FULL, BARE, EVIL, *others(5)])
    return place


def environment(columns: int | None = None) -> dict[str, str]:
    other = {"COLUMNS", "TERM", "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TASKTAP_") and name not in other}
    return {**kept, "PYTHONPATH": str(HERE), "TZ": "UTC", **({"COLUMNS": str(columns)} if columns else {})}


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of whoever runs the tests: their variables, folder and time zone."""
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "proxy", *words]


def tasktap(*words: str, data: Path | None = None, code: int = 0, columns: int | None = None) -> str:
    """Run the command in this process; give its standard output, or what it says on standard error where it fails."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["tasktap", *words, *(["--data-dir", str(data)] if data else [])])
        if columns:
            patch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as left:
            main()
    for stream in (out, err):
        stream.flush()
    said = err.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert left.value.code == code, said
    assert all(text.startswith("tasktap: ") for text in said.splitlines())
    assert said or code == 0
    return said if code else out.buffer.getvalue().decode()  # type: ignore[attr-defined]


def of(value: Any) -> Any:
    return json.loads(encode(value))


def test_help_and_the_version_import_nothing_heavy():
    look = "import sys; sys.argv[1:] = ['--help']; import proxy.cli\ntry: proxy.cli.main()\nexcept SystemExit: pass\n"
    look += "print(sorted({'aiohttp', 'pydantic', 'aiosqlite', 'orjson', 'rich', 'uvloop'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, env=environment(), check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
    assert "serve" in ran.stdout
    assert tasktap("--version").startswith("tasktap")
    assert tasktap() == tasktap("--help")


NAMES = ("serve", "tasks", "show", "sessions", "session", "users", "tail", "status", "export", "import", "feedback")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_config_data_dir_and_json(name: str):
    said = tasktap(name, "--help")
    assert all(option in said for option in ("--config", "--data-dir", "--json"))


def test_tasks_as_json_are_what_the_api_gives(data: Path):
    found = json.loads(tasktap("tasks", "--json", data=data))
    assert [item["id"] for item in found["items"]] == ["t-evil", "t-004", "t-003", "t-002", "t-001", "t-000", "t-full", "t-bare"]
    assert found["items"][6] == of(document.of_summary(FULL))


def test_pages_of_tasks_follow_one_another(data: Path):
    first = json.loads(tasktap("tasks", "--json", "-n", "5", data=data))
    rest = json.loads(tasktap("tasks", "--json", "-n", "5", "--cursor", first["next"], data=data))
    assert [item["id"] for item in rest["items"]] == ["t-000", "t-full", "t-bare"]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--session", "s/1 ü"], ["t-full"]),
        (["--user", "ada"], ["t-full"]),
        (["--project", "shop"], ["t-full"]),
        (["--model", "gpt-5"], ["t-full"]),
        (["--kind", "opaque", "--ending", "proxy_died", "--to", "2026-11-22T15:05:00"], ["t-bare"]),
        (["--flag", "success"], ["t-full"]),
        (["--search", '"good morning"'], ["t-full"]),
        (["-q", "question 3"], ["t-003"]),
        (["--from", "2026-11-22T15:04:05.123456Z", "--to", "2026-11-22T15:04:06.123456Z"], ["t-full"]),
    ],
)
def test_filters_find_what_they_name(data: Path, options: list[str], ids: list[str]):
    assert [item["id"] for item in json.loads(tasktap("tasks", "--json", *options, data=data))["items"]] == ids


@pytest.mark.parametrize("columns", [40, 80, 100, 160, 250])
def test_a_task_is_one_line_with_its_whole_id_at_any_width(data: Path, columns: int):
    said = tasktap("tasks", data=data, columns=columns).splitlines()
    assert len(said) == 9
    assert all(len(text.rstrip()) <= columns for text in said)
    assert [text.split()[1] for text in said] == [
        "TASK",
        "t-evil",
        "t-004",
        "t-003",
        "t-002",
        "t-001",
        "t-000",
        "t-full",
        "t-bare",
    ]


@pytest.mark.parametrize("words", [("tasks",), ("show", "t-evil"), ("session", "long"), ("sessions",), ("users",)])
def test_nothing_that_was_stored_steers_the_terminal(data: Path, words: tuple[str, ...]):
    said = tasktap(*words, data=data)
    assert not {character for character in said if character != "\n" and not character.isprintable()}
    if words != ("users",) and words != ("sessions",):
        assert "␛]0;owned␇[bold]=cmd" in said


def test_a_task_is_shown_whole(data: Path):
    said = tasktap("show", "t-full", data=data)
    for fact in (
        "t-full ✓ completed", "2026-11-22 15:04:05 UTC", "gpt-5 → gpt-5-2026", "s/1 ü  (header)", "7 in · 3 out", "$0.250000",
        "stop, none", "t-first", "a note", "success · 1.0", "  good morning", "  Hello <b>Ada</b>",
    ):  # fmt: skip
        assert fact in said
    assert json.loads(tasktap("show", "t-full", "--json", data=data)) == of(document.of_task(FULL))


def test_a_session_reads_as_a_conversation(data: Path):
    said = tasktap("session", "long", data=data)
    turns = [text.split()[0] for text in said.splitlines() if text.startswith(("user ", "assistant "))]
    assert turns == ["user", "assistant"] * 6
    assert said.index("question 0") < said.index("question 4") < said.index("second line")
    assert "6 tasks · 1 failed" in said
    found = json.loads(tasktap("session", "long", "--json", "-n", "2", data=data))
    assert [task["id"] for task in found["tasks"]] == ["t-000", "t-001"]


def test_parts_are_set_in_below_their_whole(tmp_path: Path):
    first, second, third = others(3)
    whole = replace(first, name="plan", kind="chain")
    part = replace(third, parent_task_id=whole.id, kind="search", name="look up")
    store_in(tmp_path, [whole, second, part])
    said = tasktap("session", "long", data=tmp_path)
    told = [said.index(each) for each in ("question 0", "└ part · look up · search", "    question 2", "question 1")]
    assert told == sorted(told)
    found = json.loads(tasktap("session", "long", "--json", data=tmp_path))
    assert [(task["id"], task["depth"]) for task in found["tasks"]] == [("t-000", 0), ("t-001", 0), ("t-002", 1)]
    for words in (("--parent", "t-000"), ("--kind", "search")):
        assert [one["id"] for one in json.loads(tasktap("tasks", *words, "--json", data=tmp_path))["items"]] == ["t-002"]


def test_a_long_session_is_shown_to_its_end(tmp_path: Path):
    store_in(tmp_path, others(120))
    assert tasktap("session", "long", data=tmp_path).count("question ") == 120
    assert tasktap("session", "long", "-n", "7", data=tmp_path).count("question ") == 7


def test_sessions_and_users_are_listed(data: Path):
    assert [text.split()[1] for text in tasktap("sessions", data=data).splitlines()] == ["SESSION", "long", "s/1"]
    assert [text.split()[1] for text in tasktap("users", data=data).splitlines()] == ["USER", "bob", "ada"]
    assert [one["id"] for one in json.loads(tasktap("sessions", "--user", "ada", "--json", data=data))["items"]] == ["s/1 ü"]
    assert [one["id"] for one in json.loads(tasktap("users", "--project", "shop", "--json", data=data))["items"]] == ["ada"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("show", "nobody"), 1, 'There is no task "nobody".'),
        (("session", "nobody"), 1, 'There is no session "nobody".'),
        (("show", "nobody", "--json"), 1, 'There is no task "nobody".'),
        (("tasks", "--kind", "Chat"), 2, 'Did you mean "chat"?'),
        (("tasks", "--from", "yesterday"), 2, "--from: is no time."),
        (("tasks", "-n", "501"), 2, "--limit: is not a whole number from 1 to 500."),
        (("tasks", "--cursor", "nonsense"), 2, "--cursor: "),
        (("tail", "-n", "x"), 2, "--limit"),
        (("export", "--search", '""'), 2, "--search: has no word in it."),
        (("export", "-o", "/nowhere/at/all"), 2, "--output: /nowhere/at/all: No such file or directory"),
        (("tasks", "--config", "missing.toml"), 2, "missing.toml"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_with_an_exit_code(data: Path, words: tuple[str, ...], code: int, says: str):
    assert says in tasktap(*words, data=data, code=code)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nope",), "No such command"),
        (("tasks", "--nope"), "No such option"),
        (("show",), "Missing argument"),
        (("export", "--format", "xml"), "xml"),
    ],
)
def test_a_mistyped_command_says_where_help_is(words: tuple[str, ...], says: str):
    said = tasktap(*words, code=2)
    assert says in said
    assert "--help`" in said


def test_a_bug_of_ours_is_a_line_too(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(document, "of_summary", lambda task: task.nonsense)
    assert "this is a bug in tasktap: AttributeError at " in tasktap("tasks", "--json", data=data, code=70)


def test_before_anything_is_stored_lists_are_empty(tmp_path: Path):
    for name in ("tasks", "sessions", "users"):
        assert json.loads(tasktap(name, "--json", data=tmp_path)) == {"items": [], "next": None}
        assert tasktap(name, data=tmp_path) == f"No {name}.\n"
    assert tasktap("export", data=tmp_path) == ""
    assert "There is no task" in tasktap("show", "x", data=tmp_path, code=1)
    assert list(tmp_path.iterdir()) == []


def test_a_check_prints_the_settings_without_starting(tmp_path: Path):
    said = tasktap("serve", "--check", "--calls", "127.0.0.1:7", data=tmp_path)
    assert "listen.calls" in said
    assert "127.0.0.1:7" in said
    assert json.loads(tasktap("serve", "--check", "--json", data=tmp_path))["listen.desk"] == "127.0.0.1:8901"
    assert "listen.calls" in tasktap("serve", "--check", "--calls", "nope", data=tmp_path, code=2)


def test_everything_is_exported_page_by_page(tmp_path: Path):
    tasks = others(1100)
    store_in(tmp_path, tasks)
    found = [json.loads(text) for text in tasktap("export", data=tmp_path).splitlines()]
    assert [one["id"] for one in found] == [task.id for task in reversed(tasks)]
    assert found[0] == of(document.of_task(tasks[-1]))
    light = [json.loads(text) for text in tasktap("export", "--summaries", data=tmp_path).splitlines()]
    assert light[0] == of(document.of_summary(tasks[-1]))
    assert len(tasktap("export", "--search", "question", "--to", "2026-11-22T15:04:10", data=tmp_path).splitlines()) == 4


def test_a_csv_has_a_row_a_task_and_no_formula(data: Path):
    rows = list(csv.DictReader(io.StringIO(tasktap("export", "--format", "csv", data=data))))
    assert [row["id"] for row in rows][-2:] == ["t-full", "t-bare"]
    assert rows[0]["output"] == "'=1+1"
    assert rows[0]["input"] == EVIL.input
    full = rows[-2]
    assert (full["input_tokens"], full["reasoning_tokens"], full["usage_source"]) == ("7", "", "provider")
    assert json.loads(full["metadata"]) == FULL.metadata
    assert (full["session_final"], full["flag"], full["cost"]) == ("true", "success", "0.25")
    assert set(document.of_summary(FULL)) - {"usage"} <= set(COLUMNS)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\ta", "\ra"])
def test_a_cell_is_never_a_formula(text: str):
    assert cell(text) == f"'{text}"


def test_a_cell_that_is_a_number_stays_one():
    assert (cell(-1), cell(0.5), cell(None), cell("a=1")) == ("-1", "0.5", "", "a=1")


def test_an_export_to_a_file_is_whole_and_private(data: Path, tmp_path: Path):
    file = tmp_path / "out.jsonl"
    file.write_text("old")
    tasktap("export", "-o", str(file), data=data)
    assert len(file.read_text().splitlines()) == 8
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize(
    "words",
    [("export",), ("export", "--format", "csv"), ("tasks", "-n", "500"), ("session", "long"), ("tasks", "--json", "-n", "500")],
)
def test_a_pipe_that_closes_early_is_nobodys_fault(tmp_path: Path, words: tuple[str, ...]):
    store_in(tmp_path, [replace(task, output="x" * 500) for task in others(600)])
    job = subprocess.Popen(
        command(*words, "--data-dir", str(tmp_path)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(2000)
    )
    assert job.stdout is not None
    assert job.stderr is not None
    job.stdout.read(10)
    job.stdout.close()
    said = job.stderr.read()
    job.stderr.close()
    assert (job.wait(timeout=PATIENCE), said) == (0, b"")


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Any]:
    """Start `tail` on an empty place; give what starts it."""
    jobs: list[subprocess.Popen[str]] = []
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and hand that on

    def start(*words: str) -> subprocess.Popen[str]:
        job = subprocess.Popen(
            command("tail", "--data-dir", str(tmp_path), *words),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(160),
        )  # fmt: skip
        jobs.append(job)
        return job

    yield start
    for job in jobs:
        job.send_signal(signal.SIGINT)
        assert job.wait(timeout=PATIENCE) == 0
        assert job.stderr is not None
        assert "Traceback" not in job.stderr.read()
        job.stdout.close()  # type: ignore[union-attr]
        job.stderr.close()


def test_tail_waits_for_the_first_task_and_follows(following: Any, tmp_path: Path):
    job = following("--json")
    assert "waiting" in job.stderr.readline()
    store_in(tmp_path, [FULL])
    assert json.loads(job.stdout.readline()) == of(document.of_summary(FULL))
    store_in(tmp_path, [BARE, *others(2)])  # one of them began before what was shown already
    assert [json.loads(job.stdout.readline())["id"] for _ in range(3)] == ["t-bare", "t-000", "t-001"]


def test_tail_begins_with_the_last_ones_a_line_each(following: Any, tmp_path: Path):
    store_in(tmp_path, others(20))
    job = following("-n", "2")
    assert [job.stdout.readline().split()[2] for _ in range(2)] == ["t-018", "t-019"]
    store_in(tmp_path, [EVIL])
    said = job.stdout.readline()
    assert said.split()[2] == "t-evil"
    assert said.rstrip("\n").isprintable()


async def test_a_follower_tells_each_new_task_once_however_late_it_was_stored():
    store = MemoryStore()
    tasks = others(3 * PAGE)
    await store.save(tasks[10 : 2 * PAGE])
    follower = Follower(Filter())
    assert [task.id for task in await follower.begin(store, 3)] == [task.id for task in tasks[2 * PAGE - 3 : 2 * PAGE]]
    assert await follower.poll(store) == []
    await store.save(tasks[2 * PAGE :])
    assert [task.id for task in await follower.poll(store)] == [task.id for task in tasks[2 * PAGE :]]
    await store.save(tasks[:10])  # they began first and ended last
    late = [task.id for _ in range(40) for task in await follower.poll(store)]
    assert late == [task.id for task in tasks[:10]]


class Door(BaseHTTPRequestHandler):
    """A desk that answers as the test says."""

    answer: tuple[int, bytes] = (200, b"")
    asked: list[tuple[str, str | None]] = []  # noqa: RUF012  # the test reads what this class was asked

    def do_GET(self) -> None:
        type(self).asked.append((self.path, self.headers["Authorization"]))
        self.send_response(self.answer[0])
        self.end_headers()
        self.wfile.write(self.answer[1])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def door(tmp_path: Path) -> Iterator[type[Door]]:
    class Mine(Door):
        asked: list[tuple[str, str | None]] = []  # noqa: RUF012

    server = HTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    (tmp_path / "run.json").write_text(json.dumps({"desk": f"http://0.0.0.0:{server.server_port}"}))
    yield Mine
    server.shutdown()
    server.server_close()
    thread.join()


RUNNING = {
    "calls": {"carried": 1234, "running": 2, "journalled": 1234, "stored": 1230, "waiting": 3, "lost": 1, "rejected": 0,
              "recovered": 5, "set_aside": 1},
    "journal": {"bytes": 2048, "segments": 1, "lapses": 0, "bodies_dropped": 0, "stalled": True},
    "store": {"error": None}, "relays": 1, "open_connections": 7, "lag_seconds": 0.25, "reasons": ["the disk is slow"],
}  # fmt: skip


def test_the_status_of_a_running_desk_is_what_its_api_gives(door: type[Door], tmp_path: Path):
    door.answer = (200, json.dumps(RUNNING).encode())
    assert json.loads(tasktap("status", "--json", data=tmp_path)) == RUNNING
    said = tasktap("status", data=tmp_path)
    for fact in ("running, not well", "the disk is slow", "1,234", "1,230", "1 set aside", "0.2 s behind", "2.0 KiB", "stalled"):
        assert fact in said
    assert door.asked == [("/api/status", None)] * 2


def test_the_status_is_asked_for_with_the_key(door: type[Door], tmp_path: Path):
    door.answer = (200, json.dumps(RUNNING).encode())
    config = tmp_path / "t.toml"
    config.write_text('[desk]\nkey = "sesame-sesame"\n')
    tasktap("status", "--config", str(config), data=tmp_path)
    assert door.asked == [("/api/status", "Bearer sesame-sesame")]


@pytest.mark.parametrize(
    ("answer", "says"), [((401, b"{}"), "wants another key"), ((500, b""), "answers 500"), ((200, b"what"), "does not answer")]
)
def test_a_desk_that_gives_no_status_is_said_to(door: type[Door], tmp_path: Path, answer: tuple[int, bytes], says: str):
    door.answer = answer
    assert says in tasktap("status", data=tmp_path, code=1)


def test_what_does_not_run_says_so_and_what_the_store_has(data: Path):
    said = tasktap("status", data=data)
    assert "not running" in said
    assert "2026-11-22 15:04:04 UTC" in said
    assert json.loads(tasktap("status", "--json", data=data)) == {
        "running": False,
        "store": {"oldest": "2026-11-22T15:04:04.123456Z", "newest": "2026-11-22T15:05:45.123456Z"},
    }


def test_a_note_left_by_a_dead_desk_is_not_believed(tmp_path: Path):
    (tmp_path / "run.json").write_text('{"desk": "http://127.0.0.1:1"}')
    assert "not running" in tasktap("status", data=tmp_path)
    (tmp_path / "run.json").write_text("[]")
    assert "not running" in tasktap("status", data=tmp_path)


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (0, "now"),
        (-5, "now"),
        (1, "1s"),
        (59, "59s"),
        (60, "1m"),
        (3600, "1h"),
        (86_400, "1d"),
        (604_800, "1w"),
        (40_000_000, "1y"),
    ],
)
def test_how_long_ago_is_four_characters_at_most(then: int, said: str):
    assert ago(0, then * SECOND) == said


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (None, ""), (0, "0ms"), (0.3404, "340ms"), (0.9996, "1.00s"), (1.234, "1.23s"), (12.06, "12.1s"), (59.96, "1m00s"),
        (185, "3m05s"), (7500, "2h05m"), (356_400, "4d03h"),
    ],
)  # fmt: skip
def test_durations_are_short(amount: float | None, said: str):
    assert seconds(amount) == said


@pytest.mark.parametrize(
    ("amount", "said"),
    [(None, ""), (0, "$0.00"), (0.000137, "$0.000137"), (0.25, "$0.250000"), (1.254, "$1.25"), (-1203.1, "-$1,203.10")],
)
def test_dollars_may_be_small_parts_of_a_cent(amount: float | None, said: str):
    assert dollars(amount) == said
    assert dollars(amount, signed=True) == (said if amount is None or amount < 0 else f"+{said}")


@pytest.mark.parametrize(
    ("amount", "said"), [(None, ""), (812, "812 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), ((1 << 30) - 1, "1.0 GiB")]
)
def test_sizes_are_short(amount: int | None, said: str):
    assert size(amount) == said


def test_text_keeps_its_lines_or_loses_them_and_never_its_harmlessness():
    assert line("a\r\n\tb  \u202ec\x00") == "a b \ufffdc␀"
    assert lines("a\r\n\tb\x9b1m\ud83d") == "a\n\tb\ufffd1m\ufffd"
    assert len(line("x " * 10_000)) <= 400


def test_a_clock_says_its_zone():
    from zoneinfo import ZoneInfo

    assert clock(MORNING, ZoneInfo("Europe/Berlin")) == "2026-11-22 16:04:05 CET"
