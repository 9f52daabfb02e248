"""Users: the list with what each has done, and one of them with their sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web
from markupsafe import Markup

from proxy.query import answers, document
from proxy.query.answers import NotFound
from proxy.query.dashboard import figures, plot, sheet, view
from proxy.query.dashboard.room import Room
from proxy.query.dashboard.task_list import excerpt
from proxy.query.parameters import PAGING, PROJECT, USER_SORT
from proxy.query.segments import segments_of
from proxy.store.measures import DAY
from proxy.task import Filter

RECENT = 8  # tasks shown of a user
SPARK_DAYS = 30
SHOWN_DAYS = 90

COLUMNS = (
    ("last_seen", "Last seen", ""),
    ("first_seen", "First seen", "roomy"),
    ("active_days", "Days", "num roomy"),
    ("sessions", "Sessions", "num"),
    ("tasks", "Tasks", "num"),
    ("errors", "Errors", "num"),
    ("success_rate", "Success", "num"),
    ("input_tokens", "Tokens in", "num"),
    ("output_tokens", "Tokens out", "num"),
    ("cost", "Cost", "num"),
)
"""What the list is ordered by where its name is clicked: the key, what it is called, its class."""


async def users(room: Room, request: web.Request) -> web.StreamResponse:
    """The list, the one seen last first, or the one with the most of what is asked."""
    asked = view.read("/users", request.query.items(), (PROJECT, USER_SORT, *PAGING), room.now())
    want = asked.asked
    found = await room.store.users(project_id=want.filter.project_id, sort=want.sort, limit=want.limit, cursor=want.cursor)
    days = await room.store.insights.activity([(one.project_id, one.id) for one in found.items], room.now() - SPARK_DAYS * DAY)
    top = await answers.top_users(room.store, want.filter.project_id, room.desk.thresholds)
    return await room.show(
        request,
        "users.html",
        here="users",
        view=asked,
        users=found.items,
        next=found.next,
        columns=COLUMNS,
        sort=asked.asked.sort or "last_seen",
        segment=view.segment,
        courses=await asyncio.to_thread(_courses, [(one.project_id, one.id) for one in found.items], days, room.now()),
        segments=lambda one: segments_of(one, top, room.desk.thresholds),
    )


async def users_file(room: Room, request: web.Request) -> web.StreamResponse:
    """The list as a file."""
    want = view.read("/users", request.query.items(), (PROJECT, USER_SORT, *PAGING), room.now()).asked
    found = sheet.rows(
        lambda cursor: room.store.users(project_id=want.filter.project_id, sort=want.sort, limit=sheet.PAGE, cursor=cursor),
        document.of_user,
    )
    return await sheet.send(request, request.path.rpartition("/")[2], found, {})


async def user(room: Room, request: web.Request) -> web.StreamResponse:
    """One user. Raises NotFound."""
    id = request.match_info["id"]
    asked = view.read(f"/users/{view.segment(id)}", request.query.items(), (PROJECT, *PAGING), room.now())
    found = await room.store.user(id, asked.asked.filter.project_id)
    if found is None:
        raise NotFound(f'There is no user "{id}".')
    sessions = await room.store.sessions(
        project_id=found.project_id, user_id=id, limit=asked.asked.limit, cursor=asked.asked.cursor
    )
    days = await room.store.insights.activity([(found.project_id, id)], room.now() - SHOWN_DAYS * DAY)
    recent = await room.store.find(Filter(user_id=id, project_id=found.project_id), limit=RECENT)
    top = await answers.top_users(room.store, asked.asked.filter.project_id, room.desk.thresholds)
    return await room.show(
        request,
        "user.html",
        here="users",
        view=asked,
        user=found,
        sessions=sessions.items,
        next=sessions.next,
        recent=recent.items,
        activity=_activity(days.get((found.project_id, id), {}), room.now()),
        segments=segments_of(found, top, room.desk.thresholds),
        excerpt=excerpt,
        segment=view.segment,
    )


def _days(count: int, now: int) -> list[int]:
    today = now // DAY * DAY
    return [today - ago * DAY for ago in range(count - 1, -1, -1)]


def _courses(
    users: Sequence[tuple[str, str]], days: Mapping[tuple[str, str], Mapping[int, tuple[int, int]]], now: int
) -> dict[tuple[str, str], Markup]:
    return {user: _course(days.get(user, {}), now) for user in users}


def _course(days: Mapping[int, tuple[int, int]], now: int) -> Markup:
    return plot.spark([days.get(day, (0, 0))[0] for day in _days(SPARK_DAYS, now)], title=f"Tasks of the last {SPARK_DAYS} days")


def _activity(days: Mapping[int, tuple[int, int]], now: int) -> Markup:
    shown = _days(SHOWN_DAYS, now)
    slots = [
        plot.Slot(f"{figures.moment(day):%-d %b}" if at % 15 == 7 else "", f"{figures.moment(day):%a %-d %b}")
        for at, day in enumerate(shown)
    ]
    counts = [days.get(day, (0, 0)) for day in shown]
    series = [
        plot.Series("completed", tuple(tasks - errors for tasks, errors in counts), "1"),
        plot.Series("did not complete", tuple(errors for _, errors in counts), "2"),
    ]
    return plot.bars(slots, series, title=f"Tasks of the last {SHOWN_DAYS} days", height=110)
