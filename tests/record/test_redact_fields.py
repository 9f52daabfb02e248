"""A call's head: which credentials it carries, and what of it may be in the record."""

from __future__ import annotations

import base64

import pytest

from proxy.record.redact import clean_target, fingerprint, kept, needles

KEY = b"sk-canary-aB3dE5gH7jK9mN1pQ3"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"Authorization", b"Bearer " + KEY, {KEY}),
        (b"authorization", b"bearer   " + KEY + b" ", {KEY}),
        (b"Authorization", KEY, {KEY}),
        (b"AUTHORIZATION", b"Basic " + base64.b64encode(b"me:" + KEY), {base64.b64encode(b"me:" + KEY).rstrip(b"="), KEY}),
        (
            b"authorization",
            b"Basic " + base64.b64encode(b"someone:short"),
            {base64.b64encode(b"someone:short"), b"someone:short"},
        ),
        (b"proxy-authorization", b"Bearer " + KEY, {KEY}),
        (b"API-Key", KEY, {KEY}),
        (b"x-api-key", KEY, {KEY}),
        (b"x-goog-api-key", KEY, {KEY}),
        (b"X-Amz-Security-Token", KEY, {KEY}),
        (b"Helicone-Auth", b"Bearer " + KEY, {KEY}),
        (b"cf-aig-authorization", b"Bearer " + KEY, {KEY}),
        (b"X-My-Secret", KEY, {KEY}),
        (b"X-Vendor-Password", KEY, {KEY}),
        (b"X-Metadata-Api-Key", KEY, {KEY}),
        (b"Cookie", b"theme=dark; session=" + KEY + b"; a=b", {KEY}),
        (b"Sec-WebSocket-Protocol", b"realtime, openai-insecure-api-key." + KEY + b", openai-beta.realtime-v1", {KEY}),
        (b"Authorization", b"Bearer test", set()),
        (b"Authorization", b"Bearer ollama", set()),
        (b"Idempotency-Key", KEY, set()),
        (b"Sec-WebSocket-Key", KEY, set()),
        (b"X-RateLimit-Limit-Tokens", b"1000000000", set()),
        (b"X-Max-Tokens", b"1000000000", set()),
        (b"x-portkey-provider", b"some-provider", set()),
        (b"X-Author", b"somebody else", set()),
        (b"X-Session-Id", b"a-long-session-id", set()),
        (b"Helicone-Property-Token-Kind", b"a-long-property", set()),
    ],
)
def test_the_credentials_of_a_field_are_known(name: bytes, value: bytes, expected: set[bytes]) -> None:
    found = set(needles(((b"Host", b"h"), (name, value)), b"/v1/models"))
    assert {value.rstrip(b"=") for value in found if b"%" not in value} == {value.rstrip(b"=") for value in expected}


def test_a_usual_call_has_one_credential_in_one_spelling() -> None:
    fields = ((b"Authorization", b"Bearer " + KEY), (b"x-api-key", KEY), (b"Authorization", b"Bearer " + KEY))
    assert needles(fields, b"/v1/chat/completions?api_key=" + KEY, [KEY]) == (KEY,)


def test_credentials_that_urls_and_json_spell_otherwise_are_known_in_those_spellings() -> None:
    found = needles(((b"x-api-key", b'ab/cd"ef+gh='),), b"/")
    assert set(found) == {b'ab/cd"ef+gh=', b"ab%2Fcd%22ef%2Bgh%3D", rb"ab/cd\"ef+gh=", rb'ab\/cd"ef+gh='}


def test_credentials_in_the_target_are_known() -> None:
    assert needles((), b"/v1?a=12345678&Api-Key=" + KEY + b"&sig=short") == (KEY,)
    assert set(needles((), b"/v1?key=abcd%2Fefgh")) == {b"abcd%2Fefgh", b"abcd/efgh", rb"abcd\/efgh"}
    assert needles((), b"http://me:" + KEY + b"@host/v1") == (KEY,)


def test_none_is_inside_another() -> None:
    assert needles(((b"x-api-key", KEY), (b"api-key", KEY + b"-more")), b"/") == (KEY,)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/v1/chat/completions", None),
        (b"/v1/models?limit=2&after=key&monkey=1&key=", None),
        (b"/v1?key=S3CRET", b"/v1?key=[redacted]"),
        (
            b"/v1?a=1&API-Key=S3&x_api_key=S3&access_token=S3%20&sig=S=3&b",
            b"/v1?a=1&API-Key=[redacted]&x_api_key=[redacted]&access_token=[redacted]&sig=[redacted]&b",
        ),
        (b"/v1?%6Bey=S3CRET&client%5fsecret=S3", b"/v1?%6Bey=[redacted]&client%5fsecret=[redacted]"),
        (b"http://me:S3CRET@host:80/v1?key=S3", b"http://[redacted]@host:80/v1?key=[redacted]"),
        (b"http://S3CRET@a@host", b"http://[redacted]@host"),
        (b"http://host/a@b", None),
        (b"/keys/" + KEY + b"?a=" + KEY, b"/keys/[redacted]?a=[redacted]"),
        (b"*", None),
        (b"", None),
    ],
)
def test_a_target_loses_its_credentials(target: bytes, expected: bytes | None) -> None:
    assert clean_target(target, (KEY,)) == ((target, False) if expected is None else (expected, True))


def test_the_record_has_the_allowed_fields_of_a_request_in_their_order_and_case() -> None:
    allowed = (
        (b"Content-Type", b"application/json"),
        (b"User-Agent", b"OpenAI/Python"),
        (b"X-Stainless-Lang", b"python"),
        (b"OpenAI-Organization", b"org"),
        (b"anthropic-version", b"2023-06-01"),
        (b"Idempotency-Key", b"i"),
        (b"traceparent", b"00-1"),
        (b"X-Session-Id", b"s\xe9"),
        (b"X-Session-Id", b"twice"),
        (b"X-Metadata-Plan", b"pro"),
        (b"Helicone-User-Id", b"u"),
        (b"X-Acme-Session-Id", b"v"),
    )
    secret = (
        (b"Authorization", b"Bearer " + KEY),
        (b"Cookie", b"a=b"),
        (b"OpenAI-Api-Key", KEY),
        (b"X-Stainless-Token", KEY),
        (b"Host", b"h"),
        (b"X-Unknown", b"u"),
        (b"X-Session-Token-Session-Id", KEY),
    )
    mixed = tuple(field for pair in zip(allowed, secret, strict=False) for field in pair) + allowed[len(secret) :]
    assert kept(mixed, (KEY,), request=True) == allowed


def test_the_record_has_the_allowed_fields_of_a_response() -> None:
    allowed = (
        (b"Content-Type", b"text/event-stream"),
        (b"x-request-id", b"req_1"),
        (b"openai-processing-ms", b"12"),
        (b"x-ratelimit-remaining-tokens", b"5"),
        (b"anthropic-ratelimit-input-tokens-limit", b"5"),
        (b"Retry-After-Ms", b"5"),
        (b"CF-Ray", b"c"),
        (b"azureml-model-session", b"m"),
    )
    secret = ((b"Set-Cookie", b"a=b"), (b"openai-api-key", KEY), (b"Location", b"http://a:b@c"), (b"WWW-Authenticate", b"Bearer"))
    assert kept(allowed + secret, (), request=False) == allowed


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"X-Session-Id", KEY, b"[redacted]"),
        (b"User-Agent", b"curl " + KEY + b"/1", b"curl [redacted]/1"),
        (b"X-Metadata-Api-Key", b"S3", b"[redacted]"),
        (b"Helicone-Property-Password", b"S3", b"[redacted]"),
        (b"X-Task-Metadata", b'{"api_key": "S3", "a": "' + KEY + b'"}', b'{"api_key": "[redacted]", "a": "[redacted]"}'),
        (b"x-portkey-metadata", b'{"key":"S3","_user":"u"}', b'{"key":"[redacted]","_user":"u"}'),
        (b"X-Metadata-More", b'{"key":"S3"}', b'{"key":"[redacted]"}'),
        (
            b"baggage",
            b"user.id=u, api%5Fkey=S3;p=S3,acme.password = S3",
            b"user.id=u, api%5Fkey=[redacted],acme.password =[redacted]",
        ),
        (b"baggage", b"user.id=" + KEY, b"user.id=[redacted]"),
        (b"baggage", b"user.id=u,session.id=s;p", b"user.id=u,session.id=s;p"),
    ],
)
def test_values_that_are_kept_hold_no_credential(name: bytes, value: bytes, expected: bytes) -> None:
    assert kept(((name, value),), (KEY,), request=True) == ((name, expected),)


def test_a_fingerprint_says_the_same_of_the_same_key_under_one_pepper_only() -> None:
    assert fingerprint(KEY, b"p" * 32) == fingerprint(KEY, b"p" * 32)
    assert len(fingerprint(KEY, b"p" * 32)) == 32
    assert len({fingerprint(KEY, b"p" * 32), fingerprint(KEY, b"q" * 32), fingerprint(KEY + b"x", b"p" * 32)}) == 3
    assert fingerprint(b"what do ya want for nothing?", b"Jefe") == "5bdcc146bf60754e6a042426089575c7"  # RFC 4231, test case 2
