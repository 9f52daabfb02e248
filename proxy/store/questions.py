"""Filters as SQL: each list walks one index, newest or oldest first, and stops at its limit."""

# ruff: noqa: S608  names of tables and columns are ours; every value is bound

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.store import keys, sought, sqlite_words, words
from proxy.store.insight import USER_SORTS
from proxy.store.rows import SESSION_COLUMNS, SUMMARY_SELECT, USER_COLUMNS
from proxy.task import Condition, Ending, Filter

Value = str | int | float

_SESSION = ", ".join(f"session.{column}" for column in SESSION_COLUMNS)
_USER = ", ".join(f"user.{column}" for column in USER_COLUMNS)


@dataclass(frozen=True, slots=True)
class Question:
    """A statement and its values."""

    sql: str
    values: tuple[Value, ...]


_FEWEST_FIRST = ("parent_task_id", "session_id", "user_id", "flag", "ending", "kind", "project_id")
"""The columns that can be asked for, the one that leaves the fewest tasks first: its index is walked.

SQLite has no figures to choose by, and would rather have an index on the project, which leaves all of them.
"""


_NARROW = ("parent_task_id", "session_id", "user_id", "flag")
"""Those of them that leave few tasks."""


def tasks(
    filter: Filter,
    *,
    limit: int,
    after: int | None,
    oldest_first: bool,
    few: tuple[Condition, ...] = (),
    select: str = SUMMARY_SELECT,
) -> Question | None:
    """The tasks that `filter` leaves, past the key `after`; `None` where no task can be.

    `few` are conditions on one key of the metadata that are known to leave so few tasks that they can be sorted.
    """
    span, span_values = _span(filter, after, oldest_first)
    asked: dict[str, Value] = {c: str(v) for c in _FEWEST_FIRST if (v := getattr(filter, c)) is not None}
    way = "ASC" if oldest_first else "DESC"
    tail = f"ORDER BY {{}} {way} LIMIT {int(limit)}"
    conditions = sought.every(filter.version_id, filter.metadata)
    if conditions and not filter.words and not _narrow(asked) and (few or any(each.relation == "=" for each in conditions)):
        return _by_metadata(filter, asked, conditions, few, span, span_values, tail, select)
    if filter.words and not words.wanted(filter.words):
        return None
    if filter.words and (expression := words.expression(filter.words)):
        where, values = _also(asked, filter.model, conditions)
        return _of_words(expression, filter.words, where, values, span_values, limit, oldest_first, select)
    walked = next((column for column in asked if (column, asked[column]) != ("ending", Ending.COMPLETED.value)), None)
    if filter.model is not None and not filter.words and walked not in (*_NARROW, "ending"):
        return _of_model(filter.model, asked, conditions, span.format("key"), span_values, tail.format("key"), select)
    first = f"task.{walked} = ? AND " if walked else ""
    values = (asked.pop(walked),) if walked else ()
    where, others = _also(asked, filter.model, conditions)
    if filter.words:  # of letters that the index may not know
        where, others = f"{where} AND says(task.facts, ?)", (*others, sqlite_words.wanted(filter.words))
    return Question(
        f"SELECT {select} FROM task WHERE {first}{span.format('task.key')}{where} {tail.format('task.key')}",
        (*values, *span_values, *others),
    )


IMPLICIT = "session.tasks = 1 AND NOT session.explicit"
"""A session of one call that named none."""


def sessions(
    project_id: str | None, user_id: str | None, implicit: bool | None = None, *, limit: int, after: tuple[int, int] | None
) -> Question:
    """Sessions past the place `after` (ended_at, key), with which each row begins."""
    table, key = ("session", "key") if user_id is None else ("attendance", "session")
    source = "session" if user_id is None else "attendance CROSS JOIN session ON session.key = attendance.session"
    where = {f"{table}.user_id": user_id} if user_id is not None else {}
    if project_id is not None:
        alone = implicit and user_id is None  # there is an index of those, and none of those by project
        where[f"{'+' if alone else ''}{table}.project_id"] = project_id
    also = "" if implicit is None else f"{IMPLICIT} AND " if implicit else f"NOT ({IMPLICIT}) AND "
    return _rollups(f"{table}.ended_at", f"{table}.{key}", _SESSION, source, where, limit=limit, after=after, also=also)


def session(id: str, project_id: str | None) -> Question:
    """The session of that name that ended last."""
    return _rollup(_SESSION, "session", "ended_at", id, project_id)


_USER_PLACES = {
    "cost": "CASE WHEN user.priced THEN user.cost ELSE -1 END",
    "session_seconds": "CASE WHEN user.owned THEN user.owned_micros / user.owned ELSE -1 END",
    "success_rate": "coalesce(1000000 * user.success / nullif(user.success + user.failure, 0), -1)",
}


def users(project_id: str | None, *, limit: int, after: tuple[int, int] | None, sort: str | None = None) -> Question:
    """Users past the place `after` (last_seen or what `sort` says, key), with which each row begins.

    Only by last_seen an index is walked; by others the table of users is sorted, which has no more rows than there are users.
    """
    where = {} if project_id is None else {"user.project_id": project_id}
    if sort is None or sort not in USER_SORTS or sort == "last_seen":
        return _rollups("user.last_seen", "user.key", _USER, "user", where, limit=limit, after=after)
    first = _rollups(_USER_PLACES.get(sort, f"user.{sort}"), "user.key", "0", "user", where, limit=limit, after=after)
    return Question(  # what is sorted is narrow: places and keys
        f"WITH first (place, user, rest) AS ({first.sql})"
        f" SELECT first.place, user.key, {_USER} FROM first CROSS JOIN user ON user.key = first.user"
        " ORDER BY first.place DESC, user.key DESC",
        first.values,
    )


def user(id: str, project_id: str | None) -> Question:
    """The user of that name that was seen last."""
    return _rollup(_USER, "user", "last_seen", id, project_id)


def _rollups(
    place: str,
    key: str,
    columns: str,
    source: str,
    where: Mapping[str, str],
    *,
    limit: int,
    after: tuple[int, int] | None,
    also: str = "",
) -> Question:
    conditions = also + "".join(f"{column} = ? AND " for column in where)
    return Question(
        f"SELECT {place}, {key}, {columns} FROM {source} WHERE {conditions}({place}, {key}) < (?, ?)"
        f" ORDER BY {place} DESC, {key} DESC LIMIT {int(limit)}",
        (*where.values(), *(after or (keys.LARGEST, keys.LARGEST))),
    )


def _rollup(columns: str, table: str, latest: str, id: str, project_id: str | None) -> Question:
    project, values = (" AND project_id = ?", (id, project_id)) if project_id is not None else ("", (id,))
    return Question(f"SELECT {columns} FROM {table} WHERE id = ?{project} ORDER BY {latest} DESC, key LIMIT 1", values)


def _narrow(asked: Mapping[str, Value]) -> bool:
    """Whether an index is walked that leaves few tasks."""
    return any(c in asked for c in _NARROW) or asked.get("ending") not in (None, Ending.COMPLETED.value)


def _by_metadata(
    filter: Filter,
    asked: dict[str, Value],
    conditions: tuple[Condition, ...],
    few: tuple[Condition, ...],
    span: str,
    span_values: tuple[int, ...],
    tail: str,
    select: str,
) -> Question:
    """One index of metadata, walked in the order of the list; or the few tasks of a range, sorted."""
    equal = next((each for each in conditions if each.relation == "="), None)
    walked = few if equal is None else (equal,)
    first, first_values = sought.indexed(walked)
    where, values = _also(asked, filter.model, tuple(each for each in conditions if each not in walked))
    return Question(
        f"SELECT {select} FROM metadatum CROSS JOIN task ON task.key = metadatum.task"
        f" WHERE {first} AND {span.format('metadatum.task')}{where} {tail.format('metadatum.task')}",
        (*first_values, *span_values, *values),
    )


def _of_model(
    model: str,
    asked: dict[str, Value],
    conditions: tuple[Condition, ...],
    span: str,
    span_values: tuple[int, ...],
    tail: str,
    select: str,
) -> Question:
    """Two indexes, answered by and asked for, each walked in the order of the list and merged."""
    where, others = _also(asked, None, conditions)
    values = (model, *span_values, *others)
    return Question(
        f"SELECT {select} FROM task WHERE task.key IN ("
        f"SELECT key FROM task WHERE model = ? AND {span}{where} UNION ALL "
        f"SELECT key FROM task WHERE model_requested = ? AND model_requested IS NOT model AND {span}{where} {tail}"
        f") {tail}",
        values + values,
    )


def _of_words(
    expression: str,
    sought: Sequence[str],
    where: str,
    values: tuple[Value, ...],
    span: tuple[int, ...],
    limit: int,
    oldest_first: bool,
    select: str,
) -> Question:
    """The index of words, walked block by block in the order of the list; of the last block that it comes to, all that fit."""
    way, last = ("ASC", "max") if oldest_first else ("DESC", "min")
    fits = f"task.key BETWEEN ? AND ?{where} AND says(task.facts, ?)"
    fit = (*span, *values, sqlite_words.wanted(sought))
    lowest, highest = (key >> sqlite_words.SHIFT for key in span)
    return Question(
        "WITH found (key, block) AS MATERIALIZED (SELECT task.key, search.rowid FROM search"
        f" CROSS JOIN task ON task.key BETWEEN {sqlite_words.OF_BLOCK.format('search.rowid')}"
        f" WHERE search MATCH ? AND search.rowid BETWEEN ? AND ? AND {fits} ORDER BY search.rowid {way} LIMIT {int(limit)}),"
        f" ending (block) AS (SELECT {last}(block) FROM found)"
        f" SELECT {select} FROM task WHERE task.key IN (SELECT key FROM found UNION ALL SELECT task.key FROM ending"
        f" CROSS JOIN task ON task.key BETWEEN {sqlite_words.OF_BLOCK.format('ending.block')} WHERE {fits})"
        f" ORDER BY task.key {way} LIMIT {int(limit)}",
        (expression, lowest, highest, *fit, *fit),
    )


def _span(filter: Filter, after: int | None, oldest_first: bool) -> tuple[str, tuple[int, ...]]:
    """The keys between `since` and `until` and past `after`; there is always a bound, so that the plan never is a scan."""
    lowest = keys.LOWEST if filter.since is None else keys.bound(filter.since)
    highest = keys.HIGHEST if filter.until is None else keys.bound(filter.until) - 1
    if after is not None and oldest_first:
        lowest = max(lowest, min(after, keys.HIGHEST - 1) + 1)
    elif after is not None:
        highest = min(highest, max(after, keys.LOWEST + 1) - 1)
    return "{0} BETWEEN ? AND ?", (lowest, highest)


def _also(asked: Mapping[str, Value], model: str | None, conditions: tuple[Condition, ...] = ()) -> tuple[str, tuple[Value, ...]]:
    """What is checked on each row that the walk meets; the plus sign keeps SQLite from walking another index for it."""
    where = "".join(f" AND +task.{column} = ?" for column in asked)
    values: tuple[Value, ...] = tuple(asked.values())
    if model is not None:
        where += " AND (+task.model = ? OR +task.model_requested = ?)"
        values += (model, model)
    for condition in conditions:
        check, more = sought.checked(condition)
        where += f" AND {check}"
        values += more
    return where, values
