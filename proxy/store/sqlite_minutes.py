"""Of which minutes SQLite keeps sums: those of the last day, of which times that begin or end amid an hour are made."""

from __future__ import annotations

import time
from typing import Final

from proxy.store.measures import HOUR
from proxy.store.sqlite_writing import Writing

KEPT: Final = 25 * HOUR
"""Of how long ago, at least; an hour more at most. Twenty-four hours until now begin within it."""

SINCE: Final = "SELECT since FROM minutes"
"""Of the minutes from then on there are all sums; of those before, none."""


def minutes_since(db: Writing) -> int:
    """From which minute on sums are kept; microseconds."""
    if db.minutes_since is None:
        [(db.minutes_since,)] = db.execute(SINCE).fetchall()
    return db.minutes_since


def let_minutes_go(db: Writing) -> None:
    """Once an hour, delete what is kept of an hour that is more than a day ago."""
    first = now() // HOUR * HOUR - KEPT
    if minutes_since(db) < first:
        db.execute("DELETE FROM cell WHERE span = 2 AND at < ?", (first,))
        db.execute("UPDATE minutes SET since = ?", (first,))
        db.minutes_since = first


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
