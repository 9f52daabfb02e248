"""SDKs of many makers through tasktap, to an upstream that plays tapes in their dialects: the task is what the SDK understood."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.proc import Tasktap, clean_environment, files, serving, soon
from tests.real.conftest import HERE, KEY, SDK_SECONDS, Sdk, piece
from tests.tapes.tape import Tape, tapes
from tests.upstream import Upstream

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Say hello"}]}
CLAUDE = ASKED | {"max_tokens": 64}
TAPES = {f"{tape.kind}/{tape.name}": tape for tape in tapes()}


SMALL = ("batch", "list", "show", "pull")
"""Calls whose answer is told in a line."""


class Job(NamedTuple):
    """One call of an SDK, and the tape that answers it."""

    sdk: str
    call: str
    tape: str
    asked: dict[str, Any]
    kind: str = ""  # of the task; that of the tape where it is not given

    @property
    def stream(self) -> bool:
        return "json" not in self.tape and self.call not in ("embed", "count", *SMALL)

    def __str__(self) -> str:
        return f"{self.sdk} {self.call} {self.tape}"


JOBS = [
    *[
        Job("anthropic", "say", f"message/{name}", CLAUDE)
        for name in ("plain", "tool_use", "thinking", "citations", "cache_usage")
    ],
    *[Job("anthropic", "say", f"message/{name}", CLAUDE) for name in ("json", "json_tool_use", "json_error")],
    Job("anthropic", "count", "message/count_tokens", ASKED),
    *[Job("ollama", "chat", f"ollama_chat/{name}", ASKED) for name in ("plain", "thinking", "tool_calls", "length")],
    *[Job("ollama", "chat", f"ollama_chat/{name}", ASKED) for name in ("json", "tool_calls_json", "json_error")],
    *[Job("ollama", "generate", f"ollama_generate/{name}", {"model": "m", "prompt": "Say hello"}) for name in ("plain", "json")],
    Job("ollama", "embed", "ollama_embed/several", {"model": "m", "input": ["one", "two"]}),
    Job("anthropic", "batch", "batch/anthropic", {"requests": [{"custom_id": "1", "params": CLAUDE}]}),
    Job("ollama", "list", "model/ollama_tags", {}),
    *[Job("ollama", call, f"model/ollama_{call}", {"model": "m"}) for call in ("show", "pull")],
    *[Job("langchain", "chat", f"chat/{name}", ASKED) for name in ("plain", "include_usage", "tool_calls_parallel", "json")],
    *[Job("langchain", "response", f"response/{name}", ASKED) for name in ("plain", "json")],
    Job("langchain", "embed", "embedding/base64", {"model": "m", "input": ["one"]}),
    *[
        Job("litellm", "chat", f"chat/{name}", ASKED | {"model": "openai/m"})
        for name in ("include_usage", "tool_calls_parallel", "json")
    ],
    *[Job("litellm", "chat", f"message/{name}", CLAUDE | {"model": "anthropic/m"}) for name in ("plain", "tool_use", "json")],
    Job("litellm", "embed", "embedding/float", {"model": "openai/m", "input": ["one", "two"]}),
]
JOBS += [
    *[Job("node", "response", f"response/{name}", {"model": "m", "input": "Say hello"}) for name in ("plain", "json")],
    Job("node", "embed", "embedding/base64", {"model": "m", "input": ["one"]}),
]
GREET: dict[str, Any] = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "Say hello"}]}]}
JOBS += [Job("bedrock", "converse", f"converse/{name}", GREET) for name in ("plain", "tool_use", "json", "json_error")]
FINISHES = {"end_turn": "stop", "tool_use": "tool_calls"}
"""LiteLLM says everything in OpenAI's words."""


@pytest.fixture(scope="module")
def the_upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def upstream(the_upstream: Upstream) -> Iterator[Upstream]:
    """The same for all; what an SDK that failed did not ask for is not there for the next."""
    yield the_upstream
    the_upstream.check()


@pytest.fixture(scope="module")
def house(the_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasktap]:
    config = f'default_upstream = "tapes"\n[upstreams.tapes]\nurl = "{the_upstream.url}"\n'
    with serving(tmp_path_factory.mktemp("dialects"), config) as running:
        yield running


def answer(tape: Tape) -> bytes:
    """A tape as an HTTP answer."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in tape.doc.get("response_fields", tape.fields).items())
    head = f"HTTP/1.1 {tape.doc.get('status', 200)} Played\r\n{fields}Content-Length: {len(tape.body)}\r\n\r\n"
    return head.encode() + tape.body


def speak(sdk: str, sdk_named: Callable[[str], Sdk], base: str, session: str, jobs: list[Job]) -> list[dict[str, Any]]:
    """What the SDK understood of each job."""
    if sdk == "node":
        asked = [{"call": job.call, "with": job.asked | ({"stream": True} if job.stream else {})} for job in jobs]
        return sdk_named("node")(base, asked, X_Session_Id=session, X_User_Id="ada")
    labels = json.dumps({"X-Session-Id": session, "X-User-Id": "ada"})
    run = subprocess.run(
        [str(piece(sdk) / "bin/python"), str(HERE / "speak.py"), sdk],
        env=clean_environment(BASE=base, LABELS=labels, KEY=KEY),
        input=json.dumps([{"call": job.call, "with": job.asked, "stream": job.stream} for job in jobs]),
        capture_output=True,
        text=True,
        timeout=SDK_SECONDS,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return [json.loads(line) for line in run.stdout.splitlines()]


def said(task: dict[str, Any]) -> str:
    """The output of a task without its tool calls, as the SDKs give it."""
    lines = (task["output"] or "").split("\n")
    return "\n".join(line for line in lines if not line.endswith(")")).rstrip("\n")


def calls(task: dict[str, Any]) -> list[list[Any]]:
    """The tool calls of a task."""
    lines = [line for line in (task["output"] or "").split("\n") if line.endswith(")")]
    return [[line.partition("(")[0], json.loads(line.partition("(")[2][:-1] or "{}")] for line in lines]


@pytest.mark.parametrize("sdk", ["anthropic", "ollama", "langchain", "litellm", "node", "bedrock"])
def test_each_task_is_what_the_sdk_understood(
    sdk: str, sdk_named: Callable[[str], Sdk], upstream: Upstream, house: Tasktap
) -> None:
    jobs = [job for job in JOBS if job.sdk == sdk]
    piece(sdk)
    for job in jobs:
        upstream.play(answer(TAPES[job.tape]))
    results = speak(sdk, sdk_named, house.run["calls"], f"real-{sdk}", jobs)

    def look() -> list[dict[str, Any]] | None:
        items: list[dict[str, Any]] = house.get(f"/api/tasks?session_id=real-{sdk}")["items"]
        return items if len(items) == len(jobs) else None

    tasks = [house.task(item["id"]) for item in reversed(soon(look))]
    for job, result, task in zip(jobs, results, tasks, strict=True):
        tape = TAPES[job.tape]
        assert (task["kind"], task["user_id"]) == (tape.kind, "ada"), job
        assert task["model_requested"] == (None if job.call == "list" else "m"), job
        assert task["problems"] == [], job
        if "status" in result:
            assert (task["http_status"], task["ending"]) == (result["status"], "upstream_error"), (job, result)
            continue
        assert task["ending"] == "completed", job
        if job.call in SMALL:
            assert task["output"] == result["text"], job
            continue
        if job.call == "embed":
            count, size = result["text"].split(" x ")
            assert task["output"] == f"{count} vector{'s' if count != '1' else ''} of {size}", job
        elif job.call == "count":
            assert task["output"] == f"[{result['usage'][0]} input tokens]", job
            continue
        else:
            assert task["input"] == "Say hello", job
            assert (said(task), calls(task)) == (result["text"].rstrip("\n"), result["calls"]), job
            finish = (
                FINISHES.get(task["finish_reasons"][0], task["finish_reasons"][0])
                if sdk == "litellm"
                else task["finish_reasons"][0]
            )
            assert finish == result["finish"] or result["finish"] is None, job
        if task["usage"] is not None:
            for figure, name in zip(result["usage"], ("input_tokens", "output_tokens"), strict=True):
                assert figure in (None, task["usage"][name]), (job, name)


def test_the_key_that_these_sdks_sent_is_in_nothing_that_was_written(house: Tasktap) -> None:
    house.quiet()
    written = files(house.data)
    assert written
    assert not [name for name, data in written.items() if KEY.encode() in data]
