"""Kept tasks read again: right after they were read nothing changes; after a reader was mended, what it mends."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from proxy.price.pricer import pricer_of
from proxy.record import reading
from proxy.record.reread import again, call_of, reread
from proxy.record.second_look import SECOND_LOOK, without_secrets
from proxy.store import open_store
from proxy.store.entries import Logged
from proxy.task import Ending, Feedback, Filter, Flag, Piece, Source, Task, Usage, Which
from proxy.wire.websocket import TEXT, Message, plain
from tests.store.tasks import a_task
from tests.tapes.tape import make_call, tapes

PEPPER = b"p" * 32
PRICER = pricer_of({"gpt-*": {"input": 1.0, "output": 2.0}}, {"openai": {"url": "https://api.openai.com"}})
TAPES = tapes()
HEADERS = (
    (b"Content-Type", b"application/json"),
    (b"X-Session-Id", "s-ü".encode()),
    (b"X-User-Id", "caf\u00e9".encode("latin-1")),
    (b"X-Task-Metadata", b'{"plan": "pro"}'),
)


def complete(task: Task) -> Task:
    return PRICER.price(without_secrets(task, PEPPER))


@pytest.fixture(params=["memory:", "sqlite:"])
async def store(request, tmp_path):
    store = await open_store(request.param, tmp_path, write=True)
    yield store
    await store.close()


def calls():
    """Each tape as it is, in two pieces, coded; with labels; left by its caller in each way; with what the relay could not do."""
    for number, tape in enumerate(TAPES):
        half = len(tape.body) // 2
        whole = tape.call()
        yield whole
        yield tape.call(tape.body[:half], tape.body[half:], request_fields=HEADERS, problems=("not as asked", "nor that"))
        coded = gzip.compress(tape.body)
        fields = (*whole.response_fields, (b"Content-Encoding", b"gzip"), (b"x-request-id", b"req_1"))
        yield tape.call(coded, response_fields=fields)
        yield tape.call(response_fields=fields, response_decoded=True, redactions=("response.body",))
        yield tape.call(ending=Ending.CALLER_LEFT, marked=number % 2 == 0, drained=number % 3 == 0)
        yield tape.call(tape.body[:half], ending=Ending.UPSTREAM_BROKE, response_size=len(tape.body))
        yield tape.call(request_body=b"{", request_size=99, ending=Ending.UPLOAD_INCOMPLETE)
        yield tape.call(error_code="upstream_timeout", ending=Ending.TIMED_OUT, http_status=504)


async def test_right_after_reading_nothing_changes_over_every_tape(store):
    """Through the store, as it is when it is read again later."""
    tasks = [
        complete(reading.read(replace(call, origin=f"e.{number}", id=f"t{number}", own_id=f"o{number}")))
        for number, call in enumerate(calls())
    ]
    assert len(tasks) >= 8 * 200
    await store.save(tasks)
    for task in tasks:
        kept = await store.get(task.id)
        assert again(kept, complete) == kept, task.id
    done = await reread(store, complete, Filter(), limit=500)
    assert (done.read, done.changed, done.skipped, dict(done.fields)) == (500, 0, 0, {})
    assert done.next is not None


@pytest.mark.parametrize(
    ("call", "ending"),
    [
        (make_call(ending=Ending.CALLER_LEFT, marked=True), Ending.COMPLETED),
        (make_call(ending=Ending.COMPLETED, http_status=500), Ending.UPSTREAM_ERROR),
        (make_call(ending=Ending.CALLER_LEFT, marked=True, drained=True), Ending.CALLER_LEFT),
        (make_call(ending=Ending.COMPLETED, unclosed=Ending.CALLER_LEFT), Ending.COMPLETED),
    ],
)
def test_a_call_is_put_together_again_as_it_ended_on_the_wire(call, ending):
    task = reading.read(call)
    assert task.ending is ending
    built = call_of(task)
    assert (built.ending, built.marked, built.drained, built.unclosed) == (call.ending, call.marked, call.drained, call.unclosed)


def stream(*texts: str) -> bytes:
    chunks = [{"model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    usage = {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (*chunks, usage)) + b"data: [DONE]\n\n"


def read_as_before(number: int, **changes) -> Task:
    """A task as a reader left it that understood little."""
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).encode()
    data = stream("Hel", "lo")
    call = make_call(
        id=f"t{number}", own_id=f"o{number}", origin=f"e.{number}", request_body=body, request_size=len(body),
        request_fields=((b"Content-Type", b"application/json"), (b"X-Session-Id", b"s")),
        response=(Piece(0.5, data[:50]), Piece(1.5, data[50:])), response_size=len(data), http_status=200,
        response_fields=((b"Content-Type", b"text/event-stream"),),
    )  # fmt: skip
    task = complete(reading.read(call))
    unread = dict.fromkeys(("raw_output", "usage", "cost", "price", "session_id", "session_source", "model"))
    return replace(task, **unread | {"output": "nonsense", "problems": ("it could not be read",)} | changes)


async def test_a_mended_reader_puts_right_the_task_and_all_that_hangs_on_it(store):
    await store.save([read_as_before(n) for n in range(3)])

    done = await reread(store, complete, Filter(), limit=2)
    assert (done.read, done.changed) == (2, 2)
    assert done.fields["output"] == done.fields["usage"] == done.fields["session_id"] == 2
    assert {"id": "t2", "field": "output", "before": "nonsense", "after": "Hello"} in done.examples
    assert (await reread(store, complete, Filter(), limit=2, cursor=done.next)).changed == 1

    task = await store.get("t1")
    assert (task.output, task.model, task.problems, task.session_id, task.cost) == ("Hello", "gpt-4o", (), "s", 0.0012)
    assert task.usage == Usage(input_tokens=1000, output_tokens=100, total_tokens=1100)
    assert task.raw_output["choices"][0]["message"]["content"] == "Hello"
    session = await store.session("s")
    assert (session.tasks, session.cost, session.input_tokens, session.last_output) == (3, pytest.approx(0.0036), 3000, "Hello")
    assert [one.id for one in (await store.find(Filter(words=("hello",)), limit=9)).items] == ["t2", "t1", "t0"]
    assert (await store.find(Filter(words=("nonsense",)), limit=9)).items == ()
    assert (await store.body("t1", Which.RESPONSE)).data == stream("Hel", "lo")
    assert (await reread(store, complete, Filter(), limit=9)).changed == 0


async def test_one_task_alone_and_a_dry_run(store):
    await store.save([read_as_before(n) for n in range(2)])
    assert (await reread(store, complete, Filter(), limit=9, dry_run=True)).changed == 2
    assert (await store.get("t0")).output == "nonsense"
    assert (await reread(store, complete, Filter(), limit=9, id="t0")).changed == 1
    assert [(await store.get(id)).output for id in ("t0", "t1")] == ["Hello", "nonsense"]
    assert (await reread(store, complete, Filter(), limit=9, id="nobody")).read == 0


async def test_what_others_said_since_stays(store):
    said = Feedback(id="f", created_at=5, flag=Flag.SUCCESS)
    kept = {
        "flag": Flag.SUCCESS, "feedback": (said,), "events": ({"name": "greeting"},), "evaluations": ({"score": 1},),
        "request_headers": (("Content-Type", "application/json"),),
        "session_id": "found", "session_source": Source.INFERRED, "session_evidence": {"matched": 3},
        "user_id": "told", "user_source": Source.CLIENT,
    }  # fmt: skip
    await store.save([read_as_before(0, **kept)])
    await reread(store, complete, Filter(), limit=9)
    task = await store.get("t0")
    assert task.output == "Hello"
    assert {name: getattr(task, name) for name in kept} == kept


async def test_what_the_app_itself_said_of_a_call_stays(store):
    """Of one that a mended reader reads otherwise, too."""
    said = {"output": "as the app shows it", "name": "greet", "user_id": "ada", "metadata": {"plan": "pro"}}
    await store.save([complete(reading.read(call_of(read_as_before(0)))), read_as_before(1)])
    await store.absorb([Logged(id=f"t{n}", origin=f"i.{n}", at=5, words=said) for n in range(2)])
    before = await store.get("t0")
    assert (before.output, before.name, before.user_id) == ("as the app shows it", "greet", "ada")

    done = await reread(store, complete, Filter(), limit=9)

    assert await store.get("t0") == before
    mended = await store.get("t1")
    assert (done.changed, mended.output, mended.name, mended.metadata["plan"]) == (1, "as the app shows it", "greet", "pro")
    assert (mended.usage, mended.session_id) == (before.usage, "s")


async def test_what_was_opaque_may_have_a_reader_now(store):
    await store.save([read_as_before(0, kind="opaque"), read_as_before(1, kind="opaque", path="/nothing/known")])
    await reread(store, complete, Filter(), limit=9)
    assert [(await store.get(id)).kind for id in ("t0", "t1")] == ["chat", "opaque"]


@pytest.mark.parametrize("gone", [{"request_body": b""}, {"response_body": b"", "pieces": ()}], ids=["request", "response"])
def test_what_was_read_of_bodies_that_are_gone_stays(gone):
    task = complete(reading.read(call_of(read_as_before(0))))
    assert again(task, complete) == task
    assert again(replace(task, **gone), complete) is None


def said(kind: str, **more) -> bytes:
    return plain(Message(TEXT, json.dumps({"type": kind, **more}).encode()))


def spoken_call(**changes):
    """One response on a WebSocket: what the session is, a question, an answer in two parts."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "how are you"}]}
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "fine"}]}
    usage = {"total_tokens": 9, "input_tokens": 5, "output_tokens": 4}
    done = {"id": "resp_1", "status": "completed", "output": [message], "usage": usage}
    sent = (Piece(0.25, said("conversation.item.create", item=item)), Piece(1.5, said("response.create")))
    heard = (
        Piece(0.125, said("session.created", session={"model": "gpt-realtime", "instructions": "Be kind."})),
        Piece(1.75, said("response.created", response={"id": "resp_1"})),
        Piece(2.0, said("response.output_text.delta", response_id="resp_1", delta="fine")),
        Piece(2.500001, said("response.done", response=done)),
    )
    words = {
        "kind": "realtime", "method": "GET", "target": "/v1/realtime?model=gpt-realtime", "http_status": 101, "sent": sent,
        "request_body": b"".join(piece.data for piece in sent), "response": heard, "response_fields": (),
        "part_of": "the-connection", "created_at": 1_790_000_000_000_000, "ended_at": 1_790_000_003_000_000,
        "seconds_to_first_byte": 0.1,
    }  # fmt: skip
    return make_call(**words | changes)


@pytest.mark.parametrize(
    "changes", [{}, {"part_of": None}, {"kind": "opaque", "target": "/ws"}, {"sent": (), "request_body": b""}, {"response": ()}]
)
async def test_a_response_on_a_websocket_is_put_together_and_read_again(store, changes):
    call = spoken_call(**changes)
    task = complete(reading.read(call))
    await store.save([task])
    kept = await store.get(task.id)
    built = call_of(kept)
    for name in ("created_at", "ended_at", "sent", "response", "seconds_to_first_byte", "part_of", "ending", "target"):
        assert getattr(built, name) == getattr(call, name), name
    assert again(kept, complete) == kept
    if not changes:
        assert (kept.input, kept.output, kept.session_id) == ("how are you", "fine", "auto-the-connection")
        assert (kept.created_at, kept.usage.input_tokens) == (call.created_at + 1_500_000, 5)
        await store.rewrite([replace(kept, output="nonsense", usage=None)])
        done = await reread(store, complete, Filter(), limit=9)
        assert (done.changed, done.skipped, dict(done.fields)) == (1, 0, {"output": 1, "usage": 1})
        assert (await store.get(task.id)).output == "fine"


def test_a_response_on_a_websocket_whose_bytes_are_not_whole_is_left_alone():
    kept = complete(reading.read(spoken_call()))
    assert call_of(replace(kept, response_body=kept.response_body[1:])) is None
    assert call_of(replace(kept, response_body=b"", request_body=b"", pieces=())) is None, "they have been let go"
    assert call_of(replace(kept, carried={})) is None, "it was kept by an earlier version"


async def test_what_was_not_read_from_bytes_is_left_alone(store):
    logged = a_task(1, kind="custom", session_source=Source.CLIENT)
    spoken = replace(read_as_before(2), kind="realtime", http_status=101, carried={})
    await store.save([logged, spoken])
    done = await reread(store, complete, Filter(), limit=9)
    assert (done.read, done.changed, done.skipped) == (2, 0, 2)
    assert await store.get("id-1") == replace(logged, own_id=None)


def test_a_secret_that_was_taken_out_of_the_output_stays_out():
    key = "hunter2222"
    data = stream('{"pass', 'word": "hunter', '2222"}')
    call = make_call(
        response=(Piece(0.5, data),), response_size=len(data), response_fields=((b"Content-Type", b"text/event-stream"),),
        http_status=200,
    )  # fmt: skip
    task = complete(reading.read(call))
    assert SECOND_LOOK in task.redactions
    assert key not in json.dumps(task.raw_output) + str(task.output)
    assert again(task, complete) == task


async def test_what_a_person_said_of_sessions_stays_and_what_was_inferred_gives_way_to_an_id(store):
    named = {"request_headers": (("Content-Type", "application/json"), ("X-Session-Id", "named"))}
    await store.save(
        [
            read_as_before(0, session_id="moved", session_source=Source.HEADER, session_evidence={"by": "person"}, **named),
            read_as_before(1, session_id="guessed", session_source=Source.INFERRED, session_evidence={"by": "reply"}, **named),
        ]
    )
    await reread(store, complete, Filter(), limit=9)
    moved, found = [await store.get(id) for id in ("t0", "t1")]
    assert (moved.session_id, moved.session_evidence, moved.output) == ("moved", {"by": "person"}, "Hello")
    assert (found.session_id, found.session_source, found.session_evidence) == ("named", Source.HEADER, None)


async def test_a_part_stays_where_its_whole_is(store):
    part = replace(TAPES[0].call(), request_fields=((b"X-Parent-Task-Id", b"top"),))
    await store.save([complete(reading.read(part))])
    words = {"input": "x", "session_id": "s", "user_id": "ada", "project_id": "shop"}
    await store.absorb([Logged(id="top", origin="0123456789abcdefi1.1", at=1, words=words)])
    kept = await store.get(part.id)
    assert (kept.session_id, kept.user_id, kept.project_id) == ("s", "ada", "shop")
    assert again(kept, complete) == kept
