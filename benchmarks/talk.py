"""Chats that re-send their history, as an app's SDK and a provider would write them: made of words that fall as in English."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import accumulate

from proxy.task import Ending, Source, Task, Usage

NOON = 1_790_000_000_000_000
LETTERS = "etaoinshrdlcumwfgypbvk"


class Words:
    """A vocabulary of 8,000 words, the n-th of which is used about 1/n as often as the first."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        shape = list(accumulate(1 / (n + 2) for n in range(len(LETTERS))))
        self._words = [
            "".join(self._random.choices(LETTERS, cum_weights=shape, k=1 + min(n // 40, 5) + self._random.randrange(6)))
            for n in range(8000)
        ]
        self._weights = list(accumulate(1 / (n + 3) for n in range(8000)))

    def say(self, count: int) -> str:
        """A text of so many words."""
        words = self._random.choices(self._words, cum_weights=self._weights, k=count)
        for at in range(0, count, 12):
            words[at] = words[at].capitalize()
            words[min(at + 11, count - 1)] += "."
        return " ".join(words)

    def cut(self, text: str) -> list[str]:
        """The text in the pieces that a model streams: a word, or a part of one."""
        found: list[str] = []
        for word in text.split(" "):
            at = self._random.randrange(2, 7)
            found += [" " + word[:at], word[at:]] if word[at:] else [" " + word]
        return found


def chat(
    words: Words, session: int, turns: int, *, stream: bool, system: int = 120, ask: int = 40, answer: int = 150
) -> Iterator[Task]:
    """The tasks of one session; the figures are words."""
    prompt = words.say(system)
    messages = [{"role": "system", "content": prompt}]
    for turn in range(turns):
        asked, said = words.say(ask), words.say(answer)
        messages.append({"role": "user", "content": asked})
        sent = {"messages": messages, "model": "gpt-4o-mini", "temperature": 0.7, **({"stream": True} if stream else {})}
        request = json.dumps(sent, separators=(",", ":")).encode()
        at = NOON + (session * 997 + turn * 20_000 + session % 31) * 1000
        yield _task(
            words,
            at,
            f"{session}-{turn}",
            session * 1000 + turn,
            session,
            prompt,
            asked,
            said,
            json.loads(request),
            request,
            stream,
        )
        messages.append({"role": "assistant", "content": said})


def _task(
    words: Words,
    at: int,
    name: str,
    number: int,
    session: int,
    prompt: str,
    asked: str,
    said: str,
    sent: dict[str, object],
    request: bytes,
    stream: bool,
) -> Task:
    created = at // 1_000_000
    usage = {
        "prompt_tokens": len(request) // 4,
        "completion_tokens": len(said) // 4,
        "total_tokens": (len(request) + len(said)) // 4,
    }
    answer = {
        "id": f"chatcmpl-{random.Random(name).getrandbits(120):030x}",
        "object": "chat.completion",
        "created": created,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
        "usage": usage,
    }
    response = json.dumps(answer, separators=(",", ":")).encode()
    pieces: tuple[tuple[float, int], ...] = ((0.8, len(response)),)
    if stream:
        events = [_event(answer, {"content": part}) for part in words.cut(said)]
        events += [_event(answer, {}, "stop"), b"data: [DONE]\n\n"]
        response = b"".join(events)
        rng = random.Random(name)
        pieces = tuple((round(0.4 + n * 0.02 + rng.random() * 0.005, 6), len(event)) for n, event in enumerate(events))
    return Task(
        id=f"019b5000-{at & 0xFFFF:04x}-7{session & 0xFFF:03x}-8000-{random.Random(name + 'i').getrandbits(48):012x}",
        origin=f"0006a5d2f1c2b3a4w0s1.{number}",
        created_at=at,
        ended_at=at + 4_000_000,
        kind="chat",
        session_id=f"session-{session}",
        session_source=Source.HEADER,
        user_id=f"user-{session % 50}",
        user_source=Source.HEADER,
        input=asked,
        output=said,
        system_prompt=prompt,
        metadata={"system_prompt": prompt},
        model_requested="gpt-4o-mini",
        model="gpt-4o-mini-2024-07-18",
        usage=Usage(
            input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"], total_tokens=usage["total_tokens"]
        ),
        upstream="openai",
        method="POST",
        path="/v1/chat/completions",
        http_status=200,
        upstream_request_id=f"req_{random.Random(name + 'r').getrandbits(96):024x}",
        response_id=str(answer["id"]),
        caller_key="5b1c6c9d2f6e8a70",
        stream=stream,
        request_size=len(request),
        response_size=len(response),
        seconds_to_first_byte=0.41,
        seconds_to_first_token=0.42,
        seconds_total=4.0,
        longest_stall=0.03,
        ending=Ending.COMPLETED,
        finish_reasons=("stop",),
        raw_input=sent,
        raw_output=answer,
        request_headers=(
            ("Accept", "application/json"),
            ("Content-Type", "application/json"),
            ("User-Agent", "OpenAI/Python 3.1.0"),
        ),
        response_headers=(
            ("Content-Type", "text/event-stream" if stream else "application/json"),
            ("openai-processing-ms", "812"),
        ),
        request_body=request,
        response_body=response,
        pieces=pieces,
    )


def _event(answer: dict[str, object], delta: dict[str, str], finish: str | None = None) -> bytes:
    chunk = {
        "id": answer["id"],
        "object": "chat.completion.chunk",
        "created": answer["created"],
        "model": answer["model"],
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"
