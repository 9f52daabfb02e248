"""Pages in the terminal: one task whole, a session as a conversation, the status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from proxy.cli.paper import Paper, facts, indented, mark, now, token_sums
from proxy.cli.text import ago, clock, count, dollars, line, lines, seconds, size
from proxy.query.encoding import encode
from proxy.query.nesting import nested
from proxy.task import JSON, Ending, Session, Source, Summary, Task

DEEPEST = 8
"""Parts inside parts are set in so far."""


def task(found: Task) -> None:
    """One task: what it was, then what was said."""
    paper = Paper()
    paper.print(Text(line(found.id), "bold cyan"), mark(found.ending).append(f" {found.ending.value}"), soft_wrap=True)
    facts(paper, _facts(found))
    for title, text in (("Input", found.input), ("Output", found.output)):
        if text is not None:
            paper.print()
            paper.print(Text(title, "bold"))
            paper.print(indented(text))


def _facts(found: Task) -> Iterable[tuple[str, str | Text | None]]:
    took = [seconds(found.seconds_total)]
    if found.seconds_to_first_byte is not None:
        took.append(f"first byte {seconds(found.seconds_to_first_byte)}")
    if found.seconds_to_first_token is not None:
        took.append(f"first token {seconds(found.seconds_to_first_token)}")
    if found.longest_stall is not None and found.stream:
        took.append(f"longest stall {seconds(found.longest_stall)}")
    if found.tokens_per_second is not None:
        took.append(f"{found.tokens_per_second:,.0f} tokens/s")
    asked, answered = found.model_requested, found.model
    yield "when", f"{clock(found.created_at)} ({ago(found.created_at, now())} ago)".replace("now ago", "now")
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
    yield "cost", None if found.cost is None else f"{dollars(found.cost)}{_whose(found.price)}"
    yield "finish", ", ".join(reason or "none" for reason in found.finish_reasons)
    yield (
        "bytes",
        f"{size(found.request_size)} asked · {size(found.response_size)} answered" if found.request_size is not None else None,
    )
    yield "provider", " · ".join(part for part in (found.response_id, found.upstream_request_id) if part)
    yield "flag", found.flag and found.flag.value
    yield "system", line(found.system_prompt, 1000)
    yield "metadata", encode(found.metadata).decode() if found.metadata else None
    yield "events", ", ".join(line(f"{one.get('name')} ({one.get('source')})", 100) for one in found.events)
    yield "hidden", ", ".join(found.redactions)
    for problem in found.problems:
        yield "problem", Text(lines(problem), "yellow")
    for one in found.feedback:
        said = (one.flag and one.flag.value, None if one.score is None else str(one.score), one.comment, one.source)
        yield "feedback", " · ".join(part for part in said if part)


def _whose(price: JSON | None) -> str:
    """Where a cost comes from, in brackets."""
    said = price or {}
    named = {"provider": ("as the provider says",), "config": ("own price", said.get("model"))}
    parts = named.get(str(said.get("source")), (said.get("list"), said.get("provider"), said.get("model"), said.get("date")))
    text = " ".join(line(str(part)) for part in parts if part)
    return f" ({text})" if text else ""


def _label(id: str | None, source: Source | None) -> Text | None:
    return None if id is None else Text.assemble(line(id, 600), (f"  ({source.value})" if source else "", "dim"))


class Conversation:
    """A session, printed turn by turn."""

    def __init__(self, session: Session):
        self.paper = Paper()
        self.day = ""
        self.deep: dict[str, int] = {}
        self.paper.print(Text(line(session.id, 600), "bold cyan"), soft_wrap=True)
        tokens = token_sums(session)
        said = [
            f"{count(session.tasks)} task{'' if session.tasks == 1 else 's'}",
            f"{session.errors} failed" if session.errors else "",
            session.user_id and f"user {line(session.user_id)}",
            tokens and f"{tokens} tokens",
            dollars(session.cost),
            f"lasted {seconds(session.seconds)}",
            "ended by the app" if session.final else "",
        ]
        self.paper.print(Text(" · ".join(part for part in said if part), "dim"))

    def add(self, tasks: Sequence[Summary]) -> None:
        """Print some tasks, each with its parts below it, set in."""
        for depth, task in nested(tasks, self.deep):
            self._task(task, min(depth, DEEPEST))

    def _task(self, task: Summary, depth: int) -> None:
        """Print the two sides of one task."""
        began = datetime.fromtimestamp(task.created_at / 1e6).astimezone()
        if (day := f"{began:%A, %d %B %Y (%Z)}") != self.day:
            self.day = day
            self.paper.print()
            self.paper.rule(Text(day, "dim"), style="dim", characters="─")
        asker = "tool" if (task.input or "").startswith("[tool] ") else "user"
        if depth:
            asker = " · ".join(part for part in ("part", line(task.name), line(task.kind)) if part)
        self._turn(asker, "bold green", task.created_at, task.input or "", line(task.id), depth)
        if task.output is not None:
            aside = " · ".join(part for part in (line(task.model), seconds(task.seconds_total)) if part)
            self._turn("output" if depth else "assistant", "bold blue", task.ended_at, task.output, aside, depth)
        if task.ending != Ending.COMPLETED:
            sign = mark(task.ending)
            self.paper.print(Text("  " * (depth + 1)).append_text(sign).append(f" {task.ending.value}", sign.style))

    def _turn(self, role: str, style: str, at: int, said: str, aside: str, depth: int) -> None:
        self.paper.print()
        time = f"{datetime.fromtimestamp(at / 1e6).astimezone():%H:%M:%S}"
        set_in = f"{'  ' * (depth - 1)}└ " if depth else ""
        head = Text.assemble(set_in, (role, style), (f"  {time}", "dim"), (f"  {aside}" if aside else "", "dim"))
        self.paper.print(head, soft_wrap=True)
        if said:
            self.paper.print(Padding(indented(said), (0, 0, 0, 2 * depth), expand=False))


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
    paper.print(Padding(table, (0, 0, 0, 2), expand=False))
    paper.print(Text(f"  data     {data_dir}", "dim"), soft_wrap=True)


def stopped(oldest: Sequence[Summary], newest: Sequence[Summary], data_dir: str, bytes: int | None) -> None:
    """What there is while nothing runs."""
    paper = Paper()
    paper.print(Text.assemble(("○ ", "yellow"), ("not running", "bold"), ("  Start it with `tasktap serve`.", "dim")))
    rows = [("first task", oldest), ("last task", newest)]
    said: list[tuple[str, str | Text | None]] = [
        (name, f"{clock(found[0].created_at)} ({ago(found[0].created_at, now())} ago)" if found else "none")
        for name, found in rows
    ]
    facts(paper, [*said, ("store", size(bytes)), ("data", data_dir)])
