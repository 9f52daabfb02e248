"""Lists in the terminal: a line a task, a session, a user."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from proxy.cli.paper import MARKS, Paper, mark, now, row, table, token_sums
from proxy.cli.text import CONTROLS, ago, count, dollars, line, seconds
from proxy.query import found
from proxy.task import Ending, Session, Summary, User


def _tokens(task: Summary) -> str:
    given = (task.usage.input_tokens, task.usage.output_tokens) if task.usage else (None, None)
    return "" if given == (None, None) else "→".join("?" if figure is None else str(figure) for figure in given)


def _with_ending(task: Summary, said: str | None) -> Text:
    """Words, and before them how it ended where it did not end well."""
    if task.ending == Ending.COMPLETED:
        return Text(line(said))
    return Text.assemble((f"{task.ending.value} ", MARKS.get(task.ending, ("", "red"))[1]), line(said))


def tasks(items: Sequence[Summary], words: Sequence[str] = ()) -> None:
    """A line a task: as many columns as the terminal has room for, and of them those that say something.

    Of tasks that were searched for by `words`: what was found in them.
    """
    paper, today = Paper(), now()
    if not items:
        paper.print("No tasks.", style="dim")
        return
    longest = min(max(len(task.id) for task in items), 48)
    columns: list[tuple[str, dict[str, Any], list[Any]]] = [
        ("AGE", {"justify": "right", "min_width": 3}, [ago(task.created_at, today) for task in items]),
        ("TASK", {"min_width": longest, "style": "cyan"}, [line(task.id) for task in items]),
    ]
    if paper.width >= 130:
        columns.append(("SESSION", {"max_width": 18}, [line(task.session_id) for task in items]))
        columns.append(("USER", {"max_width": 18}, [line(task.user_id) for task in items]))
    if paper.width >= 100:
        columns.append(("MODEL", {"max_width": 18}, [line(task.model or task.model_requested or task.kind) for task in items]))
    if paper.width >= 130:
        columns.append(("TOKENS", {"justify": "right", "min_width": 6}, [_tokens(task) for task in items]))
        columns.append(("TIME", {"justify": "right", "min_width": 5}, [seconds(task.seconds_total) for task in items]))
    columns.append(("", {"min_width": 1}, [mark(task.ending) for task in items]))
    if words:
        columns.append(("FOUND", {"ratio": 1}, [_found(task, words) for task in items]))
    elif paper.width >= 130:
        columns.append(("INPUT", {"ratio": 1}, [line(task.input) for task in items]))
        columns.append(("OUTPUT", {"ratio": 1}, [_with_ending(task, task.output) for task in items]))
    else:
        columns.append(("INPUT", {"ratio": 1}, [_with_ending(task, task.input) for task in items]))
    shown = [column for column in columns if column[0] in {"", "INPUT", "FOUND"} or any(column[2])]
    made = table(*((name, options) for name, options, _ in shown))
    for cells in zip(*(column[2] for column in shown), strict=True):
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    paper.print(made)


def _found(task: Summary, words: Sequence[str]) -> Text:
    """The words around what was looked for; the beginning where it is too far behind to be shown."""
    parts = found.snippet(task, words)
    if parts is None:
        return Text(line(task.input or task.output))
    text = Text()
    for part, hit in parts:
        spaced = " ".join(f".{part}.".split())[1:-1]  # so that the spaces at its ends stay
        text.append(spaced.translate(CONTROLS), "bold yellow" if hit else "")
    return text


def line_of(task: Summary, width: int) -> Text:
    """A task on one line that is no longer than `width`."""
    began = datetime.fromtimestamp(task.created_at / 1e6).astimezone()
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    text.append(f"{began:%H:%M:%S} ", "dim").append_text(mark(task.ending)).append(" ").append(line(task.id), "cyan")
    text.append("  ")
    if width >= 100:
        text.append(f"{line(task.model or task.model_requested or task.kind, 18):<18}  ")
        text.append(f"{seconds(task.seconds_total):>6}  ", "dim")
    text.append_text(_with_ending(task, task.input))
    if task.output:
        text.append(" → ", "dim").append(line(task.output), "dim")
    text.truncate(width, overflow="ellipsis")
    return text


def tail_line(task: Summary) -> None:
    """Print a task on one line, at once."""
    paper = Paper()
    paper.print(line_of(task, paper.width))
    sys.stdout.flush()


def sessions(items: Sequence[Session]) -> None:
    """A line a session."""
    paper, today = Paper(), now()
    if not items:
        paper.print("No sessions.", style="dim")
        return
    wide = paper.width >= 110
    made = table(
        ("AGE", {"justify": "right"}),
        ("SESSION", {"style": "cyan", "max_width": 48 if wide else 36}),
        *((("USER", {"max_width": 18}),) if wide else ()),
        ("TASKS", {"justify": "right"}),
        ("FAILED", {"justify": "right", "style": "red"}),
        *(
            (
                ("TOKENS", {"justify": "right"}),
                ("COST", {"justify": "right"}),
                ("LASTED", {"justify": "right"}),
                ("MODEL", {"max_width": 18}),
            )
            if wide
            else ()
        ),
        ("BEGAN WITH", {"ratio": 1}),
    )
    for one in items:
        middle = (token_sums(one), dollars(one.cost), seconds(one.seconds), line(one.model)) if wide else ()
        made.add_row(
            *row(
                ago(one.ended_at, today),
                line(one.id),
                *((line(one.user_id),) if wide else ()),
                count(one.tasks),
                count(one.errors) if one.errors else "",
                *middle,
                line(one.first_input),
            )
        )
    paper.print(made)


def users(items: Sequence[User]) -> None:
    """A line a user."""
    paper, today = Paper(), now()
    if not items:
        paper.print("No users.", style="dim")
        return
    wide = paper.width >= 110
    made = table(
        ("SEEN", {"justify": "right"}),
        ("USER", {"style": "cyan"}),
        ("TASKS", {"justify": "right"}),
        ("FAILED", {"justify": "right", "style": "red"}),
        ("SESSIONS", {"justify": "right"}),
        *((("LASTED", {"justify": "right"}), ("DAYS", {"justify": "right"}), ("SUCCESS", {"justify": "right"})) if wide else ()),
        ("TOKENS", {"justify": "right"}),
        ("COST", {"justify": "right"}),
        ("SINCE", {"justify": "right"}),
    )
    made.expand = False
    for one in items:
        failed = count(one.errors) if one.errors else ""
        since = f"{datetime.fromtimestamp(one.first_seen / 1e6).astimezone():%Y-%m-%d}"
        made.add_row(
            *row(
                ago(one.last_seen, today),
                line(one.id),
                count(one.tasks),
                failed,
                count(one.sessions),
                *((seconds(one.session_seconds), count(one.active_days), _success(one)) if wide else ()),
                token_sums(one),
                dollars(one.cost),
                since,
            )
        )
    paper.print(made)


def _success(one: User) -> str:
    """`80% of 5`: of the rated tasks, and how many these are."""
    rated = one.signs.success + one.signs.failure
    return f"{100 * one.signs.success / rated:.0f}% of {count(rated)}" if rated else ""
