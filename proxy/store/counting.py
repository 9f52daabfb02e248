"""Pure: adds up the rows of tasks, many at a time, by what their heads say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.store import heads, rows, told
from proxy.store.insight import METADATA, Grouping, Groups, floor
from proxy.store.measures import Measures, version_of
from proxy.store.rows import Row
from proxy.task import Ending, Flag

_PLACES: Final = {"model": "coalesce(task.model, task.model_requested)", "version_id": "NULL"}
"""What tasks are grouped by as SQL, where it is not the column of that name; the version is in the head."""

_HEADED: Final = told.HEADED[0]
_COMPLETED, _SUCCESS = Ending.COMPLETED.value, Flag.SUCCESS.value


def countable(grouping: Grouping) -> bool:
    """Whether rows tell what tasks are grouped by without all of their facts."""
    return not any(name.startswith(METADATA) for name in grouping.by)


def select(grouping: Grouping) -> str:
    """What a query asks for so that `count` can read its rows."""
    by = (_PLACES.get(name, f"task.{name}") for name in grouping.by)
    return ", ".join((stretch("task.created_at", grouping.step), *by, "task.ending", "task.flag", "task.facts"))


def stretch(moment: str, step: int | None) -> str:
    """`insight.floor` in SQL, of a column; nothing where time is not told apart."""
    if step is None:
        return "0"
    first = floor(0, step)
    return f"({moment} - (({moment} - {first}) % {step} + {step}) % {step})"


def count(groups: Groups, found: Sequence[Row]) -> None:
    """Add rows as `select` has them."""
    by_version = groups.grouping.by.index("version_id") + 1 if "version_id" in groups.grouping.by else None
    lots: dict[tuple[Row, int, str | None], list[bytes]] = {}
    for row in found:
        facts = row[-1]
        if facts[0] != _HEADED:
            _count_one(groups, by_version, row)
            continue
        lot = row[:-1], facts[told.HEAD_AT], None if by_version is None else heads.version(facts, told.HEAD_AT)
        if (those := lots.get(lot)) is None:
            lots[lot] = [facts]
        else:
            those.append(facts)
    for (place, _, version), those in lots.items():
        sums = heads.add_up(those, told.HEAD_AT)
        *_, ending, flag = place
        sums.errors = 0 if ending == _COMPLETED else sums.tasks
        sums.success = sums.tasks if flag == _SUCCESS else 0
        sums.failure = 0 if flag is None else sums.tasks - sums.success
        _of(groups, by_version, place, version).take(sums)


def _count_one(groups: Groups, by_version: int | None, row: Row) -> None:
    """Add a row that has no head."""
    *place, ending, flag, facts = row
    more = told.unpack(facts)
    version = None if by_version is None else version_of(more.get("metadata", {}))
    _of(groups, by_version, (*place, ending, flag), version).count(rows.figured(ending, flag, more))


def _of(groups: Groups, by_version: int | None, place: Row, version: str | None) -> Measures:
    at, *values, _, _ = place
    if by_version is not None:
        values[by_version - 1] = version
    return groups.of(at, tuple(values))
