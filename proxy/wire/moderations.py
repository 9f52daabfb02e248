"""Moderations (`/v1/moderations`): what was looked at, and the categories in which it was flagged."""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answer import Form, form_of, json_of
from proxy.wire.dialect import Reading, Said, error_of, text_of
from proxy.wire.text import content_text
from proxy.wire.usage import usage_of


def read(said: Said) -> Reading:
    """Read one moderation."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    value, problem = json_of(said.pieces) if form_of(said.pieces, said.content_type) is Form.JSON else (None, None)
    if problem is not None and not said.whole:
        problem = "the response is cut: its JSON cannot be read"
    raw: JSON = value if isinstance(value, dict) else {}
    results = raw.get("results")
    verdicts = [_verdict(result) for result in (results if isinstance(results, list) else ()) if isinstance(result, dict)]
    error = error_of(raw)
    return Reading(
        raw_output=value,
        input=content_text(asked["input"]) if isinstance(asked.get("input"), str | list) else None,
        output="\n".join(verdicts) or None,
        model_requested=text_of(asked, "model"),
        model=text_of(raw, "model"),
        usage=usage_of(raw.get("usage")),
        response_id=text_of(raw, "id"),
        failed=error is not None,
        error=error,
        problems=() if problem is None else (problem,),
    )


def _verdict(result: JSON) -> str:
    """The categories of one input that are flagged. Mistral names them, and says no more."""
    categories: Any = result.get("categories")
    names = [name for name, flagged in categories.items() if flagged is True] if isinstance(categories, dict) else []
    if names:
        return f"flagged: {', '.join(names)}"
    return "flagged" if result.get("flagged") is True else "not flagged"
