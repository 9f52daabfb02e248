"""The real SDKs through tasktap to a real llama.cpp server, with two environment variables and no change of code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.proc import Tasktap, files, soon
from tests.real.conftest import KEY, Sdk

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SURE = {"temperature": 0, "extra_body": {"cache_prompt": False}}
ALIKE = SURE | {"max_tokens": 12}
OF_THE_MOMENT = {"id", "created", "created_at", "completed_at", "timings", "version", "item_id", "response_id"}


def chat(said: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": said}]
    return {"call": "chat", "with": {"model": "tiny", "messages": messages, "max_tokens": 12} | more}


def of_session(house: Tasktap, session: str, count: int) -> dict[str, dict[str, Any]]:
    """The tasks of a session, whole, by what was said in them."""

    def look() -> list[dict[str, Any]] | None:
        items: list[dict[str, Any]] = house.get(f"/api/tasks?session_id={session}")["items"]
        return items if len(items) >= count else None

    return {item["input"]: house.task(item["id"]) for item in soon(look, f"{count} tasks of {session}")}


def settled(value: Any) -> Any:
    """An answer without what differs from one call to the next."""
    if isinstance(value, dict):
        return {name: settled(inner) for name, inner in value.items() if name not in OF_THE_MOMENT}
    return [settled(inner) for inner in value] if isinstance(value, list) else value


def test_an_sdk_that_is_told_only_where_and_who_gets_its_answers_and_each_is_a_task(sdk: Sdk, house: Tasktap) -> None:
    session = f"real-{sdk.name.replace(' ', '-')}"
    jobs = [
        chat("plain"),
        chat("streamed", stream=True),
        chat("streamed with usage", stream=True, stream_options={"include_usage": True}),
    ]
    plain, streamed, counted = sdk(house.run["calls"], jobs, X_Session_Id=session, X_User_Id="ada")
    assert plain["version"].startswith({"openai3": "3.", "openai2": "2."}.get(sdk.name.split()[0], "6."))
    assert streamed["usage"] is None
    assert streamed["chunks"] > 12

    tasks = of_session(house, session, 3)
    whole = plain["whole"]
    expected = {
        "plain": (whole["choices"][0]["message"]["content"], whole["usage"], False),
        "streamed": (streamed["text"], None, True),
        "streamed with usage": (counted["text"], counted["usage"], True),
    }
    assert tasks.keys() == expected.keys()
    for said, (text, usage, stream) in expected.items():
        task = tasks[said]
        assert text.strip(), f"{said}: the model said nothing"
        assert task["output"] == text
        assert (task["ending"], task["finish_reasons"], task["http_status"]) == ("completed", ["length"], 200)
        assert (task["session_id"], task["session_source"], task["user_id"]) == (session, "header", "ada")
        assert (task["kind"], task["stream"], task["system_prompt"]) == ("chat", stream, "Be brief.")
        assert task["raw_output"]["object"] == "chat.completion"
        assert task["problems"] == []
        got = task["usage"]
        if usage is None:  # the SDK was told of none; llama.cpp's own `timings` in the last chunk say it all the same
            assert got["input_tokens"] > 0
            assert 12 <= got["output_tokens"] <= streamed["chunks"]
            assert (got["total_tokens"], got["source"]) == (None, "provider")
        else:
            figures = (got["input_tokens"], got["output_tokens"], got["total_tokens"], got["source"])
            assert figures == (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"], "provider")


@pytest.mark.parametrize("name", ["openai3 sync", "openai2 sync"])
def test_what_the_sdk_understands_is_the_same_with_tasktap_between(
    name: str, sdk_named: Callable[[str], Sdk], llama: str, house: Tasktap
) -> None:
    sdk = sdk_named(name)
    jobs = [
        chat("two of them", n=2, **ALIKE),
        chat("how sure", logprobs=True, top_logprobs=3, **ALIKE),
        chat("two streams", n=2, stream=True, **ALIKE),
        chat("a schema", response_format=SCHEMA, **ALIKE | {"max_tokens": 60}),
        {"call": "chat", "with": {"model": "tiny", "messages": "not a list"}},
        {"call": "completion", "with": {"model": "tiny", "prompt": "sun and"} | ALIKE},
        {"call": "response", "with": {"model": "tiny", "input": "sun and", "max_output_tokens": 12} | SURE},
        {"call": "models", "with": {}},
    ]
    direct, through = (sdk(base, jobs, X_Session_Id=f"compared {name}") for base in (llama, house.run["calls"]))
    for job, one, other in zip(jobs, direct, through, strict=True):
        assert settled(other) == settled(one), job
    assert through[4]["error"]["status"] == 400
    assert all("error" not in result for number, result in enumerate(through) if number != 4)

    tasks = soon(lambda: at_least(house.get("/api/tasks?limit=100")["items"], f"compared {name}", len(jobs)))
    endings = sorted(task["ending"] for task in tasks)
    assert endings == ["completed"] * (len(jobs) - 1) + ["upstream_error"]
    twice = next(task for task in tasks if task["input"] == "two of them")
    choices = through[0]["whole"]["choices"]
    assert twice["output"] == "\n\n---\n\n".join(choice["message"]["content"] for choice in choices)
    assert twice["finish_reasons"] == ["length", "length"]


SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "verdict",
        "schema": {
            "type": "object",
            "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 5}, "good": {"type": "boolean"}},
            "required": ["score", "good"],
        },
    },
}


def at_least(items: list[dict[str, Any]], session: str, count: int) -> list[dict[str, Any]] | None:
    """The tasks of a session among these, once there are so many."""
    found = [item for item in items if item["session_id"] == session]
    return found if len(found) >= count else None


def test_the_key_that_the_sdk_sent_is_in_nothing_that_was_written(sdk_named: Callable[[str], Sdk], house: Tasktap) -> None:
    [answer] = sdk_named("openai3 sync")(house.run["calls"], [chat("keep my key")], X_Session_Id="keyed")
    assert "whole" in answer
    task = of_session(house, "keyed", 1)["keep my key"]
    assert task["caller_key"]
    written = files(house.data)
    assert written
    assert not [name for name, data in written.items() if KEY.encode() in data]
    assert KEY not in house.written()
