"""Labels: who is talking, by which of many names, and what is done with a name that cannot be used."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.record.labels import ALIASES, OURS, Labels, is_alias, labels
from proxy.task import Source


def of(*fields: tuple[str, str | bytes], body=None) -> Labels:
    return labels(tuple((name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in fields), body)


def test_our_fields_say_everything():
    found = of(
        ("X-Session-Id", "s1"),
        ("x-user-id", "u1"),
        ("X-PROJECT-ID", "p1"),
        ("X-Task-Name", "summarise"),
        ("X-Parent-Task-Id", "t0"),
        ("X-Session-Final", "true"),
        ("X-Task-Metadata", '{"a": {"b": [1]}}'),
        ("X-Metadata-Customer-Tier", "gold"),
    )

    assert found == Labels(
        session_id="s1",
        session_source=Source.HEADER,
        session_final=True,
        user_id="u1",
        user_source=Source.HEADER,
        project_id="p1",
        name="summarise",
        parent_task_id="t0",
        metadata={"a": {"b": [1]}, "customer_tier": "gold"},
    )


def test_no_label_is_no_label():
    assert of(("Content-Type", "application/json"), body={"model": "m", "messages": []}) == Labels()
    assert of(body=[1]) == of(body="text") == of(body=None) == Labels()


SESSION_PLACES = [
    (("X-Session-Id", "1"), None, Source.HEADER),
    (("X-Session-Affinity", "1"), None, Source.ALIAS),
    (("Helicone-Session-Id", "1"), None, Source.ALIAS),
    (("x-litellm-trace-id", "1"), None, Source.ALIAS),
    (("session_id", "1"), None, Source.ALIAS),
    (("X-Acme-Session-Id", "1"), None, Source.ALIAS),
    (None, {"metadata": {"session_id": "1"}}, Source.BODY),
    (None, {"litellm_session_id": "1"}, Source.BODY),
    (None, {"tensorzero::episode_id": "1"}, Source.BODY),
    (("baggage", "a=b, session.id=1;prop=x"), None, Source.BAGGAGE),
]
USER_PLACES = [
    (("X-User-Id", "1"), None, Source.HEADER),
    (("Helicone-User-Id", "1"), None, Source.ALIAS),
    (("x-litellm-end-user-id", "1"), None, Source.ALIAS),
    (("X-OpenWebUI-User-Id", "1"), None, Source.ALIAS),
    (("x-portkey-metadata", '{"_user": "1"}'), None, Source.ALIAS),
    (("cf-aig-metadata", '{"user": 1}'), None, Source.ALIAS),
    (None, {"metadata": {"user_id": "1"}}, Source.BODY),
    (None, {"litellm_metadata": {"user": "1"}}, Source.BODY),
    (None, {"safety_identifier": "1"}, Source.BODY),
    (None, {"user": 1}, Source.BODY),
    (("baggage", "userId=1"), None, Source.BAGGAGE),
]


def _given(places, values):
    """The fields and the body that name every one of `places`, each with its own value in place of "1"."""
    fields, body = [], {}
    for (field, members, _), value in zip(places, values, strict=True):
        if field:
            fields.append((field[0], field[1].replace("1", value)))
        for name, member in (members or {}).items():
            if isinstance(member, dict):
                body.setdefault(name, {}).update(dict.fromkeys(member, value))
            else:
                body[name] = value
    return fields, body


@pytest.mark.parametrize(("places", "label"), [(SESSION_PLACES, "session"), (USER_PLACES, "user")])
def test_the_best_place_decides(places, label):
    for best in range(len(places)):
        rest = places[best:]
        fields, body = _given(rest, [str(100 + at) for at in range(len(rest))])
        found = of(*reversed(fields), body=body)

        assert getattr(found, f"{label}_id") == "100", places[best]
        assert getattr(found, f"{label}_source") is rest[0][2]
        assert found.problems == ()


@pytest.mark.parametrize(("places", "label"), [(SESSION_PLACES, "session"), (USER_PLACES, "user")])
def test_each_place_is_found_where_it_is_the_only_one(places, label):
    for place in places:
        fields, body = _given([place], ["100"])
        found = of(*fields, body=body)

        assert (getattr(found, f"{label}_id"), getattr(found, f"{label}_source")) == ("100", place[2]), place
        assert found.problems == ()


BAD = {
    "is empty": "",
    "is longer than 512 characters": "x" * 513,
    "holds control characters": "a\x07b",
}


@pytest.mark.parametrize(("why", "bad"), BAD.items())
@pytest.mark.parametrize(("places", "label"), [(SESSION_PLACES, "session"), (USER_PLACES, "user")])
def test_a_label_that_cannot_be_used_is_told_and_falls_back_to_nothing(places, label, why, bad):
    fields, body = _given([places[0], *places[6:]], [bad, *("ok" for _ in places[6:])])
    found = of(*fields, body=body)

    assert getattr(found, f"{label}_id") is None
    assert getattr(found, f"{label}_source") is None
    assert found.problems == (f"x-{label}-id {why}; it was not used",)


def test_a_bad_alias_falls_back_to_nothing_either():
    found = of(("Helicone-Session-Id", "x" * 600), body={"metadata": {"session_id": "ok"}})

    assert found.session_id is None
    assert found.problems == ("helicone-session-id is longer than 512 characters; it was not used",)


def test_a_label_in_the_body_that_is_no_string_is_told():
    found = of(body={"user": {"id": 1}, "metadata": {"session_id": True}})

    assert (found.user_id, found.session_id) == (None, None)
    assert found.problems == ("metadata.session_id is not a string; it was not used", "user is not a string; it was not used")


def test_a_null_in_the_body_is_no_label():
    assert of(body={"user": None, "metadata": None, "safety_identifier": "u"}).user_id == "u"


def test_a_label_of_512_characters_is_used():
    assert of(("X-Session-Id", "é" * 512)).session_id == "é" * 512


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Zoë 日本".encode(), "Zoë 日本"), ("Zoë".encode("latin-1"), "Zoë"), (b"a%20b", "a%20b"), (b" \tx ", "x")],
)
def test_values_are_utf8_or_else_latin1_and_never_changed(value, expected):
    assert of(("X-User-Id", value)).user_id == expected


def test_baggage_is_percent_decoded():
    found = of(("baggage", "user.id=a%20b,session.id=%E2%82%AC;p=1"), ("baggage", "session.id=second"))

    assert (found.user_id, found.session_id) == ("a b", "€")


def test_a_field_given_twice_is_told():
    found = of(("X-Session-Id", "a"), ("x-session-id", "b"))

    assert found.session_id == "a"
    assert found.problems == ("x-session-id is given more than once; the first one was used",)
    assert of(("X-Session-Id", "a"), ("x-session-id", "a")).problems == ()


def test_metadata_is_merged_in_its_order():
    found = of(
        ("X-Metadata-A", "field"),
        ("X-Metadata-B", "field"),
        ("X-Task-Metadata", '{"a": "json"}'),
        ("Helicone-Property-C", "helicone"),
        ("x-portkey-metadata", '{"d": "portkey", "b": "portkey"}'),
        ("x-litellm-tags", "x, y"),
        body={"metadata": {"a": "body", "b": "body", "c": "body", "d": "body", "e": "body"}},
    )

    assert found.metadata == {"a": "json", "b": "field", "c": "helicone", "d": "portkey", "e": "body", "tags": ["x", "y"]}
    assert found.problems == ()


@pytest.mark.parametrize("value", ["", "{", "[1]", '"x"', "nope", "[" * 400 + "]" * 400])
def test_metadata_that_is_no_json_object_is_told(value):
    found = of(("X-Task-Metadata", value), body={"metadata": {"k": "v"}})

    assert found.metadata == {"k": "v"}
    assert found.problems == ("x-task-metadata is not a JSON object; it was not used",)


def test_metadata_of_the_body_that_is_no_object_is_told():
    found = of(body={"metadata": "text", "user": "u"})

    assert (found.metadata, found.user_id) == ({}, "u")
    assert found.problems == ("the body's metadata is not a JSON object",)


def test_a_metadata_field_that_cannot_be_used_is_told():
    found = of(("X-Metadata-A", "x" * 513), ("X-Metadata-B", "b"))

    assert found.metadata == {"b": "b"}
    assert found.problems == ("x-metadata-a is longer than 512 characters; it was not used",)


@pytest.mark.parametrize(("value", "final"), [("true", True), ("1", True), ("YES", True), ("false", False), ("0", False)])
def test_the_last_call_of_a_session_says_so(value, final):
    assert of(("X-Session-Final", value)) == Labels(session_final=final)
    assert of(("X-Dynamo-Session-Final", value)).session_final is final


def test_a_final_that_is_neither_true_nor_false_is_told():
    found = of(("X-Session-Final", "maybe"))

    assert found.session_final is False
    assert found.problems == ("x-session-final is neither true nor false; it was not used",)


def test_the_parent_is_said_by_a_header_or_else_by_the_body():
    body = {"metadata": {"parent_task_id": "from-body"}}
    assert of(body=body).parent_task_id == "from-body"
    assert of(("X-Parent-Task-Id", "from-header"), body=body).parent_task_id == "from-header"
    found = of(("X-Parent-Task-Id", "x" * 600), body=body)
    assert (found.parent_task_id, len(found.problems)) == (None, 1), "the first place decides"


def test_a_parents_session_is_not_the_session():
    found = of(("X-Dynamo-Parent-Session-ID", "p"), ("x-acme-parent-session-id", "q"))

    assert found.session_id is None
    assert found.metadata == {"parent_session_id": "p"}


def test_names_are_told_apart():
    assert all(name == name.lower() for name in OURS | ALIASES)
    assert not OURS & ALIASES
    assert is_alias(b"helicone-property-x")
    assert is_alias(b"x-acme-session-id")
    assert not is_alias(b"x-request-id")
    assert not is_alias(b"authorization")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*sorted(OURS | ALIASES), b"baggage", b"x-metadata-", b"X-Metadata-a", b"\xff"]),
            st.binary(max_size=20),
        ),
        max_size=6,
    ),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.dictionaries(st.sampled_from(["metadata", "user", "session_id", "litellm_metadata"]), inner, max_size=3),
    ),
)
def test_nothing_makes_it_raise_and_what_it_gives_is_usable(fields, body):
    found = labels(tuple(fields), body)

    for label in (found.session_id, found.user_id, found.project_id, found.name, found.parent_task_id):
        assert label is None or (label and len(label) <= 512 and "\x00" not in label and "\n" not in label)
    assert (found.session_id is None) == (found.session_source is None)


ACCOUNT, SESSION = "0d5a0f4e-8d57-4c3e-9d0b-3a7c54b7a2f1", "57a121ec-f78c-48c3-a745-e3036a3ecc33"


@pytest.mark.parametrize(
    ("value", "user", "session"),
    [
        (f"user_{'ab12' * 16}_account_{ACCOUNT}_session_{SESSION}", ACCOUNT, SESSION),
        (f"user_{'ab12' * 16}_account__session_{SESSION}", "ab12" * 16, SESSION),
        (json.dumps({"device_id": "d1", "account_uuid": ACCOUNT, "session_id": SESSION}), ACCOUNT, SESSION),
        (json.dumps({"device_id": "d1", "account_uuid": "", "session_id": SESSION}), "d1", SESSION),
        (json.dumps({"session_id": SESSION}), None, SESSION),
        ("ada", "ada", None),
        ("user_1", "user_1", None),
        ('{"session_id": ""}', '{"session_id": ""}', None),
        ('{"session_id": 7}', '{"session_id": 7}', None),
        ("{broken", "{broken", None),
    ],
)
def test_claude_code_says_who_and_which_session_in_one_string(value, user, session):
    found = of(body={"metadata": {"user_id": value}})
    assert (found.user_id, found.session_id) == (user, session)
    assert (found.user_source, found.session_source) == (user and Source.BODY, session and Source.BODY)
    assert found.metadata["user_id"] == value


def test_a_session_that_is_said_outright_beats_the_one_in_claude_codes_string():
    string = f"user_ab_account__session_{SESSION}"
    assert of(body={"metadata": {"user_id": string, "session_id": "mine"}}).session_id == "mine"
    assert of(("X-Claude-Code-Session-Id", "newer"), body={"metadata": {"user_id": string}}).session_id == "newer"
    assert of(("X-User-Id", "ada"), body={"metadata": {"user_id": string}}).user_id == "ada"
