"""Conditions on metadata as SQL: by the index of metadata where it leaves few tasks, else checked on each task that is met."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

from collections.abc import Sequence

from proxy.task import Condition

FEW = 20_000
"""Tasks that a range of numbers may leave for its index to be used: they are put in order by sorting."""

Value = str | int | float


def every(version_id: str | None, conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    """All of them, that on the version among them."""
    return (*conditions, *(() if version_id is None else (Condition("version_id", "=", version_id),)))


def ranges(conditions: Sequence[Condition]) -> list[tuple[Condition, ...]]:
    """The conditions that are ranges of numbers, those on one key together."""
    found: dict[str, list[Condition]] = {}
    for condition in conditions:
        if condition.relation != "=":
            found.setdefault(condition.name, []).append(condition)
    return [tuple(each) for each in found.values()]


def indexed(conditions: Sequence[Condition]) -> tuple[str, tuple[Value, ...]]:
    """Which rows of the index meet these, that are all on one key. Numbers are less than any text."""
    tests = "".join(f" AND metadatum.value {condition.relation} ?" for condition in conditions)
    numbers = " AND metadatum.value < ''" if conditions[0].relation != "=" else ""
    return f"metadatum.name = ?{tests}{numbers}", (conditions[0].name, *(condition.value for condition in conditions))


def checked(condition: Condition) -> tuple[str, tuple[Value, ...]]:
    """Whether a task meets it, by its own metadata."""
    if isinstance(condition.value, str):
        test = "(type = 'text' AND value = ?) OR (type IN ('true', 'false') AND type = ?)"
        values: tuple[Value, ...] = (condition.name, condition.value, condition.value)
    else:
        test, values = f"type IN ('integer', 'real') AND value {condition.relation} ?", (condition.name, condition.value)
    return f"EXISTS (SELECT 1 FROM json_each(told(task.facts), '$.metadata') WHERE key = ? AND ({test}))", values


def probe(conditions: Sequence[Condition]) -> tuple[str, tuple[Value, ...]]:
    """A statement that counts what these leave, up to one more than `FEW`."""
    where, values = indexed(conditions)
    return f"SELECT count(*) FROM (SELECT 1 FROM metadatum WHERE {where} LIMIT {FEW + 1})", values
