"""Call -> Task: endings, times, headers, codings; and that nothing makes it raise."""

from __future__ import annotations

import gzip
import itertools
import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import wire
from proxy.record.reading import read
from proxy.task import Call, Ending, Piece, Source
from proxy.wire import Dialect
from tests.tapes.tape import make_call

JSON = ((b"Content-Type", b"application/json"),)
SSE = ((b"Content-Type", b"text/event-stream"),)
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict, **choice) -> bytes:
    return b"data: " + orjson.dumps({"id": "c1", "choices": [{"index": 0, "delta": delta} | choice]}) + b"\n\n"


def answered(*data: bytes, fields=SSE, times=None, **given) -> Call:
    times = times or [float(at) for at in range(len(data))]
    pieces = tuple(Piece(at, piece) for at, piece in zip(times, data, strict=True))
    return make_call(
        **{"http_status": 200, "response": pieces, "response_fields": fields, "response_size": sum(map(len, data))} | given
    )


# -- endings --------------------------------------------------------------------------------------------------------------

TEXT, ERROR = chunk({"content": "Hi"}), b'data: {"error": {"message": "no"}}\n\n'


@pytest.mark.parametrize(
    ("wire_ending", "data", "changes", "expected"),
    [
        (Ending.COMPLETED, TEXT + DONE, {}, Ending.COMPLETED),
        (Ending.COMPLETED, TEXT, {}, Ending.COMPLETED),
        (Ending.COMPLETED, TEXT + ERROR, {}, Ending.UPSTREAM_ERROR),
        (Ending.COMPLETED, b"{}", {"http_status": 400}, Ending.UPSTREAM_ERROR),
        (Ending.COMPLETED, b"{}", {"http_status": 399}, Ending.COMPLETED),
        (Ending.COMPLETED, b"", {"http_status": 503, "kind": "opaque"}, Ending.UPSTREAM_ERROR),
        (Ending.UPSTREAM_BROKE, TEXT, {}, Ending.UPSTREAM_BROKE),
        (Ending.UPSTREAM_BROKE, TEXT + ERROR, {}, Ending.UPSTREAM_ERROR),
        (Ending.TIMED_OUT, TEXT + ERROR, {}, Ending.UPSTREAM_ERROR),
        (Ending.CALLER_LEFT, TEXT, {}, Ending.CALLER_LEFT),
        (Ending.CALLER_LEFT, TEXT, {"marked": True}, Ending.COMPLETED),
        (Ending.CALLER_LEFT, TEXT + DONE, {}, Ending.COMPLETED),
        (Ending.COMPLETED, TEXT + DONE, {"marked": True, "unclosed": Ending.CALLER_LEFT}, Ending.COMPLETED),
        (Ending.COMPLETED, TEXT, {"marked": True, "unclosed": Ending.CALLER_LEFT}, Ending.CALLER_LEFT),
        (Ending.COMPLETED, TEXT, {"marked": True, "unclosed": Ending.PROXY_DIED}, Ending.PROXY_DIED),
        (Ending.COMPLETED, TEXT, {"marked": True, "unclosed": Ending.CALLER_LEFT, "response_size": 9999}, Ending.COMPLETED),
        (Ending.COMPLETED, TEXT, {"marked": True, "unclosed": Ending.CALLER_LEFT, "kind": "opaque"}, Ending.COMPLETED),
        (Ending.CALLER_LEFT, TEXT + ERROR, {}, Ending.UPSTREAM_ERROR),
        (Ending.PROXY_DIED, TEXT + DONE, {}, Ending.PROXY_DIED),
        (Ending.STOPPED, TEXT, {}, Ending.STOPPED),
        (Ending.REJECTED, b'{"error": {"message": "x"}}', {"http_status": 413, "error_code": "too_large"}, Ending.REJECTED),
        (Ending.UNREACHABLE, b'{"error": {"message": "x"}}', {"http_status": 502, "error_code": "refused"}, Ending.UNREACHABLE),
        (Ending.TIMED_OUT, b'{"error": {"message": "x"}}', {"http_status": 504, "error_code": "slow"}, Ending.TIMED_OUT),
        (Ending.UNREACHABLE, b"", {"http_status": None}, Ending.UNREACHABLE),
    ],
)
def test_a_call_ended_as_it_did(wire_ending, data, changes, expected):
    assert read(answered(data, ending=wire_ending, **changes)).ending is expected


def test_a_stream_without_its_end_marker_is_told_only_where_it_ended_cleanly_and_is_all_there():
    told = ("the stream ended without its end marker, data: [DONE]",)

    assert read(answered(TEXT)).problems == told
    assert read(answered(TEXT, ending=Ending.UPSTREAM_BROKE)).problems == ()
    assert read(answered(TEXT, response_size=10_000)).problems == ()
    assert read(answered(TEXT + ERROR)).problems == ()


# -- times ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        {"content": "x"},
        {"reasoning_content": "x"},
        {"reasoning": "x"},
        {"refusal": "x"},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]},
        {"audio": {"transcript": "x"}},
        {"function_call": {"name": "f"}},
    ],
)
def test_the_first_token_is_the_first_delta_that_says_something(token):
    nothing = chunk({"role": "assistant", "content": "", "refusal": None})
    task = read(answered(b": ping\n\n", nothing, chunk(token)[:20], chunk(token)[20:], chunk({"content": "y"}) + DONE))

    assert task.seconds_to_first_token == 3.0


def test_a_stream_that_says_nothing_has_no_first_token():
    assert read(answered(chunk({"role": "assistant", "content": ""}) + DONE)).seconds_to_first_token is None
    assert read(answered(b'{"choices": []}', fields=JSON)).seconds_to_first_token is None


def test_times_are_those_of_the_call():
    task = read(answered(TEXT, TEXT, TEXT + DONE, times=[0.5, 0.7, 1.4], seconds_to_first_byte=0.25))

    assert task.seconds_to_first_byte == 0.25
    assert task.seconds_to_first_token == 0.5
    assert task.longest_stall == pytest.approx(0.7)
    assert task.seconds_total == 1.5
    assert task.pieces == ((0.5, len(TEXT)), (0.7, len(TEXT)), (1.4, len(TEXT + DONE)))


def test_a_body_in_one_piece_has_no_stall():
    assert read(answered(TEXT)).longest_stall is None
    assert read(make_call()).longest_stall is None


# -- the rest of a task -----------------------------------------------------------------------------------------------------


def test_labels_reach_the_task():
    fields = (*JSON, (b"X-Session-Id", b"s"), (b"X-Project-Id", b"p"), (b"X-Task-Name", b"n"), (b"X-Metadata-A", b"1"))
    task = read(
        make_call(request_fields=fields, request_body=b'{"user": "u", "metadata": {"b": 2}}', problems=("from the relay",))
    )

    assert (task.session_id, task.session_source, task.user_id, task.user_source) == ("s", Source.HEADER, "u", Source.BODY)
    assert (task.project_id, task.name, task.metadata) == ("p", "n", {"a": "1", "b": 2})
    assert task.problems == ("from the relay",)
    assert read(make_call()).project_id == "default"


@pytest.mark.parametrize("size", [1, 5000])  # the one is remembered, the other not
def test_calls_with_the_same_fields_have_the_same_labels_and_each_its_own_body_and_metadata(size):
    fields = (*JSON, (b"X-Metadata-A", b"1"), (b"X-Metadata-B", b"b" * size), (b"X-User-Id", b""))
    bodies = (
        b"{}",
        b'{"metadata": {"c": 2}}',
        b'{"messages": [{"role": "system", "content": "be kind"}]}',
        b"{}",
        b'{"user": "v"}',
    )
    tasks = [read(make_call(request_fields=fields, request_body=body)) for body in bodies]

    same = {"a": "1", "b": "b" * size} if size == 1 else {"a": "1"}
    assert [task.metadata for task in tasks] == [same, same | {"c": 2}, same | {"system_prompt": "be kind"}, same, same]
    assert len({id(task.metadata) for task in tasks}) == len(tasks)
    assert len({task.problems for task in tasks}) == 1
    assert "x-user-id is empty; it was not used" in tasks[0].problems


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("cf-ray", "c"), ("X-Request-Id", "x")], "x"),
        ([("request-id", "r"), ("cf-ray", "c")], "r"),
        ([("apim-request-id", "a"), ("cf-ray", "c")], "a"),
        ([("CF-Ray", "c")], "c"),
        ([("date", "d")], None),
    ],
)
def test_the_upstreams_request_id_is_the_best_there_is(fields, expected):
    task = read(answered(b"{}", fields=tuple((name.encode(), value.encode()) for name, value in fields)))

    assert task.upstream_request_id == expected


def test_headers_are_kept_in_order_with_their_case_and_any_bytes():
    fields = ((b"X-A", "é".encode()), (b"x-a", b"\xe9"), (b"Content-Type", b"text/plain"))
    task = read(make_call(request_fields=fields, response_fields=fields[::-1]))

    assert task.request_headers == (("X-A", "é"), ("x-a", "é"), ("Content-Type", "text/plain"))
    assert task.response_headers == task.request_headers[::-1]


def test_a_coded_request_is_read_and_kept_as_it_came():
    body = gzip.compress(b'{"model": "m"}')
    coded = (*JSON, (b"Content-Encoding", b"GZIP"))
    task = read(make_call(request_fields=coded, request_body=body, request_size=len(body)))

    assert (task.raw_input, task.request_coding, task.request_body) == ({"model": "m"}, "gzip", body)
    assert task.model_requested == "m"


def test_bodies_that_were_decoded_for_redaction_have_no_coding():
    coded = (*JSON, (b"Content-Encoding", b"gzip"))
    plain = b'{"model": "m", "choices": []}'
    task = read(
        answered(plain, fields=coded, request_fields=coded, request_body=plain, request_decoded=True, response_decoded=True)
    )

    assert (task.request_coding, task.response_coding) == (None, None)
    assert task.raw_input == task.raw_output == {"model": "m", "choices": []}
    assert task.problems == ()


def test_codings_that_are_unknown_or_broken_are_told():
    unknown = read(answered(b"??", fields=(*SSE, (b"Content-Encoding", b"rot13"))))
    broken = read(answered(b"no gzip", fields=(*SSE, (b"Content-Encoding", b"gzip"))))

    assert unknown.problems == ("response: content coding 'rot13' is not known",)
    assert unknown.response_coding == "rot13"
    assert broken.problems[0].startswith("response: the gzip data is broken")
    assert (unknown.ending, broken.ending) == (Ending.COMPLETED, Ending.COMPLETED)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"request_body": b""}, ()),
        ({"request_body": b"{oops", "request_fields": ((b"Content-Type", b"text/plain"),)}, ()),
        ({"request_body": b"{oops"}, ("the request is not JSON: ",)),
        ({"request_body": b'{"a', "request_size": 100}, ("the request is not whole: its JSON cannot be read",)),
        ({"request_body": b'{"a', "ending": Ending.UPLOAD_INCOMPLETE}, ("the request is not whole: its JSON cannot be read",)),
        ({"request_body": b"[" * 300 + b"]" * 300}, ("the request is not JSON: it is nested too deeply",)),
        ({"request_body": b"[" * 100_000}, ("the request is not JSON: ",)),
    ],
)
def test_a_request_that_is_no_json_has_no_raw_input(changes, problems):
    task = read(make_call(**{"request_size": len(changes["request_body"])} | changes))

    assert task.raw_input is None
    assert [found[: len(expected)] for found, expected in zip(task.problems, problems, strict=True)] == list(problems)


def test_what_no_store_can_keep_is_mended():
    body = b'{"messages": [{"role": "user", "content": "\\ud83d\\ude00 \\ud83d \xff"}], "n": 99999999999999999999999, "t": NaN}'
    task = read(make_call(request_body=body, request_size=len(body)))

    assert task.raw_input == {"messages": [{"role": "user", "content": "\U0001f600 \ufffd \ufffd"}], "n": 1e23, "t": None}
    orjson.dumps(task.raw_input)


def test_other_kinds_keep_their_json_and_the_model_and_claim_nothing():
    call = answered(
        b'{"id": "e1", "model": "m-2", "data": [1]}', fields=JSON, kind="rerank", request_body=b'{"model": "m", "input": "x"}'
    )
    task = read(call)

    assert (task.kind, task.model_requested, task.model, task.response_id) == ("rerank", "m", "m-2", "e1")
    assert (task.raw_input, task.raw_output) == ({"model": "m", "input": "x"}, {"id": "e1", "model": "m-2", "data": [1]})
    assert (task.input, task.output, task.usage, task.finish_reasons, task.problems) == (None, None, None, (), ())


def test_a_dialect_that_breaks_costs_only_what_it_would_have_said(monkeypatch):
    def broken(said):
        raise KeyError("choices")

    monkeypatch.setitem(wire.DIALECTS, "chat", Dialect("chat", broken))
    task = read(answered(TEXT, request_body=b'{"user": "u"}', ending=Ending.COMPLETED))

    assert task.problems == ("the dialect could not be read: KeyError: 'choices'",)
    assert (task.user_id, task.raw_input, task.response_body, task.ending) == ("u", {"user": "u"}, TEXT, Ending.COMPLETED)


# -- it never raises ----------------------------------------------------------------------------------------------------------

KEYS = [
    "choices",
    "delta",
    "message",
    "messages",
    "role",
    "content",
    "usage",
    "prompt_tokens",
    "prompt_tokens_details",
    "error",
    "id",
    "index",
    "tool_calls",
    "type",
    "file",
    "audio",
    "model",
    "stream",
    "finish_reason",
    "metadata",
    "user",
]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["system", "assistant", "file", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)
codes = st.sampled_from([b"", b"gzip", b"br", b"zstd", b"deflate", b"rot13", b"gzip, br"])
bodies = st.binary(max_size=80) | values.map(lambda value: json.dumps(value).encode())
streams = st.lists(st.sampled_from([b"data: ", b"event: error\n", b"\n\n", b"\r", b"data: [DONE]\n\n"]) | bodies, max_size=8)


@settings(max_examples=400, deadline=None)
@given(
    request=bodies,
    response=streams | bodies.map(lambda body: [body]),
    coding=codes,
    kind=st.sampled_from(["chat", "opaque", "nonsense"]),
    status=st.sampled_from([None, 200, 500]),
    ending=st.sampled_from(Ending),
    content_type=st.sampled_from([b"application/json", b"text/event-stream", b"", b"\xff"]),
)
def test_nothing_makes_reading_raise_and_all_it_says_can_be_written(
    request, response, coding, kind, status, ending, content_type
):
    fields = ((b"content-type", content_type), (b"content-encoding", coding), (b"\xff", b"\xff"))
    call = answered(*response, fields=fields, request_body=request, kind=kind, http_status=status, ending=ending)
    task = read(call)

    assert task.response_body == b"".join(response)
    assert not any("could not be read: " in problem for problem in task.problems)
    orjson.dumps([task.raw_input, task.raw_output, task.metadata, task.input, task.output, task.problems, task.model])


@settings(max_examples=200, deadline=None)
@given(streams, st.lists(st.integers(0, 300), max_size=4))
def test_any_stream_says_the_same_however_it_is_cut(response, cuts):
    from tests.tapes.tape import said

    body = b"".join(response)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in itertools.pairwise(edges)]

    assert said(read(answered(*pieces))) == said(read(answered(body)))
