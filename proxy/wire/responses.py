"""The Responses API (`/v1/responses`): creating one, streamed and not; and what is asked of one that there is, read small.

`previous_response_id` and `conversation` stay where they are, in `raw_input` and `raw_output`. What was used is told only of the
call that made a response: one that is retrieved, or cancelled, tells it again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from proxy.task import JSON
from proxy.wire.answered import answer_of, is_refused, was_streamed
from proxy.wire.dialect import Reading, Said, text_of
from proxy.wire.response_events import LAST, Events
from proxy.wire.response_text import input_of, output_of, system_prompt_of
from proxy.wire.turns import events_of
from proxy.wire.usage import usage_of

MAKING = frozenset(("", "compact"))
"""What may follow `/responses` in the path of a POST that makes something new."""

ENVELOPE = frozenset(("type", "event_id", "stream_id"))
"""Members of a `response.create` message that are not what is asked."""

PENDING = frozenset(("queued", "in_progress"))


def read(said: Said) -> Reading:
    """Read one call about a response."""
    return _spoken(said) if said.turns or said.status == 101 else _read(said)


def _spoken(said: Said) -> Reading:
    """One response on a WebSocket: the same request and the same events, a message each."""
    events, problems = events_of(said.turns)
    done = next((event.value.get("stream_id") for event in reversed(events) if event.kind in LAST), None)
    events = [event for event in events if done is None or event.value.get("stream_id") in (None, done)]
    creates = [event for event in events if event.turn.sent and event.kind == "response.create"]
    heard = [event for event in events if not event.turn.sent and event.kind != "close"]
    asked = {key: value for key, value in creates[-1].value.items() if key not in ENVELOPE} if creates else None
    pieces = tuple(b"data: %b\n\n" % orjson.dumps(event.value) for event in heard)
    reading = _read(
        replace(said, method="POST", request=asked, pieces=pieces, content_type="text/event-stream", status=200, turns=())
    )
    ended = next((event.turn.at for event in heard if event.kind in LAST), None)
    began = creates[-1].turn.at if creates else None
    return replace(
        reading,
        stream=True,
        asked=asked,
        first=None if reading.first is None else heard[reading.first].turn.piece,
        span=None if began is None or ended is None or ended < began else (began, ended),
        problems=(*problems, *(reading.problems if heard or creates else ())),
    )


def _read(said: Said) -> Reading:
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    answer = answer_of(said, Events(), "response.completed")
    raw = answer.whole
    makes = _makes(said)
    error = answer.error
    if error is None and raw.get("status") == "failed":
        error = "the response failed"
    if error is not None and not makes and raw.get("status") == "failed":
        error = None  # it is told of a failure that was before
    return Reading(
        raw_output=answer.raw,
        verbatim=answer.verbatim,
        input=input_of(asked.get("input")) or _template(asked),
        output=None if is_refused(said) else _output(raw),
        system_prompt=system_prompt_of(asked.get("instructions"), asked.get("input")),
        model_requested=text_of(asked, "model"),
        model=text_of(raw, "model"),
        usage=usage_of(raw.get("usage")) if makes else None,
        finish_reasons=_finish_reasons(raw),
        response_id=text_of(raw, "id"),
        stream=was_streamed(said, answer.form),
        failed=error is not None,
        error=error,
        marked=answer.marked,
        first=answer.first,
        problems=answer.problems,
    )


def _makes(said: Said) -> bool:
    if said.method != "POST":
        return False
    path = said.target.partition("?")[0].rstrip("/")
    return path.rpartition("/responses")[2].lstrip("/") in MAKING


def _template(asked: JSON) -> str | None:
    """The prompt that is kept at the provider, where it is all that was said."""
    prompt = asked.get("prompt")
    name = text_of(prompt, "id") if isinstance(prompt, dict) else None
    return f"[prompt {name}]" if name else None


def _output(raw: JSON) -> str | None:
    if isinstance(raw.get("output"), list):
        return output_of(raw["output"])
    if raw.get("deleted") is True:
        return f"deleted {raw.get('id')}"
    if raw.get("object") == "list" and isinstance(raw.get("data"), list):
        count = len(raw["data"])
        return f"{count} item{'' if count == 1 else 's'}{', and more' if raw.get('has_more') is True else ''}"
    if type(raw.get("input_tokens")) is int:
        return f"{raw['input_tokens']} input tokens"
    return None


def _finish_reasons(raw: JSON) -> tuple[str | None, ...]:
    """Why it is incomplete; else its status, once that is final."""
    status: Any = text_of(raw, "status")
    if status is None:
        return ()
    details = raw.get("incomplete_details")
    reason = text_of(details, "reason") if isinstance(details, dict) else None
    return (reason or (None if status in PENDING else status),)
