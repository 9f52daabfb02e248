"""One header field line: judged once, then remembered, since apps send the same lines again and again."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from proxy.record.aliases import is_alias
from proxy.record.redact_names import is_credential_field, is_kept

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_LINE = re.compile(rb"(" + TOKEN + rb"):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*")
_REMEMBERED = 8192  # lines; then all are forgotten at once
_WORTH = 512  # bytes; longer lines (cookies, metadata) hardly come twice

FRAMING: Final = 1  # says how a message is framed or routed: read by http1
HOST: Final = 2
HOP: Final = 4  # of one hop only (RFC 9110 section 7.6.1)
OURS: Final = 8  # a label of ours
ALIAS: Final = 16  # another gateway's label
PROVIDER_KEY: Final = 32  # where the providers of this field look for a key
CREDENTIAL: Final = 64  # holds a secret
KEPT: Final = 128  # is in the record of a request
KEPT_BACK: Final = 256  # is in the record of a response
CAREFUL: Final = 512  # may hold secrets inside: looked through before it is kept
BODY: Final = 1024  # says what the body is: Content-Type, Content-Encoding
TRAILER: Final = 2048
TASK_ID: Final = 4096

_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te upgrade http2-settings".split()
)
OUR_LABELS: Final = frozenset(
    b"""x-session-id x-user-id x-task-id x-project-id x-task-name x-parent-task-id x-session-final x-task-metadata
    x-task-privacy""".split()
)
OUR_PREFIX: Final = b"x-metadata-"
_CAREFUL = frozenset(
    (b"baggage", b"x-task-metadata", b"x-portkey-metadata", b"cf-aig-metadata", b"x-litellm-spend-logs-metadata")
)
_CAREFUL_PREFIXES = (OUR_PREFIX, b"helicone-property-", b"x-bf-dim-")
_PROVIDER_KEYS = frozenset((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"))
_FRAMING = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"))


class BadLine(ValueError):
    """This is no header line."""


class Line(NamedTuple):
    """One field line: its bytes as they came, its name in lower case, its value without outer white space, and what it is."""

    raw: bytes
    name: bytes
    value: bytes
    role: int


_known: dict[bytes, Line] = {}


def line(raw: bytes) -> Line:
    """Judge one field line (without CRLF; RFC 9112 section 5). Raises BadLine."""
    known = _known.get(raw)
    if known is not None:
        return known
    match = _LINE.fullmatch(raw)
    if match is None:
        raise BadLine("A header line is malformed: it must be `Name: value`, with no folding and no control characters.")
    name = match[1].lower()
    made = Line(raw, name, match[2], role(name))
    if len(raw) <= _WORTH:
        if len(_known) >= _REMEMBERED:
            _known.clear()
        _known[raw] = made
    return made


def lines(raws: list[bytes]) -> list[Line]:
    """Judge many. Raises BadLine."""
    known = _known
    return [known.get(raw) or line(raw) for raw in raws]


@lru_cache(maxsize=_REMEMBERED)
def role(name: bytes) -> int:
    """What a field of this name (lower case) is."""
    ours = name in OUR_LABELS or name.startswith(OUR_PREFIX)
    credential = is_credential_field(name)
    parts = (
        (FRAMING, name in _FRAMING),
        (HOST, name == b"host"),
        (HOP, name in _HOP),
        (OURS, ours),
        (ALIAS, not ours and is_alias(name)),
        (PROVIDER_KEY, name in _PROVIDER_KEYS),
        (CREDENTIAL, credential),
        (KEPT, not credential and is_kept(name, True) and name != b"content-length"),  # each call has its own: `request_size`
        (KEPT_BACK, not credential and is_kept(name, False)),
        (CAREFUL, name in _CAREFUL or name.startswith(_CAREFUL_PREFIXES)),
        (BODY, name in (b"content-type", b"content-encoding")),
        (TRAILER, name == b"trailer"),
        (TASK_ID, name == b"x-task-id"),
    )
    return sum(flag for flag, holds in parts if holds)
