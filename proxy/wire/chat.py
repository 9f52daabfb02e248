"""Chat completions (`/v1/chat/completions`), streamed and not, as OpenAI and those who say they are like it speak them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxy.quick import maker
from proxy.task import JSON
from proxy.wire.alike import LESSONS
from proxy.wire.answer import Form, Stream, form_of, verbatim_of
from proxy.wire.deltas import Chunks
from proxy.wire.dialect import Reading, Said, error_of, text_of
from proxy.wire.growth import HIGHEST_INDEX
from proxy.wire.lenient import mend
from proxy.wire.text import input_of, output_of, system_prompt_of
from proxy.wire.usage import usage_of, usage_of_timings

SILENT = frozenset(("role", "id", "type", "name", "obfuscation", "channel", "token_id"))
"""Members of a delta that are no token."""


_reading: Final = maker(Reading)
_JSON: Final = Form.JSON  # said once, since it takes Python long to find a member of an enumeration
_SSE: Final = Form.SSE


class _Answer:
    """What a response body turned out to be. (Compiled, a class like this one is made in a tenth of the time of a tuple.)"""

    def __init__(
        self,
        raw: Any = None,
        verbatim: bool = False,
        stream: bool = False,
        error: str | None = None,
        marked: bool = False,
        first: int | None = None,
        problems: tuple[str, ...] = (),
    ) -> None:
        self.raw = raw
        self.verbatim = verbatim
        self.stream = stream
        self.error = error
        self.marked = marked
        self.first = first
        self.problems = problems


def read(said: Said, lessons: int = LESSONS) -> Reading:
    """Read one chat completion. Without `lessons` every event is read by itself, which gives the same."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    messages = asked.get("messages")
    refused = said.status is not None and said.status >= 400
    form = form_of(said.pieces, said.content_type)
    answer = _json(said) if form is _JSON else _streamed(said, lessons) if form is _SSE else _ANSWERS[form](said)
    raw: JSON = answer.raw if isinstance(answer.raw, dict) else {}
    choices = [choice for choice in _list(raw.get("choices")) if isinstance(choice, dict)]
    error = answer.error
    for choice in choices:
        error = error or ("error" in choice and error_of(choice)) or None  # OpenRouter puts it there
    stream: bool | None = answer.stream
    if form is not _SSE and (form is not _JSON or refused):  # the answer does not tell
        stream = None if said.request is None else asked.get("stream") is True
    return _reading(
        raw_output=answer.raw,
        verbatim=answer.verbatim,
        input=input_of(messages),
        output=None if refused else output_of(choices),
        system_prompt=system_prompt_of(messages),
        model_requested=text_of(asked, "model"),
        model=text_of(raw, "model"),
        usage=usage_of(usage_in(raw, choices)) or usage_of_timings(raw.get("timings")),
        finish_reasons=finish_reasons_of(choices),
        response_id=text_of(raw, "id"),
        stream=stream,
        failed=error is not None,
        error=error,
        marked=answer.marked,
        first=answer.first,
        problems=answer.problems,
    )


def _nothing(said: Said) -> _Answer:
    return _Answer()


def _other(said: Said) -> _Answer:
    refused = said.status is not None and said.status >= 400
    return _Answer() if refused else _Answer(problems=("the response is neither JSON nor a stream of events",))


def _json(said: Said) -> _Answer:
    value, problem, verbatim = verbatim_of(said.pieces)
    if problem is not None:
        return _Answer(problems=(problem if said.whole else "the response is cut: its JSON cannot be read",))
    error = error_of(value) if isinstance(value, dict) and not value.get("choices") else None
    return _Answer(raw=value, verbatim=verbatim, error=error)


def _streamed(said: Said, lessons: int) -> _Answer:
    stream, chunks = Stream(said.pieces, lessons), Chunks("chat.completion")
    first: int | None = None
    error: str | None = None
    came = False
    for number, name, chunk in stream:
        came = True
        if name == b"error" or "error" in chunk or chunk.get("object") == "error":
            message = error_of(chunk)
            if message is None and name == b"error":
                message = error_of({"error": chunk})
            if message is not None:
                error = message
                if "error" not in chunk:
                    chunk = {"error": chunk}  # noqa: PLW2901  # the flat shapes, put where all others put it
        chunks.add(chunk)
        if first is None:
            first = number if speaks(chunk) else None
        elif error is None and (grown := chunks.grown(chunk)) is not None:
            stream.learn(name, chunk, grown[0], _padding(chunk), grown[1])
    raw = chunks.result() if came else None
    error = error or _stopped(raw)
    problems = stream.problems
    if said.whole and not stream.marked and error is None:
        problems += ("the stream ended without its end marker, data: [DONE]",)
    return _Answer(mend(raw) if stream.mending else raw, False, True, error, stream.marked, first, problems)


_ANSWERS: dict[Form, Callable[[Said], _Answer]] = {
    Form.NOTHING: _nothing,
    Form.OTHER: _other,
}


def _padding(chunk: JSON) -> str | None:
    """What stands in a chunk to hide how long its token is."""
    padding = chunk.get("obfuscation")
    return padding if isinstance(padding, str) else None


def speaks(chunk: JSON) -> bool:
    """Whether a chunk holds a token: of text, reasoning, a tool call, a refusal, audio, or something new."""
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict) and any(value and key not in SILENT for key, value in delta.items()):
            return True
    return False


def _stopped(answer: JSON | None) -> str | None:
    """Why Groq stopped a stream early."""
    groq = answer.get("x_groq") if answer is not None else None
    return text_of(groq, "error") if isinstance(groq, dict) else None


def usage_in(answer: JSON, choices: list[JSON]) -> Any:
    """Where the usage stands: in the answer, in a choice (Moonshot), or under a vendor's name (Groq)."""
    if isinstance(answer.get("usage"), dict):
        return answer["usage"]
    for choice in choices:
        if isinstance(choice.get("usage"), dict):
            return choice["usage"]
    groq = answer.get("x_groq")
    return groq.get("usage") if isinstance(groq, dict) else None


def finish_reasons_of(choices: list[JSON]) -> tuple[str | None, ...]:
    """Why each choice ended, by its index; None where it did not say."""
    by_index: dict[int, str | None] = {}
    for at, choice in enumerate(choices):
        index = choice.get("index")
        by_index[index if type(index) is int and 0 <= index <= HIGHEST_INDEX else at] = text_of(choice, "finish_reason")
    return tuple([by_index.get(index) for index in range(max(by_index) + 1)]) if by_index else ()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
