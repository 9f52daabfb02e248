"""Takes out of an assembled answer the secrets that came in fragments, an event each. Pure.

On the wire they stood nowhere in one piece, so the relay could not see them.
"""

from __future__ import annotations

from dataclasses import replace

import orjson

from proxy.record.redact import redacted_whole
from proxy.record.redact_echo import without_echoes
from proxy.task import Task

SECOND_LOOK = "output"
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
        task,
        output=task.output if output is None else output.decode("utf-8", "surrogatepass"),
        raw_output=task.raw_output if raw_output is None else orjson.loads(raw_output),
        redactions=(*task.redactions, SECOND_LOOK),
    )


def _cleaned(text: bytes, caller_key: str | None, pepper: bytes) -> bytes | None:
    """`text` without secrets; `None` where there were none."""
    clean = text if caller_key is None else without_echoes(text, caller_key, pepper)
    clean, changed = redacted_whole(clean)
    return clean if changed or clean is not text else None
