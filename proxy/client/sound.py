"""Pure: ids and labels as the desk takes them. What it would refuse must not cost a task its record."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Any

TASK_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
KIND = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
LABEL_LENGTH = 512
EVENT_LENGTH = 64
EVENTS_MOST = 32


def task_id(given: object) -> str:
    """The id itself, or, where it cannot be one, an id that is always the same for it."""
    text = str(given)
    if TASK_ID.fullmatch(text):
        return text
    return "id-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def label(name: str, value: str | None, problems: list[str]) -> str | None:
    """A label, or `None` and a note of what was wrong with it."""
    if value is None:
        return None
    if name == "kind":
        wrong = None if KIND.fullmatch(value) else "is no kind: a-z, then up to 63 of a-z 0-9 _ . -"
    elif not value or len(value) > LABEL_LENGTH:
        wrong = "is empty" if not value else f"is longer than {LABEL_LENGTH} characters"
    else:
        wrong = (
            None
            if value.isprintable() or all(ord(each) > 31 and not 127 <= ord(each) < 160 for each in value)
            else "has control characters"
        )
    if wrong is None:
        return value
    problems.append(f"{name} was not used, because it {wrong}: {value[:100]!r}")
    return None


def moment(given: Any) -> Any:
    """A `datetime` as nanoseconds since the epoch (one without a zone is local time, as in Python); anything else as it is."""
    return int(given.timestamp() * 1e6) * 1000 if isinstance(given, datetime) else given


def events(value: Any, problems: list[str]) -> list[Any] | None:
    """The labels that the desk takes: names, or objects with one; of the others it is told."""
    if value is None:
        return None
    given = value if isinstance(value, list) else [value]
    found = [event for event in given[:EVENTS_MOST] if _is_event(event)]
    if len(found) < len(given):
        problems.append(f"{len(given) - len(found)} of the events were not used: they are no names, or too many")
    return found or None


def _is_event(event: Any) -> bool:
    name = event.get("name") if isinstance(event, dict) else event
    return isinstance(name, str) and bool(name.strip()) and len(name) <= EVENT_LENGTH and name.isprintable()
