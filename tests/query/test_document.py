"""Values become the documents that the interface promises."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.query import document
from proxy.query.encoding import encode
from proxy.store.memory_sums import add_up
from proxy.task import Ending, Flag, Status, Summary, Task, Usage
from tests.query.examples import BARE, FULL, MORNING


def test_a_time_has_six_digits_and_a_z():
    assert document.moment(MORNING) == "2026-11-22T15:04:05.123456Z"
    assert document.moment(MORNING // 1_000_000 * 1_000_000) == "2026-11-22T15:04:05.000000Z"


def test_a_task_has_every_field_but_the_bytes_of_its_bodies():
    names = {field.name for field in fields(Task)} - {"own_id", "traces", "as_read", "carried", "request_body", "response_body"}
    assert set(document.of_task(FULL)) == names | set(document.WAY)
    assert set(document.of_task(BARE)) == names | set(document.WAY)
    assert set(document.of_summary(FULL)) == {field.name for field in fields(Summary)}


def test_what_is_not_known_is_null_and_never_left_out():
    written = json.loads(encode(document.of_task(BARE)))
    for name in ("session_id", "session_source", "usage", "cost", "http_status", "flag", "raw_output", "seconds_total", "stream"):
        assert written[name] is None
    for name in ("finish_reasons", "feedback", "events", "evaluations", "problems", "pieces", "request_headers"):
        assert written[name] == []


def test_a_full_task_is_written_as_promised():
    written = json.loads(encode(document.of_task(FULL)))
    assert written["created_at"] == "2026-11-22T15:04:05.123456Z"
    assert written["request_headers"] == [["User-Agent", "a"], ["user-agent", "b"]]
    assert written["finish_reasons"] == ["stop", None]
    assert written["session_source"] == "header"
    assert written["ending"] == "completed"
    assert written["pieces"] == [[0.25, 5], [0.5, 14]]
    assert set(written["usage"]) == {field.name for field in fields(Usage)}
    assert written["usage"]["input_tokens"] == 7
    assert written["usage"]["reasoning_tokens"] is None
    assert written["feedback"] == [
        {
            "id": "f-1",
            "created_at": "2026-11-22T15:04:05.123456Z",
            "flag": "success",
            "score": 1.0,
            "comment": None,
            "source": None,
            "user_id": None,
        }
    ]


def test_every_figure_of_the_status_is_somewhere_in_its_document():
    figures = {field.name: number for number, field in enumerate(fields(Status), 100) if field.name not in OTHER_THAN_FIGURES}
    written = document.of_status(Status(**figures, journal_stalled=True, store_error="disk full", reasons=("disk full",)))
    flat = [
        *written["calls"].values(),
        *written["journal"].values(),
        *written["intake"].values(),
        *written["store"].values(),
        *written["held"].values(),
        *written["retention"].values(),
        *written.values(),
    ]
    assert {value for value in flat if isinstance(value, int) and not isinstance(value, bool)} == set(figures.values())
    assert list(written["calls"]) == [
        "carried", "running", "journalled", "stored", "waiting", "lost", "rejected", "recovered", "set_aside",
    ]  # fmt: skip
    assert list(written["journal"]) == ["bytes", "segments", "lapses", "bodies_dropped", "stalled", "damaged_bytes"]
    assert written["journal"]["stalled"] is True
    assert list(written["store"]) == ["error", "errors", "commits", "commit_seconds"]
    assert written["reasons"] == ["disk full"]


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("How do I\n\n  reset it?", "How do I reset it?"),
        ("word " * 60, ("word " * 16)[:80]),
        ("[tool] 8:00", None),
        (" \n", None),
        (None, None),
    ],
)
def test_the_title_of_a_session_is_the_first_words_of_its_user(said, title):
    [session] = add_up([replace(FULL, input=said)]).sessions.values()
    assert document.of_session(session)["title"] == title


def test_a_session_is_running_until_it_is_said_to_be_over_or_silent():
    [going] = add_up([replace(FULL, session_final=False)]).sessions.values()
    [failed] = add_up([replace(FULL, ending=Ending.TIMED_OUT)]).sessions.values()
    [over] = add_up([FULL]).sessions.values()
    for session, running in ((going, True), (failed, True), (over, False)):
        assert document.of_session(session, FULL.ended_at)["running"] is running
        assert document.of_session(session, FULL.ended_at + 1)["running"] is False
        assert document.of_session(session)["running"] is None


def test_a_user_has_the_rate_of_success_and_of_how_many():
    rated = [replace(FULL, id=f"t{n}", flag=flag) for n, flag in enumerate((Flag.SUCCESS, Flag.SUCCESS, Flag.FAILURE, None))]
    for tasks, rate, of in ((rated, 2 / 3, 3), (rated[3:], None, 0)):
        [user] = add_up(tasks).users.values()
        told = document.of_user(user)
        assert (told["success_rate"], told["rated"]) == (rate, of)


OTHER_THAN_FIGURES = {"intake_stalled", "intake_error", "journal_stalled", "store_error", "reasons", "endings", "limits", "held"}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(min_value=-(2**70), max_value=2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_any_json_is_written_and_reads_the_same(value):
    expected = json.loads(json.dumps(value), parse_constant=lambda _: None)
    assert json.loads(encode(value)) == expected
    # an integer that orjson refuses sends its neighbours down the slow way, too
    assert json.loads(encode([value, 2**80])) == [expected, 2**80]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\ud83d", '"\\ud83d"'),
        ([2**64, float("nan"), float("inf")], "[18446744073709551616,null,null]"),
        ({"a": (), "b": {}, "c": [{}, "\udc00"]}, '{"a":[],"b":{},"c":[{},"\\udc00"]}'),
    ],
)
def test_what_orjson_refuses_is_written_all_the_same(value, text):
    assert encode(value).decode() == text


def test_json_that_nests_ten_thousand_deep_is_written():
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    assert encode(deep) == b"[" * 10_001 + b"]" * 10_001
