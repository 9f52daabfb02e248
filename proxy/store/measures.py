"""Pure: what tasks are measured by when they are added up: counts, tokens, cost, how durations are spread. All of it sums."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol

from proxy.store import histogram
from proxy.task import JSON, Ending, Flag, Summary, Usage

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""Microseconds."""

LABEL_LENGTH = 64
"""Characters of a metadata key or value that tasks are counted by; longer ones are not."""

LABELS_MOST = 16
"""Metadata keys of one task that are counted by."""

PICODOLLARS = 10**12
"""Costs are added up as whole picodollars: sums of floats would depend on their order."""

_COMPLETED: Final = Ending.COMPLETED
_MOST_TOKENS = 10**12
_MOST_COST = 10**17
_MOST_SECONDS = 1e9


class Slice(NamedTuple):
    """Tasks that are counted together. Either by the first six, or by one key of their metadata, `label`, and its `value`."""

    project_id: str
    kind: str | None = None
    model: str | None = None  # answered by; where that is not known, asked for
    model_requested: str | None = None  # asked for, where that is another one
    ending: str | None = None
    version_id: str | None = None
    label: str | None = None
    value: str | None = None  # None: one of too many values


class Counted(Protocol):
    """What is added up of tasks: those fields of a `Summary`."""

    @property
    def ending(self) -> Ending: ...
    @property
    def flag(self) -> Flag | None: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def cost(self) -> float | None: ...
    @property
    def seconds_total(self) -> float | None: ...
    @property
    def seconds_to_first_token(self) -> float | None: ...


class Measured(Counted, Protocol):
    """And what they are added up by."""

    @property
    def project_id(self) -> str: ...
    @property
    def created_at(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def session_id(self) -> str | None: ...
    @property
    def user_id(self) -> str | None: ...
    @property
    def model_requested(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def metadata(self) -> JSON: ...


@dataclass(slots=True)
class Measures:
    """Sums over tasks. Mutable: it grows inside one save or one answer."""

    tasks: int = 0
    errors: int = 0  # whose ending is not `completed`
    success: int = 0
    failure: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    priced: int = 0  # tasks whose cost is known
    cost: int = 0  # picodollars
    micros: int = 0  # microseconds that calls took, where known
    output_square: float = 0.0  # sum of squares of output tokens
    cost_square: float = 0.0  # of dollars
    seconds: int = 0  # histogram of how long calls took
    first_token: int = 0  # histogram of seconds to the first token

    def count(self, task: Counted) -> None:
        """Add one task."""
        self.tasks += 1
        if task.ending is not _COMPLETED:
            self.errors += 1
        if task.flag is not None:
            if task.flag is Flag.SUCCESS:
                self.success += 1
            else:
                self.failure += 1
        if (usage := task.usage) is not None:
            if usage.input_tokens:
                tokens = usage.input_tokens
                self.input_tokens += tokens if -_MOST_TOKENS < tokens < _MOST_TOKENS else _within(tokens, _MOST_TOKENS)
            if usage.output_tokens:
                tokens = _within(usage.output_tokens, _MOST_TOKENS)
                self.output_tokens += tokens
                self.output_square += tokens * tokens
            if usage.cached_input_tokens:
                self.cached_tokens += _within(usage.cached_input_tokens, _MOST_TOKENS)
        if (cost := task.cost) is not None and math.isfinite(cost):
            cost = cost if -1e5 < cost < 1e5 else max(-1e5, min(cost, 1e5))
            self.priced += 1
            self.cost += _within(round(cost * PICODOLLARS), _MOST_COST)
            self.cost_square += cost * cost
        if (seconds := task.seconds_total) is not None and 0 <= seconds < math.inf:
            self.micros += round(min(seconds, _MOST_SECONDS) * 1e6)
            self.seconds += histogram.ONE[histogram.lane(seconds)]
        if (first := task.seconds_to_first_token) is not None and 0 <= first < math.inf:
            self.first_token += histogram.ONE[histogram.lane(first)]

    def take(self, other: Measures) -> None:
        """Add what others add up to."""
        self.tasks += other.tasks
        self.errors += other.errors
        self.success += other.success
        self.failure += other.failure
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.priced += other.priced
        self.cost += other.cost
        self.micros += other.micros
        self.output_square += other.output_square
        self.cost_square += other.cost_square
        self.seconds += other.seconds
        self.first_token += other.first_token

    def without(self, other: Measures) -> Measures:
        """What is left where others are taken out."""
        return Measures(**{name: getattr(self, name) - getattr(other, name) for name in _NAMES})

    def spread(self, seconds: bytes, first_token: bytes) -> None:
        """Add packed histograms."""
        self.seconds += histogram.unpack(seconds)
        self.first_token += histogram.unpack(first_token)

    @property
    def dollars(self) -> float | None:
        """Of the tasks whose cost is known; `None` where there is none."""
        return self.cost / PICODOLLARS if self.priced else None

    @property
    def mean_seconds(self) -> float | None:
        """How long a call took, of those that say."""
        timed = histogram.size(self.seconds)
        return self.micros / 1e6 / timed if timed else None


SECONDS = ("p50", "p90", "p95", "p99")
"""Percentiles of how long calls took."""

SORTS = ("tasks", "errors", "error_rate", "success_rate", "rated", "input_tokens", "output_tokens", "cost", "p50", "p95")
"""What groups can be ordered by, most first."""


def rank(sums: Measures, sort: str) -> float:
    """What sums are ordered by; what is not known comes last."""
    value: float | None
    if sort in SECONDS:
        value = histogram.quantile(sums.seconds, int(sort[1:]) / 100)
    elif sort == "error_rate":
        value = sums.errors / sums.tasks if sums.tasks else None
    elif sort in ("rated", "success_rate"):
        rated = sums.success + sums.failure
        value = rated if sort == "rated" else sums.success / rated if rated else None
    else:
        value = sums.dollars if sort == "cost" else getattr(sums, sort)
    return -1.0 if value is None else float(value)


_NAMES = tuple(field.name for field in fields(Measures))
COLUMNS = _NAMES
"""Of the table `cell`, the two histograms last."""

SUMS = _NAMES[:-2]
_sums_of = attrgetter(*SUMS)


def row(measures: Measures) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    return (*_sums_of(measures), histogram.pack(measures.seconds), histogram.pack(measures.first_token))


def of_row(row: tuple[Any, ...]) -> Measures:
    """A row in the order of `COLUMNS`."""
    *sums, seconds, first_token = row
    measures = Measures(*sums)
    measures.seconds, measures.first_token = histogram.unpack(seconds), histogram.unpack(first_token)
    return measures


def slice_of(task: Measured) -> Slice:
    """What a task is counted under."""
    model = task.model if task.model is not None else task.model_requested
    asked = task.model_requested if task.model_requested != model else None
    version = version_of(task.metadata) if task.metadata else None
    return tuple.__new__(Slice, (task.project_id, task.kind, model, asked, str(task.ending), version, None, None))


def version_of(metadata: JSON) -> str | None:
    """Under which version a task is counted that has this metadata."""
    version = metadata.get("version_id") if metadata else None
    return version if isinstance(version, str) and len(version) <= LABEL_LENGTH and _is_text(version) else None


def labels_of(task: Summary) -> list[tuple[str, str]]:
    """The keys and values of a task's metadata that it is counted under: short texts, whole numbers, true and false."""
    if not (metadata := task.metadata):
        return []
    found = []
    for name, value in metadata.items():
        if name in ("system_prompt", "version_id") or len(name) > LABEL_LENGTH or not _is_text(name):
            continue
        if isinstance(value, str):
            if 0 < len(value) <= LABEL_LENGTH and _is_text(value):
                found.append((name, value))
        elif isinstance(value, bool):
            found.append((name, "true" if value else "false"))
        elif isinstance(value, int) and abs(value) < 10**15:
            found.append((name, str(value)))
    return found[:LABELS_MOST]


def indexed(task: Summary) -> list[tuple[str, str | int | float]]:
    """The keys and values of a task's metadata by which tasks are found: numbers, short texts, true and false (as text)."""
    if not (metadata := task.metadata):
        return []
    found: list[tuple[str, str | int | float]] = []
    for name, value in metadata.items():
        if name == "system_prompt" or len(name) > LABEL_LENGTH or not _is_text(name):
            continue
        if isinstance(value, bool):
            found.append((name, "true" if value else "false"))
        elif isinstance(value, int | float):
            if abs(value) < 2**53:  # and so no NaN
                found.append((name, value))
        elif isinstance(value, str) and len(value) <= LABEL_LENGTH and _is_text(value):
            found.append((name, value))
    return found[: 2 * LABELS_MOST]


def _is_text(text: str) -> bool:
    """Whether it has a UTF-8, which half a surrogate pair has not."""
    return text.isascii() or not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


def _within(value: int, most: int) -> int:
    return max(-most, min(value, most))
