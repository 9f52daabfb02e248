"""Pure: the sessions and users of tasks that are all at hand, added up at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.store import chain
from proxy.store.measures import DAY
from proxy.store.rollup import Figures, Key, SessionSum
from proxy.task import Session, Summary, User

_MINUTE = 60_000_000


@dataclass(frozen=True, slots=True)
class Added:
    """What all tasks add up to."""

    sessions: dict[Key, Session]
    users: dict[Key, User]
    pairs: set[tuple[str, str, str]]  # (project, session, user)
    told: list[chain.Told]
    explicit: set[Key]  # sessions that a call named


def add_up(tasks: Iterable[Summary]) -> Added:
    """Sessions come in the order in which their first task was kept, and users too."""
    groups: dict[Key, list[Summary]] = {}
    owners: dict[Key, list[Summary]] = defaultdict(list)
    pairs: set[tuple[str, str, str]] = set()
    told: list[chain.Told] = []
    for task in tasks:
        if task.session_id is not None:
            groups.setdefault((task.project_id, task.session_id), []).append(task)
            if task.user_id is not None:
                pairs.add((task.project_id, task.session_id, task.user_id))
        else:
            told.append(chain.alone(task))
        if task.user_id is not None:
            owners[task.project_id, task.user_id].append(task)
    sums: dict[Key, SessionSum] = {}
    for key, group in groups.items():
        group.sort(key=chain.place)
        sums[key] = chain.begun(group[0])
        told += chain.follow(sums[key], group)
    figures: dict[Key, Figures] = defaultdict(Figures)
    for task_told, marks, _ in told:
        if task_told.user_id is not None:
            figures[task_told.project_id, task_told.user_id].count(task_told, marks)
    owned: dict[Key, list[SessionSum]] = defaultdict(list)
    for session in sums.values():
        if session.user_id is not None:
            owned[session.project_id, session.user_id].append(session)
    attended = Counter((project_id, user_id) for project_id, _, user_id in pairs)
    users = {key: _user(key, group, figures[key], owned[key], attended[key]) for key, group in owners.items()}
    explicit = {key for key, session in sums.items() if session.explicit}
    return Added({key: session.session() for key, session in sums.items()}, users, pairs, told, explicit)


def _user(key: Key, tasks: list[Summary], sums: Figures, theirs: list[SessionSum], sessions: int) -> User:
    return User(
        id=key[1],
        project_id=key[0],
        first_seen=min(task.created_at for task in tasks),
        last_seen=max(task.ended_at for task in tasks),
        tasks=sums.tasks,
        sessions=sessions,
        errors=sums.errors,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cost=sums.dollars,
        active_days=len({task.created_at // DAY for task in tasks}),
        session_seconds=sum(session.micros for session in theirs) / 1e6 / len(theirs) if theirs else None,
        ended_badly=sum(session.ended_badly for session in theirs),
        busiest_minute=max(Counter(task.created_at // _MINUTE for task in tasks).values()),
        signs=sums.signs(),
    )
