"""The names under which other gateways and clients say what our label fields say (facts: reference/headers.md). Lower case."""

from __future__ import annotations

import re

SESSION = (
    b"x-session-affinity",
    b"helicone-session-id",
    b"x-litellm-session-id",
    b"x-litellm-trace-id",
    b"x-bf-session-id",
    b"agent-session-id",
    b"x-dynamo-session-id",
    b"x-claude-code-session-id",
    b"x-opencode-session",
    b"x-openwebui-chat-id",
    b"session-id",
    b"session_id",
    b"thread-id",
    b"conversation_id",
    b"x-conversation-id",
    b"x-thread-id",
)
"""Best first; after them comes any `x-<vendor>-session-id`."""

SESSION_FINAL = (b"x-dynamo-session-final",)

USER = (b"helicone-user-id", b"x-litellm-end-user-id", b"x-litellm-customer-id", b"x-openwebui-user-id")

USER_IN_JSON = {b"x-portkey-metadata": ("_user",), b"cf-aig-metadata": ("user_id", "userId", "user")}

METADATA_JSON = (b"x-portkey-metadata", b"cf-aig-metadata", b"x-litellm-spend-logs-metadata")
METADATA_PREFIXES = (b"helicone-property-", b"x-bf-dim-")
METADATA_FIELDS = {
    b"x-litellm-tags": "tags",
    b"helicone-session-name": "session_name",
    b"helicone-session-path": "session_path",
    b"x-parent-session-id": "parent_session_id",
    b"x-dynamo-parent-session-id": "parent_session_id",
}
"""Fields that are a key of `metadata`; tags are a list, set apart by commas."""

BODY_SESSION = ("litellm_session_id", "tensorzero::episode_id")
BAGGAGE_SESSION = ("session.id",)
BAGGAGE_USER = ("user.id", "userId")

PRIVACY = (
    b"helicone-omit-request",
    b"helicone-omit-response",
    b"x-portkey-debug",
    b"x-litellm-enable-message-redaction",
    b"x-bf-disable-content-logging",
    b"cf-aig-collect-log-payload",
    b"cf-aig-collect-log",
)
"""What is kept out of the record; `privacy` says by which values."""

ALIASES = frozenset((*SESSION, *SESSION_FINAL, *USER, *METADATA_JSON, *METADATA_FIELDS, *PRIVACY))
"""Every alias that has a name of its own; `is_alias` knows those that are made by a pattern too."""

_VENDOR_SESSION = re.compile(rb"x-(?!.*parent)[a-z0-9_-]+-session-id")


def is_vendor_session(name: bytes) -> bool:
    """Whether `name` is an `x-<vendor>-session-id`."""
    return name.endswith(b"-session-id") and _VENDOR_SESSION.fullmatch(name) is not None


def is_alias(name: bytes) -> bool:
    """Whether the field `name` (lower case) says in another gateway's words what one of ours says."""
    return name in ALIASES or name.startswith(METADATA_PREFIXES) or is_vendor_session(name)
