"""Pure: weeks of calls from a seed: people come back, providers fail, streams stall, prompts grow."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from proxy.demo.exchange import DAY, Asking, exchange, uuid
from proxy.demo.photo import photo
from proxy.demo.script import CITIES, NAMES, STORIES, SYSTEM, Story
from proxy.task import JSON, Ending, Task, Usage

HOUR = 3_600_000_000
PHOTO = "Voilà la photo"
"""Who says so sends one along."""

MODELS = {
    "support": {"gpt-5-mini": 5, "gpt-5": 1},
    "docs": {"gpt-5-mini": 2, "gemini-2.5-flash": 3},
    "code": {"claude-sonnet-4-5": 1},
    "translate": {"gpt-5-mini": 2, "llama3.2": 2},
    "research": {"gpt-5": 1},
    "notes": {"llama3.2": 1, "gpt-5-mini": 1},
}
WEIGHTS = {"support": 9, "docs": 5, "code": 4, "translate": 6, "research": 2, "notes": 3}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who calls: how often, and how much luck they have."""

    id: str
    name: str
    weight: float
    luck: float


class Demo:
    """Makes the calls of `days` up to `now` (microseconds). The same seed makes the same calls."""

    def __init__(self, now: int, days: int = 30, people: int = 120, sessions: int = 900, seed: int = 7) -> None:
        self._chance = random.Random(seed)  # noqa: S311  # a demo must be the same each time, not secret
        self._now, self._days, self._sessions = now, days, sessions
        self._number = 0
        self._people = [self._person(number) for number in range(people)]

    def _person(self, number: int) -> Person:
        name = NAMES[number % len(NAMES)]
        id = f"{name}@example.com" if number < len(NAMES) else f"{name}{number}@example.com"
        return Person(id, name.capitalize(), min(14.0, self._chance.paretovariate(1.1)), self._chance.betavariate(9, 1.2))

    def tasks(self) -> Iterator[list[Task]]:
        """The tasks of one session after another."""
        chance = self._chance
        for _ in range(self._sessions):
            app = _choice(WEIGHTS, chance)
            story = chance.choice([story for story in STORIES if story.app == app])
            person = chance.choices(self._people, [person.weight for person in self._people])[0]
            yield [task for task in self._session(story, person, self._moment()) if task.ended_at <= self._now]
        yield list(self._embeddings())

    def _moment(self) -> int:
        """Working hours more than nights, weekdays more than weekends, later weeks more than earlier ones."""
        chance = self._chance
        while True:
            ago = int(self._days * DAY * min(chance.random(), chance.random()))
            at = self._now - ago
            hour, weekday = at // HOUR % 24, (at // DAY + 3) % 7
            busy = 0.12 if hour < 6 or hour > 21 else 0.55 if hour < 8 or hour > 18 else 1.0
            if chance.random() < busy * (0.35 if weekday >= 5 else 1.0) or ago < HOUR:
                return at

    def _session(self, story: Story, person: Person, at: int) -> Iterator[Task]:
        chance = self._chance
        facts = {
            "order": f"{chance.randrange(10**5, 10**6)}",
            "ticket": str(chance.randrange(4000, 9999)),
            "city": chance.choice(CITIES),
            "name": person.name,
        }
        session = f"{story.app}-{chance.getrandbits(40):010x}" if story.app != "translate" else None
        history: list[JSON] = [{"role": "system", "content": SYSTEM[story.app]}]
        ask = Asking(
            number=0,
            at=at,
            now=self._now,
            story=story,
            model=_choice(MODELS[story.app], chance),
            user=person.id,
            luck=person.luck,
            session=session,
            history=history,
            asked="",
            told="",
        )
        before: str | None = None
        turns = len(story.lines) if chance.random() < 0.7 else chance.randint(1, len(story.lines))
        for index, line in enumerate(story.lines[:turns]):
            asked, told = (_filled(text, facts) for text in line)
            history.append({"role": "user", "content": _seen(asked) if PHOTO in asked else asked})
            asked = f"{asked}\n[image]" if PHOTO in asked else asked
            if index == 0 and story.tool is not None:
                call = self._tool_call(story, facts)
                task = self._made(replace(ask, at=at, asked=asked, call=call, lucky=True, before=before))
                yield task
                before = task.id
                at = task.ended_at + chance.randrange(80_000, 900_000)
                result = _filled(story.tool.result, facts)
                history.append({"role": "assistant", "content": None, "tool_calls": [call]})
                history.append({"role": "tool", "tool_call_id": call["id"], "content": result})
                asked = f"[tool] {result}"
            task = self._made(replace(ask, at=at, asked=asked, told=told, before=before))
            yield task
            before = task.id
            if task.output is None and chance.random() < 0.8:  # sent again
                at = task.ended_at + chance.randrange(600_000, 4_000_000)
                task = self._made(replace(ask, at=at, asked=asked, told=told, lucky=True, retry_of=task.id, before=before))
                yield task
                before = task.id
            if task.output is None:
                return
            history.append({"role": "assistant", "content": task.output})
            pause = chance.lognormvariate(3.1, 0.9) if chance.random() < 0.93 else chance.lognormvariate(8.5, 0.8)
            at = task.ended_at + int(pause * 1e6)

    def _made(self, ask: Asking) -> Task:
        self._number += 1
        return exchange(replace(ask, number=self._number), self._chance)

    def _tool_call(self, story: Story, facts: Mapping[str, str]) -> JSON:
        if story.tool is None:
            raise ValueError("a story without a tool")
        arguments = {key: _filled(str(value), facts) for key, value in story.tool.arguments.items()}
        id = f"call_{self._chance.getrandbits(60):x}"
        return {"id": id, "type": "function", "function": {"name": story.tool.name, "arguments": json.dumps(arguments)}}

    def _embeddings(self) -> Iterator[Task]:
        """A nightly job that makes vectors of documents."""
        for day in range(self._days):
            start = (self._now - day * DAY) // DAY * DAY + 2 * HOUR
            for number in range(4):
                at = start + number * 2_000_000
                if at + 420_000 <= self._now:
                    texts = [f"§{section}.{number + 1} of the handbook, as of day {self._days - day}" for section in range(1, 9)]
                    yield self._embedding(at, texts)

    def _embedding(self, at: int, texts: list[str]) -> Task:
        self._number += 1
        tokens = self._chance.randrange(2_000, 6_000)
        raw = {"model": "text-embedding-3-small", "input": texts}
        body = json.dumps(raw, ensure_ascii=False).encode()
        return Task(
            id=uuid(at, self._chance),
            origin=f"demo.{self._number}",
            created_at=at,
            ended_at=at + 420_000,
            kind="embedding",
            name="index",
            input="\n".join(texts),
            output=f"{len(texts)} vectors of 1536 numbers",
            metadata={"app": "index"},
            model_requested="text-embedding-3-small",
            model="text-embedding-3-small",
            usage=Usage(input_tokens=tokens, total_tokens=tokens),
            cost=tokens * 0.02 / 1e6,
            upstream="openai",
            method="POST",
            path="/v1/embeddings",
            http_status=200,
            stream=False,
            request_size=len(body),
            response_size=98_000,
            seconds_to_first_byte=0.4,
            seconds_total=0.42,
            ending=Ending.COMPLETED,
            raw_input=raw,
            request_body=body,
        )


def _seen(text: str) -> list[JSON]:
    """A message with a picture."""
    return [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": photo()}}]


def _choice(weights: Mapping[str, int], chance: random.Random) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _filled(text: str, facts: Mapping[str, str]) -> str:
    for name, value in facts.items():
        text = text.replace(f"{{{name}}}", value)
    return text
