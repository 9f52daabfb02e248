"""Tasks to keep: one that is like a real call, and any at all."""

from dataclasses import replace

from hypothesis import strategies as st

from proxy.task import Ending, Feedback, Flag, Source, Task, Usage

NOON = 1_790_000_000_000_000
"""A moment in 2026, in microseconds; the n-th task begins n milliseconds after it."""


def a_task(n: int, **changes: object) -> Task:
    """The n-th call of an app."""
    at = changes.get("created_at", NOON + n * 1000)
    assert isinstance(at, int)
    task = Task(
        id=f"id-{n}",
        own_id=f"own-{n}",
        origin=f"e1.{n}",
        created_at=at,
        ended_at=at + 500,
        kind="chat",
        session_id=f"s{n % 3}",
        session_source=Source.HEADER,
        user_id=f"u{n % 2}",
        user_source=Source.BODY,
        input=f"question {n}",
        output=f"answer {n}",
        model_requested="gpt-5",
        model="gpt-5-2026-01-01",
        usage=Usage(input_tokens=10, output_tokens=n),
        cost=0.001,
        http_status=200,
        ending=Ending.COMPLETED,
        finish_reasons=("stop",),
    )
    return replace(task, **changes)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
short = st.none() | text
numbers = st.integers(-(2**63), 2**63 - 1)
counts = st.none() | st.integers(0, 2**40)
floats = st.none() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=8), json_values, max_size=3)
moments = st.integers(-(2**52), 2**52 - 1)
headers = st.lists(st.tuples(text, text), max_size=3).map(tuple)
usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    total_tokens=counts,
    cached_input_tokens=counts,
    cache_write_tokens=counts,
    reasoning_tokens=counts,
    audio_input_tokens=counts,
    audio_output_tokens=counts,
    source=st.sampled_from(["provider", "estimated"]),
)
said = st.builds(
    Feedback,
    id=text,
    created_at=numbers,
    flag=st.none() | st.sampled_from(Flag),
    score=floats,
    comment=short,
    source=short,
    user_id=short,
)
microseconds = st.integers(-(10**6), 10**12).map(lambda n: n / 1e6)
tasks = st.builds(
    Task,
    id=text,
    own_id=short,
    origin=text,
    project_id=text,
    created_at=moments,
    ended_at=numbers,
    kind=text,
    name=short,
    session_id=short,
    session_source=st.none() | st.sampled_from(Source),
    session_final=st.booleans(),
    user_id=short,
    user_source=st.none() | st.sampled_from(Source),
    parent_task_id=short,
    retry_of=short,
    input=short,
    output=short,
    system_prompt=short,
    metadata=objects | text.map(lambda prompt: {"system_prompt": prompt, "more": 1}),
    model_requested=short,
    model=short,
    usage=st.none() | usages,
    cost=floats,
    price=st.none() | objects,
    upstream=short,
    method=short,
    path=short,
    http_status=st.none() | st.integers(100, 999),
    error_code=short,
    upstream_request_id=short,
    response_id=short,
    caller_key=short,
    stream=st.none() | st.booleans(),
    request_size=counts,
    response_size=counts,
    seconds_to_first_byte=floats,
    seconds_to_first_token=floats,
    seconds_total=floats,
    longest_stall=floats,
    tokens_per_second=floats,
    ending=st.sampled_from(Ending),
    finish_reasons=st.lists(short, max_size=3).map(tuple),
    flag=st.none() | st.sampled_from(Flag),
    problems=st.lists(text, max_size=3).map(tuple),
    raw_input=json_values,
    raw_output=json_values,
    request_headers=headers,
    response_headers=headers,
    request_body=st.binary(max_size=200),
    request_coding=st.none() | st.sampled_from(["gzip", "br", "zstd", "deflate", "compress"]),
    response_body=st.binary(max_size=200),
    response_coding=st.none() | st.sampled_from(["gzip", "br", "zstd", "deflate", "compress"]),
    pieces=st.lists(st.tuples(microseconds, st.integers(0, 2**33)), max_size=5).map(tuple),
    redactions=st.lists(text, max_size=2).map(tuple),
    carried=st.just({}) | st.just({"ending": "caller_left", "problems": 2}),
    feedback=st.lists(said, max_size=2).map(lambda those: tuple(sorted(those, key=lambda one: one.created_at))),
    events=st.lists(objects, max_size=2).map(tuple),
    evaluations=st.lists(objects, max_size=2).map(tuple),
)
