"""Takes out of an assembled answer the secrets that came in fragments, an event each. Pure.

On the wire they stood nowhere in one piece, so the relay could not see them.
"""

from __future__ import annotations

from dataclasses import replace

import orjson

from proxy.record.redact import redacted_whole
from proxy.record.redact_echo import echoes, without_echoes
from proxy.record.redact_events import EventRedactor
from proxy.record.redact_names import REDACTED
from proxy.record.redact_rules import Hit, Rules, apart
from proxy.record.redact_text import members
from proxy.task import Task
from proxy.wire.coding import OUTPUT_LIMIT, Decoder, UnknownCodingError

SECOND_LOOK = "output"
KEPT = "response.body"
"""Where it says in `Task.redactions` that something was taken out."""


def without_secrets(task: Task, pepper: bytes) -> Task:
    """A streamed task without the secrets that the relay could not see: a key, or a member, that was said in fragments."""
    if not task.stream or task.output is None:
        return task
    output = _cleaned(task.output.encode("utf-8", "surrogatepass"), task.caller_key, pepper)
    try:
        whole = orjson.dumps(task.raw_output)
    except TypeError:  # lone surrogates, or numbers beyond 64 bits: nothing that came as JSON from a provider of this field
        whole = b"null"
    raw_output = _cleaned(whole, task.caller_key, pepper)
    if output is None and raw_output is None:
        return task
    return replace(
        _without_fragments(task, pepper),
        output=task.output if output is None else output.decode("utf-8", "surrogatepass"),
        raw_output=task.raw_output if raw_output is None else orjson.loads(raw_output),
        redactions=(*task.redactions, *(() if KEPT in task.redactions else (KEPT,)), SECOND_LOOK),
    )


def _without_fragments(task: Task, pepper: bytes) -> Task:
    """The task with the same taken out of its kept bytes, fragment by fragment; the coding is taken off them for that."""

    def find(text: bytes) -> list[Hit]:
        hits = [hit for hit in members(text) if hit[1] > hit[0]]
        if task.caller_key is not None:
            hits += [(start, end, REDACTED) for start, end in echoes(text, task.caller_key, pepper)]
        return apart(hits)

    pieces: list[bytes] = []
    at = 0
    for _, size in task.pieces:
        pieces.append(task.response_body[at : at + size])
        at += size
    if task.response_coding is not None:
        try:
            decoder = Decoder(task.response_coding, OUTPUT_LIMIT)
        except UnknownCodingError:
            return task
        pieces = [decoder.feed(piece) for piece in pieces]
    redactor = EventRedactor(Rules(), find=find)
    kept = [*redactor.feed_in_time(list(range(len(pieces))), pieces), *redactor.finish_in_time()]
    return replace(
        task,
        response_body=b"".join([data for _, data in kept]),
        response_coding=None,
        pieces=tuple([(task.pieces[number][0], len(data)) for number, data in kept]),
    )


def _cleaned(text: bytes, caller_key: str | None, pepper: bytes) -> bytes | None:
    """`text` without secrets; `None` where there were none."""
    clean = text if caller_key is None else without_echoes(text, caller_key, pepper)
    clean, changed = redacted_whole(clean)
    return clean if changed or clean is not text else None
