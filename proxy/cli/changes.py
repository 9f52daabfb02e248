"""What a command has changed of what was kept, as tables."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from proxy.cli.paper import Paper, row, table
from proxy.cli.text import count, dollars, line


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
    _damaged(paper, total)
    if not changed:
        paper.print(Text(f"{read} read; the cost of none has changed."))
        return
    text = f"{read} read, {count(changed)} {'would change' if total['dry_run'] else 'changed'}: "
    paper.print(Text(text + f"{dollars(before)} → {dollars(after)} ({dollars(after - before, signed=True)})"), soft_wrap=True)


def readings(total: dict[str, Any]) -> None:
    """A line a field, with a task that changed in it."""
    paper = Paper()
    if total["fields"]:
        made = table(
            ("FIELD", {"style": "cyan"}),
            ("TASKS", {"justify": "right"}),
            ("FOR EXAMPLE", {"max_width": 40}),
            ("BEFORE", {"ratio": 1}),
            ("AFTER", {"ratio": 1}),
        )
        for name, changed in total["fields"].items():
            one: dict[str, Any] = next((each for each in total["examples"] if each["field"] == name), {})
            said = ("nothing" if one.get(side) is None else line(str(one[side]), 120) for side in ("before", "after"))
            made.add_row(*row(name, count(changed), line(one.get("id")), *said))
        paper.print(made)
    text = f"{sum_of(total)} read, {count(total['changed'])} {'would change' if total['dry_run'] else 'changed'}"
    if total["skipped"]:
        text += f", {count(total['skipped'])} that were not read from bytes left alone"
    _damaged(paper, total)
    paper.print(Text(f"{text}."), soft_wrap=True)


def _damaged(paper: Paper, total: dict[str, Any]) -> None:
    if total["unreadable"]:
        paper.print(Text(f"{count(total['unreadable'])} cannot be read: their records are damaged.", "red"), soft_wrap=True)


def sum_of(total: dict[str, Any]) -> str:
    """How many tasks were read, in words."""
    return f"{count(total['read'])} task{'' if total['read'] == 1 else 's'}"
