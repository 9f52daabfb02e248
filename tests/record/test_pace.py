"""How fast a stream brought its tokens."""

from __future__ import annotations

import json

import pytest

from proxy.record.reading import read
from proxy.task import Piece
from tests.tapes.tape import make_call, tapes


def chat(*pieces: tuple[float, dict | None], request_size: int = 0, **changes):
    """A streamed chat whose chunks come at these times (seconds); None is the end marker."""
    response = tuple(
        Piece(at, b"data: [DONE]\n\n" if chunk is None else b"data: " + json.dumps(chunk).encode() + b"\n\n")
        for at, chunk in pieces
    )
    fields = ((b"Content-Type", b"text/event-stream"),)
    return make_call(
        response=response, response_size=sum(len(p.data) for p in response), response_fields=fields, http_status=200, **changes
    )


def says(text: str, key: str = "content") -> dict:
    return {"choices": [{"index": 0, "delta": {key: text}}]}


def used(**usage) -> dict:
    return {"choices": [], "usage": usage}


def test_output_tokens_by_the_seconds_from_the_first_token_to_the_last_piece():
    call = chat(
        (0.1, says("")), (0.5, says("a")), (1.0, says("b")), (2.5, used(prompt_tokens=5, completion_tokens=30)), (2.5, None)
    )
    task = read(call)
    assert task.seconds_to_first_token == 0.5
    assert task.tokens_per_second == 15.0


@pytest.mark.parametrize(
    "call",
    [
        chat((0.5, says("a")), (1.0, None)),
        chat((0.5, says("a")), (0.5, used(prompt_tokens=1, completion_tokens=9)), (0.5, None)),
        chat((0.5, says("")), (0.9, used(prompt_tokens=1, completion_tokens=9)), (1.0, None)),
        chat((0.5, {"choices": [], "usage": {"prompt_tokens": 3}}), (1.0, says("a")), (2.0, None)),
        make_call(response=(Piece(0.1, b'{"usage": {"completion_tokens": 5}}'),), http_status=200),
    ],
    ids=["no usage", "all at once", "no token", "no output tokens", "no stream"],
)
def test_where_it_cannot_be_told_it_is_not_known(call):
    assert read(call).tokens_per_second is None


def test_reasoning_that_was_not_shown_was_over_before_the_first_token():
    usage = used(prompt_tokens=5, completion_tokens=1010, completion_tokens_details={"reasoning_tokens": 1000}, total_tokens=1015)
    hidden = chat((8.0, says("a")), (9.0, usage), (9.0, None))
    shown = chat((1.0, says("hm", "reasoning_content")), (8.0, says("a")), (11.0, usage), (11.0, None))
    assert read(hidden).tokens_per_second == 10.0
    assert read(shown).tokens_per_second == 101.0


@pytest.mark.parametrize("kind", ["message", "response", "gemini", "ollama_chat", "completion"])
def test_every_dialect_that_streams_has_a_pace(kind):
    """Each tape of the kind that says its tokens, a byte a millisecond."""
    paces = []
    for tape in tapes(kind):
        pieces = tuple(Piece(at / 1000, bytes([byte])) for at, byte in enumerate(tape.body))
        task = read(tape.call(response=pieces))
        if task.stream and task.usage and task.usage.output_tokens and task.seconds_to_first_token is not None:
            assert task.tokens_per_second is not None, tape.name
            paces.append(task.tokens_per_second)
    assert paces
    assert all(pace > 0 for pace in paces)
