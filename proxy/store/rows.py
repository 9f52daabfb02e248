"""Tasks and rollups as the rows of SQLite's tables, and back."""

# ruff: noqa: S608  names of columns are ours; every value is bound

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, NamedTuple

from proxy.quick import known
from proxy.store import StoreRejected, keys, told
from proxy.store.kept import Record
from proxy.store.record import dumps, loads, write
from proxy.store.rollup import Figures, SessionSum
from proxy.task import JSON, Ending, Feedback, Flag, Source, Summary, Task, Usage, User

Row = tuple[Any, ...]
"""One row as `sqlite3` takes and gives it."""

TASK_COLUMNS = (
    *("key", "id", "origin", "project_id", "created_at", "ended_at", "kind", "session_id", "user_id", "model_requested", "model"),
    *("ending", "prompt", "answer", "parent_task_id", "facts"),
)
"""What can be asked for, and the rest in one piece. `flag` is missing: feedback sets it, after the task is kept."""

SUMMARY_SELECT = ", ".join(f"task.{c}" for c in TASK_COLUMNS if c not in ("prompt", "answer")) + (
    ", task.flag, (SELECT text FROM prompt WHERE prompt.key = task.prompt) AS system_prompt"
)
"""What a query asks for so that `summary` can read its rows."""

_SELECTED = (*(c for c in TASK_COLUMNS if c not in ("prompt", "answer")), "flag", "system_prompt")
_FACTS = tuple(
    field.name
    for field in fields(Summary)
    if field.name not in _SELECTED
    and field.name not in ("metadata", "session_final", "usage", "finish_reasons", "problems", "events")
)
"""The other fields of a summary, input and output among them: one JSON object a task, without those that are not known.

Not columns: Python's `sqlite3` takes 0.7 us to bind a None, and most tasks have twenty of them.
"""

FIGURES = tuple(field.name for field in fields(Figures))
SESSION_COLUMNS = (
    *("project_id", "id", "started_at", "ended_at", *FIGURES, "turns", "silence", "longest_silence", "final"),
    *("explicit", "user_id", "model"),
    *("models", "first_input", "last_at", "last_id", "last_ending", "last_flag", "last_refusal", "last_input", "last_output"),
    "last_facets",
)
LAST_INPUT = "CASE WHEN tasks = 1 THEN first_input ELSE last_input END"
"""A session's, in SQL: of one task it is the first one, and not kept again."""

USER_COLUMNS = (
    *("project_id", "id", "first_seen", "last_seen", "sessions", *FIGURES),
    *("active_days", "owned", "owned_micros", "ended_badly", "busiest_minute"),
)
FEEDBACK_COLUMNS = ("task", "id", "created_at", "flag", "score", "comment", "source", "user_id")

_USAGE = tuple(field.name for field in fields(Usage))
_facts_of, _usage_of = known(*_FACTS), known(*_USAGE)
_SOURCES = {source.value: source for source in Source}
_FLAGS: dict[str | None, Flag | None] = {None: None} | {flag.value: flag for flag in Flag}
_ENDINGS = {ending.value: ending for ending in Ending}
_RECORD = tuple(field.name for field in fields(Record))


def answer(response_id: str | None) -> int | None:
    """What tasks are found by that have this response id; few others have the same."""
    return None if response_id is None else zlib.crc32(response_id.encode())


def answer_of(facts: str) -> int | None:
    """The same, of a row of the sixth schema."""
    return answer(loads(facts).get("response_id"))


def task_row(key: int, prompt: int | None, task: Summary) -> Row:
    """A task in the order of `TASK_COLUMNS`; `prompt` is the key of its system prompt."""
    return (
        *(key, task.id, task.origin, task.project_id, task.created_at, task.ended_at, task.kind, task.session_id, task.user_id),
        *(task.model_requested, task.model, str(task.ending), prompt, answer(task.response_id), task.parent_task_id),
        told.pack(facts(task, prompt_apart=prompt is not None)),
    )


def facts(task: Summary, *, prompt_apart: bool) -> JSON:
    """What is known of a task beyond its columns."""
    facts: JSON = _facts_of(task)
    if task.finish_reasons:
        facts["finish_reasons"] = task.finish_reasons
    if task.problems:
        facts["problems"] = task.problems
    if task.events:
        facts["events"] = task.events
    if (usage := task.usage) is not None:
        facts["usage"] = _usage_of(usage)
    if metadata := task.metadata:
        if prompt_apart and metadata.get("system_prompt") == task.system_prompt:
            metadata = {name: value for name, value in metadata.items() if name != "system_prompt"}
            facts["prompt_in_metadata"] = True
        facts["metadata"] = metadata
    if task.session_final:
        facts["session_final"] = True
    return facts


def summary_fields(row: Row) -> dict[str, Any]:
    """The fields of a `Summary`, of a row as `SUMMARY_SELECT` gives it."""
    values = dict(zip(_SELECTED, row, strict=True))
    del values["key"]
    values |= told.unpack(values.pop("facts"))
    if values.pop("prompt_in_metadata", False):
        values["metadata"]["system_prompt"] = values["system_prompt"]
    values["ending"] = _ENDINGS[values["ending"]]
    values["flag"] = _FLAGS[values["flag"]]
    if "usage" in values:
        values["usage"] = Usage(**values["usage"])
    for name in ("session_source", "user_source"):
        if name in values:
            values[name] = _SOURCES[values[name]]
    for name in ("finish_reasons", "problems", "events"):
        values[name] = tuple(values.get(name, ()))
    return values


def summary(row: Row) -> Summary:
    """A row as `SUMMARY_SELECT` gives it."""
    return Summary(**summary_fields(row))


class Figured(NamedTuple):
    """What is added up of a task: see `proxy.store.measures.Counted`."""

    ending: Ending
    flag: Flag | None
    usage: Usage | None
    cost: float | None
    seconds_total: float | None
    seconds_to_first_token: float | None


def figured(ending: str, flag: str | None, more: JSON) -> Figured:
    """Of columns of a row, and what it tells beyond them."""
    usage = more.get("usage")
    return Figured(
        *(_ENDINGS[ending], _FLAGS[flag], usage and Usage(**usage)),
        *(more.get("cost"), more.get("seconds_total"), more.get("seconds_to_first_token")),
    )


class Measurable(NamedTuple):
    """What tasks are added up by: see `proxy.store.measures.Measured`."""

    project_id: str
    created_at: int
    kind: str
    session_id: str | None
    user_id: str | None
    model_requested: str | None
    model: str | None
    ending: Ending
    flag: Flag | None
    metadata: JSON
    usage: Usage | None
    cost: float | None
    seconds_total: float | None
    seconds_to_first_token: float | None


MEASURED_SELECT = ", ".join(f"task.{column}" for column in (*Measurable._fields[:9], "facts"))
"""What a query asks for so that `measurable` can read its rows."""


def measurable(row: Row) -> Measurable:
    """A row as `MEASURED_SELECT` gives it: a third of the work of `summary`."""
    project_id, created_at, kind, session_id, user_id, model_requested, model, ending, flag, facts = row
    more = told.unpack(facts)
    usage = more.get("usage")
    return Measurable(
        *(project_id, created_at, kind, session_id, user_id, model_requested, model),
        _ENDINGS[ending],
        _FLAGS[flag],
        more.get("metadata", {}),
        usage and Usage(**usage),
        more.get("cost"),
        more.get("seconds_total"),
        more.get("seconds_to_first_token"),
    )


def task(row: Row, record: Record, feedback: tuple[Feedback, ...]) -> Task:
    """A row as `SUMMARY_SELECT` gives it, and what lies in other tables."""
    return Task(**summary_fields(row), **{name: getattr(record, name) for name in _RECORD}, feedback=feedback)


def feedback_row(task: int, said: Feedback) -> Row:
    """In the order of `FEEDBACK_COLUMNS`."""
    flag = said.flag and said.flag.value
    return task, said.id, said.created_at, flag, said.score, said.comment, said.source, said.user_id


def feedback(row: Row) -> Feedback:
    """A row in the order of `FEEDBACK_COLUMNS`."""
    _, id, created_at, flag, score, comment, source, user_id = row
    return Feedback(id=id, created_at=created_at, flag=_FLAGS[flag], score=score, comment=comment, source=source, user_id=user_id)


def session_row(sum: SessionSum) -> Row:
    """In the order of `SESSION_COLUMNS`."""
    return (
        *(
            sum.project_id,
            sum.id,
            sum.started_at,
            sum.ended_at,
            *figures(sum.figures),
            sum.turns,
            sum.silence,
            sum.longest_silence,
        ),
        *(sum.final, sum.explicit, sum.user_id, sum.model, dumps(sum.models).decode(), sum.first_input, sum.last_at, sum.last_id),
        *(sum.last_ending, sum.last_flag, sum.last_refusal, None if sum.figures.tasks == 1 else sum.last_input),
        *(sum.last_output, dumps(sum.last_facets).decode()),
    )


def session(row: Row) -> SessionSum:
    """A row in the order of `SESSION_COLUMNS`."""
    project_id, id, started_at, ended_at, *rest = row
    sums, rest = Figures(*rest[: len(FIGURES)]), rest[len(FIGURES) :]
    turns, silence, longest, final, explicit, user_id, model, models, first_input, *last = rest
    last_at, last_id, last_ending, last_flag, last_refusal, last_input, last_output, last_facets = last
    sum = SessionSum(project_id, id, started_at, ended_at)
    sum.figures, sum.turns, sum.silence, sum.longest_silence = sums, turns, silence, longest
    sum.final, sum.explicit, sum.user_id = bool(final), bool(explicit), user_id
    sum.model, sum.models = model, tuple(loads(models))
    sum.last_at, sum.last_id, sum.last_ending, sum.last_flag = last_at, last_id, last_ending, last_flag
    sum.last_refusal, sum.first_input, sum.last_output = bool(last_refusal), first_input, last_output
    sum.last_input = first_input if sums.tasks == 1 else last_input
    sum.last_facets = tuple([(name, value) for name, value in loads(last_facets)])
    return sum


def user(row: Row) -> User:
    """A row in the order of `USER_COLUMNS`."""
    project_id, id, first_seen, last_seen, sessions, *rest = row
    sums = Figures(*rest[: len(FIGURES)])
    active_days, owned, owned_micros, ended_badly, busiest_minute = rest[len(FIGURES) :]
    return User(
        id=id,
        project_id=project_id,
        first_seen=first_seen,
        last_seen=last_seen,
        tasks=sums.tasks,
        sessions=sessions,
        errors=sums.errors,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cost=sums.dollars,
        active_days=active_days,
        session_seconds=owned_micros / 1e6 / owned if owned > 0 else None,
        ended_badly=ended_badly,
        busiest_minute=busiest_minute,
        signs=sums.signs(),
    )


def check(task: Task) -> None:
    """Raises StoreRejected for a task that SQLite would refuse; for the adapter that has no SQLite."""
    try:
        write(task)
        keys.first(task.created_at)
        rows = [
            task_row(0, None, task),
            (task.system_prompt, task.input, task.output),
            *(feedback_row(0, said) for said in task.feedback),
        ]
        for value in (value for row in rows for value in row):
            if isinstance(value, str):
                value.encode()
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise OverflowError(f"{value} does not fit in 64 bits")
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise StoreRejected(str(error)) from error


figures: Callable[[Figures], Row] = attrgetter(*FIGURES)
"""Sums as they stand in a row."""
