"""Gemini's own API: generateContent, streamGenerateContent (events, or one JSON array that grows) and countTokens."""

from __future__ import annotations

import re
from typing import Any

from proxy.task import JSON, Usage
from proxy.wire.answer import Form, form_of, json_of
from proxy.wire.answered import Answer, answer_of, is_refused
from proxy.wire.array import Decoder
from proxy.wire.dialect import Reading, Said, text_of
from proxy.wire.gemini_chunks import Chunks
from proxy.wire.gemini_text import input_of, output_of, system_prompt_of
from proxy.wire.growth import index_of
from proxy.wire.lenient import loads, mend
from proxy.wire.usage import figure_of

_ASKED = re.compile(r"/([^/:?]+):(\w+)(?:\?|$)")
"""The model, and what is asked of it, in a path."""

END = "a finishReason"


def read(said: Said) -> Reading:
    """Read one call of generateContent or one of its kin."""
    asked: JSON = said.request if isinstance(said.request, dict) else {}
    counted = asked.get("generateContentRequest")  # countTokens may be asked of a whole request
    asked = counted if isinstance(counted, dict) else asked
    path = _ASKED.search(said.target)
    refused = is_refused(said)
    array = _is_array(said)
    answer = _array(said) if array else answer_of(said, Chunks(), END)
    raw = answer.whole
    streamed = path is not None and path[2] == "streamGenerateContent"
    if not refused and answer.form in (Form.JSON, Form.SSE):
        streamed = answer.form is Form.SSE or array
    count = None if "candidates" in raw or "usageMetadata" in raw else figure_of(raw, "totalTokens")
    output = output_of(raw) if count is None else f"[{count} input tokens]"
    candidates = [each for each in _list(raw.get("candidates")) if isinstance(each, dict)]
    return Reading(
        raw_output=answer.raw,
        input=input_of(asked.get("contents")),
        output=None if refused else output,
        system_prompt=system_prompt_of(asked),
        model_requested=path[1] if path is not None else text_of(asked, "model"),
        model=text_of(raw, "modelVersion"),
        usage=_usage(raw.get("usageMetadata")),
        finish_reasons=_finish_reasons(candidates),
        response_id=text_of(raw, "responseId"),
        stream=streamed,
        failed=answer.error is not None,
        error=answer.error,
        marked=answer.marked,
        first=answer.first,
        problems=answer.problems,
    )


def _is_array(said: Said) -> bool:
    if form_of(said.pieces, said.content_type) is not Form.JSON:
        return False
    starts = (piece.lstrip(b"\xef\xbb\xbf \t\r\n") for piece in said.pieces)
    return next(filter(None, starts), b"").startswith(b"[")


def _array(said: Said) -> Answer:
    """A stream that is one JSON array, each chunk an element of it. An error to one is such an array, too."""
    decoder, chunks = Decoder(), Chunks()
    first: int | None = None
    came = mended = False
    unreadable = 0
    for number, piece in enumerate(said.pieces):
        for data in decoder.feed(piece):
            try:
                chunk, mending = loads(data)
            except ValueError:
                chunk, mending = None, False
            if not isinstance(chunk, dict):
                unreadable += 1
                continue
            came, mended = True, mended or mending
            if chunks.add(b"message", chunk) and first is None:
                first = number
    if not came and decoder.closed:  # an array of something else
        value, problem = json_of(said.pieces)
        return Answer(Form.JSON, value, problems=(problem,) if problem else ())
    raw = chunks.result()
    problems = []
    if unreadable:
        problems.append(f"chunks of the stream that are not JSON objects: {unreadable}")
    if decoder.unterminated:
        problems.append("the stream ends inside a chunk")
    if said.whole and not chunks.marked and chunks.error is None:
        problems.append(f"the stream ended without its end marker, {END}")
    marked = chunks.marked or decoder.closed
    return Answer(Form.JSON, mend(raw) if mended else raw, chunks.error, marked, first, tuple(problems))


def _usage(value: Any) -> Usage | None:
    """The figures as Gemini gives them: thoughts are not in the output, and stand beside it."""
    if not isinstance(value, dict):
        return None
    usage = Usage(
        input_tokens=figure_of(value, "promptTokenCount"),
        output_tokens=figure_of(value, "candidatesTokenCount"),
        total_tokens=figure_of(value, "totalTokenCount"),
        cached_input_tokens=figure_of(value, "cachedContentTokenCount"),
        reasoning_tokens=figure_of(value, "thoughtsTokenCount"),
        audio_input_tokens=_audio(value.get("promptTokensDetails")),
        audio_output_tokens=_audio(value.get("candidatesTokensDetails")),
    )
    return None if usage == Usage() else usage


def _audio(details: Any) -> int | None:
    for each in _list(details):
        if isinstance(each, dict) and each.get("modality") == "AUDIO":
            return figure_of(each, "tokenCount")
    return None


def _finish_reasons(candidates: list[JSON]) -> tuple[str | None, ...]:
    by_index: dict[int, str | None] = {}
    for at, candidate in enumerate(candidates):
        index = index_of(candidate)
        by_index[at if index is None else index] = text_of(candidate, "finishReason")
    return tuple(by_index.get(index) for index in range(max(by_index) + 1)) if by_index else ()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
