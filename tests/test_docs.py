"""Docs that cannot lie: README, config.example.toml, the command line, the API, the headers and the settings say the same."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main

from proxy.config import Settings, leaves, load
from proxy.config.values import size_text
from tests.fire.__main__ import RUNS
from tests.proc import serving, soon
from tests.upstream import DONE, STREAM_HEAD, Upstream, chunk, event

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLE = (ROOT / "config.example.toml").read_text()
LEAVES = leaves()


def section(title: str) -> str:
    """The text under one second-level heading of the README."""
    parts = re.split(r"^## (.+)$", README, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def rows(text: str) -> list[list[str]]:
    """The cells of each table row in `text`; heads and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for above, row in zip([[""], *cells], cells, strict=False) if not set(row[0]) <= set("- |") or above == [""]]


def quoted(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def first_words(text: str) -> set[str]:
    """What stands in backticks in the first cells of the tables in `text`."""
    return {word for row in rows(text) for word in quoted(row[0])}


# --- settings ---


def dotted(path: tuple[str, ...]) -> str:
    return ".".join({"prices": "MODEL"}.get(path[0], "NAME") if part == "*" else part for part in path)


def default_text(path: tuple[str, ...]) -> str | None:
    """A setting's default as the file would write it; `None` where it has none."""
    default = LEAVES[path].default
    if LEAVES[path].is_required() or default is None:
        return None
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int) and (path[-1].endswith("_bytes") or path[-1] == "max_body"):
        return f'"{size_text(default)}"'
    if isinstance(default, int | float):
        return f"{default:g}"
    return "[]" if default == () else f'"{default}"'


def test_every_setting_says_what_it_does_in_one_sentence():
    for path, field in LEAVES.items():
        assert field.description, path
        assert field.description.endswith("."), path


def test_the_readme_lists_every_setting_with_its_default_and_meaning():
    text = README.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    wanted = []
    for path, field in LEAVES.items():
        default = default_text(path)
        shown = f"`{default.strip(chr(34))}`" if default else "built in" if field.is_required() else "not set"
        wanted.append([f"`{dotted(path)}`", shown, field.description])
    assert [row for row in rows(text) if row[0] != "setting"] == wanted


def blocks(text: str) -> dict[tuple[str, ...], tuple[str, str]]:
    """The example's settings by their path: the prose above each, and its value."""
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    table: tuple[str, ...] = ()
    prose: list[str] = []
    for line in text.splitlines():
        if line.startswith("# "):
            prose.append(line[2:])
        elif line.startswith("#["):
            table, prose = tuple("*" if part in ("openai", "my-model") else part for part in line[2:-1].split(".")), []
        elif line.startswith("#") and " = " in line:
            key, _, value = line[1:].partition(" = ")
            found[(*table, key)] = " ".join(prose), value
            prose = []
        else:
            prose = []
    return found


def test_the_example_holds_every_setting_commented_with_its_default_and_meaning_and_no_other():
    found = blocks(EXAMPLE)
    assert list(found) == list(LEAVES)
    for path, (prose, value) in found.items():
        description = LEAVES[path].description
        assert description is not None
        default = default_text(path)
        if default is not None:
            assert (value, prose) == (default, description), path
        elif not LEAVES[path].is_required():
            assert prose == f"{description} (Not set: an example.)", path


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A directory and an environment without settings of ours."""
    for name in list(os.environ):
        if name.startswith("TASKTAP_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_as_it_is_changes_nothing(alone):
    (alone / "tasktap.toml").write_text(EXAMPLE)
    assert load() == Settings()


def test_the_example_loads_when_all_of_it_is_uncommented(alone, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0001")
    (alone / "desk-key.txt").write_text("a-desk-key\n")
    (alone / "company-ca.pem").write_text("")
    text = re.sub(r"^#(?=[a-z\[])", "", EXAMPLE, flags=re.MULTILINE)
    (alone / "tasktap.toml").write_text(text)
    settings = load()
    assert settings.listen == Settings().listen
    assert settings.upstreams["openai"].key is not None
    assert all(line.startswith("# ") or line == "#" for line in text.splitlines() if line.startswith("#"))


def test_every_toml_block_of_the_readme_loads(alone):
    found = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    assert found
    for text in found:
        (alone / "tasktap.toml").write_text(text)
        assert load() != Settings()


# --- headers and errors ---


def test_the_readme_lists_our_headers_and_no_other():
    from proxy.record import fields

    ours = section("Headers").partition("The labels of other gateways")[0]
    wanted = {name.decode() for name in fields.OUR_LABELS} | {fields.OUR_PREFIX.decode() + "*"}
    assert {name.lower() for name in first_words(ours)} == wanted


def test_the_readme_lists_every_alias_and_no_other():
    from proxy.record import aliases

    others = section("Headers").partition("The labels of other gateways")[2].partition("Without a header")[0]
    named = {name.lower() for row in rows(others) for name in quoted(row[1])}
    patterns = {prefix.decode() + "*" for prefix in aliases.METADATA_PREFIXES} | {"x-<vendor>-session-id"}
    assert named == {name.decode() for name in aliases.ALIASES} | patterns


def test_what_the_relay_takes_off_is_what_the_reader_looks_for():
    from proxy.record import fields, labels

    assert set(labels.OURS) <= set(fields.OUR_LABELS)
    assert all(fields.role(name) & fields.ALIAS for name in labels.ALIASES)


def is_status(value: object) -> bool:
    return isinstance(value, int) and 400 <= value < 600


def is_code(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[a-z_]+", value) is not None


def test_the_readme_lists_every_error_code_of_the_relay_with_its_status_and_no_other():
    listed = {quoted(row[0])[0]: int(row[1]) for row in rows(section("Errors of ours")) if quoted(row[0])}
    nodes = [node for path in (ROOT / "proxy/record").glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert set(listed) - words == set(), "in the README and nowhere in proxy/record"
    calls = [[getattr(value, "value", None) for value in node.args] for node in nodes if isinstance(node, ast.Call)]
    pairs = [pair for values in calls for left, right in pairwise(values) for pair in ((left, right), (right, left))]
    used = {code: status for status, code in pairs if is_status(status) and is_code(code)}
    assert used, "no code is found any more: this test looks in the wrong place"
    assert {code: listed.get(code) for code in used} == used, "the status of each code in proxy/record, and in the README"


def test_the_readme_lists_every_ending():
    from proxy.task import Ending

    text = section("The JSON API").partition("How a call ended")[2]
    assert [word for word in quoted(text) if word != "ending"] == [str(ending) for ending in Ending]


# --- routes and commands ---


def test_the_readme_lists_every_route_and_parameter_and_no_other():
    from proxy.query import routes

    words = first_words(section("The JSON API"))
    acts = {f"{route.method} {route.path}" for route in routes.ACTS}
    assert {word for word in words if "/" in word} == {route.path for route in routes.ROUTES} | acts
    parameters = {parameter.name for route in (*routes.ROUTES, *routes.ACTS) for parameter in route.parameters}
    assert {word for word in words if "/" not in word} == parameters


def test_the_readme_lists_every_command_and_option_and_no_other():
    from proxy.cli import app

    group = typer.main.get_command(app())
    commands = group.commands  # type: ignore[attr-defined]  # a typer app with commands is a group
    text = section("Commands")
    assert {word.split()[1] for word in first_words(text)} == set(commands)
    options = {
        option
        for command in commands.values()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }
    named = {word for word in quoted(text) if word.startswith("--")}
    assert named - {"--help"} == options - {"--help"}


def test_the_help_of_every_command_says_what_each_option_does():
    from proxy.cli import app

    group = typer.main.get_command(app())
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_help_names_every_command():
    shown = subprocess.run(
        [sys.executable, "-m", "proxy", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=150, check=True
    )
    for command in {word.split()[1] for word in first_words(section("Commands"))}:
        assert re.search(rf"\b{command}\b", shown.stdout), command


# --- the house ---


def test_every_module_says_what_it_is_in_one_sentence():
    for path in sorted((ROOT / "proxy").rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        assert docstring, path
        first = docstring.splitlines()[0]
        assert first.endswith((".", ":", "?")), f"{path}: {first}"


def test_the_picture_of_the_house_is_that_of_the_import_contracts():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    wanted = " > ".join(layer.replace(" : __main__", "") for layer in layers)
    assert f"```\n{wanted}\n```" in section("How it flows")
    listed = first_words(section("How it flows"))
    rooms = {path.name for path in (ROOT / "proxy").iterdir() if (path / "__init__.py").exists()}
    rooms |= {path.name for path in (ROOT / "proxy").glob("[a-z]*.py")}
    assert {word.removeprefix("proxy/").rstrip("/") for word in listed} == rooms


def test_the_map_at_the_door_names_every_room():
    import proxy

    for layer in ("task", "wire/", "record/", "store/", "query/", "config", "server", "cli"):
        assert re.search(rf"^{layer}", inspect.getdoc(proxy) or "", flags=re.MULTILINE), layer


def test_every_promise_names_tests_that_are_there():
    promises = [row for row in rows(section("The promises")) if re.fullmatch(r"P\d+", row[0])]
    assert [row[0] for row in promises if row[0]] == [f"P{number}" for number in range(1, 8)]
    for row in promises:
        if row[0]:
            places = quoted(row[-1])
            assert places, row[0]
            assert [place for place in places if not (ROOT / place).exists()] == [], row[0]


def test_every_run_that_tries_the_promises_has_its_figures():
    told = {quoted(row[0])[0] for row in rows(section("The promises")) if quoted(row[0])}
    assert told == set(RUNS)


def test_every_file_the_readme_names_is_there():
    named = {
        word for word in quoted(README) if re.fullmatch(r"(deploy|tests|benchmarks|proxy)/[\w./]+|[a-z.]+\.toml|LICENSE", word)
    }
    missing = {word for word in named if not (ROOT / word).exists()} - {"tasktap.toml"}
    assert missing == set()


def test_the_two_commands_are_one_line_each():
    for mark in ("<!-- run command -->", "<!-- test command -->"):
        block = re.search(rf"{mark}\n```sh\n(.*?)```", README, flags=re.DOTALL)
        assert block is not None, mark
        assert len(block[1].splitlines()) == 1
        assert block[1].startswith("python3 -m venv .venv && ")


def test_the_changelog_knows_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{version}]" in changelog or "## [Unreleased]" in changelog


# --- what is said to run, runs ---


def runnable() -> list[tuple[str, str]]:
    """The fenced blocks marked to run, as (language, text)."""
    return re.findall(r"<!-- run -->\n```(sh|python)\n(.*?)```", README, flags=re.DOTALL)


def test_the_first_minute_really_works(tmp_path):
    """Every marked block, in order, in one shell: against a real tasktap, with an upstream that streams an answer."""
    pytest.importorskip("openai", reason="the first minute uses the OpenAI SDK: pip install -e '.[dev]'")
    if shutil.which("curl") is None:
        pytest.skip("the first minute uses curl: apt-get install curl")
    upstream = Upstream()
    answer = b"".join(chunk(part) for part in (event("Hello "), event("there."), event("", '"stop"'), DONE)) + b"0\r\n\r\n"
    tape = upstream.play(STREAM_HEAD + answer)
    printed = []
    with serving(tmp_path, f'[upstreams.openai]\nurl = "{upstream.url}"\n') as house:
        environment = {
            **house.environment,
            "OPENAI_API_KEY": "sk-first-minute",
            "TASKTAP_DATA_DIR": str(house.data),
            "HERE": str(tmp_path),
        }
        (tmp_path / "variables").write_text("")
        for language, text in runnable():
            text = text.replace("http://127.0.0.1:8900", house.run["calls"]).replace("http://127.0.0.1:8901", house.run["desk"])
            text = f"python - <<'PYTHON'\n{text}PYTHON\n" if language == "python" else text
            # `tasktap` and `python` of this tree; what one block exports, the next one has
            script = (
                f'tasktap() {{ "{sys.executable}" -m proxy "$@"; }}\npython() {{ "{sys.executable}" "$@"; }}\n'
                f'source "$HERE/variables"\n{text}\nexport -p > "$HERE/variables"\n'
            )
            ran = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=150,
                check=False,
            )
            assert ran.returncode == 0, f"{text}\n{ran.stdout}\n{ran.stderr}"
            printed.append(ran.stdout)
            house.quiet()
        task = house.newest(session_id="first-chat")
        logged = soon(lambda: found if len(found := house.get("/api/tasks?session_id=chat-7")["items"]) == 2 else None)
        judged = soon(lambda: next((each for each in house.get("/api/tasks?flag=success")["items"]), None))
    upstream.check()
    upstream.close()
    assert len(printed) == 4
    assert [(each["name"], each["user_id"]) for each in logged] == [(None, "ada"), ("search", "ada")]
    assert (judged["id"], logged[0]["output"]) == (logged[0]["id"], "three articles about quantum computers")
    assert printed[1] == "Hello there.\n"
    assert "first-chat" in printed[2]
    assert (task["user_id"], task["output"], task["ending"]) == ("ada", "Hello there.", "completed")
    assert not any(name.lower().startswith(b"x-session") for name, _ in tape.fields)
