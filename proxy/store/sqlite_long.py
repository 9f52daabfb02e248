"""A long session in SQLite: corrected where tasks of it came, changed or went, by those next to them and not by all that it has.

What a task tells depends on the one before it alone, and sums are corrected by difference: both come out as if the session were
added up anew. Of its silences those around the task are corrected; its longest one, and the models that it names, are those that
there ever were; whether it was said to be over is read from its last tasks.
"""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from proxy.store import chain, keys, rows
from proxy.store.additions import Additions
from proxy.store.rollup import MODELS_MOST, Figures, Place, SessionSum, excerpt, held
from proxy.task import Source, Summary

LATE_MOST: Final = 500
"""Tasks of a session up to which it is added up anew where one comes late, changes or goes; a longer one is corrected."""

_NEAR: Final = 50
"""Tasks before another one whose ends, and tasks at either end of a session whose labels, are looked at."""

Name = tuple[str, str]
"""(id, project) of a session."""

_OF = "FROM task WHERE session_id = ? AND +project_id = ?"
_BACKWARD = f"SELECT {rows.SUMMARY_SELECT} {_OF} AND key < ? ORDER BY key DESC"
_FORWARD = f"SELECT {rows.SUMMARY_SELECT} {_OF} AND key >= ? ORDER BY key"
_REACH = f"SELECT max(ended_at) FROM (SELECT ended_at {_OF} AND key < ? ORDER BY key DESC LIMIT {_NEAR})"
_FIRST = f"SELECT created_at {_OF} ORDER BY key LIMIT 1"
_END = f"SELECT max(ended_at) {_OF}"


def is_long(session: SessionSum, changes: int) -> bool:
    """Whether changes are made to it one by one; where there are many of them it is quicker added up anew."""
    return session.figures.tasks > max(LATE_MOST, 4 * changes)


def correct(
    db: sqlite3.Connection,
    adds: Additions,
    session: SessionSum,
    gone: Iterable[Summary],
    come: Sequence[Summary],
    unseen: Collection[str] = (),
) -> None:
    """Take `gone` out of the session's sums and out of what is told, and put `come` in; a task that changed is in both.

    The rows are as they are now. Those of `unseen` (ids) are there and not counted yet.
    """
    view = _View(db, (session.id, session.project_id), gone, come, unseen)
    last, last_goes = session.place, False
    for at in view.places():
        old, new = view.old.get(at), view.new.get(at)
        before, after = view.before(at), view.after(at)
        for sign, one in ((-1, old), (1, new)):
            for told in _told(before, one, after):
                adds.tell(*told, sign)
                _count(session, told, sign)
                if chain.place(told[0]) == last:
                    session.last_facets = told[2]
        if old is None or new is None or old.ended_at != new.ended_at:
            _correct_silence(session, view.reach(before), (old, new, after))
        last_goes |= after is None
        view.settle(at)
    _correct_bounds(view, session)
    for task in come:
        _join(session, task)
    session.first_input = next((excerpt(task.input) for task in view.first() if task.input is not None), session.first_input)
    if last_goes:
        _copy_last(session, view.last(_NEAR))
    if any(task.session_final for task in view.old.values()):
        session.final = any(task.session_final for task in view.last(LATE_MOST))


class _View:
    """The tasks of a session while changes are made in their order: up to there as they are, from there as they were."""

    def __init__(
        self, db: sqlite3.Connection, name: Name, gone: Iterable[Summary], come: Iterable[Summary], unseen: Collection[str]
    ) -> None:
        self._db = db
        self._name = name
        self.old = {chain.place(task): task for task in gone}
        self.new = {chain.place(task): task for task in come}
        self._unseen = {*unseen, *(task.id for at, task in self.new.items() if at not in self.old)}
        self._left = sorted(self.old.keys() - self.new.keys())  # no row of this session says what these were

    def places(self) -> list[Place]:
        """Where something changes."""
        return sorted(self.old.keys() | self.new.keys())

    def settle(self, at: Place) -> None:
        """The change at this place is made."""
        self._unseen.discard(at[1])
        if self._left and self._left[0] == at:
            del self._left[0]

    def before(self, at: Place) -> Summary | None:
        """The one before a place."""
        some = (task for task in self._rows(_BACKWARD, keys.bound(at[0] + 1)) if chain.place(task) < at)
        return max(_of_one_moment(some), key=chain.place, default=None)

    def after(self, at: Place) -> Summary | None:
        """The one behind a place, as it was."""
        some = (task for task in self._rows(_FORWARD, keys.bound(at[0])) if chain.place(task) > at)
        found = [self.old.get(chain.place(task), task) for task in _of_one_moment(some)]
        number = bisect_right(self._left, at)
        found += [self.old[spot] for spot in self._left[number : number + 1]]
        return min(found, key=chain.place, default=None)

    def end_now(self, at: Place) -> int:
        """When the task of this place ends now; before all others where it is gone."""
        new = self.new.get(at)
        return keys.EARLIEST if new is None else new.ended_at

    def reach(self, before: Summary | None) -> int | None:
        """When the tasks up to this one, and those shortly before it, had all ended; `None` where there is none."""
        if before is None:
            return None
        earlier = self.number(_REACH, keys.bound(before.created_at))
        return before.ended_at if earlier is None else max(before.ended_at, earlier)

    def first(self) -> Iterator[Summary]:
        """The first ones of the session, oldest first."""
        return islice(self._rows(_FORWARD, keys.LOWEST), _NEAR)

    def last(self, most: int) -> list[Summary]:
        """The last ones of the session, oldest first."""
        return sorted(islice(self._rows(_BACKWARD, keys.HIGHEST), most), key=chain.place)

    def number(self, select: str, *more: int) -> int | None:
        """The figure that a statement gives."""
        found: tuple[int | None] | None = self._db.execute(select, (*self._name, *more)).fetchone()
        return None if found is None else found[0]

    def _rows(self, select: str, key: int) -> Iterator[Summary]:
        cursor = self._db.execute(select, (*self._name, key))
        try:
            for row in cursor:
                task = rows.summary(tuple(row))
                if task.id not in self._unseen:
                    yield task
        finally:
            cursor.close()


def _of_one_moment(tasks: Iterable[Summary]) -> list[Summary]:
    """The first of these, and those that began in the same microsecond."""
    found: list[Summary] = []
    for task in tasks:
        if found and task.created_at != found[0].created_at:
            break
        found.append(task)
    return found


def _told(before: Summary | None, one: Summary | None, after: Summary | None) -> Iterator[chain.Told]:
    """What a task tells, and the one behind it."""
    if one is not None:
        yield chain.next_to(before, one)
    if after is not None:
        yield chain.next_to(before if one is None else one, after)


def _count(session: SessionSum, told: chain.Told, sign: int) -> None:
    task, marks, _ = told
    figures = Figures()
    figures.count(task, marks)
    session.figures.take(figures, sign)
    session.turns += sign * marks.turn


def _correct_silence(
    session: SessionSum, reach: int | None, tasks: tuple[Summary | None, Summary | None, Summary | None]
) -> None:
    old, new, after = tasks
    was, now = _silences(reach, old, after), _silences(reach, new, after)
    session.silence = max(0, held(session.silence + sum(now) - sum(was)))
    session.longest_silence = max(session.longest_silence, *now)


def _silences(reach: int | None, one: Summary | None, after: Summary | None) -> tuple[int, int]:
    """Between what came before, which had ended at `reach`, and a task, and between these and the one behind it."""
    first = 0
    if one is not None:
        first = 0 if reach is None else max(0, one.created_at - reach)
        reach = one.ended_at if reach is None else max(reach, one.ended_at)
    return first, 0 if reach is None or after is None else max(0, after.created_at - reach)


def _correct_bounds(view: _View, session: SessionSum) -> None:
    if any(view.end_now(at) < task.ended_at >= session.ended_at for at, task in view.old.items()):
        session.ended_at = view.number(_END) or session.ended_at
    session.ended_at = max([session.ended_at, *(task.ended_at for task in view.new.values())])
    session.started_at = view.number(_FIRST) or session.started_at


def _join(session: SessionSum, task: Summary) -> None:
    session.final = session.final or task.session_final
    session.explicit = session.explicit or task.session_source is not Source.INFERRED
    model = task.model if task.model is not None else task.model_requested
    if model is not None and model not in session.models and len(session.models) < MODELS_MOST:
        session.models = (*session.models, model)
    session.model = model if session.model is None else session.model
    session.user_id = task.user_id if session.user_id is None else session.user_id


def _copy_last(session: SessionSum, tasks: Sequence[Summary]) -> None:
    """Take over what a session has of its last tasks."""
    last = chain.begun(tasks[0])
    for _ in chain.follow(last, tasks):
        pass
    for name in ("last_at", "last_id", "last_ending", "last_flag", "last_refusal", "last_input", "last_output", "last_facets"):
        setattr(session, name, getattr(last, name))
    session.last_heard = last.last_heard
    session.user_id = session.user_id if last.user_id is None else last.user_id
    session.model = session.model if last.model is None else last.model
