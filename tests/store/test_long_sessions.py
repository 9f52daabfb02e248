"""A session of more tasks than are added up anew: what comes late, changes or goes is in every sum as if it always had been."""

import random
import time
from dataclasses import replace

import pytest

from proxy.store.entries import Said
from proxy.store.sqlite_long import LATE_MOST
from proxy.task import Ending, Feedback, Flag, Task, Usage
from tests.store.tasks import NOON, a_task
from tests.store.test_rollups import ANSWERS, SAID, everything, in_a_store


def one(n: int, dice: random.Random, **changes) -> Task:
    at = NOON + n * 7_000_000 + dice.randrange(3) * 1000
    return replace(
        a_task(n),
        **{
            "session_id": "long",
            "created_at": at,
            "ended_at": at + 900_000,
            "user_id": dice.choice(("a", "b")),
            "input": dice.choice((*SAID, None, "[tool] x")),
            "output": dice.choice(ANSWERS),
            "finish_reasons": dice.choice((("stop",), ("tool_calls",))),
            "ending": dice.choice((Ending.COMPLETED, Ending.COMPLETED, Ending.TIMED_OUT)),
            "flag": dice.choice((None, Flag.FAILURE)),
            "model": dice.choice(("m", "n")),
            "cost": dice.choice((None, 0.25)),
            "usage": dice.choice((None, Usage(input_tokens=n, output_tokens=2))),
        }
        | changes,
    )


async def sums(store):
    sessions, *others = await everything(store)
    for key, session in sessions.items():  # of a long one they are those that there ever were, in the order in which they came
        sessions[key] = replace(session, longest_silence_seconds=0.0, models=tuple(sorted(session.models)))
    return sessions, *others


def saved_in_order(tasks: list[Task]):
    async def act(store):
        await store.save(sorted(tasks, key=lambda task: task.created_at))
        return await sums(store)

    return in_a_store(act)


def changed(kept: list[Task], act):
    """The sums after `kept` was saved and something was done."""

    async def all_of_it(store):
        await store.save(kept)
        await act(store)
        return await sums(store)

    return in_a_store(all_of_it)


@pytest.mark.parametrize("seed", range(4))
def test_what_comes_late(seed):
    dice = random.Random(seed)
    tasks = [one(n, dice) for n in range(LATE_MOST + 120)]
    late = {0, 1, 300, 301, 302, len(tasks) - 12, *dice.sample(range(len(tasks) - 10), 20)}
    there = [task for n, task in enumerate(tasks[:-10]) if n not in late]
    rest = [*(tasks[n] for n in late), *tasks[-10:]]
    dice.shuffle(rest)

    async def come(store):
        for start in range(0, len(rest), 9):
            await store.save(rest[start : start + 9])

    assert changed(there, come) == saved_in_order(tasks)


@pytest.mark.parametrize("seed", range(4))
def test_what_changes_moves_and_goes(seed):
    dice = random.Random(seed)
    tasks = [one(n, dice) for n in range(LATE_MOST + 120)]
    others = [one(LATE_MOST // 2 + n, dice, id=f"o{n}", own_id=None, origin=f"o.{n}", session_id="short") for n in range(5)]
    picked = {0, 1, 2, 300, 301, *dice.sample(range(len(tasks) - 1), 20), len(tasks) - 2, len(tasks) - 1}
    now = {task.id: task for task in (*tasks, *others)}
    for n in picked:
        old = tasks[n]
        new = one(n, dice, created_at=old.created_at, flag=old.flag, ended_at=old.ended_at + dice.choice((0, 50_000)))
        now[old.id] = replace(new, session_id=dice.choice(("long", "long", "short", None)))
    now |= {task.id: replace(task, session_id="long", user_id="c") for task in others[:3]}
    gone = [tasks[n].id for n in {0, 1, 4, 5, 301, len(tasks) - 1, *dice.sample(range(len(tasks)), 9)}]

    async def act(store):
        await store.rewrite([task for task in now.values() if task not in tasks])
        await store.forget(gone)

    assert changed([*tasks, *others], act) == saved_in_order([task for id, task in now.items() if id not in gone])


def test_who_has_left_it_is_no_more_in_it():
    dice = random.Random(1)
    tasks = [one(n, dice, user_id="gone" if n == 7 else "a") for n in range(LATE_MOST + 50)]

    async def act(store):
        await store.forget([tasks[7].id])
        assert not (await store.sessions(user_id="gone", limit=1)).items

    assert changed(tasks, act) == saved_in_order([task for task in tasks if task.user_id == "a"])


def test_feedback_on_a_task_of_it_reads_a_few_tasks_and_not_all():
    dice = random.Random(2)
    tasks = [one(n, dice, flag=None) for n in range(6 * LATE_MOST)]
    rated = [*dice.sample(tasks[:-1], 20), tasks[-1]]
    took = []

    async def act(store):
        for number, task in enumerate(rated):
            began = time.process_time()
            said = Feedback(id=f"f-{number}", created_at=NOON, flag=Flag.SUCCESS)
            assert await store.absorb([Said(task_id=task.id, feedback=said)]) == 1
            took.append(time.process_time() - began)

    flagged = [replace(task, flag=Flag.SUCCESS) if task in rated else task for task in tasks]
    assert changed(tasks, act) == saved_in_order(flagged)
    assert min(took) < 0.15  # 5 ms; where all of it is added up, half a second and more
