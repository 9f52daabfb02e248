"""A request's head -> all that is decided about it before a byte goes anywhere. Pure.

An app sends the same head again and again, but for its Content-Length: that line is cut out, and what is left is looked up
before it is judged. Two heads with the same rest are the same decision; a line that differs anywhere is a new one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import orjson

from proxy.record import redact
from proxy.record.fields import KEPT, TASK_ID
from proxy.record.headers import Key, to_upstream
from proxy.record.http1 import RequestHead, joined, request_head
from proxy.record.kept_head import Sorted, scrubbed, secrets
from proxy.record.privacy import NOTHING, PrivacyRules, asked
from proxy.record.redact_multipart import boundary
from proxy.record.redact_rules import Redaction, Rules
from proxy.record.routes import Route, markers, match
from proxy.record.usage_asked import may_ask

_LENGTH = re.compile(rb"\r\n[cC][oO][nN][tT][eE][nN][tT]-[lL][eE][nN][gG][tT][hH]:[ \t]*([0-9]{1,18})[ \t]*(?=\r\n|\Z)")
MOST_KNOWN: Final = 2048  # heads remembered; then all are forgotten at once
MOST_BYTES: Final = 4096  # of a head that is worth remembering
_STREAMS: Final = (b"text/event-stream", b"application/x-ndjson", b"application/jsonl", b"application/stream+json")
_FORM: Final = b"application/x-www-form-urlencoded"
_MEDIA: Final = (b"audio/", b"image/", b"video/")  # no text
_SEALED: Final = b"application/vnd.amazon.eventstream"  # its text is in base64, under checksums


def _length_line(head: bytes) -> tuple[int, int, int]:
    """Where the Content-Length line is (with the CRLF before it), and its figure; three zeros where no sound one is."""
    start = head.find(b"\r\nContent-Length: ")
    if start < 0:
        start = head.find(b"\r\ncontent-length: ")
    if start >= 0:  # as nearly every SDK writes it
        end = head.find(b"\r\n", start + 18)
        end = len(head) if end < 0 else end
        digits = head[start + 18 : end]
        if digits.isdigit() and len(digits) <= 18:
            return start, end, int(digits)
    found = _LENGTH.search(head)
    return (0, 0, 0) if found is None else (*found.span(), int(found[1]))


class BodyKind:
    """What of a body the record has to know: its coding, and whether its fields are looked at one by one."""

    __slots__ = ("blind", "coding", "form", "keys", "parts", "plain", "rules", "streams")

    def __init__(self, coding: str | None, content_type: bytes, keys: bool, rules: Rules | None) -> None:
        self.coding = coding
        self.form = content_type[: len(_FORM)].lower() == _FORM
        self.parts = boundary(content_type)
        self.streams = content_type.lower().startswith(_STREAMS)  # an end marker may come in it
        self.keys = keys  # it may hand out a key that no name tells
        media = content_type.lower().startswith(_MEDIA)
        self.rules = None if media else rules  # what else has to be taken out
        self.blind = rules is not None and content_type.lower().startswith(_SEALED)  # nothing could be taken out of it
        self.plain = coding is None and not self.form and self.parts is None and not keys and self.rules is None


@lru_cache(maxsize=1024)
def body_kind(coding: str | None, content_type: bytes, keys: bool = False, rules: Rules | None = None) -> BodyKind:
    """The one BodyKind for these."""
    return BodyKind(coding, content_type, keys, rules)


class Prepared:
    """One head, decided. `request.length` is that of the first call with it, not of every one."""

    __slots__ = (
        "after",
        "asks_usage",
        "before",
        "body",
        "expects",
        "gives_keys",
        "kept",
        "markers",
        "meta",
        "needles",
        "old",
        "privacy",
        "problem",
        "redactions",
        "request",
        "route",
        "rules",
        "task_id",
        "websocket",
    )

    def __init__(self, request: RequestHead, route: Route) -> None:
        self.request = request
        self.route = route
        self.old = request.minor == 0
        self.expects = request.expects and not self.old
        self.websocket = (
            request.upgrade is not None and request.upgrade.lower() == b"websocket" and b"upgrade" in request.connection
        )
        self.gives_keys = route.kind == "realtime" and request.method == b"POST"
        self.markers = markers(route.kind)
        self.task_id: bytes | None = None
        self.privacy = NOTHING
        self.asks_usage = False
        self.problem: str | None = None  # a label that could not be understood
        self.before = self.after = b""  # the head for the upstream, around its Content-Length line
        self.kept = b""  # the lines for the record
        self.meta = b""  # what the record says of every call with this head: the inside of a JSON object
        self.needles: tuple[bytes, ...] = ()
        self.redactions: tuple[str, ...] = ()
        self.rules: Rules | None = None  # what else has to be taken out of its bodies
        self.body = body_kind(None, b"")


class Target:
    """What has to be known of an upstream to prepare a call for it."""

    __slots__ = ("authority", "key", "prefix")

    def __init__(self, authority: bytes, prefix: bytes, key: Key | None) -> None:
        self.authority = authority
        self.prefix = prefix
        self.key = key


class Preparer:
    """Prepares heads, and remembers them."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        default: str,
        *,
        strip_aliases: bool,
        max_target: int,
        pepper: bytes,
        privacy: PrivacyRules,
        redaction: Redaction,
        inject_usage: bool = False,
    ) -> None:
        self._targets = targets
        self._default = default
        self._strip_aliases = strip_aliases
        self._max_target = max_target
        self._pepper = pepper
        self._privacy = privacy
        self._redaction = redaction
        self._inject_usage = inject_usage
        self._known: dict[bytes | tuple[bytes, bytes], Prepared] = {}

    def __call__(self, head: bytes) -> tuple[Prepared, int, bytes]:
        """The decision for `head` (without its last CRLF CRLF), the length of its body, and its head for the upstream.

        Raises BadMessage.
        """
        start, end, length = _length_line(head)
        line = head[start:end]
        key: bytes | tuple[bytes, bytes] = (head[:start], head[end:]) if line else head
        prepared = self._known.get(key)
        if prepared is None:
            prepared = self._prepare(head, line[2:])
            if len(head) <= MOST_BYTES and prepared.request.length == length:
                if len(self._known) >= MOST_KNOWN:
                    self._known.clear()
                self._known[key] = prepared
        return prepared, length, b"".join((prepared.before, line, prepared.after)) if line else prepared.before

    def _prepare(self, head: bytes, line: bytes) -> Prepared:
        request = request_head(head, self._max_target)
        route = match(request.method, request.target, self._targets, self._default)
        prepared = Prepared(request, route)
        target = self._targets[route.upstream]
        self._for_upstream(prepared, target, line)
        self._for_record(prepared, target)
        prepared.privacy, prepared.problem = asked(request.fields, self._privacy)
        if self._inject_usage and prepared.privacy == NOTHING:
            prepared.asks_usage = may_ask(route.kind, request.method, request.fields)
        prepared.task_id = next((field.value for field in request.fields if field.role & TASK_ID), None)
        return prepared

    def _for_upstream(self, prepared: Prepared, target: Target, line: bytes) -> None:
        request, route = prepared.request, prepared.route
        path = route.target if route.target == b"*" else target.prefix + route.target
        lines = to_upstream(
            request, target.authority, target.key, strip_aliases=self._strip_aliases, websocket=prepared.websocket
        )
        first = b"%b %b HTTP/1.1" % (request.method, path)
        if line in lines:
            at = lines.index(line)
            prepared.before = b"\r\n".join((first, *lines[:at]))
            prepared.after = b"".join(b"\r\n" + each for each in lines[at + 1 :]) + b"\r\n\r\n"
        else:
            prepared.before = joined(first, lines)

    def _for_record(self, prepared: Prepared, target: Target) -> None:
        request = prepared.request
        found = Sorted(request.fields, KEPT)
        known = secrets(found.credentials, request.target, () if target.key is None else (target.key.value,), self._pepper)
        needles = prepared.needles = known.needles
        redactions = []
        prepared.kept, cleaned = found.lines(needles, request=True)
        if cleaned:
            redactions.append("request.headers")
        clean_target, cleaned = redact.clean_target(request.target)
        scrubbed_target = scrubbed(clean_target, needles)
        if cleaned or scrubbed_target is not clean_target:
            redactions.append("target")
        prepared.redactions = tuple(redactions)
        project = next((field.value for field in request.fields if field.name == b"x-project-id"), None)
        prepared.rules = self._redaction.of(project)
        prepared.body = body_kind(found.coding, found.content_type, False, prepared.rules)
        prepared.meta = orjson.dumps(
            {
                "upstream": prepared.route.upstream,
                "kind": prepared.route.kind,
                "key": known.fingerprint,
                "method": scrubbed(request.method, needles).decode("ascii"),
                "target": scrubbed_target.decode("ascii"),
            }
        )[1:]
