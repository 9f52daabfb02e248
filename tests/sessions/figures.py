"""`python -m tests.sessions.figures`: how often the inferred sessions are right, over the labelled set.

Counted in pairs of calls. Precision: of two calls that were put into one session, how often they are of one conversation.
Recall: of two calls of one conversation, how often they were put into one session.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proxy.record.threads import Threads
from proxy.store import open_store
from tests.sessions import labelled
from tests.sessions.compacting import SUMMED_UP
from tests.sessions.labelled import AS_IT_WAS, CHANGED, Labelled
from tests.sessions.linking import linked

MODIFIED = {shape.__name__ for shape in CHANGED}


@dataclass(frozen=True)
class Figures:
    """Pairs of calls."""

    conversations: int
    calls: int
    together: int  # of one conversation
    found: int  # of those, in one session
    wrong: int  # in one session, of different conversations

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.wrong) if self.found + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.together if self.together else 1.0


def counted(calls: Iterable[Labelled], sessions: dict[str, str]) -> Figures:
    """The figures of these calls; `sessions` by task id."""
    calls = list(calls)
    conversation = Counter(call.conversation for call in calls)
    session = Counter(sessions[call.task.id] for call in calls)
    both = Counter((call.conversation, sessions[call.task.id]) for call in calls)
    found = sum(map(pairs, both.values()))
    return Figures(
        len(conversation), len(calls), sum(map(pairs, conversation.values())), found, sum(map(pairs, session.values())) - found
    )


def pairs(count: int) -> int:
    return count * (count - 1) // 2


async def in_thread(act, *arguments):
    return act(*arguments)


async def inferred(calls: list[Labelled], place: Path, seed: int = 1) -> dict[str, str]:
    """The session of each call: stored in batches as they end, with a restart now and then. By task id."""
    chance = random.Random(seed)
    store = await open_store("sqlite:", place, write=True)
    threads = Threads(store, b"pepper", labelled.IDLE / 1e6)
    order = sorted(calls, key=lambda call: call.task.ended_at)
    sessions: dict[str, str] = {}
    while order:
        size = chance.choice((1, 2, 10, 100))
        batch, order = order[:size], order[size:]
        chance.shuffle(batch)
        placed = await linked(threads, [call.task for call in batch], in_thread)
        await store.save(placed)
        sessions |= {task.id: task.session_id or "" for task in placed}
        if chance.random() < 0.05:
            threads = Threads(store, b"pepper", labelled.IDLE / 1e6)
    await store.close()
    return sessions


async def figures(place: Path, seed: int = 1) -> dict[str, Figures]:
    """By what the app does with the history, and by shape; precision is against everything that went on at the time."""
    calls = [call for talk in labelled.conversations(seed) for call in talk]
    sessions = await inferred(calls, place, seed)
    groups = {
        "all": calls,
        "history as it was": [call for call in calls if call.shape not in MODIFIED],
        "history changed": [call for call in calls if call.shape in MODIFIED],
        "summed up": [call for call in calls if call.shape in {shape.__name__ for shape in SUMMED_UP}],
    }
    groups |= {shape.__name__: [call for call in calls if call.shape == shape.__name__] for shape in AS_IT_WAS | CHANGED}
    return {name: counted(group, sessions) for name, group in groups.items()}


async def alike(place: Path) -> Figures:
    """Those whom nothing tells apart."""
    calls = [call for talk in labelled.alike() for call in talk]
    return counted(calls, await inferred(calls, place))


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        found = asyncio.run(figures(Path(one), seed))
        found["same key, no user, same opening"] = asyncio.run(alike(Path(two)))
    print(f"{'':34}{'talks':>7}{'calls':>7}{'precision':>11}{'recall':>9}")
    for name, figure in found.items():
        print(f"{name:34}{figure.conversations:>7}{figure.calls:>7}{figure.precision:>11.4f}{figure.recall:>9.4f}")


if __name__ == "__main__":
    main()
