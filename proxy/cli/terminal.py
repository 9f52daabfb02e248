"""Tasks, sessions, users and status, as a person likes to see them in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from proxy.cli.text import ago, clock, count, line, lines, seconds, size
from proxy.query.encoding import encode
from proxy.task import Ending, Session, Source, Summary, Task, User

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


def _now() -> int:
    return time.time_ns() // 1000


def _mark(ending: Ending) -> Text:
    return Text(*MARKS.get(ending, ("✗", "red")))


def _table(*columns: tuple[str, dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, header_style="bold dim")
    for name, options in columns:
        table.add_column(name, no_wrap=True, overflow="ellipsis", **options)
    return table


def _tokens(task: Summary) -> str:
    given = (task.usage.input_tokens, task.usage.output_tokens) if task.usage else (None, None)
    return "" if given == (None, None) else "→".join("?" if figure is None else str(figure) for figure in given)


def _with_ending(task: Summary, said: str | None) -> Text:
    """Words, and before them how it ended where it did not end well."""
    if task.ending == Ending.COMPLETED:
        return Text(line(said))
    return Text.assemble((f"{task.ending.value} ", MARKS.get(task.ending, ("", "red"))[1]), line(said))


def tasks(items: Sequence[Summary]) -> None:
    """A line a task: as many columns as the terminal has room for, and of them those that say something."""
    paper, now = Paper(), _now()
    if not items:
        paper.print("No tasks.", style="dim")
        return
    longest = min(max(len(task.id) for task in items), 48)
    columns: list[tuple[str, dict[str, Any], list[Any]]] = [
        ("AGE", {"justify": "right", "min_width": 3}, [ago(task.created_at, now) for task in items]),
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
    columns.append(("", {"min_width": 1}, [_mark(task.ending) for task in items]))
    if paper.width >= 130:
        columns.append(("INPUT", {"ratio": 1}, [line(task.input) for task in items]))
        columns.append(("OUTPUT", {"ratio": 1}, [_with_ending(task, task.output) for task in items]))
    else:
        columns.append(("INPUT", {"ratio": 1}, [_with_ending(task, task.input) for task in items]))
    shown = [column for column in columns if column[0] in {"", "INPUT"} or any(column[2])]
    table = _table(*((name, options) for name, options, _ in shown))
    for row in zip(*(cells for _, _, cells in shown), strict=True):
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    paper.print(table)


def line_of(task: Summary, width: int) -> Text:
    """A task on one line that is no longer than `width`."""
    time = datetime.fromtimestamp(task.created_at / 1e6).astimezone()
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    text.append(f"{time:%H:%M:%S} ", "dim").append_text(_mark(task.ending)).append(" ").append(line(task.id), "cyan")
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
    paper, now = Paper(), _now()
    if not items:
        paper.print("No sessions.", style="dim")
        return
    wide = paper.width >= 110
    table = _table(
        ("AGE", {"justify": "right"}),
        ("SESSION", {"style": "cyan", "max_width": 48 if wide else 36}),
        *((("USER", {"max_width": 18}),) if wide else ()),
        ("TASKS", {"justify": "right"}),
        ("FAILED", {"justify": "right", "style": "red"}),
        *((("TOKENS", {"justify": "right"}), ("LASTED", {"justify": "right"}), ("MODEL", {"max_width": 18})) if wide else ()),
        ("BEGAN WITH", {"ratio": 1}),
    )
    for one in items:
        middle = (_sum(one), seconds(one.seconds), line(one.model)) if wide else ()
        table.add_row(
            *_row(
                ago(one.ended_at, now),
                line(one.id),
                *((line(one.user_id),) if wide else ()),
                count(one.tasks),
                count(one.errors) if one.errors else "",
                *middle,
                line(one.first_input),
            )
        )
    paper.print(table)


def users(items: Sequence[User]) -> None:
    """A line a user."""
    paper, now = Paper(), _now()
    if not items:
        paper.print("No users.", style="dim")
        return
    table = _table(
        ("SEEN", {"justify": "right"}),
        ("USER", {"style": "cyan"}),
        ("TASKS", {"justify": "right"}),
        ("FAILED", {"justify": "right", "style": "red"}),
        ("SESSIONS", {"justify": "right"}),
        ("TOKENS", {"justify": "right"}),
        ("SINCE", {"justify": "right"}),
    )
    table.expand = False
    for one in items:
        failed = count(one.errors) if one.errors else ""
        since = f"{datetime.fromtimestamp(one.first_seen / 1e6).astimezone():%Y-%m-%d}"
        table.add_row(
            *_row(ago(one.last_seen, now), line(one.id), count(one.tasks), failed, count(one.sessions), _sum(one), since)
        )
    paper.print(table)


def _sum(one: Session | User) -> str:
    return f"{count(one.input_tokens)}→{count(one.output_tokens)}" if one.input_tokens or one.output_tokens else ""


def _row(*cells: str) -> tuple[Text, ...]:
    return tuple(Text(cell) for cell in cells)


def facts(paper: Paper, rows: Iterable[tuple[str, str | Text | None]]) -> None:
    """Names and what they are, in two columns; what is not known is left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value:
            table.add_row(name, value if isinstance(value, Text) else Text(lines(value)))
    paper.print(table)


def task(found: Task) -> None:
    """One task: what it was, then what was said."""
    paper = Paper()
    mark, colour = MARKS.get(found.ending, ("✗", "red"))
    paper.print(Text(line(found.id), "bold cyan"), Text(f"{mark} {found.ending.value}", colour), soft_wrap=True)
    facts(paper, _facts(found))
    for title, text in (("Input", found.input), ("Output", found.output)):
        if text is not None:
            paper.print()
            paper.print(Text(title, "bold"))
            paper.print(Padding(Text(lines(text)), (0, 0, 0, 2)))


def _facts(found: Task) -> Iterable[tuple[str, str | Text | None]]:
    took = [seconds(found.seconds_total)]
    if found.seconds_to_first_byte is not None:
        took.append(f"first byte {seconds(found.seconds_to_first_byte)}")
    if found.seconds_to_first_token is not None:
        took.append(f"first token {seconds(found.seconds_to_first_token)}")
    if found.longest_stall is not None and found.stream:
        took.append(f"longest stall {seconds(found.longest_stall)}")
    asked, answered = found.model_requested, found.model
    yield "when", f"{clock(found.created_at)} ({ago(found.created_at, _now())} ago)".replace("now ago", "now")
    yield "took", " · ".join(part for part in took if part)
    yield "kind", f"{found.kind}, streamed" if found.stream else found.kind
    yield "name", found.name
    yield "model", f"{asked} → {answered}" if asked and answered and asked != answered else answered or asked
    yield "call", " ".join(part for part in (found.method, found.path, found.upstream and f"→ {found.upstream}") if part)
    yield "answer", " ".join(part for part in (str(found.http_status or ""), found.error_code) if part)
    yield "session", _label(found.session_id, found.session_source)
    yield "user", _label(found.user_id, found.user_source)
    yield "project", found.project_id if found.project_id != "default" else None
    yield "parent", found.parent_task_id
    yield "retry of", found.retry_of
    if found.usage is not None:
        named = (
            ("in", found.usage.input_tokens),
            ("out", found.usage.output_tokens),
            ("cached", found.usage.cached_input_tokens),
        )
        figures = [
            f"{count(value)} {name}" for name, value in (*named, ("reasoning", found.usage.reasoning_tokens)) if value is not None
        ]
        yield "tokens", " · ".join(figures)
    yield "cost", None if found.cost is None else f"${found.cost:.6f}"
    yield "finish", ", ".join(reason or "none" for reason in found.finish_reasons)
    yield (
        "bytes",
        f"{size(found.request_size)} asked · {size(found.response_size)} answered" if found.request_size is not None else None,
    )
    yield "provider", " · ".join(part for part in (found.response_id, found.upstream_request_id) if part)
    yield "flag", found.flag and found.flag.value
    yield "system", line(found.system_prompt, 1000)
    yield "metadata", encode(found.metadata).decode() if found.metadata else None
    yield "hidden", ", ".join(found.redactions)
    for problem in found.problems:
        yield "problem", Text(lines(problem), "yellow")
    for one in found.feedback:
        said = (one.flag and one.flag.value, None if one.score is None else str(one.score), one.comment, one.source)
        yield "feedback", " · ".join(part for part in said if part)


def _label(id: str | None, source: Source | None) -> Text | None:
    return None if id is None else Text.assemble(line(id, 600), (f"  ({source.value})" if source else "", "dim"))


class Conversation:
    """A session, printed turn by turn."""

    def __init__(self, session: Session):
        self.paper = Paper()
        self.day = ""
        self.paper.print(Text(line(session.id, 600), "bold cyan"), soft_wrap=True)
        tokens = _sum(session)
        said = [
            f"{count(session.tasks)} task{'' if session.tasks == 1 else 's'}",
            f"{session.errors} failed" if session.errors else "",
            session.user_id and f"user {line(session.user_id)}",
            tokens and f"{tokens} tokens",
            f"lasted {seconds(session.seconds)}",
            "ended by the app" if session.final else "",
        ]
        self.paper.print(Text(" · ".join(part for part in said if part), "dim"))

    def add(self, task: Summary) -> None:
        """Print the two sides of one task."""
        began = datetime.fromtimestamp(task.created_at / 1e6).astimezone()
        if (day := f"{began:%A, %d %B %Y (%Z)}") != self.day:
            self.day = day
            self.paper.print()
            self.paper.rule(Text(day, "dim"), style="dim", characters="─")
        asker = "tool" if (task.input or "").startswith("[tool] ") else "user"
        self._turn(asker, "bold green", task.created_at, task.input or "", line(task.id))
        if task.output is not None:
            aside = " · ".join(part for part in (line(task.model), seconds(task.seconds_total)) if part)
            self._turn("assistant", "bold blue", task.ended_at, task.output, aside)
        if task.ending != Ending.COMPLETED:
            self.paper.print(Text(f"  {MARKS.get(task.ending, ('✗', 'red'))[0]} {task.ending.value}", "red"))

    def _turn(self, role: str, style: str, at: int, said: str, aside: str) -> None:
        self.paper.print()
        time = f"{datetime.fromtimestamp(at / 1e6).astimezone():%H:%M:%S}"
        self.paper.print(
            Text.assemble((role, style), (f"  {time}", "dim"), (f"  {aside}" if aside else "", "dim")), soft_wrap=True
        )
        if said:
            self.paper.print(Padding(Text(lines(said)), (0, 0, 0, 2)))


def status(running: dict[str, Any], data_dir: str) -> None:
    """What the running desk says."""
    paper = Paper()
    calls, journal = running["calls"], running["journal"]
    reasons = running["reasons"]
    well = not reasons and running["relays"]
    paper.print(
        Text.assemble(("● ", "green" if well else "red"), ("running, recording" if well else "running, not well", "bold"))
    )
    for reason in reasons:
        paper.print(Text(f"  {lines(str(reason))}", "red"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    lost = Text(count(calls["lost"]), "red" if calls["lost"] else "")
    table.add_row("carried", count(calls["carried"]), "calls that ended since this start")
    table.add_row("  stored", count(calls["stored"]), "can be read")
    aside = f"; {count(calls['set_aside'])} set aside" if calls["set_aside"] else ""
    table.add_row("  waiting", count(calls["waiting"]), f"in the journal, {running['lag_seconds']:.1f} s behind{aside}")
    table.add_row("  lost", lost, "could not be kept")
    table.add_row("running", count(calls["running"]), f"now, on {count(running['open_connections'])} connections")
    table.add_row("rejected", count(calls["rejected"]), "malformed HTTP: no task")
    table.add_row("recovered", count(calls["recovered"]), "stored now, carried before this start")
    table.add_row(
        "journal",
        size(journal["bytes"]),
        f"in {count(journal['segments'])} segments" + (", stalled" if journal["stalled"] else ""),
    )
    table.add_row("  lapses", count(journal["lapses"]), "bytes that went out before the journal had them")
    table.add_row("  dropped", count(journal["bodies_dropped"]), "bodies that the journal had no room for")
    table.add_row("relays", count(running["relays"]), "alive")
    paper.print(Padding(table, (0, 0, 0, 2)))
    paper.print(Text(f"  data     {data_dir}", "dim"), soft_wrap=True)


def stopped(oldest: Sequence[Summary], newest: Sequence[Summary], data_dir: str, bytes: int | None) -> None:
    """What there is while nothing runs."""
    paper = Paper()
    paper.print(Text.assemble(("○ ", "yellow"), ("not running", "bold"), ("  Start it with `tasktap serve`.", "dim")))
    rows = [("first task", oldest), ("last task", newest)]
    said: list[tuple[str, str | Text | None]] = [
        (name, f"{clock(found[0].created_at)} ({ago(found[0].created_at, _now())} ago)" if found else "none")
        for name, found in rows
    ]
    facts(paper, [*said, ("store", size(bytes)), ("data", data_dir)])
