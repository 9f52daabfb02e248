"""What of a head is in the record: the allow-listed lines as they were, without secrets. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxy.record import redact
from proxy.record.fields import BODY, CAREFUL, CREDENTIAL, PROVIDER_KEY, Line, line
from proxy.task import Fields

MOST_SECRETS_KNOWN: Final = 1024
_SPECIAL: Final = BODY | CAREFUL | CREDENTIAL


class Sorted:
    """The fields of one head, sorted by what the record does with them. `role` is KEPT or KEPT_BACK."""

    __slots__ = ("careful", "coding", "content_type", "credentials", "kept")

    def __init__(self, fields: list[Line], role: int) -> None:
        self.kept = [raw for raw, _, _, is_ in fields if is_ & role]
        self.credentials: list[Line] = []
        self.careful = False
        self.coding: str | None = None
        self.content_type = b""
        for field in [field for field in fields if field[3] & _SPECIAL]:
            if field[3] & CREDENTIAL:
                self.credentials.append(field)
            elif field[3] & CAREFUL:
                self.careful = self.careful or bool(field[3] & role)
            else:
                self._learn(field)

    def _learn(self, field: Line) -> None:
        if field.name == b"content-type":
            self.content_type = field.value
        else:
            value = field.value.decode("latin-1").strip().lower()
            if value not in ("", "identity"):
                self.coding = value if self.coding is None else f"{self.coding}, {value}"

    def lines(self, needles: tuple[bytes, ...], *, request: bool) -> tuple[bytes, bool]:
        """The kept lines as one block, and whether something was taken out of them."""
        lines = b"\r\n".join(self.kept)
        if not self.careful:
            clean = scrubbed(lines, needles)
            return clean, clean is not lines
        fields = pairs(line(raw) for raw in self.kept)
        kept = redact.kept(fields, needles, request)
        if kept == fields:
            return lines, False
        return b"\r\n".join(name + b": " + value for name, value in kept), True


class Secrets:
    """What is known of one set of credentials."""

    __slots__ = ("fingerprint", "needles")

    def __init__(self, fields: list[Line], target: bytes, more: Iterable[bytes], pepper: bytes) -> None:
        self.needles = redact.needles(pairs(fields), target, more)
        key = next((field.value for field in fields if field.role & PROVIDER_KEY), None)
        if key is not None and key[:7].lower() == b"bearer ":
            key = key[7:]
        self.fingerprint = redact.fingerprint(key, pepper) if key else None


_known: dict[tuple[bytes, ...], Secrets] = {}


def secrets(credentials: list[Line], target: bytes, more: tuple[bytes, ...], pepper: bytes) -> Secrets:
    """The secrets of a request; remembered, since the same callers send the same ones."""
    query = target if b"?" in target or not target.startswith(b"/") else b"/"
    key = (query, *more, *[field[0] for field in credentials])
    found = _known.get(key)
    if found is None:
        if len(_known) >= MOST_SECRETS_KNOWN:
            _known.clear()
        found = _known[key] = Secrets(credentials, query, more, pepper)
    return found


def scrubbed(text: bytes, needles: tuple[bytes, ...]) -> bytes:
    """`text` without the known values; `text` itself where none is in it."""
    for needle in needles:
        if text.find(needle) >= 0:
            text = text.replace(needle, redact.REDACTED)
    return text


def pairs(fields: Iterable[Line]) -> Fields:
    """Names as they were written, and values."""
    return tuple((field.raw.partition(b":")[0], field.value) for field in fields)
