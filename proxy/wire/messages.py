"""Anthropic's messages (`/v1/messages`), streamed and not, and how many tokens one would have (`/v1/messages/count_tokens`).

Vertex AI and Bedrock carry the same, with the model in the path; Bedrock's streams come in frames of Amazon's.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from proxy.task import JSON
from proxy.wire.answered import answer_of, is_refused, was_streamed
from proxy.wire.dialect import Reading, Said, text_of
from proxy.wire.eventstream import unwrapped
from proxy.wire.message_events import Events
from proxy.wire.message_text import input_of, output_of, system_prompt_of
from proxy.wire.usage import figure_of, usage_of

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
    return Reading(
        raw_output=answer.raw,
        input=input_of(asked.get("messages")),
        output=None if is_refused(said) else output,
        system_prompt=system_prompt_of(asked),
        model_requested=text_of(asked, "model") or _model_in(said.target),
        model=text_of(raw, "model"),
        usage=usage_of(raw.get("usage")),  # a count is no usage: nothing was used
        finish_reasons=(text_of(raw, "stop_reason"),) if "content" in raw or "stop_reason" in raw else (),
        response_id=text_of(raw, "id"),
        stream=was_streamed(said, answer.form),
        failed=answer.error is not None,
        error=answer.error,
        marked=answer.marked,
        first=answer.first,
        problems=broken + answer.problems + events.problems,
    )


def _model_in(target: str) -> str | None:
    found = _IN_PATH.search(target)
    return None if found is None else unquote(found[1])
