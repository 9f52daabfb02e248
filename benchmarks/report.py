"""How the benchmarks print their figures."""

from __future__ import annotations

import sys


def number(value: float | None, digits: int = 0, factor: float = 1) -> str:
    """A figure for the table; a dash where there is none."""
    return "-" if value is None else f"{value * factor:,.{digits}f}"


def table(head: str, rows: list[list[str]]) -> None:
    """Print a Markdown table; the columns of `head` are separated by `|`."""
    names = head.split("|")
    print("\n| " + " | ".join(names) + " |\n|" + " --- |" + " ---: |" * (len(names) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()
