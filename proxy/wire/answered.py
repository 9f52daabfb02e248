"""The answer to one call, taken for what it is: one JSON value, or a stream that a dialect's own sum adds up, or neither."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from proxy.task import JSON
from proxy.wire.answer import Form, Stream, form_of, json_of
from proxy.wire.dialect import Said, error_of
from proxy.wire.lenient import mend


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

    @property
    def whole(self) -> JSON:
        """`raw` where it is an object, else an empty one."""
        return self.raw if isinstance(self.raw, dict) else {}


def is_refused(said: Said) -> bool:
    """Whether the status says that nothing was answered."""
    return said.status is not None and said.status >= 400


def answer_of(said: Said, events: Sum, end: str) -> Answer:
    """The answer. `end` is what a stream of this dialect ends with, for the note where it did not come."""
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


def _json(said: Said) -> Answer:
    value, problem = json_of(said.pieces)
    if problem is not None:
        return Answer(Form.JSON, problems=(problem if said.whole else "the response is cut: its JSON cannot be read",))
    error = error_of(value) if isinstance(value, dict) and not value.get("choices") else None
    return Answer(Form.JSON, value, error)


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
