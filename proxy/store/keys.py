"""The order of tasks as one integer: when a call began, and a number that tells those of one microsecond apart."""

from __future__ import annotations

TIES = 2048
"""Tasks of one microsecond. More spill into the next one: their order stays, `created_at` itself is kept exactly."""

EARLIEST, LATEST = -(2**52), 2**52 - 1
"""What `created_at` can be: the years 1827 to 2112."""

LARGEST = 2**63 - 1
"""What an integer of SQLite holds."""

LOWEST, HIGHEST = EARLIEST * TIES, LATEST * TIES + TIES - 1


def first(created_at: int) -> int:
    """The least key of a task that began then. Raises OverflowError outside `EARLIEST`..`LATEST`."""
    if not EARLIEST <= created_at <= LATEST:
        raise OverflowError(f"created_at {created_at}: not between the years 1827 and 2112; it is in microseconds")
    return created_at * TIES


def bound(moment: int) -> int:
    """The least key of a task that began at `moment` or later, for any moment; one off the ends, for a step to fit beside it."""
    return min(max(LOWEST + 1, moment * TIES), HIGHEST)
