"""What of a call is kept out of the record, because its caller or the configuration says so. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from proxy.record.fields import Line

NOTHING: Final = 0
REQUEST: Final = 1  # the request's body
RESPONSE: Final = 2  # the response's body
RECORD: Final = 4  # everything: the call is carried and leaves no trace but a count

WORDS: Final = {b"none": NOTHING, b"metadata-only": REQUEST | RESPONSE, b"no-record": RECORD}
"""What `X-Task-Privacy` may say."""

_ALIASES: Final = {
    (b"helicone-omit-request", b"true"): REQUEST,
    (b"helicone-omit-response", b"true"): RESPONSE,
    (b"x-portkey-debug", b"false"): REQUEST | RESPONSE,
    (b"x-litellm-enable-message-redaction", b"true"): REQUEST | RESPONSE,
    (b"x-bf-disable-content-logging", b"true"): REQUEST | RESPONSE,
    (b"cf-aig-collect-log-payload", b"false"): REQUEST | RESPONSE,
    (b"cf-aig-collect-log", b"false"): RECORD,
}
"""What other gateways' callers say (facts: reference/headers.md)."""


@dataclass(frozen=True, slots=True)
class PrivacyRules:
    """What the configuration says: of every call, and of the projects whose bodies are never kept."""

    always: int = NOTHING
    projects: frozenset[bytes] = frozenset()


def asked(fields: Iterable[Line], rules: PrivacyRules) -> tuple[int, str | None]:
    """What is kept out of a call with these fields, and what of that could not be understood. The strictest word counts.

    A word that nobody knows keeps the bodies out: whoever wrote it did not want them kept.
    """
    kept_out, problem = rules.always, None
    for _, name, value, _ in fields:
        word = value.lower()
        if name == b"x-task-privacy":
            known = WORDS.get(word)
            if known is None:
                problem = "X-Task-Privacy: none, metadata-only and no-record are known; taken as metadata-only"
            kept_out |= WORDS[b"metadata-only"] if known is None else known
        elif name == b"x-project-id" and value in rules.projects:
            kept_out |= REQUEST | RESPONSE
        else:
            kept_out |= _ALIASES.get((name, word), NOTHING)
    return kept_out, problem
