"""Users in SQLite: their days, their sums over all of them, and which sessions they took part in."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from proxy.store import keys, rows
from proxy.store.additions import Additions, Owned
from proxy.store.keys import LARGEST
from proxy.store.marks import Marks
from proxy.store.rollup import Figures, Key
from proxy.task import Summary

MINUTE = 60_000_000
_FIGURES = rows.FIGURES
_NEW_USER = (
    "INSERT INTO user (project_id, id, first_seen, last_seen, sessions, tasks, errors, input_tokens, output_tokens)"
    " VALUES (?, ?, ?, ?, 0, 0, 0, 0, 0) RETURNING key"
)
_KNOWN = (
    "SELECT u.key, u.project_id, u.id, u.minute, u.minute_tasks, u.busiest_minute FROM (VALUES {}) AS w"
    " CROSS JOIN user AS u ON u.id = w.column2 AND u.project_id = w.column1"
)
_KNOWN_DAYS = "SELECT d.day, d.user FROM (VALUES {}) AS w CROSS JOIN user_day AS d ON d.day = w.column1 AND d.user = w.column2"


Known = tuple[int, int, int, int]
"""Of a user: key, the last minute with a task, its tasks, those of the busiest minute."""


def _grown(column: str) -> str:
    """The sum of a column and a value, which stops where 64 bits end."""
    if column == "cost" or column.endswith("_tokens"):
        return f"{column} = max(-{{1}}, min({{1}}, coalesce({column}, 0) + ?{{0}}))"
    return f"{column} = {column} + ?{{0}}"


_SUMS = ", ".join(_grown(column).format(number, LARGEST) for number, column in enumerate(_FIGURES, 1))
_AFTER = len(_FIGURES)
_GROW = (
    f"UPDATE user SET {_SUMS}, active_days = active_days + ?{_AFTER + 1}, owned = owned + ?{_AFTER + 2},"
    f" owned_micros = owned_micros + ?{_AFTER + 3}, ended_badly = ended_badly + ?{_AFTER + 4},"
    f" sessions = sessions + ?{_AFTER + 5}, first_seen = min(first_seen, ?{_AFTER + 6}),"
    f" last_seen = max(last_seen, ?{_AFTER + 7}), minute = ?{_AFTER + 8}, minute_tasks = ?{_AFTER + 9},"
    f" busiest_at = CASE WHEN ?{_AFTER + 10} > busiest_minute THEN ?{_AFTER + 11} ELSE busiest_at END,"
    f" busiest_minute = max(busiest_minute, ?{_AFTER + 10}) WHERE key = ?{_AFTER + 12}"
)
_NEW_DAY = f"INSERT INTO user_day (day, user, {', '.join(_FIGURES)}) VALUES ({', '.join('?' * (2 + len(_FIGURES)))})"
_GROW_DAY = f"UPDATE user_day SET {_SUMS} WHERE day = ?{_AFTER + 1} AND user = ?{_AFTER + 2}"
_OF_MINUTE = "SELECT count(*) FROM task WHERE user_id = ? AND key BETWEEN ? AND ? AND +project_id = ?"
_ATTEND = (
    "INSERT OR IGNORE INTO attendance (session, user_id, project_id, ended_at)"
    " SELECT key, ?, project_id, ended_at FROM session WHERE project_id = ? AND id = ?"
)


def add_users(db: sqlite3.Connection, adds: Additions, come: Sequence[Summary]) -> None:
    """Add to every user that `adds` names; `come` are the tasks that are new or changed, whose sessions are there already."""
    wanted = {(whose.project_id, whose.user_id) for whose in adds.days} | adds.owned.keys()
    if not wanted:
        return
    seen = _seen(come)
    known = _known(db, wanted, seen)
    pairs = _attend(db, adds.attending)
    pairs.update((session.project_id, user_id) for session, user_id in adds.arriving)
    days = {
        (day, known[project_id, id][0]): sums for (project_id, id, day), sums in adds.days.items() if (project_id, id) in known
    }
    new_days = _add_days(db, days)
    totals: dict[int, Figures] = {}
    for (_, user), sums in days.items():
        if user in totals:
            both = Figures()
            both.take(totals[user])
            both.take(sums)
            totals[user] = both
        else:
            totals[user] = sums
    minutes = _minutes(db, seen, known)
    updates = []
    for key, (user, minute, so_far, _) in known.items():
        owned = adds.owned.get(key, _NONE)
        of_days = (*rows.figures(totals.get(user, Figures())), new_days[user])
        at = seen.get(key)
        seen_at = (LARGEST, -LARGEST) if at is None else (at.first, at.last)
        updates.append(
            (
                *of_days,
                owned.sessions,
                owned.micros,
                owned.ended_badly,
                pairs[key],
                *seen_at,
                *minutes.get(key, (minute, so_far, 0, 0)),
                user,
            )
        )
    db.executemany(_GROW, updates)


_NONE = Owned()


@dataclass(slots=True)
class _Seen:
    """When a user's tasks of one save were."""

    first: int  # start
    last: int  # end
    minutes: dict[int, int] = field(default_factory=dict)  # how many of them began in each


def _seen(tasks: Iterable[Summary]) -> dict[Key, _Seen]:
    found: dict[Key, _Seen] = {}
    for task in tasks:
        if task.user_id is None:
            continue
        at, end = task.created_at, task.ended_at
        if (seen := found.get(key := (task.project_id, task.user_id))) is None:
            found[key] = _Seen(at, end, {at // MINUTE: 1})
            continue
        seen.first = min(seen.first, at)
        seen.last = max(seen.last, end)
        seen.minutes[at // MINUTE] = seen.minutes.get(at // MINUTE, 0) + 1
    return found


def _known(db: sqlite3.Connection, wanted: Iterable[Key], seen: dict[Key, _Seen]) -> dict[Key, Known]:
    """What is known of each user, made where it is new."""
    names = list(wanted)
    found: dict[Key, Known] = {}
    for start in range(0, len(names), 250):
        some = names[start : start + 250]
        marks = ", ".join(["(?, ?)"] * len(some))
        for key, project_id, id, *minutes in db.execute(_KNOWN.format(marks), [value for name in some for value in name]):
            found[project_id, id] = (key, *minutes)
    for name in names:
        if name not in found and (at := seen.get(name)) is not None:
            [(key,)] = db.execute(_NEW_USER, (*name, at.first, at.last)).fetchall()
            found[name] = (key, 0, 0, 0)
    return found


def _attend(db: sqlite3.Connection, pairs: Iterable[tuple[str, str, str]]) -> Counter[Key]:
    """Note who took part in which session, and count each such pair once."""
    new: Counter[Key] = Counter()
    for user_id, project_id, session_id in pairs:
        if db.execute(_ATTEND, (user_id, project_id, session_id)).rowcount > 0:
            new[project_id, user_id] += 1
    return new


def _add_days(db: sqlite3.Connection, days: dict[tuple[int, int], Figures]) -> Counter[int]:
    """Add to the days of users; how many more days each user has."""
    places = list(days)
    there: set[tuple[int, int]] = set()
    for start in range(0, len(places), 250):
        some = places[start : start + 250]
        marks = ", ".join(["(?, ?)"] * len(some))
        there.update(db.execute(_KNOWN_DAYS.format(marks), [value for place in some for value in place]))
    db.executemany(_NEW_DAY, [(*place, *rows.figures(sums)) for place, sums in days.items() if place not in there])
    db.executemany(_GROW_DAY, [(*rows.figures(sums), *place) for place, sums in days.items() if place in there])
    more: Counter[int] = Counter()
    for place in places:
        if place not in there:
            more[place[1]] += 1
    return more


def _minutes(db: sqlite3.Connection, seen: dict[Key, _Seen], known: dict[Key, Known]) -> dict[Key, tuple[int, int, int, int]]:
    """Of each user: the last minute with a task and its tasks; the tasks of the busiest that was touched, and which it is."""
    found = {}
    for name, come in seen.items():
        _, minute, so_far, most = known[name]
        busiest = (most, minute)
        for at, new in sorted(come.minutes.items()):
            if at == minute:
                count = so_far + new
            elif at > minute:
                count = new
            else:  # late: the minute may have had tasks already
                first = keys.bound(at * MINUTE)
                count = db.execute(_OF_MINUTE, (name[1], first, first + MINUTE * keys.TIES - 1, name[0])).fetchone()[0]
            if at >= minute:
                minute, so_far = at, count
            busiest = max(busiest, (count, at))
        found[name] = (minute, so_far, *busiest)
    return found


def correct_seen(db: sqlite3.Connection, adds: Additions, before: Sequence[Summary]) -> None:
    """After tasks went or changed: when their users were seen, on how many days and minutes. Who has no task is dropped."""
    of_users: dict[Key, list[Summary]] = defaultdict(list)
    for task in before:
        if task.user_id is not None:
            of_users[task.project_id, task.user_id].append(task)
    emptied = {(day.project_id, day.user_id): set[int]() for day in adds.days}
    for day in adds.days:
        emptied[day.project_id, day.user_id].add(day.day)
    for name, gone in of_users.items():
        found = db.execute(_STANDING, name).fetchone()
        if found is None:
            continue
        user, tasks, last_seen, minute, busiest = found
        empty = [(day, user) for day in emptied.get(name, ())]
        less = db.executemany("DELETE FROM user_day WHERE day = ? AND user = ? AND tasks = 0", empty).rowcount if empty else 0
        if tasks <= 0:
            db.execute("DELETE FROM user WHERE key = ?", (user,))
            continue
        db.execute(_DAYS_GONE, (less, *name, user))
        if max(task.ended_at for task in gone) >= last_seen:
            db.execute(_LAST_GONE, (*name, user))
        if {task.created_at // MINUTE for task in gone} & {minute, busiest}:
            minutes = Counter(at // MINUTE for (at,) in db.execute(_BEGINNINGS, name))
            last = max(minutes)
            most, at = max((count, at) for at, count in minutes.items())
            db.execute(_MINUTES, (last, minutes[last], at, most, user))


_STANDING = "SELECT key, tasks, last_seen, minute, busiest_at FROM user WHERE project_id = ? AND id = ?"
_THEIRS = "FROM task WHERE +project_id = ? AND user_id = ?"
_DAYS_GONE = (
    "UPDATE user SET active_days = active_days - ?,"
    f" first_seen = (SELECT created_at {_THEIRS} ORDER BY key LIMIT 1) WHERE key = ?"
)
_LAST_GONE = f"UPDATE user SET last_seen = (SELECT max(ended_at) {_THEIRS}) WHERE key = ?"
_BEGINNINGS = f"SELECT created_at {_THEIRS}"
_MINUTES = "UPDATE user SET minute = ?, minute_tasks = ?, busiest_at = ?, busiest_minute = ? WHERE key = ?"


def full_users(db: sqlite3.Connection, names: Iterable[Key]) -> set[Key]:
    """Those with a sum that has stopped where 64 bits end: nothing can be taken out of it again."""
    return {name for name in names if db.execute(_FULL, name).fetchone() is not None}


def recount(db: sqlite3.Connection, names: Iterable[Key]) -> None:
    """Add up tokens and costs of these users anew, from all their tasks."""
    for name in names:
        sums = Figures()
        for row in db.execute(f"SELECT {rows.SUMMARY_SELECT} {_THEIRS}", name):
            task = rows.summary(row)
            sums.count(task, _UNTOLD)
        db.execute(_RECOUNTED, (sums.input_tokens, sums.output_tokens, sums.cost, *name))


_UNTOLD = Marks(turn=False)
_FULL = f"SELECT 1 FROM user WHERE project_id = ? AND id = ? AND {LARGEST} IN (abs(input_tokens), abs(output_tokens), abs(cost))"
_RECOUNTED = "UPDATE user SET input_tokens = ?, output_tokens = ?, cost = ? WHERE project_id = ? AND id = ?"
