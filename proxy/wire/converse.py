"""Bedrock's Converse (`/model/{id}/converse`, `/converse-stream`): one shape for whatever model Amazon serves.

The model is in the path alone. A stream comes in frames of Amazon's, its events named in their headers; figures come last.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from proxy.task import JSON
from proxy.wire.answered import answer_of, is_refused, reading_of
from proxy.wire.converse_events import Events
from proxy.wire.converse_text import input_of, output_of, system_prompt_of
from proxy.wire.dialect import Reading, Said, text_of
from proxy.wire.eventstream import unwrapped

_IN_PATH = re.compile(r"/model/([^/?]+)/converse")
_FIGURES = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "total_tokens": "totalTokens",
    "cache_read_input_tokens": "cacheReadInputTokens",
    "cache_creation_input_tokens": "cacheWriteInputTokens",
}
"""Our reader's names for Amazon's figures; as with Anthropic, what was cached is counted beside the input."""


def read(said: Said) -> Reading:
    """Read one turn of a conversation."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    events = Events()
    said, broken = unwrapped(said)
    answer = answer_of(said, events, "messageStop")
    raw = answer.whole
    if is_refused(said) and answer.error is None:
        answer = answer._replace(error=text_of(raw, "message") or text_of(raw, "Message"))
    streamed = said.target.partition("?")[0].endswith("-stream")  # nothing else says it
    return reading_of(
        said,
        answer._replace(stream=streamed, problems=broken + answer.problems + events.problems),
        input=input_of(asked.get("messages")),
        output=output_of(raw),
        system_prompt=system_prompt_of(asked.get("system")),
        model_requested=_model_in(said.target),
        usage=_figures(raw.get("usage")),
        finish_reasons=(text_of(raw, "stopReason"),) if "output" in raw or "stopReason" in raw else (),
    )


def _figures(usage: Any) -> JSON | None:
    if not isinstance(usage, dict):
        return None
    return {name: usage[theirs] for name, theirs in _FIGURES.items() if theirs in usage}


def _model_in(target: str) -> str | None:
    found = _IN_PATH.search(target)
    return None if found is None else unquote(found[1])
