"""One item of a batch of tasks -> what there is to keep of it: a task, and what somebody thought of it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from proxy.record.labels import fault
from proxy.record.words import BadWord, feedback_of, task_id_of, words_of
from proxy.store.entries import Entry, Logged, Said
from proxy.task import JSON, Feedback

ABOUT = frozenset(("task_id", "id", "project_id", "feedback"))
"""An item that has no field but these is feedback on a task, and none itself."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item: the id of its task, what is to be kept, or why it is not taken."""

    id: str | None
    entries: tuple[Entry, ...] = ()
    error: str | None = None
    named: bool = False  # its id is the app's
    begins: bool = True  # it says enough to be a task of its own
    is_task: bool = True  # else it is only feedback on one


def read_item(given: Any, at: int, new_id: Callable[[], str]) -> Item:
    """What `given` says. `at`: when it came, in microseconds; an item without an id gets one of `new_id`."""
    if not isinstance(given, dict):
        return Item(None, error="This is not a JSON object.")
    id: str | None = None
    try:
        id = task_id_of(given)
        said = _feedback(given)
        if said is not None and given.keys() <= ABOUT:
            if id is None:
                raise BadWord("task_id: is not there. Feedback is on a task.")
            return Item(id, _told(said, id, given.get("project_id"), at), named=True, is_task=False)
        if said is not None:
            given = {name: value for name, value in given.items() if name != "feedback"}
        words = words_of(given)
        task_id = id or new_id()
        entries: list[Entry] = [Logged(id=task_id, origin="", at=at, words=words)]
        if given.get("flag") is not None:
            feedback = feedback_of({"flag": given["flag"], "user_id": given.get("user_id")}, id=f"logged-{given['flag']}", at=at)
            entries.append(Said(task_id=task_id, feedback=feedback, project_id=words.get("project_id")))
        entries += _told(said or [], task_id, words.get("project_id"), at)
        return Item(task_id, tuple(entries), named=id is not None, begins="input" in words)
    except BadWord as wrong:
        return Item(id, error=str(wrong), named=id is not None)


def _feedback(item: JSON) -> list[JSON] | None:
    """What was thought of it, where it brings that along; what is of another shape is metadata of the app's own."""
    found = item.get("feedback")
    found = [found] if isinstance(found, dict) else found
    return found if isinstance(found, list) and found and all(isinstance(one, dict) for one in found) else None


def _told(said: list[JSON], task_id: str, project_id: Any, at: int) -> tuple[Entry, ...]:
    """Raises BadWord. Feedback without an id gets one from what it says: the same again is the same."""
    project = project_id if isinstance(project_id, str) else None
    found: list[Entry] = []
    for one in said:
        id = one.get("id")
        if not isinstance(id, str) or fault(id) is not None:
            id = "given-" + hashlib.sha256(orjson.dumps(one, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
        feedback: Feedback = feedback_of(one, id=id, at=at)
        found.append(Said(task_id=task_id, response_id=task_id, project_id=project, feedback=feedback))
    return tuple(found)
