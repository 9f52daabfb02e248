"""Pure: whether a task's metadata meets a condition, as the index of metadata has it."""

from __future__ import annotations

import operator

from proxy.store.measures import indexed
from proxy.task import Condition, Summary

RELATIONS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def holds(condition: Condition, task: Summary) -> bool:
    """Whether the key is there, and its value is what the condition says. A number is no text, and no text a number."""
    for name, value in indexed(task):
        if name == condition.name and isinstance(value, str) == isinstance(condition.value, str):
            return bool(RELATIONS[condition.relation](value, condition.value))
    return False
