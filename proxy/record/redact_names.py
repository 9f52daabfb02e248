"""Which names stand before a secret: of header fields, of query parameters, of JSON and form fields."""

from __future__ import annotations

import re
from functools import lru_cache

REDACTED = b"[redacted]"

SECRET_NAMES = frozenset(
    [b"key", b"apikey", b"accesstoken", b"refreshtoken", b"clientsecret", b"secretkey", b"password", b"authorization", b"sig"]
)
"""Names of parameters and of JSON and form fields, in lower case and without `-` and `_`. So is every name that ends in `apikey`.

`token` is not among them: it is what logprobs call a piece of text.
"""

_CREDENTIAL = re.compile(rb"(?<!port)key|token|secret|auth(?!ors?$|or-)|password|passwd|credential|cookie")
_NO_CREDENTIAL = re.compile(
    rb"idempotency-key|prompt-cache-key|cache-key|surrogate-key|sec-websocket-key|ratelimit|-tokens-|-tokens$|www-authenticate|proxy-authenticate"
)
_LABEL_PREFIXES = (b"x-metadata-", b"helicone-property-", b"x-bf-dim-")

_KEPT_BOTH = frozenset(
    [b"content-type", b"content-encoding", b"content-length", b"content-language", b"x-request-id", b"request-id"]
)
_KEPT_REQUEST = frozenset(
    b"""accept accept-encoding accept-language user-agent x-client-request-id traceparent tracestate baggage idempotency-key
    x-session-id x-user-id x-task-id x-project-id x-task-name x-parent-task-id x-session-final x-task-metadata x-task-privacy
    x-session-affinity x-parent-session-id x-dynamo-session-id x-dynamo-parent-session-id x-dynamo-session-final
    helicone-session-id helicone-session-name helicone-session-path helicone-user-id helicone-request-id
    helicone-omit-request helicone-omit-response agent-session-id session-id session_id thread-id conversation_id
    x-conversation-id x-thread-id x-opencode-session x-litellm-session-id x-litellm-trace-id x-litellm-end-user-id
    x-litellm-customer-id x-litellm-tags x-litellm-spend-logs-metadata x-litellm-enable-message-redaction no-log
    x-bf-session-id x-bf-disable-content-logging x-portkey-metadata x-portkey-trace-id x-portkey-span-id
    x-portkey-parent-span-id x-portkey-span-name x-portkey-debug cf-aig-metadata cf-aig-collect-log
    cf-aig-collect-log-payload x-openwebui-user-id x-openwebui-user-name x-openwebui-user-email x-openwebui-user-role
    x-openwebui-chat-id""".split()
)
_KEPT_REQUEST_PREFIXES = (b"openai-", b"anthropic-", b"x-stainless-", *_LABEL_PREFIXES)
_KEPT_RESPONSE = frozenset(
    b"""date server retry-after retry-after-ms x-should-retry cf-ray cf-cache-status via age apim-request-id x-ms-region
    x-ms-request-id x-ms-client-request-id x-ms-rai-invoked x-amzn-requestid x-amzn-trace-id x-generation-id x-task-id""".split()
)
_KEPT_RESPONSE_PREFIXES = (
    b"openai-",
    b"anthropic-",
    b"x-ratelimit-",
    b"ratelimit-",
    b"x-envoy-",
    b"azureml-",
    b"x-groq-",
    b"x-litellm-",
)
_VENDOR_SESSION = re.compile(rb"x-[a-z0-9-]+-session-id")


def is_secret_name(name: bytes) -> bool:
    """Whether a parameter, JSON or form field of this name has a secret as its value.

    `X-...` is a header field that is told in JSON, as MCP tools do (`tools[].headers`): it is judged as one.
    """
    lower = name.lower()
    plain = lower.replace(b"-", b"").replace(b"_", b"")
    if plain in SECRET_NAMES or plain.endswith(b"apikey"):
        return True
    return lower.startswith(b"x-") and not lower.startswith(_LABEL_PREFIXES) and is_credential_field(lower)


@lru_cache(maxsize=1024)
def is_credential_field(name: bytes) -> bool:
    """Whether a header field of this name, in lower case, carries a credential."""
    if name.startswith(_LABEL_PREFIXES):
        return is_secret_name(label_key(name))
    if name in _KEPT_REQUEST or name in _KEPT_RESPONSE:
        return False
    return _CREDENTIAL.search(name) is not None and _NO_CREDENTIAL.search(name) is None


def label_key(name: bytes) -> bytes:
    """What a label field of a family is called in it: `x-metadata-api-key` -> `api-key`; another field's own name."""
    for prefix in _LABEL_PREFIXES:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def is_kept(name: bytes, request: bool) -> bool:
    """Whether a header field of this name, in lower case, may be in the record."""
    if name.startswith(_LABEL_PREFIXES):
        return request
    if name in _KEPT_BOTH:
        return True
    if is_credential_field(name):
        return False
    if request:
        return name in _KEPT_REQUEST or name.startswith(_KEPT_REQUEST_PREFIXES) or _VENDOR_SESSION.fullmatch(name) is not None
    return name in _KEPT_RESPONSE or name.startswith(_KEPT_RESPONSE_PREFIXES)


def is_label(name: bytes) -> bool:
    """Whether a header field of this name, in lower case, has what an app says of a call as its value: text or JSON."""
    return name.startswith(_LABEL_PREFIXES) or b"metadata" in name
