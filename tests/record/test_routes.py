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
        (
            b"POST",
            b"/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict",
            "message",
        ),
        (b"POST", b"/v1/projects/p/locations/l/publishers/anthropic/models/claude-x:streamRawPredict?alt=sse", "message"),
        (b"POST", b"/v1/projects/p/locations/l/publishers/mistralai/models/codestral:rawPredict", "opaque"),
        (b"POST", b"/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke", "message"),
        (b"POST", b"/model/anthropic.claude-3-haiku-20240307-v1:0/invoke-with-response-stream", "message"),
        (b"POST", b"/model/amazon.titan-text/invoke", "opaque"),
        (b"POST", b"/model/us.amazon.nova-pro-v1%3A0/converse", "converse"),
        (b"POST", b"/model/anthropic.claude-3-haiku-20240307-v1:0/converse-stream", "converse"),
        (b"GET", b"/model/amazon.nova-pro-v1:0/converse", "opaque"),
        (b"POST", b"/v1beta/models/gemini-embedding-001:embedContent", "embedding"),
        (b"POST", b"/v1beta/models/gemini-embedding-001:batchEmbedContents?key=k", "embedding"),
        (b"POST", b"/api/chat", "ollama_chat"),
        (b"POST", b"/api/generate", "ollama_generate"),
        (b"POST", b"/api/embed", "ollama_embed"),
        (b"POST", b"/api/embeddings", "ollama_embed"),
        (b"POST", b"/api/chat/completions", "chat"),
        (b"GET", b"/api/chat", "opaque"),
        (b"POST", b"/v1/completions", "completion"),
        (b"POST", b"/v1/fim/completions", "completion"),
        (b"POST", b"/v1/agents/completions", "chat"),
        (b"POST", b"/openai/deployments/x/completions?api-version=1", "completion"),
        (b"POST", b"/v1/responses", "response"),
        (b"POST", b"/openai/responses?api-version=1", "response"),
        (b"GET", b"/v1/responses/resp_1?stream=true", "response"),
        (b"DELETE", b"/v1/responses/resp_1", "response"),
        (b"POST", b"/v1/responses/resp_1/cancel", "response"),
        (b"GET", b"/v1/responses/resp_1/input_items", "response"),
        (b"POST", b"/v1/embeddings", "embedding"),
        (b"POST", b"/v1/moderations", "moderation"),
        (b"POST", b"/v1/images/edits", "image"),
        (b"POST", b"/v1/audio/speech", "audio"),
        (b"POST", b"/openai/deployments/whisper/audio/transcriptions?api-version=1", "audio"),
        (b"POST", b"/v1/files", "file"),
        (b"GET", b"/v1/files/file-1/content", "file"),
        (b"POST", b"/v1/batches/batch_1/cancel", "batch"),
        (b"POST", b"/v1/messages/batches", "batch"),
        (b"GET", b"/v1/messages/batches/msgbatch_1/results", "batch"),
        (b"POST", b"/v1/messages/batches/msgbatch_1/cancel?beta=true", "batch"),
        (b"GET", b"/v1beta/models?pageSize=50", "model"),
        (b"GET", b"/v1beta/models/gemini-2.5-pro", "model"),
        (b"GET", b"/v1beta/files", "opaque"),
        (b"GET", b"/api/tags", "model"),
        (b"GET", b"/ollama/api/ps", "model"),
        (b"POST", b"/api/show", "model"),
        (b"POST", b"/api/pull", "model"),
        (b"DELETE", b"/api/delete", "model"),
        (b"HEAD", b"/api/blobs/sha256:00ff", "model"),
        (b"GET", b"/api/tags/x", "opaque"),
        (b"GET", b"/api/version", "opaque"),
        (b"GET", b"/openai/v1/models", "model"),
        (b"POST", b"/v1/models/gemini:generateContent", "gemini"),
        (b"POST", b"/v1beta/models/gemini:streamGenerateContent?alt=sse", "gemini"),
        (b"POST", b"/v1/projects/p/locations/l/publishers/google/models/m:countTokens", "gemini"),
        (b"POST", b"/anthropic/v1/messages?beta=true", "message"),
        (b"POST", b"/v1/messages/count_tokens", "message"),
        (b"GET", b"/v1/models", "model"),
        (b"GET", b"/v1/models/gpt-4o", "model"),
        (b"GET", b"/v1/modelsx", "opaque"),
        (b"POST", b"/anything", "opaque"),
    ],
)
def test_a_path_promises_a_dialect(method, target, expected):
    assert kind(method, target) == expected


def test_a_dialect_says_what_ends_its_streams():
    assert markers("chat") == (b"[DONE]",)
    assert markers("message") == (b"message_stop",)
    assert markers("gemini") == ()
    assert markers("ollama_chat") == markers("ollama_generate") == (b'"done":true',)
    assert markers("whatever") == (b"[DONE]",)
