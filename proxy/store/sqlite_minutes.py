"""Of which minutes SQLite keeps sums: those of the last day, of which times that begin or end amid an hour are made."""

from __future__ import annotations

import time
from typing import Final

from proxy.store import keys
from proxy.store.measures import HOUR, MINUTE
from proxy.store.sqlite_ranges import MINUTES
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
    present, since = now(), minutes_since(db)
    if since > present + HOUR:  # the clock had been ahead
        first = _past(db, since)
    else:
        first = present // HOUR * HOUR - KEPT
        if first <= since:
            return
        db.execute("DELETE FROM cell WHERE span = ? AND at < ?", (MINUTES, first))
    db.execute("UPDATE minutes SET since = ?", (first,))
    db.minutes_since = first


def _past(db: Writing, since: int) -> int:
    """The minute after the last task before `since`: none is in what comes between."""
    found = db.execute("SELECT created_at FROM task WHERE key < ? ORDER BY key DESC LIMIT 1", (keys.bound(since),)).fetchone()
    return min(since, (found[0] // MINUTE + 1) * MINUTE) if found else since


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
