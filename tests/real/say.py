"""Speaks with the OpenAI SDK for Python; runs in the `openai3` and `openai2` environments of prepare.py.

    OPENAI_BASE_URL=... OPENAI_CUSTOM_HEADERS=... python tests/real/say.py sync|async < JOBS.json

A job is what to hand to the SDK: `{"call": "chat", "with": {...}}`. Prints one JSON line a job with what the SDK understood.
Nothing here knows of tasktap: where it is and who is talking is in the environment.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import openai

TIMEOUT = 20


def plain(answer: Any) -> dict[str, Any]:
    """What came, as the SDK's own types hold it."""
    return {"whole": answer.model_dump(mode="json", exclude_unset=True)}


def joined(chunks: list[Any]) -> dict[str, Any]:
    """What a reader of the stream would make of it."""
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == 0)
    finish = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    usage = [chunk.usage.model_dump(mode="json", exclude_unset=True) for chunk in chunks if chunk.usage]
    return {"text": text, "finish": finish, "usage": usage[-1] if usage else None, "chunks": len(chunks)}


def refused(error: openai.APIStatusError) -> dict[str, Any]:
    """An error as an app sees it."""
    return {"error": {"class": type(error).__name__, "status": error.status_code, "body": error.body}}


def method(client: Any, name: str) -> Any:
    """The SDK's method for a job."""
    return {
        "chat": client.chat.completions.create,
        "completion": client.completions.create,
        "response": client.responses.create,
        "models": client.models.list,
    }[name]


def say(client: openai.OpenAI, job: dict[str, Any]) -> dict[str, Any]:
    """One job, blocking."""
    try:
        answer = method(client, job["call"])(**job["with"])
        return joined(list(answer)) if job["with"].get("stream") else plain(answer)
    except openai.APIStatusError as error:
        return refused(error)


async def say_async(client: openai.AsyncOpenAI, job: dict[str, Any]) -> dict[str, Any]:
    """One job, on the asyncio client."""
    try:
        answer = await method(client, job["call"])(**job["with"])
        return joined([chunk async for chunk in answer]) if job["with"].get("stream") else plain(answer)
    except openai.APIStatusError as error:
        return refused(error)


async def all_async(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every job, one after the other."""
    async with openai.AsyncOpenAI(timeout=TIMEOUT, max_retries=0) as client:
        return [await say_async(client, job) for job in jobs]


def main() -> None:
    """Do the jobs."""
    jobs = json.load(sys.stdin)
    if sys.argv[1] == "async":
        results = asyncio.run(all_async(jobs))
    else:
        with openai.OpenAI(timeout=TIMEOUT, max_retries=0) as client:
            results = [say(client, job) for job in jobs]
    for result in results:
        print(json.dumps(result | {"version": openai.__version__}))


if __name__ == "__main__":
    main()
