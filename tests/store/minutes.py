"""Sums by minute of times that are not of today."""

import sqlite3
from pathlib import Path


def keep_minutes(folder: Path, since: int) -> None:
    """Let a store that was opened just now, and was not written to, keep sums of the minutes from then on."""
    db = sqlite3.connect(folder / "tasktap.db")
    db.execute("UPDATE minutes SET since = ?", (since,))
    db.commit()
    db.close()
