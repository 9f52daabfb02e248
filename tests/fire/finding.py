"""What came of a run that prints a line for each of its parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of it."""

    rows: tuple[str, ...]
    complaints: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.rows) + "".join(f"\n    {each}" for each in self.complaints)
