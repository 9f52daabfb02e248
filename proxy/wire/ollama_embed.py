"""Ollama's `/api/embed` and, from before it, `/api/embeddings`: texts in, vectors out. The vectors are counted, not kept."""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answer import Form, form_of, json_of
from proxy.wire.dialect import Reading, Said, error_of, text_of
from proxy.wire.ollama import usage_of


def read(said: Said) -> Reading:
    """Read one call."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    refused = said.status is not None and said.status >= 400
    form = form_of(said.pieces, said.content_type)
    value: Any = None
    problem: str | None = None
    if form is Form.JSON:
        value, problem = json_of(said.pieces)
        if problem is not None and not said.whole:
            problem = "the response is cut: its JSON cannot be read"
    elif form is not Form.NOTHING and not refused:
        problem = "the response is not JSON"
    answer: JSON = value if isinstance(value, dict) else {}
    vectors = _vectors(answer)
    error = error_of(answer)
    return Reading(
        raw_output=_without_vectors(answer) if isinstance(value, dict) else value,
        input=_input(asked),
        output=_told([len(vector) for vector in vectors if isinstance(vector, list)]),
        model_requested=text_of(asked, "model") or text_of(asked, "name"),
        model=text_of(answer, "model"),
        usage=usage_of(answer),
        failed=error is not None,
        error=error,
        problems=() if problem is None else (problem,),
    )


def _input(asked: JSON) -> str | None:
    given = asked.get("input", asked.get("prompt"))
    texts = given if isinstance(given, list) else [given]
    return "\n".join(text for text in texts if isinstance(text, str)) or None


def _vectors(answer: JSON) -> list[Any]:
    several = answer.get("embeddings")
    return several if isinstance(several, list) else [answer.get("embedding")]


def _told(sizes: list[int]) -> str | None:
    if not sizes:
        return None
    count = f"{len(sizes)} vector{'s' if len(sizes) > 1 else ''}"
    return f"{count} of {sizes[0]}" if len(set(sizes)) == 1 else count


def _without_vectors(answer: JSON) -> JSON:
    """The answer with `{"dimensions": n}` in the place of each vector."""
    kept = dict(answer)
    if isinstance(answer.get("embeddings"), list):
        kept["embeddings"] = [_size(vector) for vector in answer["embeddings"]]
    if "embedding" in answer:
        kept["embedding"] = _size(answer["embedding"])
    return kept


def _size(vector: Any) -> Any:
    return {"dimensions": len(vector)} if isinstance(vector, list) else vector
