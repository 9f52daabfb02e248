"""Pure: events, which are labels that a task is given: what each is called, and whether a rule, an app or a person gave it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from proxy.task import JSON

SOURCES: Final = ("app", "person", "rule")

EVENT_LENGTH: Final = 64
"""Characters of the longest name."""

EVENTS_MOST: Final = 32
"""Events of one task."""

COUNTED_MOST: Final = 8
"""Events of one task that it is counted by, the first ones."""


def event_of(given: Any, source: str) -> JSON:
    """An event as it is kept: `{"name", "source"}`, of its name alone or of an object with it. Raises ValueError."""
    found = given if isinstance(given, dict) else {"name": given}
    name = found.get("name", found.get("event_name"))  # phospho calls it so
    if not isinstance(name, str) or not name.strip() or len(name) > EVENT_LENGTH or not name.isprintable():
        raise ValueError(f'must be names such as "refund" (up to {EVENT_LENGTH} characters), or objects with such a "name"')
    by = found.get("source")
    return {"name": name.strip(), "source": by if by in SOURCES else source}


def is_event(given: Any) -> bool:
    """Whether `event_of` takes it."""
    try:
        event_of(given, "app")
    except ValueError:
        return False
    return True


def events_of(given: Any, source: str) -> list[JSON]:
    """A list of events, each name once. Raises ValueError for what is no such list."""
    if not isinstance(given, list | tuple) or len(given) > EVENTS_MOST:
        raise ValueError(f"must be a list of at most {EVENTS_MOST} events")
    return list(together((), (event_of(each, source) for each in given)))


def together(kept: Iterable[JSON], more: Iterable[JSON]) -> tuple[JSON, ...]:
    """What was kept and what is new; a name that is there stays as it was given first."""
    found: dict[Any, JSON] = {}
    for event in (*kept, *more):
        found.setdefault(event.get("name"), event)
    return tuple(found.values())[:EVENTS_MOST]


def names(events: Iterable[JSON]) -> list[str]:
    """What a task is counted by: each name once, as far as it is one."""
    found = [event.get("name") for event in events]
    sound = (name for name in found if isinstance(name, str) and 0 < len(name) <= EVENT_LENGTH and name.isprintable())
    return list(dict.fromkeys(sound))[:COUNTED_MOST]
