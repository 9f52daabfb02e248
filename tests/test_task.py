"""The values of the house."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from proxy.task import Source, Task, changed
from tests.query.examples import BARE, FULL
from tests.store.tasks import a_task


@pytest.mark.parametrize("task", [FULL, BARE, a_task(1)], ids=["full", "bare", "one"])
def test_a_changed_task_is_as_if_its_fields_had_been_replaced(task):
    for changes in ({}, {"cost": 2.5, "price": {"a": 1}}, {"session_id": "s", "session_source": Source.INFERRED}):
        assert changed(task, **changes) == replace(task, **changes)
        assert [getattr(changed(task), field.name) for field in fields(Task)] == [
            getattr(task, field.name) for field in fields(Task)
        ]


def test_what_was_changed_stays_as_it_was_and_what_came_of_it_is_frozen():
    task = a_task(1)
    new = changed(task, cost=7.0)
    assert (task.cost, new.cost) == (0.001, 7.0)
    with pytest.raises(FrozenInstanceError):
        new.cost = 1.0  # type: ignore[misc]
    with pytest.raises(AttributeError):
        changed(task, costs=1.0)
