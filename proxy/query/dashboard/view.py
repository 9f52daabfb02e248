"""Pure: what a page is asked to show, and the addresses of its neighbours: the same view with a filter less, a column more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from proxy.query.parameters import Asked, BadFilter, Parameter, understand

PERIODS = {
    "1h": ("Last hour", 3600),
    "24h": ("Last 24 hours", 86_400),
    "7d": ("Last 7 days", 604_800),
    "30d": ("Last 30 days", 2_592_000),
    "90d": ("Last 90 days", 7_776_000),
}
"""Spans that end now: a link with one shows what is new whenever it is opened."""

DAYS = {name: period for name, period in PERIODS.items() if period[1] >= 86_400}
"""For pages of what is kept by the day: much of what sessions and users tell."""

NAMES = {
    "session_id": "session", "user_id": "user", "project_id": "project",
    "parent_task_id": "part of", "q": "search", "from": "from", "to": "before",
}  # fmt: skip
"""What people call a parameter, where that is not its own name."""

OURS = ("period", "cols", "forgotten")
"""Parameters of pages that the API does not have."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter that is on, and the address of the page without it."""

    name: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class View:
    """A page's parameters, understood."""

    path: str
    given: Mapping[str, str]
    asked: Asked

    def link(self, _path: str | None = None, **changes: str | None) -> str:
        """The same view with some parameters changed (None: without), begun at its first page."""
        given = {name: value for name, value in self.given.items() if name not in ("cursor", "forgotten")} | changes
        query = urlencode([(name, value) for name, value in given.items() if value], quote_via=quote)
        return (_path or self.path) + (f"?{query}" if query else "")

    def get(self, name: str) -> str:
        """A parameter as it was given, empty where it was not."""
        return self.given.get(name, "")

    def chips(self, hidden: tuple[str, ...] = ()) -> tuple[Chip, ...]:
        """The filters that are on."""
        return tuple(
            Chip(NAMES.get(name, name), PERIODS[value][0] if name == "period" else value, self.link(**{name: None}))
            for name, value in self.given.items()
            if name not in {"limit", "cursor", "cols", "forgotten", "q", *hidden}
        )


def read(
    path: str, pairs: Iterable[tuple[str, str]], allowed: tuple[Parameter, ...], now: int, ours: tuple[str, ...] = OURS
) -> View:
    """A page's view; empty parameters, which forms send, are as if they were not there. `now`: microseconds. Raises BadFilter."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if not value.strip():
            continue
        if name in given and name != "cols":
            raise BadFilter(name, "is given twice. Give it once.")
        given[name] = f"{given[name]},{value}" if name in given else value
    asked = understand(((name, value) for name, value in given.items() if name not in ours), allowed)
    if "period" in given and "period" in ours:
        if given["period"] not in PERIODS:
            raise BadFilter("period", f"is none of {', '.join(PERIODS)}.")
        since = now - PERIODS[given["period"]][1] * 1_000_000
        asked = replace(asked, filter=replace(asked.filter, since=max(since, asked.filter.since or since)))
    return View(path, given, asked)


def segment(id: str) -> str:
    """An id as one segment of a path; `.` and `..` would be taken for something else."""
    quoted = quote(id.encode("utf-8", "surrogateescape"), safe="")
    return quoted.replace(".", "%2E") if set(id) <= {"."} else quoted
