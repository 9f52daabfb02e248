"""A secret that came in fragments is in no word of the task, and in no fragment of what is kept of its stream."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace

import pytest

from proxy.record.redact_fields import fingerprint
from proxy.record.second_look import KEPT, SECOND_LOOK, without_secrets
from proxy.task import Task
from tests.store.tasks import a_task

PEPPER, SECRET = b"pepper", "sk-said-in-fragments-0001"


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


def streamed(text: str, size: int, *, coding: str | None = None) -> Task:
    pieces = [event(text[at : at + size]) for at in range(0, len(text), size)] + [b"data: [DONE]\n\n"]
    if coding is not None:
        packer = zlib.compressobj(wbits=31)
        pieces = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces] + [packer.flush()]
    task = a_task(1)
    return replace(
        task,
        stream=True,
        output=text,
        raw_output={"choices": [{"message": {"content": text}}]},
        caller_key=fingerprint(SECRET.encode(), PEPPER),
        response_body=b"".join(pieces),
        response_coding=coding,
        pieces=tuple((number / 100, len(piece)) for number, piece in enumerate(pieces)),
        redactions=(),
    )


def said(task: Task) -> str:
    events = [line[6:] for line in task.response_body.split(b"\n") if line.startswith(b"data: {")]
    return "".join(json.loads(line)["choices"][0]["delta"]["content"] for line in events)


@pytest.mark.parametrize("size", [1, 3, 10, 200])
@pytest.mark.parametrize("coding", [None, "gzip"])
def test_an_echoed_key_goes_out_of_every_fragment(size: int, coding: str | None) -> None:
    task = streamed(f"your key is {SECRET}, keep it. And more.", size, coding=coding)
    clean = without_secrets(task, PEPPER)
    assert (clean.output, said(clean)) == ("your key is [redacted], keep it. And more.",) * 2
    assert clean.redactions == (KEPT, SECOND_LOOK)
    assert clean.response_coding is None
    assert sum(length for _, length in clean.pieces) == len(clean.response_body)
    assert len(clean.response_body.split(b"data: ")) == len(range(0, len(task.output or ""), size)) + 2
    if coding is None:
        assert [at for at, _ in clean.pieces] == [at for at, _ in task.pieces]
    else:
        assert gzip.decompress(task.response_body)


@pytest.mark.parametrize("size", [1, 4, 50])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"api_key": "another-0002", "a": 1}', '{"api_key": "[redacted]", "a": 1}'),
        ('{"password": {"a": [1, "b"]}, "c": 2}', '{"password": "[redacted]", "c": 2}'),
        ('{"password": 12345, "c": 2}', '{"password": "[redacted]", "c": 2}'),
        ('{"password": "cut off', '{"password": "[redacted]'),
        (r'"{\"secret_key\": \"in-a-string\", \"a\": 1}"', r'"{\"secret_key\": \"[redacted]\", \"a\": 1}"'),
    ],
)
def test_a_secret_member_goes_out_of_every_fragment(text: str, expected: str, size: int) -> None:
    clean = without_secrets(streamed(text, size), PEPPER)
    assert said(clean) == expected


def test_a_stream_without_a_secret_is_the_very_same() -> None:
    task = streamed("nothing to see", 3)
    assert without_secrets(task, PEPPER) is task
