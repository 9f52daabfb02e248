"""What is printed on: a terminal's columns, or a pipe that may close; and the shapes that all views share."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from proxy.cli.text import count, lines
from proxy.task import Ending, Session, User

WIDE = 160  # columns where no terminal says how many
MARKS = {Ending.COMPLETED: ("✓", "green"), Ending.CALLER_LEFT: ("↶", "yellow"), Ending.STOPPED: ("■", "yellow")}


class Paper(Console):
    """Where it is printed: the terminal, or a pipe that may close."""

    def __init__(self) -> None:
        super().__init__(highlight=False, soft_wrap=False)
        if not self.is_terminal and "COLUMNS" not in self._environ:
            self.width = WIDE

    def on_broken_pipe(self) -> None:
        """Rich would exit with 1; whoever closed the pipe had enough."""
        raise BrokenPipeError


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def mark(ending: Ending) -> Text:
    """One coloured character for how it ended."""
    return Text(*MARKS.get(ending, ("✗", "red")))


def table(*columns: tuple[str, dict[str, Any]]) -> Table:
    """A table of one line a row, without a frame, as wide as the terminal."""
    made = Table(box=None, pad_edge=False, expand=True, header_style="bold dim")
    for name, options in columns:
        made.add_column(name, no_wrap=True, overflow="ellipsis", **options)
    return made


def row(*cells: str) -> tuple[Text, ...]:
    """Cells whose square brackets mean nothing to rich."""
    return tuple(Text(cell) for cell in cells)


def token_sums(one: Session | User) -> str:
    """`1,234→56`: what went in and what came out."""
    return f"{count(one.input_tokens)}→{count(one.output_tokens)}" if one.input_tokens or one.output_tokens else ""


def facts(paper: Paper, rows: Iterable[tuple[str, str | Text | None]]) -> None:
    """Names and what they are, in two columns; what is not known is left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value:
            table.add_row(name, value if isinstance(value, Text) else Text(lines(value)))
    paper.print(table)


def indented(text: str) -> Padding:
    """What was said, set in a little."""
    return Padding(Text(lines(text)), (0, 0, 0, 2), expand=False)
