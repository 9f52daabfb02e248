"""What a command has changed of what was kept, as tables."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from proxy.cli.paper import Paper, row, table
from proxy.cli.text import count, line


def prices(total: dict[str, Any]) -> None:
    """A line a model, and the sum of all."""
    paper, models = Paper(), total["models"]
    changed = sum(one["changed"] for one in models)
    before, after = sum(one["before"] for one in models), sum(one["after"] for one in models)
    if models:
        made = table(
            ("MODEL", {"style": "cyan", "max_width": 48}),
            ("CHANGED", {"justify": "right"}),
            ("BEFORE", {"justify": "right"}),
            ("AFTER", {"justify": "right"}),
            ("DIFFERENCE", {"justify": "right"}),
        )
        made.expand = False
        for one in models:
            said = dollars(one["before"]), dollars(one["after"]), dollars(one["after"] - one["before"], signed=True)
            made.add_row(*row(line(one["model"]), count(one["changed"]), *said))
        paper.print(made)
    read = sum_of(total)
    if not changed:
        paper.print(Text(f"{read} read; the cost of none has changed."))
        return
    text = f"{read} read, {count(changed)} {'would change' if total['dry_run'] else 'changed'}: "
    paper.print(Text(text + f"{dollars(before)} → {dollars(after)} ({dollars(after - before, signed=True)})"), soft_wrap=True)


def sum_of(total: dict[str, Any]) -> str:
    """How many tasks were read, in words."""
    return f"{count(total['read'])} task{'' if total['read'] == 1 else 's'}"


def dollars(amount: float, *, signed: bool = False) -> str:
    """An amount that may be a small part of a cent."""
    sign = "-" if amount < 0 else "+" if signed else ""
    size = abs(amount)
    return f"{sign}${size:,.2f}" if size >= 100 or size == 0 else f"{sign}${size:,.6f}"
