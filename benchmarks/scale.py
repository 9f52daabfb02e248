"""Whether it stays fast as it grows: fills a store with synthetic tasks and asks it everything, many times.

    python -m benchmarks.scale            1,000,000 tasks
    python -m benchmarks.scale --full     10,000,000
    python -m benchmarks.scale --in /tmp/million --keep   leaves the store there; asked again, fills on, or only asks
    python -m benchmarks.scale --busy     all of them in the last 65 minutes, not in 60 days, and only what such a time adds up to

Prints how many tasks a second are saved in each tenth of the way, and the CPU of each; and the median and 95th percentile of each
answer and each page of the dashboard.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import describe
from proxy.query import answers, insights
from proxy.query.parameters import FILTERS, PAGING, Asked, understand
from proxy.query.segments import Thresholds
from proxy.store import Store, open_store
from proxy.store.insight import USER_SORTS
from proxy.store.measures import DAY, MINUTE
from proxy.task import Ending, Filter, Flag, Forget, Source, Task, Usage

BATCH = 500
START = 1_780_000_000_000_000
FLOORS = {
    **dict.fromkeys(("overview", "series"), 150.0),
    "search": 200.0,
    **dict.fromkeys(("breakdown", "what ends", "segments", "compare", "forget"), float("inf")),
}
"""Milliseconds of the 95th percentile at 1,000,000 tasks; of everything else `LIST`. At 10,000,000: twice that."""

LIST = 50.0
WORDS = [
    "how",
    "do",
    "I",
    "reset",
    "my",
    "router",
    "password",
    "please",
    "show",
    "the",
    "invoice",
    "for",
    "order",
    "number",
    "and",
    "tell",
    "me",
    "what",
    "weather",
    "will",
    "be",
    "in",
    "Paris",
    "next",
    "week",
    "because",
    "the",
    "delivery",
    "is",
    "late",
    "again",
    "can",
    "you",
    "explain",
    "this",
    "function",
    "why",
    "does",
    "it",
    "not",
    "return",
    "the",
    "list",
    "of",
    "users",
    "from",
    "database",
    "table",
]
RARE = tuple(f"term{n}" for n in range(5000))


class Rate(NamedTuple):
    """How quickly tasks were saved."""

    a_second: float
    cpu_us: float  # microseconds for each, all threads


class Shape:
    """How many of what there are: 50 tasks a session, and users who come back."""

    def __init__(self, tasks: int, *, busy: bool = False) -> None:
        self.tasks = tasks
        self.busy = busy
        span = 65 * MINUTE if busy else 60 * DAY
        self.start = time.time_ns() // 1000 - span if busy else START
        self.sessions = max(1, tasks // 50)
        self.users = max(1, min(20_000, tasks // 50))
        self.step = span // max(tasks, 1) or 1


def made(shape: Shape) -> Iterator[Task]:
    """Synthetic tasks in the order of time: a thousand sessions go on at once."""
    dice = random.Random(4)
    open_sessions = [(n, dice.randrange(shape.users)) for n in range(min(1000, shape.sessions))]
    lengths = [0] * len(open_sessions)
    following = len(open_sessions)
    for n in range(shape.tasks):
        place = dice.randrange(len(open_sessions))
        if lengths[place] >= 50 and following < shape.sessions:
            open_sessions[place], lengths[place] = (following, dice.randrange(shape.users)), 0
            following += 1
        lengths[place] += 1
        session, user = open_sessions[place]
        yield _task(n, shape, session, user, dice)


def _task(n: int, shape: Shape, session: int, user: int, dice: random.Random) -> Task:
    at = shape.start + n * shape.step
    chance = dice.random()
    took = dice.lognormvariate(0.3, 0.8)
    model = ("gpt-5", "gpt-5-mini", "claude-4", "llama-3.3")[int(chance * 97) % 4]
    question = " ".join(dice.choices(WORDS, k=12)) + f" {dice.choice(RARE)}"
    body = b'{"model":"%s","messages":[{"role":"user","content":"%s"}]}' % (model.encode(), question.encode())
    return Task(
        id=f"task-{n}",
        origin=f"scale.{n}",
        project_id=("shop", "bot", "ops")[session % 3],
        created_at=at,
        ended_at=at + int(took * 1e6),
        kind="chat" if session % 5 else "message",
        session_id=f"session-{session}",
        session_source=Source.HEADER,
        user_id=f"user-{user}",
        user_source=Source.HEADER,
        input=question,
        output=" ".join(dice.choices(WORDS, k=40)),
        model_requested=model,
        model=model,
        usage=Usage(input_tokens=20 + int(chance * 500), output_tokens=40, total_tokens=60 + int(chance * 500)),
        cost=0.0001 + chance / 1000,
        upstream="openai",
        method="POST",
        path="/v1/chat/completions",
        http_status=200,
        stream=True,
        seconds_total=took,
        seconds_to_first_token=took / 4,
        ending=Ending.COMPLETED if chance > 0.03 else Ending.UPSTREAM_ERROR if chance > 0.01 else Ending.CALLER_LEFT,
        finish_reasons=("stop",),
        flag=None if chance < 0.98 else Flag.SUCCESS if chance < 0.995 else Flag.FAILURE,
        metadata={"version_id": f"v{session % 4}", "score": round(chance, 4)} if session % 10 == 0 else {},
        request_body=body,
        response_body=body[:60],
    )


async def there(store: Store, shape: Shape) -> int:
    """How many of the tasks are stored, from the first on: a fill that was broken off goes on where it was."""
    low, high = 0, shape.tasks
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if await store.get(f"task-{middle - 1}") is not None else (low, middle - 1)
    return low


async def fill(store: Store, shape: Shape) -> list[Rate]:
    """Save what is missing; how quickly each whole tenth of the way went, batches made beforehand not counted."""
    rates: list[Rate] = []
    begun = await there(store, shape)
    tenth, spent, used, saved = max(shape.tasks // 10, 1), 0.0, 0.0, begun
    mark = -(-begun // tenth) * tenth  # where the next whole tenth begins
    batch: list[Task] = []
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # as in the desk
    for task in islice(made(shape), begun, None):
        batch.append(task)
        if len(batch) == BATCH:
            began, at_first = time.perf_counter(), time.process_time()
            await store.save(batch)
            spent += time.perf_counter() - began
            used += time.process_time() - at_first
            saved += len(batch)
            batch = []
            if saved >= mark + tenth:
                mark += tenth
                rates.append(Rate(tenth / spent, used / tenth * 1e6))
                print(
                    f"  {saved:>12,} tasks  {rates[-1].a_second:>8,.0f} a second  {rates[-1].cpu_us:>6.0f} us CPU each",
                    flush=True,
                )
                spent = used = 0.0
            elif saved == mark:
                spent = used = 0.0  # what came before was a part of a tenth
    await store.save(batch)
    return rates


def asked(**given: str) -> Asked:
    """A question as the API reads it."""
    return understand(given.items(), FILTERS + PAGING)


async def questions(store: Store, shape: Shape) -> dict[str, Callable[[], Awaitable[object]]]:
    """What is asked, each time of something else."""
    dice = random.Random(9)
    page = await store.find(Filter(), limit=50)
    for _ in range(999):
        if page.next is None:
            break
        page = await store.find(Filter(), limit=50, cursor=page.next)
    known = [user.id for user in (await store.users(limit=500)).items]
    end = shape.start + shape.tasks * shape.step
    lasting = shape.sessions * 9 // 10  # those behind may be forgotten, by this run or an earlier one

    def week() -> Filter:
        until = end - dice.randrange(shape.tasks) * shape.step // 2
        return Filter(since=until - 7 * 24 * 3_600_000_000, until=until)

    def hour() -> Filter:  # until all of the tasks, as if that were now, or until amid the minute before
        until = end - dice.choice((0, dice.randrange(MINUTE)))
        return Filter(since=until - 60 * MINUTE, until=until)

    async def forget() -> object:
        what = Forget(session_id=f"session-{dice.randrange(lasting, shape.sessions)}")
        return await store.forget(await store.doomed(what, limit=500))

    if shape.busy:
        return {
            "overview, an hour": lambda: insights.overview(store, Asked(filter=hour())),
            "series, its minutes": lambda: insights.series(store, Asked(step="minute", filter=hour())),
            "series by model": lambda: insights.series(store, Asked(step="minute", by="model", filter=hour())),
            "compare two hours": lambda: insights.compare(store, Asked(filter=hour(), against=hour())),
        }
    found: dict[str, Callable[[], Awaitable[object]]] = {
        "newest tasks": lambda: answers.tasks(store, asked()),
        "a filtered page": lambda: answers.tasks(store, asked(model="gpt-5", project_id="shop", ending="completed")),
        "a rare ending": lambda: answers.tasks(store, asked(ending="caller_left", kind="chat")),
        "metadata, a range": lambda: answers.tasks(store, asked(metadata="score>=0.5,score<0.51")),
        "page 1,000": lambda: answers.tasks(store, Asked(cursor=page.next)),
        "one task": lambda: answers.task(store, f"task-{dice.randrange(shape.tasks)}"),
        "one session": lambda: answers.session(store, f"session-{dice.randrange(lasting)}", asked()),
        "one user": lambda: answers.user(store, dice.choice(known), asked(), Thresholds()),
        "sessions": lambda: answers.sessions(store, asked()),
        "users": lambda: answers.users(store, asked(), Thresholds()),
        "users by any column": lambda: answers.users(store, Asked(sort=dice.choice(USER_SORTS)), Thresholds()),
        "overview": lambda: insights.overview(store, asked()),
        "overview, a week": lambda: insights.overview(store, Asked(filter=week())),
        "series": lambda: insights.series(store, Asked(step="day")),
        "series, hours of a week": lambda: insights.series(store, Asked(step="hour", filter=week())),
        "series by model": lambda: insights.series(store, Asked(step="day", by="model")),
        "breakdown by user": lambda: insights.breakdown(store, Asked(by="user_id")),
        "breakdown by session": lambda: insights.breakdown(store, Asked(by="session_id", filter=week())),
        "compare two weeks": lambda: insights.compare(store, Asked(filter=week(), against=week())),
        "what ends sessions": lambda: insights.sessions(store, Asked(step="week")),
        "segments of users": lambda: insights.users(store, Asked(), Thresholds()),
        "search": lambda: answers.tasks(store, asked(q=f"router {dice.choice(RARE)}")),
        "search, frequent words": lambda: answers.tasks(store, asked(q='invoice "weather will"')),
        "forget a session": forget,
    }
    return found


async def measure(ask: Callable[[], Awaitable[object]], times: int) -> tuple[float, float, float, float]:
    """(median, 95th percentile) in milliseconds, and both of the CPU, after one answer that is not counted."""
    await ask()
    took, used = [], []
    for _ in range(times):
        began, at_first = time.perf_counter(), time.process_time()
        await ask()
        took.append((time.perf_counter() - began) * 1000)
        used.append((time.process_time() - at_first) * 1000)
    last = min(times - 1, int(0.95 * times))
    return sorted(took)[times // 2], sorted(took)[last], sorted(used)[times // 2], sorted(used)[last]


async def run(shape: Shape, times: int, folder: Path) -> None:
    """Fill, unless it is filled, and ask."""
    print(describe())
    print(f"{shape.tasks:,} tasks, {shape.sessions:,} sessions, {shape.users:,} users, in {folder}\n")
    writing = await open_store("sqlite:", folder, write=True)
    if (first := await writing.get("task-0")) is not None:
        shape.start = first.created_at
    if await writing.get(f"task-{shape.tasks - 1}") is None:
        rates = await fill(writing, shape)
        if len(rates) > 1:
            begun, last = rates[0], rates[-1]
            print(
                f"  the last tenth at {last.a_second / begun.a_second:.0%} of the first, in CPU {begun.cpu_us / last.cpu_us:.0%}"
            )
    size = sum(path.stat().st_size for path in folder.glob("tasktap.db*"))
    print(f"  {size / 1e6:,.0f} MB, {size / shape.tasks:,.0f} bytes a task\n")
    many = 2 if shape.tasks > 2_000_000 else 1
    print(f"{'answer':<26} {'p50 ms':>9} {'p95 ms':>9} {'CPU p50':>9} {'CPU p95':>9} {'floor':>7}")
    for name, ask in (await questions(writing, shape)).items():
        middle, high, *cpu = await measure(ask, times)
        floor = next((limit for key, limit in FLOORS.items() if name.startswith(key)), LIST) * many
        figures = " ".join(f"{figure:>9.1f}" for figure in (middle, high, *cpu))
        print(f"{name:<26} {figures} {floor:>7.0f}{'' if high < floor else '  over'}", flush=True)
    await writing.close()


def main() -> None:
    """Read the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--full", action="store_true", help="10,000,000 tasks")
    options.add_argument("--tasks", type=int, help="so many tasks")
    options.add_argument("--busy", action="store_true", help="all of them in the last 65 minutes")
    options.add_argument("--times", type=int, default=40, help="how often each answer is asked for")
    options.add_argument("--in", dest="folder", type=Path, help="a folder to work in; it is emptied, but with --keep")
    options.add_argument("--keep", action="store_true", help="leave the folder as it is")
    given = options.parse_args()
    tasks = given.tasks or (10_000_000 if given.full else 1_000_000)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="scale-"))
    try:
        asyncio.run(run(Shape(tasks, busy=given.busy), given.times, folder))
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
