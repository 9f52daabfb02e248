"""The answer to one call, taken for what it is: one JSON value, or a stream that a dialect's own sum adds up, or neither."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from proxy.task import JSON
from proxy.wire.answer import Form, Stream, form_of, verbatim_of
from proxy.wire.dialect import Reading, Said, error_of, text_of
from proxy.wire.lenient import mend
from proxy.wire.usage import usage_of

CUT = "the response is cut: its JSON cannot be read"


class Sum(Protocol):
    """What the events of a stream add up to; made anew for each stream."""

    error: str | None  # what an event said of a failure
    marked: bool  # the event came that ends a stream of this dialect

    def add(self, name: bytes, chunk: JSON) -> bool:
        """Take one event in, which may be kept and changed. Whether it holds a token."""
        ...

    def result(self) -> Any:
        """What the non-streamed API would have answered. Asked once, and only where an event came."""
        ...


class Answer(NamedTuple):
    """What a response body turned out to be."""

    form: Form
    raw: Any = None
    error: str | None = None
    marked: bool = False
    first: int | None = None
    problems: tuple[str, ...] = ()
    stream: bool | None = None  # whether it was a stream, where that is a question
    verbatim: bool = False  # see `Reading.verbatim`

    @property
    def whole(self) -> JSON:
        """`raw` where it is an object, else an empty one."""
        return self.raw if isinstance(self.raw, dict) else {}


def is_refused(said: Said) -> bool:
    """Whether the status says that nothing was answered."""
    return said.status is not None and said.status >= 400


def answer_of(said: Said, events: Sum, end: str) -> Answer:
    """The answer. `end` is what a stream of this dialect ends with, for the note where it did not come."""
    answer = _answer(said, events, end)
    return answer._replace(stream=was_streamed(said, answer.form))


def value_of(said: Said) -> Answer:
    """The answer of an API that never streams: one JSON value, or nothing that is read."""
    form = form_of(said.pieces, said.content_type)
    if form is not Form.JSON:
        return Answer(form)
    value, problem, verbatim = verbatim_of(said.pieces)
    if problem is not None:
        return Answer(form, problems=(problem if said.whole else CUT,))
    return Answer(form, value, error_of(value), verbatim=verbatim)


def reading_of(
    said: Said,
    answer: Answer,
    *,
    input: str | None,
    output: str | None,
    system_prompt: str | None = None,
    model_requested: str | None = None,
    usage: Any = None,
    finish_reasons: tuple[str | None, ...] = (),
    raw: Any = None,
) -> Reading:
    """What was understood of a call: the words of its dialect, and what every dialect says in the same places.

    `usage` is the provider's object; it stands in the answer where none is given. `raw`: the answer, where not all of it is kept.
    """
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    whole = answer.whole
    return Reading(
        raw_output=answer.raw if raw is None else raw,
        verbatim=answer.verbatim and raw is None,
        input=input,
        output=None if is_refused(said) else output,
        system_prompt=system_prompt,
        model_requested=model_requested or text_of(asked, "model"),
        model=text_of(whole, "model"),
        usage=usage_of(whole.get("usage") if usage is None else usage),
        finish_reasons=finish_reasons,
        response_id=text_of(whole, "id"),
        stream=answer.stream,
        failed=answer.error is not None,
        error=answer.error,
        marked=answer.marked,
        first=answer.first,
        problems=answer.problems,
    )


def _answer(said: Said, events: Sum, end: str) -> Answer:
    form = form_of(said.pieces, said.content_type)
    if form is Form.JSON:
        return _json(said)
    if form is Form.SSE:
        return _streamed(said, events, end)
    if form is Form.OTHER and not is_refused(said):
        return Answer(form, problems=("the response is neither JSON nor a stream of events",))
    return Answer(form)


def was_streamed(said: Said, form: Form) -> bool | None:
    """Whether the answer was a stream; what the request asked for, where the answer does not tell."""
    if form is Form.SSE:
        return True
    if form is Form.JSON and not is_refused(said):
        return False
    return said.request.get("stream") is True if isinstance(said.request, dict) else None


def event_error(name: bytes, chunk: JSON) -> str | None:
    """What an event says of a failure, in any of the shapes that there are; None where it is no failure."""
    named = name == b"error" or chunk.get("type") == "error"
    if not named and "error" not in chunk and chunk.get("object") != "error":
        return None
    message = error_of(chunk)
    return error_of({"error": chunk}) if message is None and named else message


def failure_of(event: JSON) -> Any:
    """What an event that tells of a failure puts into the answer: its `error`, or all that it says."""
    return event.get("error") or {key: event[key] for key in event if key != "type"}


def _json(said: Said) -> Answer:
    value, problem, verbatim = verbatim_of(said.pieces)
    if problem is not None:
        return Answer(Form.JSON, problems=(problem if said.whole else CUT,))
    error = error_of(value) if isinstance(value, dict) and not value.get("choices") else None
    return Answer(Form.JSON, value, error, verbatim=verbatim)


def _streamed(said: Said, events: Sum, end: str) -> Answer:
    stream = Stream(said.pieces)
    first: int | None = None
    came = False
    for number, name, chunk in stream:
        came = True
        if events.add(name, chunk) and first is None:
            first = number
    raw = events.result() if came else None
    marked = stream.marked or events.marked
    problems = stream.problems
    if said.whole and not marked and events.error is None:
        problems += (f"the stream ended without its end marker, {end}",)
    return Answer(Form.SSE, mend(raw) if stream.mending else raw, events.error, marked, first, problems)
