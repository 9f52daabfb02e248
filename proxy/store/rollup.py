"""What the tasks of a session, or of a user, add up to: sums that come out the same in whatever order tasks arrive.

The tasks of a session are taken in the order in which they began, equals by their ids. Where one comes late, its session is
added up anew from all its tasks (`sqlite_rollups`): a journal replayed out of order gives what the calls themselves would have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from proxy.store.keys import LARGEST
from proxy.store.measures import PICODOLLARS
from proxy.task import Ending, Flag, Session, Signs, Source, Summary

if TYPE_CHECKING:
    from proxy.store.marks import Facet, Marks

EXCERPT_LENGTH = 300
"""Characters of the inputs and outputs that a session shows; the whole text is in its tasks."""

MODELS_MOST = 8
"""Models of one session that are named."""

LONGEST = 366 * 24 * 3_600_000_000
"""Microseconds of one session that count for its user: past that, a time was told wrongly."""

_DEAREST = LARGEST / PICODOLLARS

Key = tuple[str, str]
"""(project_id, id): what names a session or a user."""

Heard = tuple[frozenset[str], str | None, bool]
"""What an input tells by itself: its words, its language, whether it is one of frustration."""

Place = tuple[int, str]
"""(created_at, id): where a task is in its session."""


@dataclass(slots=True)
class Figures:
    """The sums that sessions and users share. Mutable: it is filled inside one save and read once."""

    tasks: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0  # picodollars
    priced: int = 0  # tasks whose cost is known
    success: int = 0
    failure: int = 0
    refusals: int = 0
    moderated: int = 0
    limited: int = 0
    repeated: int = 0
    rephrased: int = 0
    frustrated: int = 0
    loops: int = 0

    def count(self, task: Summary, marks: Marks) -> None:
        """Add one task and what it tells."""
        self.tasks += 1
        if task.ending is not _DONE:
            self.errors += 1
        if (usage := task.usage) is not None:
            if usage.input_tokens:
                self.input_tokens = held(self.input_tokens + usage.input_tokens)
            if usage.output_tokens:
                self.output_tokens = held(self.output_tokens + usage.output_tokens)
        if (cost := task.cost) is not None and math.isfinite(cost):
            self.priced += 1
            picodollars = round((cost if -_DEAREST < cost < _DEAREST else max(-_DEAREST, min(cost, _DEAREST))) * PICODOLLARS)
            self.cost = held(self.cost + picodollars)
        if task.flag is not None:
            if task.flag is Flag.SUCCESS:
                self.success += 1
            else:
                self.failure += 1
        if marks[1:8] != _NOTHING:
            self.refusals += marks.refusal
            self.moderated += marks.moderated
            self.limited += marks.limited
            self.repeated += marks.repeated
            self.rephrased += marks.rephrased
            self.frustrated += marks.frustrated
            self.loops += marks.loop

    def take(self, other: Figures, sign: int = 1) -> None:
        """Add what others add up to, or take it out; what is left may be below nothing: it is what is added to a row."""
        for name in _FIGURES:
            setattr(self, name, held(getattr(self, name) + sign * getattr(other, name)))

    @property
    def dollars(self) -> float | None:
        return self.cost / PICODOLLARS if self.priced else None

    def signs(self) -> Signs:
        """Those of them that tell of trouble or of judgement."""
        return Signs(
            success=self.success,
            failure=self.failure,
            refusals=self.refusals,
            moderated=self.moderated,
            limited=self.limited,
            repeated=self.repeated,
            rephrased=self.rephrased,
            frustrated=self.frustrated,
            loops=self.loops,
        )


_NOTHING = (False,) * 7
_SMALL: Final = 2**60
_FIGURES: Final = tuple(field.name for field in fields(Figures))
_DONE: Final = Ending.COMPLETED
_COMPLETED, _FAILURE = Ending.COMPLETED.value, Flag.FAILURE.value


class SessionSum:  # no dataclass: compiled, it is made in a fifth of the time, and a call may be a session
    """One session's rollup while it grows."""

    turns: int = 0  # inputs of a person, not of a tool
    silence: int = 0  # microseconds between an end and the next start, added up
    longest_silence: int = 0
    final: bool = False
    explicit: bool = False  # a call named it
    user_id: str | None = None
    model: str | None = None
    models: tuple[str, ...] = ()
    first_input: str | None = None
    last_at: int | None = None
    last_id: str = ""
    last_ending: str = ""
    last_flag: str | None = None
    last_refusal: bool = False
    last_input: str | None = None
    last_output: str | None = None
    last_facets: tuple[Facet, ...] = ()  # see `marks.facets`
    last_heard: Heard | None = None  # of `last_input`, where it is known; not kept
    key: int | None = None  # of its row
    alone: bool = True  # nobody took part but `user_id`, if anybody; not kept

    def __init__(self, project_id: str, id: str, started_at: int, ended_at: int) -> None:
        self.project_id, self.id, self.started_at, self.ended_at = project_id, id, started_at, ended_at
        self.figures = Figures()

    @property
    def place(self) -> Place | None:
        """Of its last task; what began before that comes late."""
        return None if self.last_at is None else (self.last_at, self.last_id)

    def count(self, task: Summary, marks: Marks, facets: tuple[Facet, ...], heard: Heard | None = None) -> None:
        """Add its next task; `heard` is what its input tells."""
        if self.last_at is not None:
            silence = max(0, task.created_at - self.ended_at)
            if silence:
                self.silence = held(self.silence + silence)
                self.longest_silence = max(self.longest_silence, silence)
            self.started_at = min(self.started_at, task.created_at)
            self.ended_at = max(self.ended_at, task.ended_at)
        self.figures.count(task, marks)
        self.turns += marks.turn
        self.final = self.final or task.session_final
        self.explicit = self.explicit or task.session_source is not Source.INFERRED
        model = task.model if task.model is not None else task.model_requested
        if model is not None and model not in self.models and len(self.models) < MODELS_MOST:
            self.models = (*self.models, model)
        if self.first_input is None:
            self.first_input = excerpt(task.input)
        if self.last_at is not None and (task.created_at, task.id) < (self.last_at, self.last_id):
            return  # late, in a session too long to be added up anew
        if task.user_id is not None:
            self.user_id = task.user_id
        if model is not None:
            self.model = model
        self.last_at, self.last_id, self.last_ending = task.created_at, task.id, str(task.ending)
        self.last_flag, self.last_refusal = task.flag and str(task.flag), marks.refusal
        self.last_input, self.last_output = excerpt(task.input), excerpt(task.output)
        self.last_facets, self.last_heard = facets, heard

    @property
    def ended_badly(self) -> bool:
        """Whether it was given up rather than done, by its last task: that failed, was refused or flagged a failure."""
        return self.last_refusal or self.last_ending != _COMPLETED or self.last_flag == _FAILURE

    @property
    def micros(self) -> int:
        """How long it lasted, in microseconds; a year at most."""
        micros = self.ended_at - self.started_at
        return micros if 0 <= micros <= LONGEST else max(0, min(micros, LONGEST))

    @property
    def implicit(self) -> bool:
        """Whether it is one call that named no session and that nothing goes on from."""
        return self.figures.tasks == 1 and not self.explicit

    def session(self) -> Session:
        """The rollup as a value. Raises ValueError where no task was counted."""
        if self.last_at is None:
            raise ValueError("a session without a task")
        return Session(
            id=self.id,
            project_id=self.project_id,
            user_id=self.user_id,
            started_at=self.started_at,
            ended_at=self.ended_at,
            tasks=self.figures.tasks,
            errors=self.figures.errors,
            input_tokens=self.figures.input_tokens,
            output_tokens=self.figures.output_tokens,
            cost=self.figures.dollars,
            first_input=self.first_input,
            last_input=self.last_input,
            last_output=self.last_output,
            last_ending=Ending(self.last_ending),
            model=self.model,
            final=self.final,
            implicit=self.implicit,
            turns=self.turns,
            silence_seconds=self.silence / 1e6,
            longest_silence_seconds=self.longest_silence / 1e6,
            models=self.models,
            last_flag=Flag(self.last_flag) if self.last_flag else None,
            ended_badly=self.ended_badly,
            signs=self.figures.signs(),
        )


def held(sum: int) -> int:
    """A sum that stops where 64 bits end."""
    return sum if -_SMALL < sum < _SMALL else max(-LARGEST, min(sum, LARGEST))


def excerpt(text: str | None) -> str | None:
    """The beginning of a text."""
    return None if text is None else text[:EXCERPT_LENGTH]
