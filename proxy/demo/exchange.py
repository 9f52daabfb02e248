"""Pure: one made-up call as the task that tasktap would have kept of it: how long it took, how it ended, what it cost."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass

from proxy.demo.bodies import Said, bodies
from proxy.demo.script import SYSTEM, Story
from proxy.task import JSON, Ending, Feedback, Flag, Source, Task, Usage

DAY = 86_400_000_000

PRICES = {
    "gpt-5-mini": (0.25, 0.025, 2.0),
    "gpt-5": (1.25, 0.125, 10.0),
    "claude-sonnet-4-5": (3.0, 0.3, 15.0),
    "gemini-2.5-flash": (0.3, 0.03, 2.5),
}
"""Dollars a million tokens: input, cached input, output."""

SPEED = {"gpt-5-mini": 110, "gpt-5": 62, "claude-sonnet-4-5": 74, "gemini-2.5-flash": 165, "llama3.2": 38}
"""Pieces a second."""

SLOWER = {"llama3.2": -1.1, "gpt-5": 0.45}
UPSTREAMS = {"claude-sonnet-4-5": "anthropic", "llama3.2": "ollama", "gemini-2.5-flash": "gemini"}
UNNAMED = frozenset({"docs", "research"})
"""Apps that send no session: theirs are found."""

CONTEXT = {"docs": 2800, "code": 1900}
"""Tokens that an app sends along with each question."""

ENDINGS = {
    Ending.UPSTREAM_ERROR: 8,
    Ending.CALLER_LEFT: 4,
    Ending.UPSTREAM_BROKE: 2,
    Ending.UNREACHABLE: 1,
    Ending.TIMED_OUT: 1,
}
COMMENTS = {
    Flag.SUCCESS: ("solved it", "exactly what I needed", "perfect", "fast!", ""),
    Flag.FAILURE: ("wrong order", "did not answer my question", "made up a section", "too slow", "not helpful"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asks what, when."""

    number: int
    at: int
    now: int
    story: Story
    model: str
    user: str
    luck: float  # 0 to 1
    session: str | None
    history: list[JSON]
    asked: str
    told: str  # what would be answered, if all goes well
    call: JSON | None = None  # a tool call instead of an answer
    lucky: bool = False  # nothing goes wrong
    retry_of: str | None = None
    before: str | None = None  # the task that it goes on from, where nobody names the session


def exchange(ask: Asking, chance: random.Random) -> Task:
    """The task of it."""
    ending = Ending.COMPLETED if ask.lucky else _ending(ask, chance)
    failed = ending in (Ending.UPSTREAM_ERROR, Ending.UNREACHABLE, Ending.TIMED_OUT)
    cut = ending in (Ending.CALLER_LEFT, Ending.UPSTREAM_BROKE)
    stream = ask.call is None and ask.story.app != "translate"
    whole = _words(ask)
    output = None if failed else whole[: int(len(whole) * (chance.uniform(0.15, 0.8) if cut else 1))] or None
    usage = None if failed or cut else _usage(ask, whole, chance)
    first = chance.lognormvariate(SLOWER.get(ask.model, -0.75), 0.45) + 0.004 * ((usage.reasoning_tokens or 0) if usage else 0)
    pieces, total, stall = _pieces(output or "", first, SPEED[ask.model], stream, chance)
    if failed:
        total = {Ending.UNREACHABLE: 0.31, Ending.TIMED_OUT: 60.0}.get(ending, chance.uniform(0.08, 0.5))
        pieces, stall = (), None
    status = _status(ending, chance)
    upstream = UPSTREAMS.get(ask.model, "openai")
    made = bodies(
        Said(
            model=ask.model,
            upstream=upstream,
            history=ask.history,
            tool=ask.story.tool.name if ask.story.tool else None,
            output=output,
            call=ask.call if not failed else None,
            stream=stream,
            usage=usage,
            status=status,
        )
    )
    sent = json.dumps(made.request, ensure_ascii=False).encode()
    got = json.dumps(made.response, ensure_ascii=False).encode() if made.response is not None else b""
    flag, feedback = _feedback(ask, total, chance) if ask.call is None else (None, ())
    cost = _cost(ask.model, usage)
    no_answer = ending in (Ending.UNREACHABLE, Ending.TIMED_OUT)
    media = "text/event-stream" if stream and not failed else "application/json"
    return Task(
        id=uuid(ask.at, chance),
        origin=f"demo.{ask.number}",
        created_at=ask.at,
        ended_at=ask.at + int(total * 1e6),
        kind=made.kind,
        name=ask.story.app,
        session_id=ask.session,
        session_source=(Source.INFERRED if ask.story.app in UNNAMED else Source.HEADER) if ask.session else None,
        session_evidence=_evidence(ask),
        user_id=ask.user,
        user_source=Source.BODY if ask.story.app == "docs" else Source.HEADER,
        retry_of=ask.retry_of,
        input=ask.asked,
        output=output,
        system_prompt=SYSTEM[ask.story.app],
        metadata={
            "app": ask.story.app,
            "language": ask.story.language,
            "version_id": "2.4" if ask.at > ask.now - 9 * DAY else "2.3",
        },
        model_requested=ask.model,
        model=None if failed else ask.model,
        usage=usage,
        cost=cost,
        price=_price(ask.model) if cost is not None else None,
        upstream=upstream,
        method="POST",
        path=made.path,
        http_status=status,
        error_code="upstream_unreachable" if ending is Ending.UNREACHABLE else None,
        upstream_request_id=None if failed else f"req_{chance.getrandbits(64):016x}",
        response_id=None if failed or made.kind != "chat" else f"chatcmpl-{chance.getrandbits(72):018x}",
        caller_key=f"k-{ask.story.app[:2]}4f9a",
        stream=stream,
        request_size=len(sent),
        response_size=sum(size for _, size in pieces) or len(got),
        seconds_to_first_byte=None if no_answer else round(min(first * 0.82, total), 4),
        seconds_to_first_token=None if failed or output is None else round(first, 4),
        seconds_total=round(total, 4),
        longest_stall=stall,
        ending=ending,
        finish_reasons=() if failed or cut else ("tool_calls" if ask.call else "stop",),
        flag=flag,
        problems=("The stream ended without its end marker.",) if ending is Ending.UPSTREAM_BROKE else (),
        raw_input=made.request,
        raw_output=made.response,
        request_headers=(("Content-Type", "application/json"), ("User-Agent", "OpenAI/Python 3.4.0"), ("X-User-Id", ask.user)),
        response_headers=() if no_answer else (("content-type", media),),
        request_body=sent,
        response_body=got,
        pieces=pieces,
        feedback=feedback,
        events=_events(ask, output),
        carried=_way(chance, first, no_answer=no_answer),
    )


def _evidence(ask: Asking) -> JSON | None:
    """How it was found to belong to its session, where nobody named one."""
    if ask.before is None or ask.story.app not in UNNAMED:
        return None
    by, count = ("sibling", len(ask.history)) if ask.retry_of else ("reply", len(ask.history) - 1)
    matched: JSON = {"messages_matched": count, "messages": count, "reply_matched": by == "reply"}
    return {"by": by, "task": ask.before, **matched, "confidence": 0.9 if ask.retry_of else 1.0}


def _way(chance: random.Random, first: float, *, no_answer: bool) -> JSON:
    """One connection in five is a new one."""
    if no_answer or chance.random() > 0.2:
        return {}
    return {"seconds_to_connect": round(min(chance.lognormvariate(-2.9, 0.3), first * 0.4), 6)}


def uuid(at: int, chance: random.Random) -> str:
    """A UUIDv7 of that moment."""
    text = f"{at // 1000:012x}7{chance.getrandbits(12):03x}{0x8000 | chance.getrandbits(14):04x}{chance.getrandbits(48):012x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _words(ask: Asking) -> str:
    if ask.call is None:
        return ask.told
    function = ask.call["function"]
    return f"{function['name']}({function['arguments']})"


def _ending(ask: Asking, chance: random.Random) -> Ending:
    """A bad afternoon a week ago, and otherwise bad luck."""
    is_bad = 6 * DAY < ask.now - ask.at < 6 * DAY + DAY // 6
    if chance.random() >= (0.45 if is_bad else 0.045 * (1.6 - ask.luck)):
        return Ending.COMPLETED
    return chance.choices(list(ENDINGS), list(ENDINGS.values()))[0]


def _status(ending: Ending, chance: random.Random) -> int | None:
    if ending is Ending.UPSTREAM_ERROR:
        return chance.choice((429, 429, 500, 503))
    return {Ending.TIMED_OUT: 504, Ending.UNREACHABLE: 502}.get(ending, 200)


def _usage(ask: Asking, words: str, chance: random.Random) -> Usage:
    sent = sum(len(str(message.get("content") or "")) + 24 for message in ask.history) // 4
    sent += CONTEXT.get(ask.story.app, 0) + (350 if ask.story.tool else 12)
    is_cached = len(ask.history) > 3 and ask.model != "llama3.2" and chance.random() < 0.7
    reasoning = chance.randrange(60, 700) if ask.model == "gpt-5" else None
    got = max(2, len(words) // 4) + (reasoning or 0)
    return Usage(
        input_tokens=sent,
        output_tokens=got,
        total_tokens=sent + got,
        cached_input_tokens=(sent * 7 // 10 // 128 * 128 or None) if is_cached else None,
        reasoning_tokens=reasoning,
    )


def _cost(model: str, usage: Usage | None) -> float | None:
    if usage is None or model not in PRICES:
        return None
    fresh, cached, out = PRICES[model]
    again = usage.cached_input_tokens or 0
    return (((usage.input_tokens or 0) - again) * fresh + again * cached + (usage.output_tokens or 0) * out) / 1e6


def _price(model: str) -> JSON:
    fresh, cached, out = PRICES[model]
    return {"source": "demo", "model": model, "input": fresh, "cached_input": cached, "output": out, "per": "million tokens"}


def _pieces(
    text: str, first: float, speed: float, stream: bool, chance: random.Random
) -> tuple[tuple[tuple[float, int], ...], float, float | None]:
    """The pieces of the answer, how long it took, and its longest stall."""
    if not stream:
        total = first + len(text) / 4 / speed
        return ((round(total, 6), len(text.encode()) + 420),), total, None
    at, pieces, stall = first, [(round(first * 0.82, 6), 214)], 0.0
    for token in re.findall(r"\s*\S{1,7}", text):
        gap = chance.expovariate(speed) * 1.1 + 0.0004
        if chance.random() < 0.004:
            gap += chance.uniform(0.4, 2.2)
        stall = max(stall, gap)
        at += gap
        pieces.append((round(at, 6), 186 + len(token.encode())))
    pieces.append((round(at + 0.002, 6), 240))
    return tuple(pieces), at + 0.002, round(stall, 4)


def _events(ask: Asking, output: str | None) -> tuple[JSON, ...]:
    """What an app of its own would have noted, and a rule."""
    found: list[JSON] = []
    if output is not None and ask.call is None and re.search(r"FO-[0-9]", output):
        found.append({"name": "ticket opened", "source": "app"})
    if re.search(r"\b(refund|money back|Geld zur|remboursement)", ask.asked or "", re.IGNORECASE):
        found.append({"name": "refund asked", "source": "rule"})
    return tuple(found)


def _feedback(ask: Asking, total: float, chance: random.Random) -> tuple[Flag | None, tuple[Feedback, ...]]:
    if chance.random() > (0.16 if ask.story.app == "support" else 0.07):
        return None, ()
    flag = Flag.SUCCESS if chance.random() < ask.luck - 0.12 else Flag.FAILURE
    said = Feedback(
        id=f"f-{chance.getrandbits(48):012x}",
        created_at=ask.at + int((total + 20) * 1e6),
        flag=flag,
        comment=chance.choice(COMMENTS[flag]) or None,
        source="user",
        user_id=ask.user,
    )
    return flag, (said,)
