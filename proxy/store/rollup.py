"""What the tasks of a session, or of a user, add up to: sums that come out the same in whatever order tasks arrive.

Every field is a minimum, a maximum, a sum or "the one of the latest task", and equals are told apart by their own values, never
by who came first. So a journal that is replayed out of order gives the rollup that the calls themselves would have given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from proxy.store.keys import LARGEST
from proxy.task import Ending, Session, Source, Summary, User

EXCERPT_LENGTH = 300
"""Characters of the inputs and outputs that a session shows; the whole text is in its tasks."""

PICODOLLARS = 10**12
"""Costs are added up as whole picodollars: sums of floats would depend on their order. Sums stop at `LARGEST`."""

_DEAREST = LARGEST / PICODOLLARS

Latest = tuple[int, str] | None
"""A value and its task's `created_at`, as (created_at, value)."""


@dataclass(slots=True)
class Figures:
    """The sums that sessions and users share. Mutable: it is filled inside one save and read once."""

    tasks: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int | None = None  # picodollars

    def count(self, task: Summary) -> None:
        self.tasks += 1
        if task.ending is not Ending.COMPLETED:
            self.errors += 1
        if task.usage is not None:
            self.input_tokens = _held(self.input_tokens + (task.usage.input_tokens or 0))
            self.output_tokens = _held(self.output_tokens + (task.usage.output_tokens or 0))
        if task.cost is not None and math.isfinite(task.cost):
            self.cost = _held((self.cost or 0) + round(max(-_DEAREST, min(task.cost, _DEAREST)) * PICODOLLARS))

    def take(self, other: Figures) -> None:
        self.tasks += other.tasks
        self.errors += other.errors
        self.input_tokens = _held(self.input_tokens + other.input_tokens)
        self.output_tokens = _held(self.output_tokens + other.output_tokens)
        if other.cost is not None:
            self.cost = _held((self.cost or 0) + other.cost)

    @property
    def dollars(self) -> float | None:
        return None if self.cost is None else self.cost / PICODOLLARS

    @property
    def full(self) -> bool:
        """Whether a sum has stopped at its end, so that nothing can be taken out of it again."""
        return LARGEST in (self.input_tokens, self.output_tokens, abs(self.cost or 0))


@dataclass(slots=True)
class SessionSum:
    """One session's rollup while it grows."""

    project_id: str
    id: str
    started_at: int
    ended_at: int
    figures: Figures = field(default_factory=Figures)
    final: bool = False
    explicit: bool = False  # a call named it
    user: Latest = None
    model: Latest = None
    first: Latest = None
    last: tuple[int, str, str | None, str | None] | None = None  # (created_at, ending, input, output)

    def count(self, task: Summary) -> None:
        """Add one new task of this session."""
        at = task.created_at
        self.figures.count(task)
        self._span(at, task.ended_at)
        self.final = self.final or task.session_final
        self.explicit = self.explicit or task.session_source is not Source.INFERRED
        if task.user_id is not None:
            self.user = _later(self.user, (at, task.user_id))
        if (model := task.model if task.model is not None else task.model_requested) is not None:
            self.model = _later(self.model, (at, model))
        if task.input is not None:
            first = (at, task.input[:EXCERPT_LENGTH])
            self.first = first if self.first is None else min(self.first, first)
        if self.last is None or at >= self.last[0]:
            self._last((at, task.ending.value, _excerpt(task.input), _excerpt(task.output)))

    def take(self, other: SessionSum) -> None:
        """Add what is known already of the same session."""
        self.figures.take(other.figures)
        self._span(other.started_at, other.ended_at)
        self.final = self.final or other.final
        self.explicit = self.explicit or other.explicit
        self.user = _later(self.user, other.user)
        self.model = _later(self.model, other.model)
        if other.first is not None:
            self.first = other.first if self.first is None else min(self.first, other.first)
        if other.last is not None:
            self._last(other.last)

    def _span(self, started_at: int, ended_at: int) -> None:
        self.started_at = min(self.started_at, started_at)
        self.ended_at = max(self.ended_at, ended_at)

    def _last(self, last: tuple[int, str, str | None, str | None]) -> None:
        if self.last is None or last[0] > self.last[0] or (last[0] == self.last[0] and _rank(last) > _rank(self.last)):
            self.last = last

    def session(self) -> Session:
        """The rollup as a value. Raises ValueError where no task was counted."""
        if self.last is None:
            raise ValueError("a session without a task")
        _, ending, last_input, last_output = self.last
        return Session(
            id=self.id,
            project_id=self.project_id,
            user_id=self.user[1] if self.user else None,
            started_at=self.started_at,
            ended_at=self.ended_at,
            tasks=self.figures.tasks,
            errors=self.figures.errors,
            input_tokens=self.figures.input_tokens,
            output_tokens=self.figures.output_tokens,
            cost=self.figures.dollars,
            first_input=self.first[1] if self.first else None,
            last_input=last_input,
            last_output=last_output,
            last_ending=Ending(ending),
            model=self.model[1] if self.model else None,
            final=self.final,
            implicit=self.figures.tasks == 1 and not self.explicit,
        )


@dataclass(slots=True)
class UserSum:
    """One user's rollup while it grows."""

    project_id: str
    id: str
    first_seen: int
    last_seen: int
    sessions: int = 0  # distinct ones, counted by the store, which knows the pairs
    figures: Figures = field(default_factory=Figures)

    def count(self, task: Summary) -> None:
        """Add one new task of this user."""
        self.figures.count(task)
        self.first_seen = min(self.first_seen, task.created_at)
        self.last_seen = max(self.last_seen, task.ended_at)

    def take(self, other: UserSum) -> None:
        """Add what is known already of the same user."""
        self.figures.take(other.figures)
        self.first_seen = min(self.first_seen, other.first_seen)
        self.last_seen = max(self.last_seen, other.last_seen)
        self.sessions += other.sessions

    def user(self) -> User:
        return User(
            id=self.id,
            project_id=self.project_id,
            first_seen=self.first_seen,
            last_seen=self.last_seen,
            tasks=self.figures.tasks,
            sessions=self.sessions,
            errors=self.figures.errors,
            input_tokens=self.figures.input_tokens,
            output_tokens=self.figures.output_tokens,
            cost=self.figures.dollars,
        )


Key = tuple[str, str]
"""(project_id, id): what names a session or a user."""


def sums(tasks: Iterable[Summary]) -> tuple[dict[Key, SessionSum], dict[Key, UserSum]]:
    """What `tasks` alone add to the sessions and users they belong to; `UserSum.sessions` is left at zero."""
    sessions: dict[Key, SessionSum] = {}
    users: dict[Key, UserSum] = {}
    for task in tasks:
        if task.session_id is not None:
            key = (task.project_id, task.session_id)
            if (session := sessions.get(key)) is None:
                session = sessions[key] = SessionSum(*key, task.created_at, task.ended_at)
            session.count(task)
        if task.user_id is not None:
            key = (task.project_id, task.user_id)
            if (user := users.get(key)) is None:
                user = users[key] = UserSum(*key, task.created_at, task.ended_at)
            user.count(task)
    return sessions, users


def shifted(have: Figures, changes: Iterable[tuple[Summary | None, Summary | None]]) -> Figures | None:
    """`have` with what each task was taken out and what it is now put in; `None` where that cannot be told by difference.

    A cost that goes leaves zero or nothing behind, depending on whether any other task has one.
    """
    out, put = Figures(), Figures()
    for old, new in changes:
        if old is not None:
            out.count(old)
        if new is not None:
            put.count(new)
    if (out.cost is not None and put.cost is None) or have.full or out.full or put.full:
        return None
    figures = Figures(
        have.tasks - out.tasks,
        have.errors - out.errors,
        have.input_tokens - out.input_tokens,
        have.output_tokens - out.output_tokens,
        None if have.cost is None else have.cost - (out.cost or 0),
    )
    figures.take(put)
    return figures


def told(task: Summary) -> tuple[object, ...]:
    """What a session says of one of its tasks, its figures aside."""
    model = task.model if task.model is not None else task.model_requested
    said = (_excerpt(task.input), _excerpt(task.output), task.ending, task.session_final, task.user_id, model)
    return (*said, task.created_at, task.ended_at, task.session_source is Source.INFERRED)


def _later(one: Latest, other: Latest) -> Latest:
    if one is None or other is None:
        return one or other
    return max(one, other)


def _held(sum: int) -> int:
    return sum if -LARGEST <= sum <= LARGEST else max(-LARGEST, min(sum, LARGEST))


def _excerpt(text: str | None) -> str | None:
    return None if text is None else text[:EXCERPT_LENGTH]


def _rank(last: tuple[int, str, str | None, str | None]) -> tuple[int, str, str, str, bool, bool]:
    at, ending, last_input, last_output = last
    return at, ending, last_input or "", last_output or "", last_input is not None, last_output is not None
