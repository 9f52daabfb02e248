"""What apps and people say of tasks: a task that an app logs, words that amend one, feedback; and how it is written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from proxy.store.record import dumps, loads
from proxy.task import JSON, Feedback, Flag, Forget


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A task that an app logged itself, or a later version of it.

    `words` are the fields that the app said, in the types of `Task` as JSON has them (times in microseconds); what it left
    out, or said as null, is not there. `weak` are those that were made up for it, and give way to any other.
    """

    id: str
    origin: str  # "<epoch>.<number>", of the intake's own
    at: int  # microseconds since the epoch: when it came
    words: JSON = field(default_factory=dict)
    weak: tuple[str, ...] = ()
    growing: bool = False  # versions are parts of a growing whole: a shorter output that begins the kept one is an older one


@dataclass(frozen=True, slots=True, kw_only=True)
class Amended:
    """What somebody says of a task that is there, or will be: these words win; null takes away."""

    id: str
    at: int
    words: JSON = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Feedback on a task, named by its id or by the provider's own (`response_id`), or by one that may be either."""

    feedback: Feedback
    task_id: str | None = None
    response_id: str | None = None
    project_id: str | None = None  # where it is known: ids of two projects may be the same


Entry = Logged | Amended | Said


def is_of(entry: Entry, what: Forget) -> bool:
    """Whether an entry that is no part of a task yet is of what is to be forgotten; what it does not tell is taken to hold."""
    if isinstance(entry, Said):
        at, said = entry.feedback.created_at, {"user_id": entry.feedback.user_id, "project_id": entry.project_id}
        id = entry.task_id
    else:
        at, said, id = entry.at, entry.words, entry.id
    asked = [(what.task_id, id), (what.session_id, said.get("session_id")), (what.user_id, said.get("user_id"))]
    if not any(wanted is not None and wanted == found for wanted, found in asked) and what.before is None:
        return False  # nothing says that it is
    if what.before is not None and at >= what.before:
        return False
    asked.append((what.project_id, said.get("project_id")))
    return all(wanted is None or found is None or wanted == found for wanted, found in asked)


def is_logged(origin: str) -> bool:
    """Whether a task came by the intake: its epoch is `"<run>i<start>"`, a relay's `"<run>w<worker>s<start>"`."""
    return "i" in origin.partition(".")[0]


def heard(epoch: str) -> str:
    """The name under which a store's `stored` counts how far an epoch of the intake has been taken in."""
    return f"{epoch}/heard"


def pack(entry: Entry) -> bytes:
    """An entry as JSON. Raises ValueError, RecursionError where a word has none."""
    if isinstance(entry, Said):
        said = entry.feedback
        feedback = {name: getattr(said, name) for name in Feedback.__slots__}
        names = {"task_id": entry.task_id, "response_id": entry.response_id, "project_id": entry.project_id}
        return dumps({"said": feedback, **names})
    if isinstance(entry, Amended):
        return dumps({"amended": entry.words, "id": entry.id, "at": entry.at})
    more: JSON = {"weak": entry.weak} if entry.weak else {}
    if entry.growing:
        more["growing"] = True
    return dumps({"logged": entry.words, "id": entry.id, "origin": entry.origin, "at": entry.at, **more})


def unpack(data: bytes | str) -> Entry:
    """The entry that `pack` made `data` of. Raises ValueError, KeyError, TypeError for anything else."""
    found: Any = loads(data)
    if "said" in found:
        said = found["said"]
        flag = None if said["flag"] is None else Flag(said["flag"])
        names = {name: found.get(name) for name in ("task_id", "response_id", "project_id")}
        return Said(feedback=Feedback(**{**said, "flag": flag}), **names)
    if "amended" in found:
        return Amended(id=found["id"], at=found["at"], words=found["amended"])
    return Logged(
        id=found["id"],
        origin=found["origin"],
        at=found["at"],
        words=found["logged"],
        weak=tuple(found.get("weak", ())),
        growing=found.get("growing", False),
    )
