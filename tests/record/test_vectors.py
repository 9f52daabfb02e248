"""Embeddings: without their vectors in the task, unless they are asked for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from proxy.record.reading import read
from proxy.record.reread import reread
from proxy.record.vectors import with_vectors
from proxy.server.finish import Rules
from proxy.store import open_store
from proxy.task import Ending, Filter
from tests.proc import serving
from tests.relay.caller import once, request
from tests.tapes.tape import Tape, tapes
from tests.upstream import Upstream, ok

ASKED = b'{"input":"a","model":"m"}'
FULL = [
    tape for kind in ("embedding", "ollama_embed") for tape in tapes(kind) if "error" not in tape.name and "cut" not in tape.name
]
each = pytest.mark.parametrize("tape", FULL, ids=lambda tape: f"{tape.kind}-{tape.name}")


@each
def test_the_answer_is_whole_where_vectors_are_asked_for_and_nothing_else_changes(tape: Tape) -> None:
    plain = tape.call()
    coded = tape.call(gzip.compress(tape.body), response_fields=(*plain.response_fields, (b"Content-Encoding", b"gzip")))
    for call in (plain, coded):
        task = read(call)
        asked = with_vectors(task)

        assert asked.raw_output == json.loads(tape.body) != task.raw_output
        assert (asked.output, asked.usage, asked.response_body) == (task.output, task.usage, task.response_body)


@pytest.mark.parametrize(
    "call",
    [
        FULL[0].call(FULL[0].body[:-9], ending=Ending.UPSTREAM_BROKE),
        FULL[0].call(b"", ending=Ending.CALLER_LEFT),
        FULL[0].call(b"not gzip", response_fields=((b"Content-Encoding", b"gzip"),)),
        tapes("image")[0].call(),
    ],
    ids=["cut", "nothing", "broken", "a picture"],
)
def test_what_is_no_whole_embedding_stays_as_it_is(call) -> None:
    task = read(call)

    assert with_vectors(task) is task


async def test_reading_again_puts_them_into_what_was_kept_without(tmp_path: Path) -> None:
    tape = FULL[0]
    store = await open_store("sqlite:", tmp_path, write=True)
    try:
        await store.save([read(tape.call())])
        said = {"prices": {}, "upstreams": {}, "estimate": False}
        kept = []
        for vectors in (False, True):
            await reread(store, Rules.of(said | {"vectors": vectors}, tmp_path).complete, Filter(), limit=9)
            kept.append((await store.get("task-1")).raw_output)
    finally:
        await store.close()

    assert kept[0]["data"][0]["embedding"] == {"dimensions": 4, "encoding_format": "base64"}
    assert kept[1] == json.loads(tape.body)


def test_a_house_that_is_told_to_keeps_vectors(tmp_path: Path) -> None:
    upstream = Upstream()
    answer = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.25]}], "model": "m"}
    upstream.play(ok(json.dumps(answer).encode()))
    config = f'default_upstream = "main"\n[capture]\nvectors = true\n[upstreams.main]\nurl = "{upstream.url}"\n'
    try:
        with serving(tmp_path, config) as house:
            asked = request(b"POST", b"/v1/embeddings", b"Content-Type: application/json", body=ASKED)
            task = house.task(once(house.calls, asked).id.decode())
    finally:
        upstream.close()

    assert (task["output"], task["raw_output"]) == ("1 vector of 2", answer)
