"""A real llama.cpp server, a tasktap in front of it, and the real SDKs; skipped, with the way to get them, where they are not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.proc import Tasktap, clean_environment, serving
from tests.sockets import PATIENCE

HERE = Path(__file__).parent
KEY = "sk-real-canary-6f1d0c9be27a"
SDK_SECONDS = 150
SDKS = ("openai3 sync", "openai3 async", "openai2 sync", "openai2 async", "node")


def piece(name: str) -> Path:
    """The folder of one of the pieces that prepare.py fetches, or a skip that says how to get it."""
    root = os.environ.get("TAP_REAL")
    if not root:
        pytest.skip("TAP_REAL names no folder: TAP_REAL=FOLDER python tests/real/prepare.py, then again with it set")
    if not (Path(root) / name / "ready").exists():
        pytest.skip(f"{name} is not in {root}: TAP_REAL={root} python tests/real/prepare.py")
    return Path(root) / name


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a running llama.cpp server."""
    folder = tmp_path_factory.mktemp("llama")
    command = [str(piece("server") / "bin/python"), str(HERE / "server.py"), str(folder / "tiny.gguf")]
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = next((line.split()[1] for line in process.stdout if line.startswith("address ")), None)
        assert address, f"the llama.cpp server did not start: {log.read_text()[-2000:]}"
        yield address
    finally:
        process.stdin.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def house(llama: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasktap]:
    """A tasktap whose default upstream is the llama.cpp server."""
    config = f'default_upstream = "llama"\n[upstreams.llama]\nurl = "{llama}"\n'
    with serving(tmp_path_factory.mktemp("house"), config) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Sdk:
    """One SDK in one mode; called with jobs, it gives back what it understood."""

    name: str
    command: tuple[str, ...]
    folder: Path

    def __call__(self, base: str, jobs: list[dict[str, Any]], **labels: str) -> list[dict[str, Any]]:
        """Run it with the environment that the README tells people to set, and nothing else."""
        headers = "\n".join(f"{name.replace('_', '-')}: {value}" for name, value in labels.items())
        environment = clean_environment(OPENAI_BASE_URL=f"{base}/v1", OPENAI_API_KEY=KEY, OPENAI_CUSTOM_HEADERS=headers)
        run = subprocess.run(
            self.command,
            cwd=self.folder,
            env=environment,
            input=json.dumps(jobs),
            capture_output=True,
            text=True,
            timeout=SDK_SECONDS,
        )
        assert run.returncode == 0, run.stderr[-3000:]
        return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture(scope="session")
def sdk_named(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Sdk]:
    """Find an SDK by its name in `SDKS`."""

    def find(name: str) -> Sdk:
        folder = piece(name.partition(" ")[0])
        if name == "node":
            # A module finds its packages beside itself, so it is laid beside them.
            place = tmp_path_factory.mktemp("node")
            shutil.copy(HERE / "say.mjs", place)
            (place / "node_modules").symlink_to(folder / "node_modules")
            return Sdk(name, ("node", "say.mjs"), place)
        return Sdk(name, (str(folder / "bin/python"), str(HERE / "say.py"), name.split()[1]), HERE)

    return find


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest, sdk_named: Callable[[str], Sdk]) -> Sdk:
    """Each SDK in turn."""
    return sdk_named(request.param)
