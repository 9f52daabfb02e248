"""Which upstream a target goes to, and what it promises to speak."""

import pytest

from proxy.record.http1 import BadMessage
from proxy.record.routes import kind, markers, match

NAMES = ("openai", "groq", "local-1")


@pytest.mark.parametrize(
    ("target", "upstream", "rest"),
    [
        (b"/v1/chat/completions", "openai", b"/v1/chat/completions"),
        (b"/groq/v1/chat/completions?a=b", "groq", b"/v1/chat/completions?a=b"),
        (b"/groq", "groq", b"/"),
        (b"/groq?a=b", "groq", b"/?a=b"),
        (b"/groqs/v1", "openai", b"/groqs/v1"),
        (b"/GROQ/v1", "openai", b"/GROQ/v1"),
        (b"/local-1/api/chat", "local-1", b"/api/chat"),
        (b"//groq/v1", "openai", b"//groq/v1"),
        (b"/a%2Fb/../c", "openai", b"/a%2Fb/../c"),
        (b"/", "openai", b"/"),
        (b"http://evil.example/groq/v1/x", "groq", b"/v1/x"),
        (b"HTTPS://user:pass@evil.example?q", "openai", b"/?q"),
    ],
)
def test_the_first_segment_names_the_upstream_and_the_rest_is_untouched(target, upstream, rest):
    route = match(b"POST", target, NAMES, "openai")

    assert (route.upstream, route.target) == (upstream, rest)


@pytest.mark.parametrize("target", [b"evil", b"*", b"ftp://a/b", b"a:443"])
def test_a_target_that_is_no_path_is_refused(target):
    with pytest.raises(BadMessage):
        match(b"GET", target, NAMES, "openai")


def test_a_star_is_for_options_alone():
    assert match(b"OPTIONS", b"*", NAMES, "openai").target == b"*"


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"POST", b"/v1/chat/completions", "chat"),
        (b"POST", b"/openai/deployments/x/chat/completions?api-version=1", "chat"),
        (b"GET", b"/v1/chat/completions", "opaque"),
        (b"POST", b"/v1/messages", "message"),
        (b"POST", b"/api/chat", "ollama_chat"),
        (b"POST", b"/api/generate", "ollama_generate"),
        (b"POST", b"/api/embed", "ollama_embed"),
        (b"POST", b"/api/embeddings", "ollama_embed"),
        (b"POST", b"/api/chat/completions", "chat"),
        (b"GET", b"/api/chat", "opaque"),
        (b"GET", b"/v1/models", "model"),
        (b"GET", b"/v1/models/gpt-4o", "model"),
        (b"GET", b"/v1/modelsx", "opaque"),
        (b"POST", b"/anything", "opaque"),
    ],
)
def test_a_path_promises_a_dialect(method, target, expected):
    assert kind(method, target) == expected


def test_every_dialect_has_an_end_marker():
    assert markers("chat") == (b"[DONE]",)
    assert markers("message") == (b"message_stop",)
    assert markers("ollama_chat") == markers("ollama_generate") == (b'"done":true',)
    assert markers("whatever") == (b"[DONE]",)
