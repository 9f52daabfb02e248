"""Where a call goes, and which key goes with it."""

from __future__ import annotations

import pytest

from tests.proc import Tasktap
from tests.relay.caller import chat, once, request
from tests.upstream import Upstream, ok


@pytest.mark.parametrize(
    ("target", "there", "name"),
    [
        (b"/v1/chat/completions", b"/v1/chat/completions", "main"),
        (b"/v1", b"/v1", "main"),
        (b"/other/v1/chat/completions?a=%2f", b"/deep/prefix/v1/chat/completions?a=%2f", "other"),
        (b"/other", b"/deep/prefix/", "other"),
        (b"/other/", b"/deep/prefix/", "other"),
        (b"/other?x=1", b"/deep/prefix/?x=1", "other"),
        (b"/main/v1/models", b"/v1/models", "main"),
        (b"/unknown/v1/models", b"/unknown/v1/models", "main"),
        (b"/Other/v1/models", b"/Other/v1/models", "main"),
        (b"/otherwise/x", b"/otherwise/x", "main"),
        (b"/oth%65r/x", b"/oth%65r/x", "main"),
        (b"/api/chat", b"/api/chat", "main"),
        (b"/", b"/", "main"),
        (b"//other/x", b"//other/x", "main"),
    ],
)
def test_the_first_segment_says_where(house: Tasktap, upstream: Upstream, target: bytes, there: bytes, name: str) -> None:
    tape = upstream.play(ok())
    answer = once(house.calls, request(b"GET", target))
    assert answer.status == 200
    assert tape.target == there
    task = house.task(answer.id)
    assert task["upstream"] == name
    assert task["path"].encode() == target


def credentials(upstream: Upstream, house: Tasktap, name: bytes, *lines: bytes) -> list[tuple[bytes, bytes]]:
    tape = upstream.play(ok())
    assert once(house.calls, request(b"POST", b"/" + name + b"/v1/x", *lines, body=b"{}")).status == 200
    known = {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"}
    return [(key.lower(), value) for key, value in tape.fields if key.lower() in known]


def test_a_callers_key_is_passed_and_ours_stays_away(house: Tasktap, upstream: Upstream) -> None:
    assert credentials(upstream, house, b"keyed", b"Authorization: Bearer sk-theirs") == [(b"authorization", b"Bearer sk-theirs")]


@pytest.mark.parametrize("line", [b"X-Api-Key: sk-theirs", b"api-key: sk-theirs", b"x-goog-api-key: sk-theirs"])
def test_a_credential_of_another_kind_is_a_credential_too(house: Tasktap, upstream: Upstream, line: bytes) -> None:
    assert credentials(upstream, house, b"keyed", line) == [(line.split(b":")[0].lower(), b"sk-theirs")]


def test_without_a_key_of_the_callers_ours_is_used(house: Tasktap, upstream: Upstream) -> None:
    assert credentials(upstream, house, b"keyed") == [(b"authorization", b"Bearer sk-configured-0001")]


def test_key_mode_always_replaces_the_callers(house: Tasktap, upstream: Upstream) -> None:
    expected = [(b"authorization", b"Bearer sk-configured-0002")]
    assert credentials(upstream, house, b"always", b"Authorization: Bearer sk-theirs") == expected
    assert credentials(upstream, house, b"always") == expected
    assert (
        credentials(upstream, house, b"always", b"Authorization: Bearer a", b"authorization: Bearer b", b"X-Api-Key: c")
        == expected
    )


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (b"x-key", (b"x-api-key", b"sk-configured-0003")),
        (b"azure", (b"api-key", b"sk-configured-0004")),
        (b"google", (b"x-goog-api-key", b"sk-configured-0005")),
    ],
)
def test_a_key_goes_in_the_field_that_the_upstream_reads(
    house: Tasktap, upstream: Upstream, name: bytes, field: tuple[bytes, bytes]
) -> None:
    assert credentials(upstream, house, name) == [field]


def test_an_upstream_without_a_key_gets_none(house: Tasktap, upstream: Upstream) -> None:
    assert credentials(upstream, house, b"other") == []


@pytest.mark.parametrize(
    "line",
    [
        b"X-Upstream-Url: http://evil.invalid",
        b"X-Forwarded-Host: evil.invalid",
        b"Helicone-Target-Url: http://evil.invalid",
        b"Forwarded: host=evil",
    ],
)
def test_no_field_can_choose_an_upstream(house: Tasktap, upstream: Upstream, line: bytes) -> None:
    tape = upstream.play(ok())
    assert once(house.calls, chat(line)).status == 200
    assert tape.head.values(b"host") == [upstream.host]


def test_a_path_that_is_not_understood_is_kept_as_opaque(house: Tasktap, upstream: Upstream) -> None:
    upstream.play(ok(b"\x00\x01", b"X-A: 1"))
    answer = once(house.calls, request(b"PUT", b"/v1/never/heard/of", body=b"\xff\x00"))
    task = house.task(answer.id)
    assert (task["kind"], task["method"], task["ending"]) == ("opaque", "PUT", "completed")
    assert house.fetch(f"/api/tasks/{task['id']}/request") == (200, b"\xff\x00")
    assert house.fetch(f"/api/tasks/{task['id']}/response") == (200, b"\x00\x01")
