"""Whatever no dialect reads yet: its JSON is kept, model and tokens are noted, and nothing else is claimed."""

from __future__ import annotations

from proxy.wire.answer import Form, form_of, json_of
from proxy.wire.dialect import Reading, Said, error_of, text_of
from proxy.wire.usage import usage_of


def read(said: Said) -> Reading:
    """Read as much as is the same in every dialect."""
    asked = said.request if isinstance(said.request, dict) else {}
    form = form_of(said.pieces, said.content_type)
    stream = asked["stream"] if isinstance(asked.get("stream"), bool) else None
    value, problem = json_of(said.pieces) if form is Form.JSON else (None, None)
    answer = value if isinstance(value, dict) else {}
    says_json = said.content_type.endswith("json") and "ndjson" not in said.content_type
    return Reading(
        raw_output=value,
        model_requested=text_of(asked, "model"),
        model=text_of(answer, "model"),
        response_id=text_of(answer, "id"),
        usage=usage_of(answer.get("usage"))
        if said.method == "POST" and text_of(asked, "model")
        else None,  # else it was used before
        stream=True if form is Form.SSE else stream,
        error=error_of(answer),
        problems=(problem,) if problem and says_json and said.whole else (),
    )
