"""Ollama's own API: `/api/chat` and `/api/generate`, answered in lines of JSON unless `stream` is false."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.task import JSON, Usage
from proxy.wire.answer import Form, form_of, json_of
from proxy.wire.answered import Answer, answer_of, is_refused
from proxy.wire.dialect import Reading, Said, error_of, text_of
from proxy.wire.lenient import mend
from proxy.wire.ollama_lines import SPEAKING, Lines, Whole
from proxy.wire.text import content_text, input_of, message_text, system_prompt_of
from proxy.wire.usage import figure_of

END = "a line that says that it is done"


def read_chat(said: Said) -> Reading:
    """Read one call of `/api/chat`."""
    asked = _asked(said)
    messages = asked.get("messages")
    return _reading(said, input_of(messages), system_prompt_of(messages), _message)


def read_generate(said: Said) -> Reading:
    """Read one call of `/api/generate`. One without a prompt loads the model, or lets it go."""
    asked = _asked(said)
    given = message_text({"content": asked.get("prompt"), "images": asked.get("images")})
    suffix = text_of(asked, "suffix")
    if suffix is not None:
        given += f"\n[suffix] {suffix}"
    return _reading(said, given or None, text_of(asked, "system"), _response)


def usage_of(answer: JSON) -> Usage | None:
    """The counts that the last line brings. A prompt that was all in the cache has none in older versions."""
    given, output = figure_of(answer, "prompt_eval_count"), figure_of(answer, "eval_count")
    return None if given is None and output is None else Usage(input_tokens=given, output_tokens=output)


def _asked(said: Said) -> JSON:
    return said.request if isinstance(said.request, dict) else {}


def _reading(said: Said, input: str | None, system_prompt: str | None, message_of: Callable[[JSON], JSON | None]) -> Reading:
    asked, (answer, stream) = _asked(said), _answer(said)
    raw, message = answer.whole, message_of(answer.whole)
    if stream is None or is_refused(said):  # the answer does not tell
        stream = None if said.request is None else asked.get("stream") is not False
    return Reading(
        raw_output=answer.raw,
        input=input,
        output=None if message is None or is_refused(said) else message_text(message) or None,
        system_prompt=system_prompt,
        model_requested=text_of(asked, "model") or text_of(asked, "name"),
        model=text_of(raw, "model"),
        usage=usage_of(raw),
        finish_reasons=() if message is None else (text_of(raw, "done_reason"),),
        stream=stream,
        failed=answer.error is not None,
        error=answer.error,
        marked=answer.marked,
        first=answer.first,
        problems=answer.problems,
    )


def _message(answer: JSON) -> JSON | None:
    message = answer.get("message")
    return message if isinstance(message, dict) else None


def _response(answer: JSON) -> JSON | None:
    """A completion, as the message that it is."""
    if not any(key in answer for key in SPEAKING):
        return None
    image = text_of(answer, "image")
    return {
        "content": content_text(answer.get("response")),
        "images": None if image is None else [image],
        "tool_calls": answer.get("tool_calls"),
    }


def _answer(said: Said) -> tuple[Answer, bool | None]:
    """The answer, and whether it was a stream: its look counts, not what was asked for. None where it does not tell."""
    form = form_of(said.pieces, said.content_type)
    if form is Form.SSE:  # gateways that speak for Ollama
        return answer_of(said, Whole(), END), True
    if form is not Form.JSON:
        problems = ("the response is neither JSON nor lines of JSON",) if form is Form.OTHER and not is_refused(said) else ()
        return Answer(form, problems=problems), None
    problem: str | None = None
    if "ndjson" not in said.content_type:
        value, problem = json_of(said.pieces)
        done = value.get("done") if isinstance(value, dict) else None
        if problem is None and done is not False:  # else it is the first line, and all that came
            return Answer(form, value, error_of(value), done is True), False
    answer = _lines(said)
    if answer.raw is None and problem is not None:
        return Answer(form, problems=(problem if said.whole else "the response is cut: its JSON cannot be read",)), None
    return answer, True


def _lines(said: Said) -> Answer:
    lines, whole = Lines(said.pieces), Whole()
    first: int | None = None
    came = False
    for number, line in lines:
        came = True
        if whole.add(b"", line) and first is None:
            first = number
    raw: Any = whole.result() if came else None
    problems = lines.problems
    if said.whole and not whole.marked and whole.error is None:
        problems += (f"the stream ended without its end marker, {END}",)
    return Answer(Form.JSON, mend(raw) if lines.mending else raw, whole.error, whole.marked, first, problems)
