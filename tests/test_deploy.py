"""The image, the examples and the CI script: they parse, and every name in them is one that the code knows."""

from __future__ import annotations

import ast
import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.config import load

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
KUBERNETES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes.yaml").read_text())
SPEC: dict[str, Any] = KUBERNETES["spec"]["template"]["spec"]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, continued lines joined, comments left out."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())]


def last(word: str) -> str:
    """What the last instruction of this kind says."""
    return [rest for kind, rest in instructions() if kind == word][-1]


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(last("ENV")))


def settings_of(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What `tasktap serve` would use with these variables."""
    for name in list(os.environ):
        if name.startswith("TASKTAP_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        if name.startswith("TASKTAP_"):
            monkeypatch.setenv(name, value)
    return load()


def test_the_dockerfile_is_made_of_instructions_that_exist():
    known = {
        "FROM",
        "WORKDIR",
        "RUN",
        "COPY",
        "ENV",
        "USER",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    assert {word for word, _ in instructions()} <= known
    assert instructions()[0][0] == "FROM"


def test_what_the_image_copies_is_there_and_gets_past_the_dockerignore():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source.removeprefix("./") in allowed, source
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {project["readme"], *project["license-files"]} <= allowed, "the wheel cannot be built without them"


def test_what_is_compiled_is_the_path_of_bytes():
    source = (ROOT / "hatch_build.py").read_text()
    compiled = set(re.findall(r'^    "(\w+)",$', source, re.MULTILINE))
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    path = next(each for each in contracts if each["name"].startswith("the path of bytes"))["source_modules"]
    on_it = {name.removeprefix("proxy.record.") for name in path} | {file.stem for file in ROOT.glob("proxy/record/redact_*.py")}
    assert {"carry", "tap", "journal"} <= compiled <= on_it
    assert "TASKTAP_COMPILE=1 pip wheel" in DOCKERFILE


def mixed(source: str, ours: set[str]) -> list[str]:
    """Functions in which a name is bound by two `except` of different types, one of them a class of `ours`."""
    found = []
    for function in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        bound: dict[str, set[str]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler) and node.name and node.type:
                bound.setdefault(node.name, set()).add(ast.unparse(node.type))
        found += [function.name for types in bound.values() if len(types) > 1 and types & ours]
    return found


def test_compiled_code_does_not_name_two_kinds_of_exceptions_alike():
    """Compiled, a variable has the type that it is given first: a class of ours that is not it would be a TypeError instead."""
    names = re.findall(r'^    "([\w/]+)",$', (ROOT / "hatch_build.py").read_text(), re.MULTILINE)
    sources = {name: (ROOT / "proxy" / f"{name if '/' in name else 'record/' + name}.py").read_text() for name in names}
    ours = {name for source in sources.values() for name in re.findall(r"^class (\w+)", source, re.MULTILINE)}
    assert "BadMessage" in ours
    assert {name: found for name, source in sources.items() if (found := mixed(source, ours))} == {}
    bad = "def f():\n try:\n  g()\n except BadMessage as e:\n  h(e)\n except Exception as e:\n  i(e)\n"
    assert mixed(bad, ours) == ["f"]
    assert mixed(bad.replace("as e:\n  i(e)", "as fault:\n  i(fault)"), ours) == []


def test_the_image_starts_the_command_that_pyproject_installs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert json.loads(last("ENTRYPOINT"))[0] in project["scripts"]
    assert json.loads(last("CMD")) == ["serve"]
    python = re.search(r"FROM python:(3\.\d+)", DOCKERFILE)
    assert python is not None
    assert f"Programming Language :: Python :: {python[1]}" in project["classifiers"]


def test_the_image_takes_calls_from_outside_and_keeps_the_desk_to_itself(monkeypatch, tmp_path):
    settings = settings_of(image_environment(), monkeypatch, tmp_path)
    assert settings.listen.calls == "0.0.0.0:8900"
    assert settings.listen.desk == "127.0.0.1:8901"
    assert str(settings.data_dir) == last("VOLUME") == last("WORKDIR") == "/data"
    assert last("EXPOSE").split() == ["8900", "8901"]


def test_the_image_does_not_run_as_root_and_leaves_time_to_stop():
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last("USER"))
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_health_check_runs_the_probe_that_is_copied():
    command = last("HEALTHCHECK").partition("CMD ")[2]
    program, script, question = json.loads(command)
    assert (program, question) == ("python", "healthz")
    assert f"COPY deploy/probe.py {script}" in DOCKERFILE


def test_the_compose_example_lets_only_the_app_in(monkeypatch, tmp_path):
    tasktap, app = COMPOSE["services"]["tasktap"], COMPOSE["services"]["app"]
    settings = settings_of(image_environment() | tasktap["environment"], monkeypatch, tmp_path)
    assert app["network_mode"] == "service:tasktap"
    assert app["environment"]["OPENAI_BASE_URL"] == f"http://{settings.listen.calls}/v1"
    assert app["depends_on"]["tasktap"]["condition"] == "service_healthy"
    assert tasktap["volumes"] == [f"tasks:{settings.data_dir}"]
    assert "tasks" in COMPOSE["volumes"]
    assert tasktap["read_only"] is True
    assert int(tasktap["stop_grace_period"].removesuffix("s")) > settings.stop_deadline


def test_what_the_compose_example_offers_in_comments_works_too(monkeypatch, tmp_path):
    text = (ROOT / "deploy/compose.yaml").read_text()
    opened = yaml.safe_load(re.sub(r"^(\s*)# (?=(TASKTAP_|ports:|  - 127))", r"\1", text, flags=re.MULTILINE))["services"][
        "tasktap"
    ]
    assert opened["ports"] == ["127.0.0.1:8901:8901"]
    environment = {name: re.sub(r"^\$\{.*\}$", "a-key-of-mine", value) for name, value in opened["environment"].items()}
    settings = settings_of(image_environment() | environment, monkeypatch, tmp_path)
    assert settings.listen.desk == "0.0.0.0:8901"


def test_the_kubernetes_example_is_a_native_sidecar_of_the_image(monkeypatch, tmp_path):
    (sidecar,) = SPEC["initContainers"]
    (app,) = SPEC["containers"]
    assert sidecar["restartPolicy"] == "Always"
    environment = image_environment() | {entry["name"]: entry["value"] for entry in sidecar["env"]}
    settings = settings_of(environment, monkeypatch, tmp_path)
    calls = next(entry["value"] for entry in app["env"] if entry["name"] == "OPENAI_BASE_URL")
    assert calls == f"http://{settings.listen.calls}/v1"
    (mount,) = sidecar["volumeMounts"]
    assert settings.data_dir.is_relative_to(mount["mountPath"])
    assert mount["name"] in {volume["name"] for volume in SPEC["volumes"]}
    assert SPEC["terminationGracePeriodSeconds"] > settings.stop_deadline
    assert KUBERNETES["spec"]["selector"]["matchLabels"] == KUBERNETES["spec"]["template"]["metadata"]["labels"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert sidecar["image"] == f"tasktap:{version}"


def test_the_kubernetes_probes_run_the_probe_of_the_image():
    (sidecar,) = SPEC["initContainers"]
    wanted = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    for probe in ("startupProbe", "livenessProbe"):
        assert sidecar[probe]["exec"]["command"] == wanted, probe
        assert sidecar[probe]["timeoutSeconds"] > 2, "the probe gives up after 2 s by itself"
    user, _, group = last("USER").partition(":")
    context = sidecar["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], SPEC["securityContext"]["fsGroup"]) == (
        int(user),
        int(group),
        int(group),
    )
    assert context["runAsNonRoot"]
    assert context["readOnlyRootFilesystem"]


# --- the probe itself ---


class Desk(http.server.BaseHTTPRequestHandler):
    """Answers /healthz well and /readyz badly, and to the name localhost alone."""

    def do_GET(self) -> None:
        status = {"/healthz": 200, "/readyz": 503}.get(self.path, 404) if self.headers["Host"] == "localhost" else 421
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"reasons": ["disk full"]}')

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest's output is for failures."""


def probe(question: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    # a proxy that is not there: the probe must not go through it
    environment = {"TASKTAP_DATA_DIR": str(data_dir), "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-I", str(ROOT / "deploy/probe.py"), question]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)


def test_the_probe_says_what_the_desk_says(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Desk) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        (tmp_path / "run.json").write_text(json.dumps({"desk": f"http://127.0.0.1:{server.server_address[1]}"}))
        try:
            assert probe("healthz", tmp_path).returncode == 0
            ill = probe("readyz", tmp_path)
            assert (ill.returncode, "503" in ill.stdout, "disk full" in ill.stdout) == (1, True, True)
        finally:
            server.shutdown()
            thread.join()
    gone = probe("healthz", tmp_path)
    assert (gone.returncode, "not running" in gone.stdout, gone.stderr) == (1, True, "")


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"desk": 3}', '{"desk": "127.0.0.1"}'])
def test_the_probe_says_no_where_nothing_runs(tmp_path, text):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    said = probe("healthz", tmp_path)
    assert (said.returncode, said.stderr) == (1, "")
    assert "not running" in said.stdout


# --- the CI script ---


def test_the_ci_script_is_bash_that_parses_and_can_be_run():
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, timeout=150, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
