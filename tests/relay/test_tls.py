"""TLS to the upstream is verified; a CONNECT proxy on the way is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.proc import Tasktap, serving
from tests.relay.caller import CHAT_STREAM, Caller, chat, once, request
from tests.relay.certificates import authority, served_as
from tests.relay.elsewhere import ConnectProxy, closed_port
from tests.upstream import STREAM_HEAD, Upstream, chunk, event, gate, mirror, ok


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tasktap, Upstream, Upstream, ConnectProxy, Upstream]]:
    place = tmp_path_factory.mktemp("tls")
    ca = authority(place)
    good = Upstream(served_as(place, "IP:127.0.0.1"))
    misnamed = Upstream(served_as(place, "DNS:elsewhere.test"))
    plain = Upstream()
    proxy = ConnectProxy()
    with closed_port() as closed:
        config = f"""
            default_upstream = "trusted"
            [upstreams.trusted]
            url = "{good.url}"
            ca_file = "{ca}"
            [upstreams.unknown]
            url = "{good.url}"
            [upstreams.misnamed]
            url = "{misnamed.url}"
            ca_file = "{ca}"
            [upstreams.plainly]
            url = "https://127.0.0.1:{plain.port}"
            ca_file = "{ca}"
            [upstreams.behind]
            url = "{good.url}"
            ca_file = "{ca}"
            proxy = "{proxy.url}"
            [upstreams.refusing]
            url = "{good.url}"
            ca_file = "{ca}"
            proxy = "{proxy.url}"
            [upstreams.no-proxy-there]
            url = "{good.url}"
            ca_file = "{ca}"
            proxy = "http://127.0.0.1:{closed}"
        """
        with serving(tmp_path_factory.mktemp("tls-house"), config) as house:
            yield house, good, misnamed, proxy, plain
    for end in (good, misnamed, plain):
        end.check()
        end.close()
    proxy.close()


Trusted = tuple[Tasktap, Upstream, Upstream, ConnectProxy, Upstream]


def test_an_upstream_whose_ca_is_named_is_trusted(trusted: Trusted) -> None:
    house, good, *_ = trusted
    tape = good.play(mirror)
    body = bytes(range(256)) * 4000
    answer = once(house.calls, request(body=body))
    assert answer.body.data == body
    assert tape.head.values(b"host") == [good.host]
    assert house.task(answer.id)["ending"] == "completed"


def test_tls_connections_are_used_again_and_streams_come_as_they_are_said(trusted: Trusted) -> None:
    house, good, *_ = trusted
    seen = threading.Event()
    first = good.play(STREAM_HEAD + chunk(event("one")), gate(seen), chunk(event("two")) + b"0\r\n\r\n")
    second = good.play(ok())
    with Caller(house.calls) as caller:
        caller.send(chat(body=CHAT_STREAM))
        while b"one" not in caller.wire.buffer:
            caller.wire.need()
        seen.set()
        assert caller.answer().body.data == event("one") + event("two")
        assert caller.ask(chat()).status == 200
    assert first.connection == second.connection


@pytest.mark.parametrize("name", [b"unknown", b"misnamed", b"plainly"])
def test_an_upstream_that_cannot_prove_itself_gets_nothing(trusted: Trusted, name: bytes) -> None:
    house, good, misnamed, _, plain = trusted
    heard = good.bytes_heard, misnamed.bytes_heard
    answer = once(house.calls, request(b"POST", b"/" + name + b"/v1/chat/completions", body=b"{}"))
    assert (answer.status, answer.error) == (502, b"upstream_unreachable")
    if name == b"plainly":
        (hello,) = plain.uninvited
        plain.uninvited.clear()
        assert hello.startswith(b"\x16\x03")
    assert (good.bytes_heard, misnamed.bytes_heard) == heard
    assert house.task(answer.id)["ending"] == "unreachable"


def test_a_connect_proxy_is_asked_for_the_upstream_and_sees_only_ciphertext(trusted: Trusted) -> None:
    house, good, _, proxy, _ = trusted
    proxy.heads.clear()
    tape = good.play(ok(b"through"))
    answer = once(house.calls, request(b"POST", b"/behind/v1/x", b"Authorization: Bearer sk-1", body=b"{}"))
    assert answer.body.data == b"through"
    assert tape.head.values(b"host") == [good.host]
    (asked,) = proxy.heads
    assert asked.line == b"CONNECT " + good.host + b" HTTP/1.1"
    assert asked.values(b"host") == [good.host]
    assert not asked.values(b"authorization")


def test_a_connect_proxy_that_refuses_is_a_502(trusted: Trusted) -> None:
    house, _, _, proxy, _ = trusted
    proxy.refuse = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    answer = once(house.calls, request(b"GET", b"/refusing/v1/x"))
    proxy.refuse = None
    assert (answer.status, answer.error) == (502, b"upstream_unreachable")
    assert house.task(answer.id)["ending"] == "unreachable"


def test_a_connect_proxy_that_is_not_there_is_a_502(trusted: Trusted) -> None:
    house, *_ = trusted
    answer = once(house.calls, request(b"GET", b"/no-proxy-there/v1/x"))
    assert (answer.status, answer.error) == (502, b"upstream_unreachable")


def test_https_proxy_and_no_proxy_of_the_environment_are_honoured(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("env-tls")
    ca = authority(place)
    upstream = Upstream(served_as(place, "IP:127.0.0.1", "DNS:localhost"))
    proxy = ConnectProxy()
    config = f"""
        default_upstream = "far"
        [upstreams.far]
        url = "{upstream.url}"
        ca_file = "{ca}"
        [upstreams.near]
        url = "https://localhost:{upstream.port}"
        ca_file = "{ca}"
        [upstreams.straight]
        url = "{upstream.url}"
        ca_file = "{ca}"
        proxy = "none"
    """
    with serving(tmp_path_factory.mktemp("env"), config, HTTPS_PROXY=proxy.url, NO_PROXY="localhost") as house:
        for target, through in ((b"/v1/x", 1), (b"/near/v1/x", 1), (b"/straight/v1/x", 1)):
            upstream.play(ok(b"there"))
            assert once(house.calls, request(b"GET", target)).body.data == b"there"
            assert len(proxy.heads) == through
    upstream.check()
    upstream.close()
    proxy.close()
