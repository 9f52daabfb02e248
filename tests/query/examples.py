"""Tasks to ask for, and a desk to ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from proxy.query.api import Desk, DeskRunner, build
from proxy.query.premises import House
from proxy.store import Store
from proxy.task import Ending, Feedback, Flag, Source, Status, Task, Usage

MORNING = 1_795_359_845_123_456  # 2026-11-22T15:04:05.123456Z
SECOND = 1_000_000
OPEN = Desk(key=None, hosts=(), loopback=True, version="9.9")
LOCKED = Desk(key="sésame", hosts=("desk.example",), loopback=False, version="9.9")
WELL = Status(relays=1, carried=3, stored=1, waiting=1, lost=1, journalled=2)

FULL = Task(
    id="t-full",
    origin="e.1",
    own_id="t-own",
    project_id="shop",
    created_at=MORNING,
    ended_at=MORNING + SECOND,
    kind="chat",
    name="greet",
    session_id="s/1 ü",
    session_source=Source.HEADER,
    session_final=True,
    user_id="ada",
    user_source=Source.BODY,
    parent_task_id="t-parent",
    retry_of="t-first",
    input="good morning",
    output="Hello <b>Ada</b>",
    system_prompt="Be brief.",
    metadata={"tier": "gold", "n": [1, {"x": None}]},
    model_requested="gpt-5",
    model="gpt-5-2026",
    usage=Usage(input_tokens=7, output_tokens=3, total_tokens=10),
    cost=0.25,
    price={"input": 1.0},
    upstream="openai",
    method="POST",
    path="/v1/chat/completions",
    http_status=200,
    upstream_request_id="req_1",
    response_id="chatcmpl-1",
    caller_key="k-1",
    stream=True,
    request_size=17,
    response_size=19,
    seconds_to_first_byte=0.25,
    seconds_to_first_token=0.5,
    seconds_total=1.0,
    longest_stall=0.125,
    tokens_per_second=12.5,
    ending=Ending.COMPLETED,
    finish_reasons=("stop", None),
    flag=Flag.SUCCESS,
    problems=("a note",),
    raw_input={"model": "gpt-5"},
    raw_output={"object": "chat.completion"},
    request_headers=(("User-Agent", "a"), ("user-agent", "b")),
    response_headers=(("x-request-id", "req_1"),),
    request_body=b'{"model":"gpt-5"}',
    response_body=b"\x1f\x8bzipped",
    response_coding="gzip",
    pieces=((0.25, 5), (0.5, 14)),
    redactions=("target",),
    feedback=(Feedback(id="f-1", created_at=MORNING, flag=Flag.SUCCESS, score=1.0),),
    events=({"name": "greeting"},),
    evaluations=({"score": 1},),
)
BARE = Task(id="t-bare", origin="e.0", created_at=MORNING - SECOND, ended_at=MORNING, kind="opaque", ending=Ending.PROXY_DIED)


def others(count: int) -> list[Task]:
    """Tasks of one session, a second between them, the first a second after `FULL`."""
    return [
        replace(
            BARE,
            id=f"t-{number:03}",
            origin=f"e.{number + 10}",
            created_at=MORNING + (number + 1) * SECOND,
            ended_at=MORNING + (number + 2) * SECOND,
            kind="chat",
            ending=Ending.COMPLETED,
            session_id="long",
            user_id="bob",
            input=f"question {number} 100% sure_thing",
            output="answer",
        )
        for number in range(count)
    ]


def unzip(data: bytes, coding: str) -> bytes:
    """A decoder that knows one coding."""
    if coding != "gzip" or not data.endswith(b"zipped"):
        raise ValueError(coding)
    return b"plain text"


class DeskServer(TestServer):
    """The application as it is served: with the desk's own runner."""

    __test__ = False

    async def _make_runner(self, **_kwargs: Any) -> DeskRunner:
        return DeskRunner(self.app)


def desk(store: Store, desk: Desk = OPEN, status: Status = WELL, house: House | None = None) -> web.Application:
    """The desk's application over `store`."""

    async def state() -> Status:
        return status

    return build(store, state, desk, unzip, house=house)
