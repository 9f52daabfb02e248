"""The demo: the same calls from the same seed, believable ones, in a directory of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from proxy.demo.calls import Demo
from proxy.store import open_store
from proxy.store.memory import MemoryStore
from proxy.task import Ending, Task
from tests.proc import clean_environment
from tests.query.examples import FULL

NOW = 1_795_650_000_000_000
DAY = 86_400_000_000


def made(**changes: int) -> list[Task]:
    return [task for tasks in Demo(NOW, **{"sessions": 150, **changes}).tasks() for task in tasks]


def test_the_same_seed_makes_the_same_calls_and_another_others():
    assert made() == made()
    assert {task.id for task in made()} != {task.id for task in made(seed=8)}


def test_nothing_of_the_demo_lies_in_the_future_or_before_its_days():
    for task in made(days=10):
        assert NOW - 12 * DAY < task.created_at <= task.ended_at <= NOW


def test_there_is_something_of_everything():
    tasks = made(sessions=400)
    endings = Counter(task.ending for task in tasks)
    assert endings[Ending.COMPLETED] > 0.9 * len(tasks)
    assert len(endings) >= 4
    assert {task.kind for task in tasks} >= {"chat", "message", "ollama_chat", "embedding"}
    assert any(len(task.pieces) > 50 for task in tasks)
    assert any(task.feedback for task in tasks)
    assert any(task.retry_of for task in tasks)
    assert any(task.usage and task.usage.cached_input_tokens for task in tasks)
    assert len({task.user_id for task in tasks}) > 40


async def test_a_store_takes_all_of_it():
    store = MemoryStore()
    tasks = made()
    assert await store.save(tasks) == len(tasks) == len({task.id for task in tasks})


def demo(place: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy", "demo", "--data-dir", str(place), "--only-fill", "--sessions", "20", *more]
    return subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=100, check=False)


def test_it_fills_a_directory_once(tmp_path: Path):
    first, second = demo(tmp_path / "d"), demo(tmp_path / "d")
    assert (first.returncode, second.returncode) == (0, 0)
    assert "made-up calls are in" in first.stderr
    assert "is filled already" in second.stderr


def test_it_leaves_a_record_of_real_calls_alone(tmp_path: Path):
    async def fill() -> None:
        store = await open_store("sqlite:", tmp_path, write=True)
        await store.save([FULL])
        await store.close()

    asyncio.run(fill())
    refused = demo(tmp_path)
    assert refused.returncode == 2
    assert "that are no demo's" in refused.stderr


@pytest.mark.parametrize("kind", ["chat", "message", "ollama_chat"])
def test_bodies_are_json_of_their_dialect(kind: str):
    task = next(task for task in made() if task.kind == kind and task.output)
    assert json.loads(task.request_body) == task.raw_input
    assert task.raw_input["messages"]
    assert ("system" in task.raw_input) == (kind == "message")
