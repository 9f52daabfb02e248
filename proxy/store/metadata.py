"""Pure: whether a task meets a condition on its metadata, as the index of metadata has it, and all of a filter."""

from __future__ import annotations

import operator

from proxy.store import words
from proxy.store.measures import indexed
from proxy.task import Condition, Filter, Summary

RELATIONS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def holds(condition: Condition, task: Summary) -> bool:
    """Whether the key is there, and its value is what the condition says. A number is no text, and no text a number."""
    for name, value in indexed(task):
        if name == condition.name and isinstance(value, str) == isinstance(condition.value, str):
            return bool(RELATIONS[condition.relation](value, condition.value))
    return False


def left_by(filter: Filter, task: Summary) -> bool:
    """Whether a filter leaves this task."""
    return (
        filter.session_id in (None, task.session_id)
        and filter.user_id in (None, task.user_id)
        and filter.project_id in (None, task.project_id)
        and filter.parent_task_id in (None, task.parent_task_id)
        and filter.model in (None, task.model, task.model_requested)
        and filter.kind in (None, task.kind)
        and filter.ending in (None, task.ending)
        and filter.flag in (None, task.flag)
        and (filter.version_id is None or task.metadata.get("version_id") == filter.version_id)
        and all(holds(condition, task) for condition in filter.metadata)
        and (filter.since is None or task.created_at >= filter.since)
        and (filter.until is None or task.created_at < filter.until)
        and (not filter.words or words.match(filter.words, (task.input, task.output)))
    )
