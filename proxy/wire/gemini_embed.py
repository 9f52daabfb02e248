"""Gemini's own embeddings (`:embedContent`, `:batchEmbedContents`): the texts, and how many vectors of how many dimensions came.

As in embeddings.py the vectors are not in `raw_output`: in the place of each stands how many dimensions it has.
"""

from __future__ import annotations

import re
from typing import Any

from proxy.task import JSON, Usage
from proxy.wire.answer import Form, form_of, json_of
from proxy.wire.dialect import Reading, Said, error_of, text_of
from proxy.wire.gemini_text import input_of
from proxy.wire.usage import figure_of

ASKED = re.compile(r"/([^/:?]+):(?:batchE|e)mbedContents?(?:\?|$)")
"""The model in a path."""


def read(said: Said) -> Reading:
    """Read one call for embeddings."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    value, problem = json_of(said.pieces) if form_of(said.pieces, said.content_type) is Form.JSON else (None, None)
    if problem is not None and not said.whole:
        problem = "the response is cut: its JSON cannot be read"
    raw: JSON = value if isinstance(value, dict) else {}
    vectors = [vector for vector in (raw.get("embedding"), *_list(raw.get("embeddings"))) if isinstance(vector, dict)]
    path = ASKED.search(said.target)
    error = error_of(raw)
    contents = [each.get("content") for each in (asked, *_list(asked.get("requests"))) if isinstance(each, dict)]
    texts = [text for content in contents if content is not None and (text := input_of([content])) is not None]
    return Reading(
        raw_output=_without_vectors(raw) if raw else value,
        input="\n".join(texts) or None,
        output=_told([len(_list(vector.get("values"))) for vector in vectors]),
        model_requested=path[1] if path is not None else text_of(asked, "model"),
        usage=_usage(raw),
        failed=error is not None,
        error=error,
        problems=() if problem is None else (problem,),
    )


def _usage(raw: JSON) -> Usage | None:
    counted = raw.get("usageMetadata")
    if not isinstance(counted, dict) or (tokens := figure_of(counted, "promptTokenCount")) is None:
        return None
    return Usage(input_tokens=tokens, total_tokens=figure_of(counted, "totalTokenCount"))


def _without_vectors(raw: JSON) -> JSON:
    found = dict(raw)
    if isinstance(raw.get("embedding"), dict):
        found["embedding"] = _described(raw["embedding"])
    if isinstance(raw.get("embeddings"), list):
        found["embeddings"] = [_described(each) for each in raw["embeddings"]]
    return found


def _described(vector: Any) -> Any:
    if not isinstance(vector, dict) or not isinstance(vector.get("values"), list):
        return vector
    return vector | {"values": {"dimensions": len(vector["values"])}}


def _told(sizes: list[int]) -> str | None:
    if not sizes:
        return None
    count = f"{len(sizes)} vector{'s' if len(sizes) > 1 else ''}"
    return f"{count} of {sizes[0]}" if set(sizes) == {sizes[0]} else count


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
