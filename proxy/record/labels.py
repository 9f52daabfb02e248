"""Who is talking and in which conversation, from what the app said: our header fields, those of others, the body, baggage.

The first place that names a label decides it, even where what stands there cannot be used: an id that is too long must not fall
back to another one (DESIGN.md 4, reference/headers.md). What cannot be used is told in `problems`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from proxy.quick import maker
from proxy.record import aliases
from proxy.record.aliases import ALIASES, is_alias
from proxy.record.baggage import baggage
from proxy.record.claude_code import parted
from proxy.record.labelled import Labels
from proxy.task import JSON, LABEL_LENGTH, Fields, Source
from proxy.wire.lenient import loads, mend

OURS = frozenset(
    (
        b"x-session-id",
        b"x-user-id",
        b"x-task-id",
        b"x-project-id",
        b"x-task-name",
        b"x-parent-task-id",
        b"x-session-final",
        b"x-task-metadata",
        b"x-task-privacy",
    )
)
"""Our fields, in lower case; those that begin with METADATA_PREFIX are ours too."""

METADATA_PREFIX = b"x-metadata-"

TRUE = frozenset(("true", "1", "yes", "on"))
FALSE = frozenset(("false", "0", "no", "off"))

_labels: Final = maker(Labels)

Found = tuple[Source, str, Any]
"""Where a label stands, what that place is called, and what stands there."""

IN_BODY = frozenset((*aliases.BODY_SESSION, "litellm_metadata", "safety_identifier", "user"))
"""Members of a body that may hold a label, its metadata aside."""


def text(value: bytes) -> str:
    """A field's value as text: UTF-8, or else latin-1, which reads any bytes."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def fault(value: str) -> str | None:
    """Why `value` cannot be a label; None where it can."""
    if not value:
        return "is empty"
    if len(value) > LABEL_LENGTH:
        return f"is longer than {LABEL_LENGTH} characters"
    if not value.isprintable() and any(ord(char) < 32 or 127 <= ord(char) < 160 for char in value):
        return "holds control characters"
    return None


@lru_cache(maxsize=1024)  # the same few names come with every call
def says_something(name: bytes) -> bool:
    """Whether the field `name` (lower case) may hold a label."""
    return name in OURS or name == b"baggage" or name.startswith(METADATA_PREFIX) or is_alias(name)


def may_name(body: Any) -> bool:
    """Whether a request's JSON may hold a label: where it does not, its fields say it all."""
    return isinstance(body, dict) and ("metadata" in body or not IN_BODY.isdisjoint(body))


def labels(fields: Fields, body: Any) -> Labels:
    """The labels of a call: `fields` are its request's, `body` its request's JSON (None where it is none)."""
    given: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        low = name.lower()
        if says_something(low):
            given.setdefault(low, []).append(value)
    said: JSON = body if isinstance(body, dict) else {}
    return _Finder(given, said).labels()


class _Finder:
    """One call's labels being found; it gathers the problems."""

    def __init__(self, given: dict[bytes, list[bytes]], body: JSON) -> None:
        self._given = given
        self._body = body
        self._problems: list[str] = []
        metadata = body.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            self._problems.append("the body's metadata is not a JSON object")
        self._metadata: JSON = metadata if isinstance(metadata, dict) else {}
        self._objects: dict[bytes, JSON | None] = {}
        self._others = not OURS.issuperset(given)
        self._elsewhere = self._others or bool(self._metadata) or not IN_BODY.isdisjoint(body)

    def labels(self) -> Labels:
        session_id, session_source = self._first(b"x-session-id", self._sessions)
        user_id, user_source = self._first(b"x-user-id", self._users)
        return _labels(
            session_id=session_id,
            session_source=session_source,
            session_final=self._final(),
            user_id=user_id,
            user_source=user_source,
            project_id=self._only(b"x-project-id"),
            name=self._only(b"x-task-name"),
            parent_task_id=self._first(b"x-parent-task-id", self._parents)[0],
            metadata=self._all_metadata(),
            problems=tuple(self._problems),
        )

    # -- one label --------------------------------------------------------------------------------------------------------

    def _first(self, name: bytes, places: Callable[[], Iterator[Found]]) -> tuple[str | None, Source | None]:
        """What the first of `places` says, which is our field `name`; the others are not looked for where they cannot be."""
        values = self._given.get(name)
        if values is None:
            return self._label(places()) if self._elsewhere else (None, None)
        if len(values) == 1 and fault(value := text(values[0]).strip(" \t")) is None:
            return value, Source.HEADER
        return self._label(places())

    def _label(self, places: Iterable[Found]) -> tuple[str | None, Source | None]:
        """The first place that says something decides."""
        for source, place, value in places:
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)  # noqa: PLW2901  # a body's number: `user: 42`
            wrong = fault(value) if isinstance(value, str) else "is not a string"
            if wrong is None:
                return value, source
            self._problems.append(f"{place} {wrong}; it was not used")
            return None, None
        return None, None

    def _only(self, name: bytes) -> str | None:
        """A label that stands in one field or nowhere."""
        return self._label(self._fields(Source.HEADER, (name,)))[0] if name in self._given else None

    def _fields(self, source: Source, names: Iterable[bytes]) -> Iterator[Found]:
        for name in names:
            values = self._given.get(name)
            if values:
                if any(value != values[0] for value in values):
                    self._problems.append(f"{name.decode('latin-1')} is given more than once; the first one was used")
                yield source, name.decode("latin-1"), text(values[0]).strip(" \t")

    def _sessions(self) -> Iterator[Found]:
        if self._given:
            yield from self._fields(Source.HEADER, (b"x-session-id",))
        if self._others:
            yield from self._fields(Source.ALIAS, aliases.SESSION)
            yield from self._fields(Source.ALIAS, filter(aliases.is_vendor_session, self._given))
        body = self._body
        yield from _members(self._metadata, "metadata.", ("session_id",))
        yield from _members(body, "", aliases.BODY_SESSION)
        if (claude := parted(self._metadata.get("user_id"))) is not None:
            yield Source.BODY, "metadata.user_id", claude.session_id
        if b"baggage" in self._given:
            yield from self._baggage(aliases.BAGGAGE_SESSION)

    def _users(self) -> Iterator[Found]:
        if self._given:
            yield from self._fields(Source.HEADER, (b"x-user-id",))
        if self._others:
            yield from self._fields(Source.ALIAS, aliases.USER)
            for name, keys in aliases.USER_IN_JSON.items():
                for _, place, value in _members(self._object(name) or {}, f"{name.decode()}: ", keys):
                    yield Source.ALIAS, place, value
        body = self._body
        if (claude := parted(self._metadata.get("user_id"))) is None:
            yield from _members(self._metadata, "metadata.", ("user_id",))
        elif claude.user_id is not None:
            yield Source.BODY, "metadata.user_id", claude.user_id
        litellm = body.get("litellm_metadata")
        if isinstance(litellm, dict):
            yield from _members(litellm, "litellm_metadata.", ("user",))
        yield from _members(body, "", ("safety_identifier", "user"))
        if b"baggage" in self._given:
            yield from self._baggage(aliases.BAGGAGE_USER)

    def _parents(self) -> Iterator[Found]:
        if b"x-parent-task-id" in self._given:
            yield from self._fields(Source.HEADER, (b"x-parent-task-id",))
        yield from _members(self._metadata, "metadata.", ("parent_task_id",))

    def _baggage(self, keys: tuple[str, ...]) -> Iterator[Found]:
        members = baggage(b",".join(self._given[b"baggage"]))
        for key in keys:
            if key in members:
                yield Source.BAGGAGE, f"baggage {key}", members[key]

    def _final(self) -> bool:
        if not self._others and b"x-session-final" not in self._given:
            return False
        for _, place, value in self._fields(Source.HEADER, (b"x-session-final", *aliases.SESSION_FINAL)):
            word = value.lower()
            if word not in TRUE and word not in FALSE:
                self._problems.append(f"{place} is neither true nor false; it was not used")
            return word in TRUE
        return False

    # -- metadata ---------------------------------------------------------------------------------------------------------

    def _all_metadata(self) -> JSON:
        """X-Task-Metadata over X-Metadata-* over what other gateways' fields say over the body's."""
        if not self._others and b"x-task-metadata" not in self._given:
            return dict(self._metadata)
        found: JSON = {}
        for layer in (self._object(b"x-task-metadata"), self._prefixed(METADATA_PREFIX), self._of_others(), self._metadata):
            for key, value in (layer or {}).items():
                found.setdefault(key, value)
        return found

    def _object(self, name: bytes) -> JSON | None:
        """A field whose value is a JSON object."""
        if name not in self._objects:
            value: Any = None
            if name in self._given:
                try:
                    value = mend(loads(self._given[name][0])[0])
                except ValueError:
                    value = None
                if not isinstance(value, dict):
                    self._problems.append(f"{name.decode('latin-1')} is not a JSON object; it was not used")
                    value = None
            self._objects[name] = value
        return self._objects[name]

    def _prefixed(self, prefix: bytes) -> JSON:
        found: JSON = {}
        for name in self._given:
            if name.startswith(prefix):
                key = text(name[len(prefix) :]).replace("-", "_")
                value = self._only(name)
                if key and value is not None:
                    found[key] = value
        return found

    def _of_others(self) -> JSON:
        found: JSON = {}
        for name in aliases.METADATA_JSON:
            found.update(self._object(name) or {})
        for prefix in aliases.METADATA_PREFIXES:
            found.update(self._prefixed(prefix))
        for name, key in aliases.METADATA_FIELDS.items():
            value = self._only(name)
            if value is not None:
                found[key] = [tag.strip() for tag in value.split(",")] if key == "tags" else value
        return found


def _members(body: JSON, prefix: str, keys: tuple[str, ...]) -> Iterator[Found]:
    for key in keys:
        value = body.get(key)
        if value is not None:
            yield Source.BODY, f"{prefix}{key}", value


__all__ = ["ALIASES", "METADATA_PREFIX", "OURS", "Labels", "fault", "is_alias", "labels", "may_name", "text"]
