"""A response that is made in the background: what it used is counted once, in the task of the call that asked for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.price.pricer import pricer_of
from proxy.record.background import credited
from proxy.record.reading import read
from proxy.record.reread import reread
from proxy.store import open_store
from proxy.task import Filter, Piece, Task, Usage
from tests.proc import serving, soon
from tests.relay.caller import once, request
from tests.tapes.tape import make_call
from tests.upstream import Upstream, ok

USED = {"input_tokens": 100, "output_tokens": 200, "total_tokens": 300}
PRICER = pricer_of({"o3-*": {"input": 1.0, "output": 2.0}}, {"openai": {"url": "https://api.openai.com"}})
MADE = "/v1/responses"
FOUND = "/v1/responses/resp_1"


def answer(status: str, **more: Any) -> bytes:
    said = {"id": "resp_1", "object": "response", "status": status, "model": "o3-deep-research", "background": True, "output": []}
    return json.dumps(said | {"usage": USED if status == "completed" else None} | more).encode()


def a_call(id: str, method: str, target: str, body: bytes, **changes: Any) -> Task:
    fields = {"request_body": b'{"model":"o3-deep-research","input":"Dig","background":true}'} if method == "POST" else {}
    at = 1_760_000_000_000_000 + int(id[1:]) * 1_000_000
    call = make_call(
        id=id,
        own_id=id,
        origin=f"e.{id[1:]}",
        kind="response",
        method=method,
        target=target,
        created_at=at,
        ended_at=at + 5000,
        http_status=200,
        response_size=len(body),
        response_fields=((b"Content-Type", b"application/json"),),
        response=(Piece(0.1, body),),
        **fields,
    )
    return replace(PRICER.price(read(call)), **{"session_id": "s"} | changes)


async def at_once(act: Callable[..., Any], *arguments: Any) -> Any:
    return act(*arguments)


@pytest.fixture(params=["memory:", "sqlite:"])
async def store(request, tmp_path):
    store = await open_store(request.param, tmp_path, write=True)
    yield store
    await store.close()


async def kept(store, *tasks: Task) -> None:
    await store.save(tasks)
    await credited(store, tasks, PRICER.price, at_once)


async def test_however_often_it_is_looked_up_the_call_that_asked_for_it_used_it_once(store):
    await kept(store, a_call("t1", "POST", MADE, answer("queued")))
    assert (await store.get("t1")).usage is None
    await kept(store, a_call("t2", "GET", FOUND, answer("in_progress")))
    assert (await store.get("t1")).usage is None

    for id in ("t3", "t4"):
        await kept(store, a_call(id, "GET", FOUND, answer("completed")))
    made = await store.get("t1")
    assert (made.usage, made.cost) == (Usage(input_tokens=100, output_tokens=200, total_tokens=300), 0.0005)
    assert made.price["model"] == "o3-*"
    assert {(await store.get(id)).usage for id in ("t2", "t3", "t4")} == {None}
    session = await store.session("s")
    assert (session.tasks, session.input_tokens, session.output_tokens, session.cost) == (4, 100, 200, 0.0005)


async def test_it_may_be_stored_together_and_is_told_by_a_cancellation_too(store):
    body = answer("cancelled", usage=USED)
    await kept(store, a_call("t1", "POST", MADE, answer("queued")), a_call("t2", "POST", f"{FOUND}/cancel", body))

    assert (await store.get("t1")).usage.output_tokens == 200


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (a_call("t1", "POST", MADE, answer("queued", background=False)), answer("completed")),
        (a_call("t1", "POST", MADE, answer("queued")), answer("completed", background=False)),
        (a_call("t1", "POST", MADE, answer("queued"), project_id="other"), answer("completed")),
        (a_call("t1", "POST", MADE, answer("queued", id="resp_2")), answer("completed")),
        (a_call("t1", "GET", FOUND, answer("queued")), answer("completed")),
    ],
    ids=["not asked for in the background", "not made there", "another project's", "another one", "asked for elsewhere"],
)
async def test_nothing_is_told_of_any_other_call(store, made, found):
    await kept(store, made)
    await kept(store, a_call("t2", "GET", FOUND, found))

    assert (await store.get("t1")).usage is None


async def test_what_the_call_itself_was_told_stays(store):
    told = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    await kept(store, a_call("t1", "POST", MADE, answer("completed", usage=told)))
    await kept(store, a_call("t2", "GET", FOUND, answer("completed")))

    assert (await store.get("t1")).usage.total_tokens == 3


async def test_reading_again_does_not_forget_it(store):
    await kept(store, a_call("t1", "POST", MADE, answer("queued")), a_call("t2", "GET", FOUND, answer("completed")))
    await reread(store, PRICER.price, Filter(), limit=9)

    made = await store.get("t1")
    assert (made.usage.total_tokens, made.cost) == (300, 0.0005)


def test_a_house_counts_it(tmp_path: Path) -> None:
    upstream = Upstream()
    for status in ("queued", "completed", "completed"):
        upstream.play(ok(answer(status)))
    config = f'default_upstream = "main"\n[upstreams.main]\nurl = "{upstream.url}"\n[prices."o3-*"]\ninput = 1\noutput = 2\n'
    body = b'{"model":"o3-deep-research","input":"Dig","background":true}'
    try:
        with serving(tmp_path, config) as house:
            made = once(house.calls, request(b"POST", MADE.encode(), b"Content-Type: application/json", body=body)).id.decode()
            for _ in range(2):
                once(house.calls, request(b"GET", FOUND.encode()))
            task = soon(lambda: found if (found := house.task(made))["usage"] else None)
            house.quiet()
            session = house.get(f"/api/sessions/{task['session_id']}")
    finally:
        upstream.close()

    assert (task["usage"]["total_tokens"], task["cost"]) == (300, 0.0005)
    assert session["cost"] == 0.0005


async def test_a_fault_while_it_is_told_keeps_nothing_from_being_stored(store):
    def fails(task: Task) -> Task:
        raise ValueError(task.id)

    made, found = a_call("t1", "POST", MADE, answer("queued")), a_call("t2", "GET", FOUND, answer("completed"))
    await store.save([made, found])

    await credited(store, [found], fails, at_once)

    assert (await store.get("t1")).usage is None
