"""Parameters mean what people meant, or are refused with the way to say it."""

from __future__ import annotations

import pytest

from proxy.query.parameters import FILTERS, KINDS, PAGING, Asked, BadFilter, understand
from proxy.task import Ending, Filter, Flag

ALL = FILTERS + PAGING
NOON = 1_795_348_800_000_000  # 2026-11-22T12:00:00Z


def asked(**given: str) -> Asked:
    return understand([(name.removesuffix("_"), value) for name, value in given.items()], ALL)


def test_nothing_asked_is_the_newest_fifty_of_all():
    assert asked() == Asked(filter=Filter(), limit=50, cursor=None)


def test_every_filter_lands_in_its_field():
    found = asked(
        session_id="s", user_id="u", project_id="p", model="m", kind="chat", ending="caller_left", flag="failure",
        from_="1795348800", to="2026-11-22T12:00:01Z", q="tea", limit="500", cursor="c",
    )  # fmt: skip
    assert found == Asked(
        filter=Filter(
            session_id="s", user_id="u", project_id="p", model="m", kind="chat", ending=Ending.CALLER_LEFT, flag=Flag.FAILURE,
            since=NOON, until=NOON + 1_000_000, words=("tea",),
        ),
        limit=500,
        cursor="c",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T12:00:00Z",
        "2026-11-22T12:00:00",
        "2026-11-22 12:00:00",
        "2026-11-22T13:00:00+01:00",
        "2026-11-22T13:00:00 01:00",  # a "+" that nobody encoded
        "2026-11-22T12:00",
        "20261122T120000Z",
        "1795348800",
        "1795348800.0",
    ],
)
def test_noon_can_be_said_in_many_ways(text):
    assert asked(from_=text).filter.since == NOON


def test_a_time_keeps_its_microseconds():
    assert asked(from_="2026-11-22T12:00:00.000001Z").filter.since == NOON + 1
    assert asked(from_="1795348800.000001").filter.since == NOON + 1
    assert asked(from_="2026-11-22").filter.since == NOON - 12 * 3600 * 1_000_000


def test_a_time_zone_may_lead_out_of_the_calendar():
    assert asked(from_="0001-01-01T00:00:00+23:00").filter.since == -62_135_679_600_000_000
    assert asked(from_="9999-12-31T23:59:59-23:00").filter.since == 253_402_383_599_000_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tea", ("tea",)),
        ("  tea   milk ", ("tea", "milk")),
        ('"green  tea" milk', ("green tea", "milk")),
        ('tea"two words"', ("tea", "two words")),
        ('"never closed', ("never closed",)),
        ("NOT (tea* OR NEAR:1)", ("NOT", "(tea*", "OR", "NEAR:1)")),
        ("ünïcode 量子", ("ünïcode", "量子")),
    ],
)
def test_words_and_phrases_are_told_apart(text, words):
    assert asked(q=text).filter.words == words


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"), ("limit", "501"), ("limit", "-1"), ("limit", "1.5"), ("limit", "ten"), ("limit", "٣"), ("limit", "1e2"),
        ("limit", ""), ("limit", "9" * 5000),
        ("from", "yesterday"), ("from", ""), ("from", "2026-13-01"), ("from", "-1"), ("from", "nan"), ("from", "1e9"),
        ("from", "1795348800000"), ("to", "2026-11-22T25:00:00Z"), ("from", "1" * 20),
        ("kind", "Chat"), ("kind", "two words"),
        ("ending", "COMPLETED"), ("flag", "good"), ("q", '""'), ("q", "   "), ("q", "a " * 33),
        ("session_id", ""), ("session_id", "x" * 5000),
        ("offset", "1"), ("session", "s"), ("LIMIT", "1"), ("", "x"),
    ],
)  # fmt: skip
def test_what_has_no_sense_is_refused_by_name(name, value):
    with pytest.raises(BadFilter) as refused:
        understand([(name, value)], ALL)
    assert refused.value.param == name
    assert str(refused.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("kind", "Chat", 'Did you mean "chat"?'),
        ("ending", "complete", 'Did you mean "completed"?'),
        ("flag", "sucess", "It can be success, failure."),
        ("sesion_id", "s", 'Did you mean "session_id"?'),
    ],
)
def test_the_nearest_choice_is_suggested(name, value, hint):
    with pytest.raises(BadFilter, match=name) as refused:
        understand([(name, value)], ALL)
    assert hint in str(refused.value)


def test_every_choice_is_named_in_the_refusal():
    with pytest.raises(BadFilter) as refused:
        understand([("kind", "no word")], ALL)
    assert all(kind in str(refused.value) for kind in KINDS)


def test_a_parameter_may_not_come_twice():
    with pytest.raises(BadFilter, match="limit: is given twice"):
        understand([("limit", "1"), ("limit", "2")], ALL)


def test_an_end_before_the_beginning_is_refused():
    with pytest.raises(BadFilter, match="to: is before `from`"):
        asked(from_="2026-11-22", to="2026-11-21")


def test_a_list_without_parameters_takes_none():
    with pytest.raises(BadFilter, match="this takes no parameters"):
        understand([("limit", "1")], ())
