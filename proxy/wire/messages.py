"""Anthropic's messages (`/v1/messages`), streamed and not, and how many tokens one would have (`/v1/messages/count_tokens`).

Vertex AI and Bedrock carry the same, with the model in the path; Bedrock's streams come in frames of Amazon's.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from proxy.task import JSON
from proxy.wire.answered import answer_of, reading_of
from proxy.wire.dialect import Reading, Said, text_of
from proxy.wire.eventstream import unwrapped
from proxy.wire.message_events import Events
from proxy.wire.message_text import input_of, output_of, system_prompt_of
from proxy.wire.usage import figure_of

_IN_PATH = re.compile(r"/models?/([^/:?]+(?::[0-9]+)?)(?::(?:streamR|r)awPredict|/invoke(?:-with-response-stream)?)(?:\?|$)")
"""The model in a path: `.../models/claude-sonnet-4-5@20250929:rawPredict`, `/model/anthropic.claude-3-haiku-v1:0/invoke`."""


def read(said: Said) -> Reading:
    """Read one message, or one count."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    events = Events()
    said, broken = unwrapped(said)
    answer = answer_of(said, events, "message_stop")
    raw = answer.whole
    count = None if "content" in raw or "type" in raw else figure_of(raw, "input_tokens")
    output = output_of(raw) if count is None else f"[{count} input tokens]"
    return reading_of(
        said,
        answer._replace(problems=broken + answer.problems + events.problems),
        input=input_of(asked.get("messages")),
        output=output,
        system_prompt=system_prompt_of(asked),
        model_requested=text_of(asked, "model") or _model_in(said.target),
        finish_reasons=(text_of(raw, "stop_reason"),) if "content" in raw or "stop_reason" in raw else (),
    )  # a count has no usage: nothing was used


def _model_in(target: str) -> str | None:
    found = _IN_PATH.search(target)
    return None if found is None else unquote(found[1])
