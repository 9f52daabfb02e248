"""Embeddings with their vectors: what the readers leave out of `raw_output`, put back where it is asked for. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.task import Task
from proxy.wire.answer import json_of
from proxy.wire.coding import decode

KINDS: Final = ("embedding", "ollama_embed")


def with_vectors(task: Task) -> Task:
    """`task` with its answer whole, as its kept bytes have it; as it is where they are not JSON, or not kept."""
    if task.kind not in KINDS or task.raw_output is None or not task.response_body:
        return task
    plain, problem = decode(task.response_body, task.response_coding)
    if problem is not None:
        return task
    answer, problem = json_of((plain,))
    return task if problem is not None else replace(task, raw_output=answer)
