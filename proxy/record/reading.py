"""Call -> Task: what a call on the wire was about. Pure, and never raises: what cannot be read is a line in `problems`."""

from __future__ import annotations

from functools import lru_cache
from operator import sub
from typing import Any, Final

from proxy.quick import maker
from proxy.record.assembly import LONGEST, MOST_KNOWN
from proxy.record.labels import Labels, labels, may_name, text
from proxy.record.pace import tokens_per_second
from proxy.record.spoken_again import NAME, spoken
from proxy.task import JSON, OWN_SESSION, Call, Ending, Fields, Source, Task
from proxy.wire import Reading, Said, Turn, dialect_of
from proxy.wire.coding import OUTPUT_LIMIT, Decoder, UnknownCodingError, codings, decode
from proxy.wire.form import form_of, is_form
from proxy.wire.lenient import loads, mend

REQUEST_IDS = (
    b"x-request-id",
    b"request-id",
    b"openai-request-id",
    b"apim-request-id",
    b"x-ms-request-id",
    b"x-amzn-requestid",
    b"x-goog-request-id",
    b"cf-ray",
)
"""Where an upstream says which request it was, best first. cf-ray is that of a network before it."""

ANSWERED = frozenset((Ending.COMPLETED, Ending.UPSTREAM_BROKE, Ending.TIMED_OUT, Ending.CALLER_LEFT))
"""Endings of calls that had an answer; where that was an error event, that is how they ended."""

_COMPLETED: Final = Ending.COMPLETED  # said once, since it takes Python long to find a member of an enumeration
_CALLER_LEFT: Final = Ending.CALLER_LEFT
_UPSTREAM_ERROR: Final = Ending.UPSTREAM_ERROR

_said_by: Final = maker(Said)
_task: Final = maker(Task)

LONGEST_NAME: Final = 64  # bytes of a field's name that is remembered


class _Known:
    """What the fields of a request say, whatever its body says."""

    def __init__(self, fields: Fields) -> None:
        self.by_name, self.headers = _read_fields(fields)
        self.labels: Labels | None = None  # not looked for so far


_remembered: Final = lru_cache(MOST_KNOWN)(_Known)
_names: Final[dict[bytes, tuple[bytes, str]]] = {}  # in lower case, and as text


def _what_is_known(fields: Fields) -> _Known:
    return _remembered(fields) if sum([len(name) + len(value) for name, value in fields]) <= LONGEST else _Known(fields)


def _labels(fields: Fields, known: _Known, body: Any) -> Labels:
    if may_name(body):
        return labels(fields, body)
    found = known.labels
    if found is None:
        found = known.labels = labels(fields, None)
    return found


def read(call: Call) -> Task:
    """The task that `call` was."""
    problems = list(call.problems)
    known = _what_is_known(call.request_fields)
    sent = known.by_name
    got, response_headers = _read_fields(call.response_fields)
    request_coding = None if call.request_decoded else _coding(sent)
    response_coding = None if call.response_decoded else _coding(got)
    upgraded = call.http_status == 101
    as_read: list[tuple[Any, bytes]] = []
    raw_input = (
        None if upgraded else _guarded(problems, "the request", _nothing, _request, call, sent, request_coding, problems, as_read)
    )
    found = _guarded(problems, "the labels", Labels, _labels, call.request_fields, known, raw_input)
    said = _guarded(problems, "the response", _nothing, _said, call, raw_input, got, response_coding, problems)
    if said is None:
        said = Said(request=raw_input)
    reading = _guarded(problems, "the dialect", Reading, dialect_of(call.kind).read, said)
    problems += (*found.problems, *reading.problems)
    session = found.session_id, found.session_source
    if upgraded and found.session_id is None:
        session = (
            f"{OWN_SESSION}{call.part_of or call.id}",
            Source.INFERRED,
        )  # a connection is one session
    if upgraded and reading.asked is not None:
        raw_input = reading.asked
    ending = _ending(call, reading, said)
    began, ended = reading.span or (0.0, (call.ended_at - call.created_at) / 1e6)
    data = [piece.data for piece in call.response]
    times = [piece.at for piece in call.response]
    if began:
        times = [at - began for at in times]
    response_body = data[0] if len(data) == 1 else b"".join(data)
    if reading.verbatim and response_coding is None and not upgraded:
        as_read.append((reading.raw_output, response_body))
    metadata = dict(found.metadata)  # other calls have the same labels
    if reading.system_prompt is not None:
        metadata.setdefault("system_prompt", reading.system_prompt)
    carried = _carried(call, ending)
    if upgraded:
        carried[NAME] = spoken(call, began)
    return _task(
        id=call.id,
        own_id=call.own_id,
        retry_of=call.retry_of,
        origin=call.origin,
        project_id=found.project_id or "default",
        created_at=call.created_at if reading.span is None else call.created_at + round(began * 1e6),
        ended_at=call.ended_at if reading.span is None else call.created_at + round(ended * 1e6),
        kind=call.kind,
        name=found.name,
        session_id=session[0],
        session_source=session[1],
        session_final=found.session_final,
        user_id=found.user_id,
        user_source=found.user_source,
        parent_task_id=found.parent_task_id,
        input=reading.input,
        output=reading.output,
        system_prompt=reading.system_prompt,
        metadata=metadata,
        model_requested=reading.model_requested,
        model=reading.model,
        usage=reading.usage,
        upstream=call.upstream,
        method=call.method,
        path=call.target,
        http_status=call.http_status,
        error_code=call.error_code,
        upstream_request_id=_request_id(got),
        response_id=reading.response_id,
        caller_key=call.caller_key,
        stream=reading.stream,
        request_size=call.request_size,
        response_size=call.response_size,
        seconds_to_first_byte=call.seconds_to_first_byte if reading.span is None else next((at for at in times if at >= 0), None),
        seconds_to_first_token=None if reading.first is None else max(0.0, times[reading.first]),
        seconds_total=ended - began,
        longest_stall=_longest_stall(times),
        tokens_per_second=None
        if reading.first is None
        else _guarded(problems, "the pace", _nothing, tokens_per_second, call, reading.first, reading.usage, reading.raw_output),
        ending=ending,
        finish_reasons=reading.finish_reasons,
        problems=tuple(problems),
        as_read=tuple(as_read),
        raw_input=raw_input,
        raw_output=reading.raw_output,
        request_headers=known.headers,
        response_headers=response_headers,
        request_body=call.request_body,
        request_coding=request_coding,
        response_body=response_body,
        response_coding=response_coding,
        pieces=tuple(zip([max(0.0, at) for at in times] if began else times, map(len, data), strict=True)),
        redactions=call.redactions,
        carried=carried,
    )


def _nothing() -> None:
    return None


def _guarded(problems: list[str], what: str, otherwise: Any, act: Any, *arguments: Any) -> Any:
    """`act(*arguments)`; or `otherwise()`, with a line in `problems`: a fault in a reader must not cost the task."""
    try:
        return act(*arguments)
    except Exception as error:
        problems.append(f"{what} could not be read: {type(error).__name__}: {str(error)[:200]}")
        return otherwise()


def _request(
    call: Call, sent: dict[bytes, bytes], coding: str | None, problems: list[str], as_read: list[tuple[Any, bytes]]
) -> Any:
    """The request's JSON, a form as JSON, or None."""
    body = call.request_body
    if coding is not None:
        body, problem = decode(body, coding)
        if problem is not None:
            problems.append(f"request: {problem}")
    if not body:
        return None
    content_type = text(sent.get(b"content-type", b""))
    if is_form(content_type):
        form, whole = form_of(body, content_type)
        if not whole:
            problems.append("the request is not whole: not all of its form can be read")
        return form or None
    try:
        value, mending = loads(body)
    except ValueError as error:
        if call.request_size > len(call.request_body) or call.ending is Ending.UPLOAD_INCOMPLETE:
            problems.append("the request is not whole: its JSON cannot be read")
        elif _media_type(sent).endswith("json"):
            problems.append(f"the request is not JSON: {error}")
        return None
    if mending:
        return mend(value)
    if coding is None:
        as_read.append((value, body))
    return value


def _turns(call: Call) -> tuple[Turn, ...]:
    """What both sides said on an upgraded connection, in its order."""
    heard = [Turn(False, piece.data, piece.at, number) for number, piece in enumerate(call.response)]
    return tuple(sorted([Turn(True, piece.data, piece.at) for piece in call.sent] + heard, key=lambda turn: turn.at))


def _said(call: Call, raw_input: Any, got: dict[bytes, bytes], coding: str | None, problems: list[str]) -> Said:
    if call.http_status == 101:
        whole = call.ending is Ending.COMPLETED
        return Said(method=call.method, target=call.target, status=101, whole=whole, turns=_turns(call))
    pieces = tuple([piece.data for piece in call.response])
    decoded_whole = True
    if coding is not None:
        try:
            decoder = Decoder(coding, OUTPUT_LIMIT)
        except UnknownCodingError as unknown:
            problems.append(f"response: {unknown}")
            return Said(method=call.method, target=call.target, request=raw_input, status=call.http_status)
        pieces = tuple([decoder.feed(piece) for piece in pieces])
        decoder.finish()
        if decoder.problem is not None:
            problems.append(f"response: {decoder.problem}")
            decoded_whole = False
    kept_whole = coding is not None or call.response_size <= sum([len(piece) for piece in pieces])
    return _said_by(
        method=call.method,
        target=call.target,
        request=raw_input,
        pieces=pieces,
        content_type=_media_type(got),
        status=call.http_status,
        whole=call.ending is _COMPLETED and decoded_whole and kept_whole,
    )


def _ending(call: Call, reading: Reading, said: Said) -> Ending:
    ending = call.ending
    if ending in ANSWERED and reading.failed and call.error_code is None:
        return _UPSTREAM_ERROR
    streamed = said.whole and said.content_type == "text/event-stream" and call.kind != "opaque"
    if call.unclosed is not None and streamed and reading.raw_output is not None and not reading.marked:
        return call.unclosed  # what the relay took for the end marker was something that the answer said
    if ending is _CALLER_LEFT and not call.drained and (call.marked or reading.marked):
        ending = _COMPLETED  # the OpenAI SDKs close at the end marker
    if ending is _COMPLETED and call.http_status is not None and call.http_status >= 400 and call.error_code is None:
        return _UPSTREAM_ERROR
    return ending


def _carried(call: Call, ending: Ending) -> JSON:
    """What of the call is not in the task otherwise, and is needed to read it again."""
    carried: JSON = {"problems": len(call.problems)} if call.problems else {}
    if call.ending is not ending:
        carried["ending"] = call.ending.value
    if call.ending is _CALLER_LEFT:
        carried |= {name: True for name, holds in (("marked", call.marked), ("drained", call.drained)) if holds}
    if call.unclosed is not None:
        carried["unclosed"] = call.unclosed.value
    if call.seconds_to_connect is not None:
        carried["seconds_to_connect"] = call.seconds_to_connect
    if call.seconds_to_sent is not None:
        carried["seconds_to_sent"] = call.seconds_to_sent
    return carried


def _longest_stall(times: list[float]) -> float | None:
    """Of an upgraded connection what came before it was asked (at a time below 0) is not of the answer."""
    if len(times) < 2:
        return None
    if times[0] < 0:
        times = [at for at in times if at >= 0]
    return max(map(sub, times[1:], times), default=None)


def _request_id(got: dict[bytes, bytes]) -> str | None:
    for name in REQUEST_IDS:
        if got.get(name):
            return text(got[name])
    return None


def _coding(fields: dict[bytes, bytes]) -> str | None:
    value = fields.get(b"content-encoding")
    return (", ".join(codings(text(value))) or None) if value else None


def _media_type(fields: dict[bytes, bytes]) -> str:
    return text(fields.get(b"content-type", b"")).partition(";")[0].strip().lower()


def _read_fields(fields: Fields) -> tuple[dict[bytes, bytes], tuple[tuple[str, str], ...]]:
    """The first value of each name, which is in lower case; and all of them as text. The names are the same few."""
    by_name: dict[bytes, bytes] = {}
    texts = []
    for name, value in fields:
        known = _names.get(name)
        if known is None:
            known = name.lower(), text(name)
            if len(name) <= LONGEST_NAME:
                if len(_names) >= MOST_KNOWN:
                    _names.clear()
                _names[name] = known
        by_name.setdefault(known[0], value)
        texts.append((known[1], text(value)))
    return by_name, tuple(texts)
