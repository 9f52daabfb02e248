"""The list of tasks: filters, columns, search with the words found, page after page; and the same as a file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields

from aiohttp import web
from markupsafe import Markup, escape

from proxy.query import document
from proxy.query.dashboard import sheet, view
from proxy.query.dashboard.prose import visible
from proxy.query.dashboard.room import Room
from proxy.query.parameters import FILTERS, KINDS, PAGING, BadFilter
from proxy.task import Ending, Summary, Usage

COLUMNS = {
    "when": "When",
    "said": "Input and output",
    "model": "Model",
    "user": "User",
    "session": "Session",
    "tokens": "Tokens",
    "cost": "Cost",
    "first": "First token",
    "took": "Took",
    "kind": "Kind",
    "ending": "Ending",
    "name": "Name",
    "status": "HTTP",
    "upstream": "Upstream",
    "speed": "Tokens/s",
    "flag": "Flag",
    "size": "Bytes",
}
"""What a column is called. The first two are always there."""

SHOWN = ("model", "user", "tokens", "cost", "first", "took")
"""Columns of those who chose none."""

COOKIE = "columns"
EXCERPT = 180  # characters
_MARKS = re.compile(r"\*\*|`|^[|\s:-]+$|(?<=\|)[\s:-]*(?=\|)|\|", re.MULTILINE)
"""Of Markdown, what only disturbs a line of text."""

FLAT = {"usage": tuple(field.name for field in fields(Usage))}


def excerpt(text: str | None, words: Iterable[str] = ()) -> Markup | None:
    """The beginning of a text on one line; with `words`, the place where the first of them is, and all of them marked."""
    if text is None:
        return None
    pattern = re.compile("|".join(re.escape(word) for word in words if word), re.IGNORECASE)
    head = text[:20_000]  # a text of megabytes is looked through no further
    found = pattern.search(head) if pattern.pattern else None
    begin = max(0, found.start() - EXCERPT // 3) if found and found.start() > EXCERPT // 2 else 0
    line = " ".join(_MARKS.sub("", head[begin : begin + 2 * EXCERPT]).split())[:EXCERPT]
    more = "…" if begin + EXCERPT < len(text) else ""
    line = visible(line)
    marked = Markup("")
    at = 0
    for match in pattern.finditer(line) if pattern.pattern else ():
        marked += escape(line[at : match.start()]) + Markup("<mark>{}</mark>").format(match[0])
        at = match.end()
    return escape("…" if begin else "") + marked + escape(line[at:]) + more


def columns(given: str, remembered: str) -> tuple[str, ...]:
    """The optional columns to show, in the order of the table. Raises BadFilter."""
    if given and (unknown := [name for name in given.split(",") if name not in COLUMNS]):
        raise BadFilter("cols", f'"{unknown[0][:64]}" is no column. It can be {", ".join(COLUMNS)}.')
    wanted = given.split(",") if given else [name for name in remembered.split(".") if name in COLUMNS] or SHOWN
    return tuple(name for name in COLUMNS if name in wanted and name not in ("when", "said"))


def per_second(task: Summary) -> float | None:
    """Output tokens a second from the first one to the end, where that is known."""
    given = getattr(task, "tokens_per_second", None)
    if given is not None:
        return float(given)
    if task.usage is None or not task.usage.output_tokens or task.seconds_to_first_token is None or task.seconds_total is None:
        return None
    span = task.seconds_total - task.seconds_to_first_token
    return task.usage.output_tokens / span if span > 0.05 else None


async def page(room: Room, request: web.Request) -> web.StreamResponse:
    """The list."""
    asked = view.read("/tasks", request.query.items(), FILTERS + PAGING, room.now())
    shown = columns(asked.get("cols"), request.cookies.get(COOKIE, ""))
    found = await room.store.find(asked.asked.filter, limit=asked.asked.limit, cursor=asked.asked.cursor)
    words = asked.asked.filter.words
    answer = await room.show(
        request,
        "tasks.html",
        here="tasks",
        view=asked,
        tasks=found.items,
        next=found.next,
        shown=shown,
        columns={name: title for name, title in COLUMNS.items() if name not in ("when", "said")},
        periods=view.PERIODS,
        kinds=KINDS,
        endings=tuple(str(ending) for ending in Ending),
        excerpt=lambda text: excerpt(text, words),
        per_second=per_second,
        segment=view.segment,
    )
    if asked.get("cols"):
        answer.set_cookie(COOKIE, ".".join(shown), max_age=31_536_000, samesite="Lax", httponly=True)
    return answer


async def file(room: Room, request: web.Request) -> web.StreamResponse:
    """The same list, whole, as `tasks.csv` or `tasks.json`."""
    asked = view.read("/tasks", request.query.items(), FILTERS + PAGING, room.now())
    found = sheet.rows(lambda cursor: room.store.find(asked.asked.filter, limit=sheet.PAGE, cursor=cursor), document.of_summary)
    return await sheet.send(request, request.path.rpartition("/")[2], found, FLAT)
