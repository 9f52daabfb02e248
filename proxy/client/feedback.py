"""What a user thought of a task, as it waits to be sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from proxy.client import sound

SUCCESS, FAILURE = "success", "failure"

GOOD = frozenset({"success", "👍", "🙂", "😀"})
"""Raw flags that mean success, where the app has no rule of its own; all others mean failure."""


class Said(NamedTuple):
    """Feedback for one task: the fields of `POST /api/tasks/{id}/feedback`."""

    task_id: str
    fields: tuple[tuple[str, Any], ...]
    size: int

    def document(self) -> dict[str, Any]:
        return {name: value for name, value in self.fields if value is not None}


def said(task_id: object, **fields: Any) -> Said:
    """Feedback, ready to wait. `fields` are scalars, which nobody can change."""
    size = 200 + sum(len(value) for value in fields.values() if isinstance(value, str))
    return Said(sound.task_id(task_id), tuple(fields.items()), size)


def flag_of(flag: str | None, raw_flag: Any, rule: Callable[[Any], str] | None) -> str | None:
    """The flag that is meant; `None` where there is none. Raises ValueError for one that does not exist."""
    if flag is None and raw_flag is not None:
        flag = rule(raw_flag) if rule is not None else SUCCESS if raw_flag in GOOD else FAILURE
    if flag is not None and flag not in {SUCCESS, FAILURE}:
        raise ValueError(f'flag: {flag!r} is neither "success" nor "failure"')
    return flag
