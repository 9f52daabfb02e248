"""Moderations (`/v1/moderations`): what was looked at, and the categories in which it was flagged."""

from __future__ import annotations

from typing import Any

from proxy.task import JSON
from proxy.wire.answered import reading_of, value_of
from proxy.wire.dialect import Reading, Said
from proxy.wire.text import content_text


def read(said: Said) -> Reading:
    """Read one moderation."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    answer = value_of(said)
    results = answer.whole.get("results")
    verdicts = [_verdict(result) for result in (results if isinstance(results, list) else ()) if isinstance(result, dict)]
    given = asked.get("input")
    text = content_text(given) if isinstance(given, str | list) else None
    return reading_of(said, answer, input=text, output="\n".join(verdicts) or None)


def _verdict(result: JSON) -> str:
    """The categories of one input that are flagged. Mistral names them, and says no more."""
    categories: Any = result.get("categories")
    names = [name for name, flagged in categories.items() if flagged is True] if isinstance(categories, dict) else []
    if names:
        return f"flagged: {', '.join(names)}"
    return "flagged" if result.get("flagged") is True else "not flagged"
