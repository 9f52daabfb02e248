"""Whatever comes: any cut gives the same task, a field that nobody knows changes nothing, and no input makes a reader raise."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.record.reading import read
from proxy.wire import DIALECTS, Said
from proxy.wire.lenient import mend
from tests.tapes.tape import Tape, said, tapes

TAPES = tapes()
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        7,
        1.5,
        2**63,
        2**70,
        1e308,
        float("nan"),
        "",
        "x",
        "\ud83d",
        "\u0000",
        "[DONE]",
        "index",
        "0",
    ),
    *(
        [],
        [None],
        [[]],
        [{}],
        ["x"],
        [1, 2],
        {},
        {"": None},
        {"id": 1},
        {"type": "x"},
        {"index": -1},
        {"error": "x"},
        {"text": ["x"]},
    ),
)
"""What may stand where something else is expected."""

some_tape = st.sampled_from(TAPES)
cuts = st.lists(st.integers(0, 6000), max_size=8)
seeds = st.integers(0, 2**32)


def split(data: bytes, at: list[int]) -> list[bytes]:
    ends = sorted({0, len(data), *(cut for cut in at if cut < len(data))})
    return [data[a:b] for a, b in pairwise(ends)] or [b""]


@settings(max_examples=150, deadline=None)
@given(some_tape, cuts)
def test_any_cuts_give_the_same_task(tape: Tape, at: list[int]) -> None:
    assert said(read(tape.call(*split(tape.body, at)))) == said(read(tape.call()))


# -- unknown fields -----------------------------------------------------------------------------------------------------------


def objects(tape: Tape, change: Any) -> bytes:
    """The body of a tape with `change` made to each of its JSON values; what is no JSON stays."""
    if tape.body.lstrip()[:1] in (b"{", b"[") and (whole := value_of(tape.body)) is not None:
        return dumped(change(whole))
    lines = []
    for line in tape.body.split(b"\n"):
        start = b"data: " if line.startswith(b"data: ") else b""
        value = value_of(line.removeprefix(start)) if line.lstrip()[:1] in (b"{", b"d") else None
        lines.append(line if value is None else start + dumped(change(value)))
    return b"\n".join(lines)


def value_of(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


UNDERSTOOD = (
    "input",
    "output",
    "system_prompt",
    "usage",
    "finish_reasons",
    "model",
    "response_id",
    "stream",
    "ending",
    "problems",
)
OWN = ("arguments", "args", "input", "action", "operation", "parameters", "metadata", "categories")
"""Members of which every member is somebody's own, and known; so is Gemini's `response`."""
PLAIN = [
    tape
    for tape in TAPES
    # a body that is cut, or is no JSON, is another one when it is written anew; so is one with a content coding
    if (tape.kind, tape.name) not in (("file", "content"), ("batch", "anthropic_results"))  # those are somebody's, JSON or not
    and not any(
        word in tape.name for word in ("cut", "utf8", "garbage", "surrogate", "no_last", "many_data", "cr", "html", "odd")
    )
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLAIN), seeds, st.sampled_from(ODD[:13] + ODD[19:22]))
def test_a_field_that_nobody_knows_changes_nothing_that_is_understood(tape: Tape, seed: int, value: Any) -> None:
    dice = Random(seed)

    def grown(old: Any) -> Any:
        if isinstance(old, dict):
            new = {
                key: item if key in OWN or (key == "response" and tape.kind == "gemini") else grown(item)
                for key, item in old.items()
            }
            return new | {"x_unheard_of": value} if dice.random() < 0.5 else new
        return [grown(item) for item in old] if isinstance(old, list) else old

    first = read(tape.call(objects(tape, lambda value: value)))
    second = read(tape.call(objects(tape, grown)))
    assert {name: getattr(second, name) for name in UNDERSTOOD} == {name: getattr(first, name) for name in UNDERSTOOD}


# -- it never raises ----------------------------------------------------------------------------------------------------------


def spoiled(value: Any, dice: Random, chance: float) -> Any:
    """A value with some of its parts put in the place of others, left out, said twice or replaced by what nobody expects."""
    if dice.random() < chance:
        return dice.choice(ODD)
    if isinstance(value, dict):
        kept = {key: spoiled(item, dice, chance) for key, item in value.items() if dice.random() > chance / 2}
        if len(kept) > 1 and dice.random() < chance:
            one, other = dice.sample(list(kept), 2)
            kept[one], kept[other] = kept[other], kept[one]
        return kept
    if isinstance(value, list):
        items = [spoiled(item, dice, chance) for item in value]
        return items + items[:1] if dice.random() < chance else items
    return value


def spoiled_said(tape: Tape, dice: Random) -> Said:
    """A tape's call with its request, its answer and what was told of it spoiled."""
    chance = dice.choice((0.02, 0.1, 0.4))
    body = objects(tape, lambda value: spoiled(value, dice, chance))
    if dice.random() < 0.3:
        at = dice.randrange(len(body) + 1)
        body = (
            body[:at]
            + dice.choice((b"", b"\xff", b'"', b"\n\n", b"\r", b"{", b"]", b"data: ", b"event: error\n"))
            + body[at + dice.randrange(3) :]
        )
    if dice.random() < 0.2:
        body = body[: dice.randrange(len(body) + 1)]
    call = tape.call()
    fields = dict(call.response_fields)
    kind = (fields.get(b"Content-Type") or b"").decode().partition(";")[0]
    return Said(
        method=dice.choice((call.method, "GET", "DELETE")),
        target=dice.choice((call.target, call.target + "/x", "/v1/x?%zz=%")),
        request=mend(spoiled(tape.doc.get("request"), dice, chance)),
        pieces=tuple(split(body, [dice.randrange(len(body) + 1) for _ in range(dice.randrange(4))])),
        content_type=dice.choice((kind, "text/event-stream", "application/json", "application/x-ndjson", "")),
        status=dice.choice((tape.doc.get("status", 200), 200, 400, 101, None)),
        whole=dice.random() < 0.7,
    )


@pytest.mark.parametrize("kind", sorted(DIALECTS))
@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_no_input_makes_a_reader_raise(kind: str, seed: int) -> None:
    """Each reader, with tapes of its own dialect and of all others."""
    dice = Random(seed)
    own = [tape for tape in TAPES if tape.kind == kind]
    tape = dice.choice(own if own and dice.random() < 0.8 else TAPES)
    said = spoiled_said(tape, dice)

    DIALECTS[kind].read(said)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(DIALECTS)), st.lists(st.binary(max_size=40), max_size=5), st.sampled_from(ODD), st.booleans())
def test_no_bytes_make_a_reader_raise(kind: str, pieces: list[bytes], request: Any, whole: bool) -> None:
    for content_type in ("text/event-stream", "application/json", ""):
        DIALECTS[kind].read(Said(request=mend(request), pieces=tuple(pieces), content_type=content_type, status=200, whole=whole))
